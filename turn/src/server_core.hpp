#ifndef WEFT_TURN_SRC_SERVER_CORE_HPP
#define WEFT_TURN_SRC_SERVER_CORE_HPP

#include <compare>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <weft/core/net.hpp>
#include <weft/core/random.hpp>
#include <weft/core/time.hpp>
#include <weft/stun/binding_server.hpp>
#include <weft/stun/crypto.hpp>
#include <weft/stun/long_term_server.hpp>
#include <weft/stun/message.hpp>
#include <weft/stun/reply_limiter.hpp>
#include <weft/turn/server.hpp>

#include "allocation.hpp"
#include "reply_queue.hpp"
#include "token_bucket.hpp"
#include "tuple_map.hpp"

namespace weft::turn {

/// A relay socket, as far as the machine goes.
struct relay_slot {
  enum class status : std::uint8_t { free, opening, open, reserved };

  std::uint32_t generation = 0;
  status state = status::free;
  address_family family{};
  relayed_transport transport{};
  allocation* owner = nullptr;
  std::optional<relay_id> next{};  ///< Opened with this one, for a reservation.
  endpoint address{};
};

/// A port kept for who has the token (RFC 8656 §7.2).
struct reservation {
  relay_id relay;
  std::string account;
  time_point expires;
};

/// A client's stream. It is idle without an allocation or a peer's connection.
struct stream {
  std::uint64_t age = 0;  ///< Its key in the map that holds it.
  five_tuple client;
  time_point idle_since;
  bool idle = true;
  bool frame_is_done = false;  ///< `partial` has been handed out.
  std::vector<std::uint8_t> partial;
  std::optional<connection_id> joined{};
};

/// A TCP connection to a peer (RFC 6062).
struct peer_connection {
  enum class status : std::uint8_t { connecting, waiting, joined };

  connection_id id{};
  status state = status::connecting;
  allocation* owner = nullptr;
  endpoint peer;
  time_point deadline;
  five_tuple client{};                ///< Of the data connection, once joined.
  stun::transaction_id connect_id{};  ///< Of the Connect request that waits for a response.
  bool connect_has_fingerprint = false;
};

/// The whole of a `server`. The functions lie in the files that are named above them.
class server_core {
 public:
  using options = server::options;

  server_core(const options& opts, stun::user_store& users, random_source& random);
  server_core(const server_core&) = delete;

  // server_relay.cpp
  std::optional<server::to_peer> handle_input(time_point now, const five_tuple& client,
                                              const_bytes datagram);
  std::optional<server::to_client> handle_relayed(time_point now, relay_id relay,
                                                  const endpoint& peer, const_bytes payload,
                                                  std::span<std::uint8_t, server::headroom> room);
  void handle_icmp(time_point now, relay_id relay, const endpoint& peer, const icmp_error& error);

  // server_stream.cpp
  bool handle_connected(time_point now, const five_tuple& client);
  server::stream_step handle_stream(time_point now, const five_tuple& client, const_bytes chunk);
  void handle_disconnected(time_point now, const five_tuple& client);

  // server_allocate.cpp
  void relay_opened(time_point now, relay_id relay, const endpoint& relayed);
  void relay_failed(time_point now, relay_id relay);

  // server_connect.cpp
  void peer_connected(time_point now, connection_id connection);
  void peer_failed(time_point now, connection_id connection);
  std::optional<connection_id> peer_accepted(time_point now, relay_id relay, const endpoint& peer);
  void peer_disconnected(time_point now, connection_id connection);
  void count_spliced(connection_id connection, std::uint64_t bytes_to_peer,
                     std::uint64_t bytes_to_client);

  // server_core.cpp
  void drain(time_point now, std::vector<endpoint> alternates);
  bool is_draining() const noexcept { return draining_; }
  bool has_allocation(const five_tuple& client) const noexcept {
    return find_open(client) != nullptr;
  }
  void revoke(time_point now, std::string_view account);
  void handle_timeout(time_point now);
  std::optional<addressed_transmit> poll_transmit(mutable_bytes buffer);
  std::optional<time_point> poll_timeout() const;
  std::optional<server::event> poll_event();
  const server::counters& stats() const noexcept { return stats_; }
  server::gauges usage() const noexcept;

 private:
  /// Whom a response goes to, and how it is signed.
  struct addressee {
    five_tuple client;
    stun::method method;
    stun::transaction_id id;
    const stun::authenticated_user* user;
    bool fingerprint;
  };
  /// A request whose sender is known.
  struct request {
    const five_tuple& client;
    const stun::message_view& message;
    const stun::authenticated_user& user;

    addressee sender() const noexcept {
      return {client, message.type_method(), message.id(), &user,
              message.fingerprint().has_value()};
    }
  };
  struct timer {
    enum class subject : std::uint8_t { allocation, reservation, connection };

    time_point at;
    subject what;
    std::uint64_t key;  ///< An allocation's ID, a connection's, or a reservation's token.

    friend constexpr auto operator<=>(const timer&, const timer&) = default;
  };

  // server_core.cpp
  void advance(time_point now) noexcept { now_ = std::max(now_, now); }
  void push(server::event e);
  void push_audit(server::event e);
  bool has_room_for_events() const noexcept { return events_.size() < max_pending_events; }
  allocation* find_open(const five_tuple& client) const noexcept;
  allocation* find(allocation_id id) const noexcept;
  allocation& create(const request& r, relayed_transport transport);
  void end(allocation& a, allocation_end reason);
  void end_family(allocation& a, address_family family, allocation_end reason);
  void set_timer(allocation& a);
  account& account_for(std::string_view name);
  void release(account& owner);
  static std::string account_name(const stun::authenticated_user& user);
  static bool belongs_to(const allocation& a, const stun::authenticated_user& user);
  static ip_address source_of(const ip_address& client) noexcept;

  relay_id reserve_relay(address_family family, relayed_transport transport, allocation* owner);
  relay_slot* find_relay(relay_id id) noexcept;
  void set_relay_address(relay_slot& slot, relay_id id, const endpoint& address);
  void free_relay(relay_id id);
  static std::size_t index_of(relayed_transport transport) noexcept {
    return transport == relayed_transport::tcp ? 1 : 0;
  }
  void close(relay_id id);

  std::optional<peer_refusal> refuses(relayed_transport transport, const ip_address& peer,
                                      std::optional<std::uint16_t> port) const noexcept;
  void refuse_peer(const request& r, const allocation& a, const endpoint& peer,
                   peer_refusal reason);

  template <class Fill>
  void respond(const addressee& to, stun::message_class what, Fill&& fill);
  template <class Fill>
  void succeed(const addressee& to, Fill&& fill);
  void refuse(const addressee& to, stun::error_code code);
  template <class Fill>
  void indicate(const five_tuple& client, stun::method method, Fill&& fill);
  bool may_answer_stranger(const five_tuple& client) noexcept;
  void reply_to_stranger(const five_tuple& client, const_bytes message, const_bytes reply);

  // server_requests.cpp
  std::optional<server::to_peer> handle_stun(const five_tuple& client, const_bytes bytes);
  void handle_request(const five_tuple& client, const stun::message_view& message);
  void answer_binding(const five_tuple& client, const stun::message_view& message);
  void refuse_stranger(const five_tuple& client, const stun::message_view& message,
                       stun::error_code code);
  bool has_unknown_attributes(const request& r);
  void dispatch(const request& r);
  void refresh(const request& r);
  void refresh_open(const request& r, allocation& a, bool has_moved);
  void create_permission(const request& r);
  void channel_bind(const request& r);
  /// The allocation of a request about one, or null: then the response is under way.
  allocation* require_allocation(const request& r);
  std::chrono::seconds granted_lifetime(const request& r) const;

  // server_allocate.cpp
  struct allocate_wish {
    relayed_transport transport = relayed_transport::udp;
    std::array<bool, 2> families{};               ///< To open a relay of, by family.
    std::optional<address_family> unavailable{};  ///< A dual allocation's that is not served.
    std::optional<even_port> parity{};
    std::optional<reservation_token> token{};
    bool mobile = false;
  };
  void allocate(const request& r);
  result<allocate_wish, stun::error_code> read_wish(const request& r) const;
  result<allocate_wish, stun::error_code> read_families(const request& r, allocate_wish wish) const;
  std::optional<std::pair<allocation_refusal, stun::error_code>> over_quota(
      const request& r, const allocate_wish& wish) const;
  void refuse_allocate(const request& r, allocation_refusal reason, stun::error_code code);
  void redirect(const request& r);
  bool take_reservation(const request& r, const allocate_wish& wish);
  void open_relays(const request& r, const allocate_wish& wish);
  void relay_settled(allocation& a);
  void finish_allocate(allocation& a);
  void allocate_failed(allocation& a);
  void make_reservation(allocation& a, relay_id relay);
  void send_allocate_success(const addressee& to, const allocation& a);
  bool serves(address_family family) const noexcept;

  // server_mobility.cpp
  struct ticket_contents {
    allocation_id allocation;
    std::uint32_t number;
  };
  std::string seal_ticket(const allocation& a) const;
  std::optional<ticket_contents> open_ticket(const_bytes text) const;
  void refresh_moved(const request& r, const_bytes ticket);
  void finish_move(allocation& a);
  void detach(allocation& a);

  // server_relay.cpp
  std::optional<server::to_peer> relay_channel_data(const five_tuple& client, const_bytes message);
  std::optional<server::to_peer> relay_send(const five_tuple& client,
                                            const stun::message_view& message);
  std::optional<server::to_peer> forward(allocation& a, const endpoint& peer, const_bytes payload,
                                         bool dont_fragment);
  bool charge(allocation& a, std::size_t bytes) noexcept;
  stun::transaction_id next_indication_id() noexcept;

  // server_stream.cpp
  std::optional<const_bytes> next_stream_frame(stream& s, const_bytes chunk,
                                               server::stream_step& step);
  void set_busy(const five_tuple& client);
  void set_idle(const five_tuple& client);
  void forget_stream(stream& s);
  void close_stream(stream& s);
  void close_abandoned(const five_tuple& client);
  void close_idle_streams();
  void limit_idle_streams();

  // server_connect.cpp
  void connect(const request& r);
  void connection_bind(const request& r);
  peer_connection* find_connection(connection_id id);
  peer_connection& add_connection(allocation& a, const endpoint& peer);
  void set_deadline(peer_connection& c, time_point deadline);
  void forget_connection(peer_connection& c);
  void end_connection(peer_connection& c);
  /// Those with peers of one family, or all.
  void end_connections(allocation& a, std::optional<address_family> family);

  /// A driver that does not poll gets no more to do.
  static constexpr std::size_t max_pending_events = 65'536;

  options options_;
  random_source* random_;
  stun::long_term_server auth_;
  stun::binding_server binding_;
  stun::reply_limiter limiter_;
  token_bucket strangers_;
  token_bucket bandwidth_;
  stun::hmac_sha256_key ticket_key_;
  stun::attribute_set understood_;
  stun::transaction_id indication_base_{};
  std::uint64_t indications_ = 0;

  time_point now_{};
  bool draining_ = false;
  std::vector<endpoint> alternates_;

  std::vector<std::unique_ptr<allocation>> allocations_;
  std::vector<std::uint32_t> free_allocations_;
  std::uint32_t allocation_generation_ = 0;
  tuple_map<allocation> clients_;
  std::map<std::string, account, std::less<>> accounts_;
  std::map<ip_address, std::size_t> sources_;

  std::vector<relay_slot> relays_;
  std::vector<std::uint32_t> free_relays_;
  std::size_t relay_count_ = 0;
  std::array<std::unordered_map<endpoint, relay_id>, 2> relay_endpoints_;  ///< UDP's and TCP's.
  std::map<ip_address, std::size_t> relay_addresses_;
  std::map<reservation_token, reservation> reservations_;

  std::map<std::uint64_t, stream> idle_streams_;  ///< The eldest first.
  std::map<std::uint64_t, stream> busy_streams_;
  std::uint64_t stream_age_ = 0;
  tuple_map<stream> streams_;
  std::unordered_map<std::uint32_t, peer_connection> connections_;

  std::set<timer> timers_;
  std::deque<server::event> events_;
  std::size_t audit_events_ = 0;
  reply_queue replies_;
  server::counters stats_;
};

template <class Fill>
void server_core::respond(const addressee& to, stun::message_class what, Fill&& fill) {
  const mutable_bytes buffer = replies_.reserve();
  stun::message_builder response{buffer, what, to.method, to.id};
  fill(response);
  if (to.user->response_integrity == stun::integrity_algorithm::sha256)
    response.add_message_integrity_sha256(to.user->key);
  else
    response.add_message_integrity(to.user->key);
  if (to.fingerprint) response.add_fingerprint();
  const const_bytes bytes = response.finish();
  if (bytes.empty()) {
    ++stats_.replies_dropped;
    return;
  }
  replies_.commit(to.client, bytes.size());
}

template <class Fill>
void server_core::succeed(const addressee& to, Fill&& fill) {
  ++stats_.successes;
  respond(to, stun::message_class::success, fill);
}

template <class Fill>
void server_core::indicate(const five_tuple& client, stun::method method, Fill&& fill) {
  const mutable_bytes buffer = replies_.reserve();
  stun::message_builder indication{buffer, stun::message_class::indication, method,
                                   next_indication_id()};
  fill(indication);
  const const_bytes bytes = indication.finish();
  if (bytes.empty()) {
    ++stats_.replies_dropped;
    return;
  }
  replies_.commit(client, bytes.size());
}

}  // namespace weft::turn

#endif  // WEFT_TURN_SRC_SERVER_CORE_HPP
