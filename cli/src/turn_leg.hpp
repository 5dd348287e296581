#ifndef WEFT_CLI_TURN_LEG_HPP
#define WEFT_CLI_TURN_LEG_HPP

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include <asio/io_context.hpp>
#include <asio/ip/udp.hpp>

#include <weft/core/net.hpp>
#include <weft/dtls/session.hpp>
#include <weft/io/stream_set.hpp>
#include <weft/io/trust_store.hpp>
#include <weft/stun/uri.hpp>
#include <weft/turn/client.hpp>

namespace weft::cli {

/// A TURN client and its way to the server: a socket, with DTLS or not, or a stream.
class turn_leg {
 public:
  using data_handler = std::function<void(time_point, const endpoint& peer, const_bytes)>;

  turn_leg(asio::io_context& context, random_source& random, const endpoint& server,
           const turn::client::options& o);

  /// Begins to open the way; false where there is none.
  bool open(const stun::server_uri& uri, const io::trust_store& trust);
  /// Lets all machines say what they have to say.
  void drive();
  std::optional<time_point> poll_timeout() const;
  /// Sends what the client's `encapsulate` made.
  void send(const_bytes message);
  /// Takes leave of the server.
  void close();

  /// Why the way cannot be opened.
  const std::string& failure() const noexcept { return failure_; }

  turn::client client;
  data_handler on_data;

 private:
  bool open_socket();
  bool open_dtls(const io::trust_store& trust, const std::string& name);
  void open_stream(const io::trust_store& trust, bool tls, const std::string& name);
  void receive();
  void take_datagram(const_bytes datagram);
  void take(const_bytes bytes);
  void follow_dtls();
  void send_datagram(const_bytes datagram);

  endpoint server_;
  asio::io_context& context_;
  asio::ip::udp::socket socket_;
  std::array<std::uint8_t, 4096> buffer_{};
  std::optional<io::stream_set> streams_;
  std::optional<dtls::session> dtls_;
  std::function<bool()> is_trusted_;  ///< Asked once, when the server has shown who it is.
  five_tuple path_;
  bool connected_ = false;
  std::string failure_;
};

}  // namespace weft::cli

#endif  // WEFT_CLI_TURN_LEG_HPP
