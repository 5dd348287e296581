#ifndef WEFT_PEER_SRC_ICE_TRANSPORT_IMPLEMENTATION_HPP
#define WEFT_PEER_SRC_ICE_TRANSPORT_IMPLEMENTATION_HPP

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <weft/ice/framing.hpp>
#include <weft/peer/ice_transport.hpp>
#include <weft/stun/uri.hpp>

#include "datagram_queue.hpp"
#include "relay.hpp"

namespace weft::peer {

/// What a transport is inside. Servers and what becomes of them are in ice_transport_servers.cpp,
/// what moves datagrams, streams and time in ice_transport_machine.cpp.
class ice_transport::implementation {
 public:
  implementation(random_source& random, const options& opts);

  // ice_transport_servers.cpp
  result<void, ice::error> add_local_address(time_point now, const ice::local_address& address);
  void remove_local_address(time_point now, const endpoint& base, transport_protocol protocol);
  void resolve(time_point now, std::string_view name, std::span<const ip_address> addresses);
  void server_verified(time_point now, const verify_server& shown, bool trusted);
  void set_servers(time_point now, std::vector<ice_server> servers);
  void gather(time_point now);
  void close(time_point now);
  void restart(time_point now);
  result<void, ice::error> add_remote_candidate(time_point now, const ice::candidate& remote);

  // ice_transport_machine.cpp
  bool handle_input(time_point now, const five_tuple& path, const_bytes bytes);
  void handle_connected(time_point now, const five_tuple& path);
  void handle_disconnected(time_point now, const five_tuple& path);
  void handle_timeout(time_point now);
  std::optional<addressed_transmit> poll_transmit(time_point now, mutable_bytes buffer);
  std::optional<time_point> poll_timeout() const;
  std::optional<event> poll_event();
  std::optional<received> receive();
  bool is_valid_path(const five_tuple& path) const noexcept;
  room room_for(const five_tuple& path) const noexcept;
  std::optional<addressed_transmit> wrap(time_point now, const five_tuple& path,
                                         mutable_bytes buffer, std::size_t size,
                                         traffic_class traffic);

  /// After a command to `agent` that `implementation` has no function for.
  void wake(time_point now);

  ice::agent agent;
  counters stats;
  bool gathering_is_complete = false;

 private:
  /// A URL, and what is known of the server behind it.
  struct server {
    std::string url;
    stun::server_uri uri;
    stun::long_term_credentials credentials;
    std::vector<endpoint> addresses{};  ///< At most one of each family.
    std::optional<time_point> resolving_until{};
    bool is_removed = false;  ///< By `set_servers`: what there is goes on, nothing new begins.
  };
  struct local {
    endpoint base;
    transport_protocol protocol;
    ice::network network;
  };
  struct relay_entry {
    relay way;
    bool holds_gathering = false;
    bool was_allocated = false;
    std::vector<endpoint> addresses{};  ///< That the agent has as relayed ones.
  };
  /// A connection over TCP of ICE itself (RFC 6544).
  struct stream {
    ice::deframer frames{};
    bool is_connected = false;
    /// A connection that was accepted has so long to prove whose it is.
    std::optional<time_point> deadline{};
  };
  /// A check that the TURN server does not relay before it has answered CreatePermission.
  struct held_check {
    endpoint relayed;
    endpoint peer;
    std::vector<std::uint8_t> bytes;
    bool is_due = false;
  };

  // ice_transport_servers.cpp
  void use(time_point now, server& s);
  void look_up(time_point now, server& s);
  void forget_name(time_point now, server& s, std::string_view why);
  void make_relays(time_point now, const server& s);
  void make_relay(time_point now, const server& s, const local& from, const endpoint& address);
  void open(time_point now, relay_entry& r);
  void hold(time_point now, relay_entry& r);
  void release(time_point now, relay_entry& r);
  void follow_relays(time_point now);
  void follow_relay(time_point now, relay_entry& r);
  void handle_relay_event(time_point now, relay_entry& r, relay::event&& e);
  void handle_client_event(time_point now, relay_entry& r, const turn::client::event& e);
  void take_allocation(time_point now, relay_entry& r, const turn::client::allocated& a);
  void drop_allocation(time_point now, relay_entry& r);
  void drop_stream(relay_entry& r);
  void complain(const relay_entry& r, stun::error_code code, std::string_view text);
  void permit(time_point now, relay_entry& r, const ip_address& peer);
  void permit(time_point now, const ip_address& peer);
  void release_stale_permissions(time_point now, std::size_t count);
  bool try_move(time_point now, relay_entry& r);
  std::uint16_t next_number();
  bool has_same(const server& s, const local& from, const endpoint& address) const;

  // ice_transport_machine.cpp
  void advance(time_point now);
  void follow_agent(time_point now);
  void handle_agent_event(time_point now, ice::agent::event&& e);
  relay_entry* find_relay(const five_tuple& path);
  const relay_entry* find_relayed(const endpoint& relayed) const;
  relay_entry* find_relayed(const endpoint& relayed);
  void read_relay(time_point now, relay_entry& r);
  bool read_stream(time_point now, const five_tuple& path, const_bytes bytes);
  bool take(time_point now, const five_tuple& path, const_bytes datagram);
  void accept(time_point now, const five_tuple& path);
  void end_stream(time_point now, five_tuple path);
  std::optional<addressed_transmit> poll_agent(time_point now, mutable_bytes buffer);
  std::optional<addressed_transmit> send_check(time_point now, const addressed_transmit& check,
                                               mutable_bytes buffer);
  std::optional<addressed_transmit> poll_held(time_point now, mutable_bytes buffer);
  std::optional<addressed_transmit> relay_check(time_point now, const endpoint& relayed,
                                                const endpoint& peer, const_bytes check,
                                                mutable_bytes buffer);

  options options_;
  random_source* random_;
  time_point now_{};  ///< The latest.
  bool gathering_ = false;
  bool closed_ = false;
  bool pending_ = false;  ///< There may be something to send.
  std::deque<event> events_;

  std::vector<server> servers_;
  std::vector<local> locals_;
  std::deque<relay_entry> relays_;
  std::uint16_t number_ = 0;
  std::vector<ip_address> permitted_;  ///< Of remote candidates.
  std::vector<ip_address> stale_;      ///< Of those of the session before.
  std::deque<held_check> held_;

  std::map<five_tuple, stream> streams_;
  datagram_queue arrived_;
};

}  // namespace weft::peer

#endif  // WEFT_PEER_SRC_ICE_TRANSPORT_IMPLEMENTATION_HPP
