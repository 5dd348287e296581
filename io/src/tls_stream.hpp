#ifndef WEFT_IO_SRC_TLS_STREAM_HPP
#define WEFT_IO_SRC_TLS_STREAM_HPP

#include <functional>
#include <memory>
#include <string>
#include <system_error>

#include <asio/ip/tcp.hpp>

#include <weft/core/result.hpp>
#include <weft/core/time.hpp>
#include <weft/io/trust_store.hpp>

#include "byte_stream.hpp"

namespace weft::io {

// Both ends say close_notify before they close (RFC 8446 §6.1), unless something that was
// written is still on its way, and neither waits for the other's.

/// The client's end of TLS over a connection that is there. `untrusted` is called before `on_end`
/// where the server's certificate was not the right one.
std::shared_ptr<byte_stream> make_tls_client_stream(asio::ip::tcp::socket socket,
                                                    const trust_store& trust,
                                                    const std::string& server_name,
                                                    std::function<void()> untrusted);

/// Certificate and key of a server, for many connections.
class tls_server_identity {
 public:
  /// Fails with the library's error if a file is not what it should be.
  static result<tls_server_identity, std::error_code> load(const std::string& certificate_file,
                                                           const std::string& key_file);

  /// The server's end. It ends where the handshake takes longer.
  std::shared_ptr<byte_stream> make_stream(asio::ip::tcp::socket socket,
                                           duration handshake_timeout) const;

 private:
  struct context;
  std::shared_ptr<context> context_;
};

}  // namespace weft::io

#endif  // WEFT_IO_SRC_TLS_STREAM_HPP
