#include "client_stream.hpp"

#include <asio/post.hpp>
#include <asio/ssl.hpp>

#include <weft/core/net.hpp>

#include "trust_material.hpp"
#include "turn_server_basic_stream.hpp"

namespace weft::io {
namespace {

using tls_socket = asio::ssl::stream<asio::ip::tcp::socket>;

class tls_client_stream final : public turn_server_basic_stream<tls_socket> {
 public:
  tls_client_stream(tls_socket stream, const trust_store& trust, const std::string& server_name,
                    std::function<void()> untrusted)
      : turn_server_basic_stream{std::move(stream)},
        trust_{trust},
        untrusted_{std::move(untrusted)} {
    SSL* const ssl = stream_.native_handle();
    const bool is_address = ip_address::parse(server_name).has_value();
    // RFC 6066 §3: a host name, and not an address.
    ready_ = server_name.empty() || is_address ||
             SSL_set_tlsext_host_name(ssl, server_name.c_str()) == 1;
    if (trust.contents().verify) ready_ = ready_ && expect_name(*SSL_get0_param(ssl), server_name);
  }

  void start(handlers h) override {
    begin(std::move(h));
    if (!ready_) {
      asio::post(stream_.get_executor(), [self = shared_from_this(), this] { end(); });
      return;
    }
    stream_.async_handshake(tls_socket::client,
                            [self = shared_from_this(), this](std::error_code error) {
                              if (!error) return opened();
                              if (SSL_get_verify_result(stream_.native_handle()) != X509_V_OK)
                                untrusted_();
                              end();
                            });
  }

 private:
  trust_store trust_;  // Its context outlives the stream.
  std::function<void()> untrusted_;
  bool ready_ = false;
};

}  // namespace

std::shared_ptr<turn_server_stream> make_tls_client_stream(asio::ip::tcp::socket socket,
                                                           const trust_store& trust,
                                                           const std::string& server_name,
                                                           std::function<void()> untrusted) {
  return std::make_shared<tls_client_stream>(tls_socket{std::move(socket), trust.contents().tls},
                                             trust, server_name, std::move(untrusted));
}

}  // namespace weft::io
