#ifndef WEFT_TURN_CLIENT_IMPLEMENTATION_HPP
#define WEFT_TURN_CLIENT_IMPLEMENTATION_HPP

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/turn/client.hpp>
#include <weft/turn/framing.hpp>

#include "peer_table.hpp"

namespace weft::turn {

inline constexpr std::string_view no_answer_reason = "the server does not answer";

class client::implementation {
 public:
  implementation(random_source& random, const endpoint& server, const options& opts);

  // As in the public header.
  void allocate(time_point now);
  result<void, client_error> create_permission(time_point now, const ip_address& peer);
  result<void, client_error> bind_channel(time_point now, const endpoint& peer);
  void release(time_point now, const ip_address& peer);
  result<void, client_error> connect(time_point now, const endpoint& peer);
  turn::data_connection data_connection(std::uint32_t connection_id);
  void set_credentials(time_point now, stun::long_term_credentials credentials);
  result<void, client_error> move(time_point now);
  void close(time_point now);

  bool handle_input(time_point now, const_bytes bytes);
  void handle_timeout(time_point now);
  void handle_disconnected(time_point now);

  std::optional<transmit> poll_transmit(time_point now, mutable_bytes buffer);
  std::optional<time_point> poll_timeout() const;
  std::optional<event> poll_event();

  std::size_t headroom(const endpoint& peer) const noexcept;
  result<const_bytes, client_error> encapsulate(time_point now, const endpoint& peer,
                                                mutable_bytes buffer, std::size_t offset,
                                                std::size_t size);
  std::optional<received> receive();

  bool is_allocated() const noexcept { return phase_ == phase::allocated; }
  std::optional<endpoint> relayed_address(address_family family) const noexcept {
    return relayed_[family == address_family::ipv6];
  }
  bool has_permission(const ip_address& peer) const noexcept;
  std::optional<std::uint16_t> channel_to(const endpoint& peer) const noexcept;
  const endpoint& server() const noexcept { return server_; }
  const counters& stats() const noexcept { return stats_; }
  std::optional<duration> round_trip() const noexcept { return round_trip_; }

 private:
  enum class phase : std::uint8_t {
    idle,
    allocating,
    allocated,
    moving,    ///< Allocated, but the server does not know our new address yet.
    detached,  ///< Allocated, but no way to the server is open.
    closing,
  };
  enum class request_kind : std::uint8_t {
    allocate,
    refresh,
    move,     ///< Refresh with a ticket.
    remove,   ///< Refresh with a lifetime of zero.
    abandon,  ///< The same, for an allocation that is of no use: nobody waits for the answer.
    permissions,
    channel,
    connect,
  };
  struct transaction {
    request_kind kind;
    request_number number;  ///< By which peers refer to it.
    stun::retransmission_timer timer;
    stun::transaction_id id{};
    stun::long_term_attempt attempt{};
    time_point first_sent{};
    std::optional<time_point> not_before{};  ///< After a 5xx.
    int server_errors = 0;
    endpoint peer{};  ///< Of a channel or a connection.
  };

  // client_requests.cpp
  transaction& begin(request_kind kind);
  void restart(transaction& t);
  transaction* begin_next();
  transaction* begin_permissions();
  transaction* begin_channel();
  transaction* begin_connect();
  std::optional<transmit> send(transaction& t, mutable_bytes buffer);
  const_bytes build(transaction& t, mutable_bytes buffer);
  void add_allocate_attributes(stun::message_builder& message) const;
  void add_refresh_attributes(stun::message_builder& message, request_kind kind) const;
  std::optional<transmit> send_keepalive(mutable_bytes buffer);
  bool has(request_kind kind) const noexcept;

  // client_responses.cpp: what a response means
  bool handle_message(const_bytes bytes);
  static bool is_sound(const stun::message_view& indication);
  bool handle_indication(const stun::message_view& message);
  void handle_response(const stun::message_view& message);
  void act_on(const stun::message_view& response, std::size_t place);
  void retry_later(transaction& t);
  void refuse_credentials(transaction t, const stun::message_view& response,
                          std::string_view reason);

  void succeeded(const transaction& t, const stun::message_view& response);
  void allocated_by(const stun::message_view& response, const transaction& t);
  void refreshed_by(const stun::message_view& response, const transaction& t);
  void permissions_installed_by(const transaction& t);
  void channel_bound_by(const transaction& t);
  void connected_by(const stun::message_view& response, const transaction& t);

  /// A request has failed for good, by the server's word or with `errors::no_answer`.
  struct failure {
    stun::error_code code;
    std::string_view reason;
    const stun::message_view* response = nullptr;
  };
  void failed(const transaction& t, const failure& why);
  void allocate_failed(const failure& why);
  void try_alternate(const failure& why);
  bool allocate_otherwise(const failure& why);
  void refresh_failed(const failure& why);
  void move_failed(const failure& why);
  void permissions_failed(const transaction& t, const failure& why);
  void channel_failed_by(const transaction& t, const failure& why);

  // The allocation
  void fail_allocation(stun::error_code code, std::string_view reason,
                       std::optional<duration> retry_after = {});
  void lose(stun::error_code code, std::string_view reason);
  void forget_allocation();
  void set_lifetime(std::chrono::seconds lifetime, time_point since);
  void put_back(const transaction& t);
  void put_back_all();
  bool is_live() const noexcept;  ///< The server has an allocation, as far as is known.

  // Data
  std::optional<received> unwrap(const_bytes frame);
  static bool takes_data(const_bytes frame) noexcept;
  bool may_receive_from(const ip_address& peer) const noexcept;
  std::size_t indication_overhead(const endpoint& peer) const noexcept;
  void write_indication_header(const endpoint& peer, mutable_bytes buffer, std::size_t size);
  void want_channel(const endpoint& peer);
  static void want(channel_binding& c);

  bool is_stream() const noexcept { return options_.transport == transport_protocol::tcp; }
  result<void, client_error> check_peer(const ip_address& peer) const;
  void announce(event e) { events_.push_back(std::move(e)); }
  void announce_from_peer(event e);
  time_point advance(time_point now);

  random_source* random_;
  endpoint server_;
  options options_;
  stun::long_term_client authentication_;
  time_point now_ = time_point::min();
  phase phase_ = phase::idle;

  // What is asked for, after the server has refused some of it
  bool ask_dont_fragment_ = false;
  bool ask_ticket_ = false;

  // What led here
  std::vector<endpoint> visited_;  ///< Servers that sent us on.
  int addresses_in_use_ = 0;
  bool continues_ = false;  ///< The next `allocate` is the answer to an event of ours.

  // The allocation
  std::optional<endpoint> relayed_[2];
  endpoint mapped_{};
  std::vector<std::uint8_t> ticket_;
  bool move_with_ticket_ = true;
  std::optional<time_point> expires_at_;
  std::optional<time_point> refresh_at_;
  bool refresh_due_ = false;
  peer_table peers_;
  std::vector<endpoint> connects_;  ///< To be asked for.

  // Requests
  std::vector<transaction> transactions_;
  request_number last_request_ = 0;
  bool suspended_ = false;  ///< Until there are other credentials.
  std::optional<duration> round_trip_;

  // The way to the server
  stream_assembler frames_;
  time_point last_sent_{};
  std::optional<time_point> keepalive_at_;
  bool keepalive_due_ = false;
  stun::transaction_id indication_id_{};

  // Data that was not received yet, within what `handle_input` got
  const_bytes finished_;  ///< The frame that an earlier chunk had begun.
  const_bytes unread_;

  std::deque<event> events_;
  std::size_t peer_events_ = 0;
  counters stats_;
};

}  // namespace weft::turn

#endif  // WEFT_TURN_CLIENT_IMPLEMENTATION_HPP
