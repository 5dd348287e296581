#ifndef WEFT_PEER_SRC_RELAY_HPP
#define WEFT_PEER_SRC_RELAY_HPP

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <weft/core/machine.hpp>
#include <weft/core/random.hpp>
#include <weft/core/time.hpp>
#include <weft/dtls/session.hpp>
#include <weft/ice/address.hpp>
#include <weft/peer/ice_transport.hpp>
#include <weft/stun/uri.hpp>
#include <weft/turn/client.hpp>

namespace weft::peer {

/// One way to a TURN server: from an address of ours, by one URL, to an address of the server.
/// A `turn::client` and what carries its messages, which it hides.
class relay {
 public:
  struct target {
    std::string url;  ///< As it was given.
    stun::server_uri uri;
    endpoint server;  ///< As it was resolved; redirections do not change it.
    stun::long_term_credentials credentials;
    endpoint base;         ///< Ours; over TCP its IP address counts.
    ice::network network;  ///< Of `base`.
  };

  /// Certificates have to be judged, the server's own first.
  struct certificate_shown {
    std::vector<std::vector<std::uint8_t>> chain;
  };
  /// A connection over TCP is wanted, in place of any that there was.
  struct connection_wanted {};
  using event = std::variant<turn::client::event, certificate_shown, connection_wanted>;

  enum class phase : std::uint8_t {
    opening,    ///< On the way to the server.
    asking,     ///< For an allocation.
    allocated,  ///< There is one.
    waiting,    ///< To try again at `retry_at`.
    failed,     ///< And not to try again by itself.
    closing,    ///< The allocation is being deleted.
    closed,
  };

  relay(random_source& random, const ice_transport::options& opts, target t);

  // Commands

  /// Begins, or begins again.
  void open(time_point now);
  void set_credentials(time_point now, stun::long_term_credentials credentials);
  /// Whether a certificate that was shown is the right one.
  void judge(time_point now, const_bytes certificate, bool trusted);
  /// Takes the allocation along to another address of ours. False if that cannot be.
  bool move(time_point now, const endpoint& base, const ice::network& network);
  /// The server is another one (RFC 8489 §10).
  void redirect(time_point now, const endpoint& server, const std::string& domain);
  /// By another connection.
  void reconnect(time_point now) { begin_carrier(now); }
  /// The number is for the connection that `connection_wanted` asked for.
  void start_stream(std::uint16_t number);
  /// The connection that is open or being opened, which is now the caller's to close.
  std::optional<five_tuple> take_stream() { return std::exchange(stream_, std::nullopt); }
  /// It did not work; tries again after a while, longer each time.
  void try_later(time_point now, duration at_least);
  void give_up();
  void close(time_point now);

  // Inputs

  void handle_connected(time_point now);
  void handle_disconnected(time_point now);
  /// Whether it was for the client. `receive` is to be called to its end before the bytes go.
  bool handle_input(time_point now, const_bytes bytes);
  std::optional<turn::client::received> receive(time_point now);
  void handle_timeout(time_point now);

  // Outputs

  std::optional<addressed_transmit> poll_transmit(time_point now, mutable_bytes buffer);
  std::optional<time_point> poll_timeout() const;
  std::optional<event> poll_event();

  // The data path

  ice_transport::room room_for(const endpoint& peer) const noexcept;
  /// The datagram of `size` bytes stands in `buffer` behind the room for its peer.
  result<addressed_transmit, turn::client_error> wrap(time_point now, const endpoint& peer,
                                                      mutable_bytes buffer, std::size_t size,
                                                      traffic_class traffic);

  // Questions

  phase current() const noexcept { return phase_; }
  bool is_over_tcp() const noexcept { return path_.protocol == transport_protocol::tcp; }
  bool is_over_tls() const noexcept { return is_over_tcp() && target_.uri.is_secure(); }
  ice::relay_protocol protocol() const noexcept;
  const target& about() const noexcept { return target_; }
  /// What carries it: over TCP, the name of the connection.
  const five_tuple& path() const noexcept { return path_; }
  const std::string& server_name() const noexcept { return server_name_; }
  std::optional<endpoint> relayed(turn::address_family family) const noexcept;
  bool relays_at(const endpoint& relayed_address) const noexcept;
  turn::client* client() noexcept { return client_ ? &*client_ : nullptr; }
  bool is_mobile() const noexcept { return mobile_; }
  /// No address of ours leads to the server any more; one that comes may save the allocation.
  bool is_stranded() const noexcept { return stranded_; }
  /// It will try again later and might as well do so now.
  bool is_waiting_by_choice() const noexcept { return phase_ == phase::waiting && !told_to_wait_; }
  void strand() noexcept { stranded_ = true; }

 private:
  enum class layer : std::uint8_t { datagram, dtls, stream };

  void begin_carrier(time_point now);
  void carrier_is_open(time_point now);
  void follow_dtls(time_point now);
  void fail_opening(std::string reason);
  five_tuple path_from(const endpoint& base) const;

  random_source* random_;
  turn::client::options client_options_;
  duration connect_timeout_, min_retry_, max_retry_;
  target target_;
  layer layer_;
  endpoint server_;  ///< The target's, or where that has sent us.
  std::string server_name_;
  five_tuple path_;
  std::optional<five_tuple> stream_;
  phase phase_ = phase::failed;
  std::optional<turn::client> client_;
  std::optional<dtls::session> dtls_;
  bool connected_ = false;  ///< The carrier is open.
  bool moving_ = false;     ///< Once the carrier is open, not a new allocation but the old one.
  bool mobile_ = false;
  bool stranded_ = false;
  bool told_to_wait_ = false;  ///< By the server, so that nobody may make it try sooner.
  duration next_retry_;
  std::optional<time_point> deadline_;  ///< Of opening and asking; when waiting, to try again.
  std::vector<std::uint8_t> shown_;     ///< The certificate that was shown last.
  std::deque<event> events_;
};

}  // namespace weft::peer

#endif  // WEFT_PEER_SRC_RELAY_HPP
