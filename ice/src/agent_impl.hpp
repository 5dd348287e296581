#ifndef WEFT_ICE_SRC_AGENT_IMPL_HPP
#define WEFT_ICE_SRC_AGENT_IMPL_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <weft/ice/agent.hpp>
#include <weft/stun/integrity.hpp>
#include <weft/stun/message.hpp>
#include <weft/stun/transaction.hpp>

namespace weft::ice {

/// RFC 8445 §6.1.2.6.
enum class check_state : std::uint8_t { frozen, waiting, in_progress, succeeded, failed };

/// One row of the checklist: a socket of ours and an address of theirs. Server-reflexive
/// candidates of ours make no rows, since their checks leave from the base (RFC 8445 §6.1.2.4).
struct candidate_pair {
  std::uint32_t number;  ///< Names the row; never used twice.
  endpoint_pair path;
  std::string foundation;
  std::uint16_t local_preference = 0;
  std::uint32_t local_priority = 0;
  std::uint32_t remote_priority = 0;
  std::uint64_t priority = 0;
  check_state state = check_state::frozen;
  /// A check was answered and none has failed since: the path may carry data.
  bool valid = false;
  std::optional<duration> round_trip{};

  /// Controlling: the next check nominates. Controlled: the other side has nominated it.
  bool nominate = false;
  /// The other side has checked it without USE-CANDIDATE: it nominates when it means it.
  bool plain_check_seen = false;

  // The check under way.
  stun::transaction_id id{};
  stun::retransmission_timer timer{};
  bool nominating = false;  ///< It carries USE-CANDIDATE.
  role checked_as = role::controlling;
};

/// A check that came before we knew whom from (RFC 8445 §7.3.1.4 has us keep it).
struct early_check {
  endpoint_pair path;
  std::uint32_t priority;
  bool use_candidate;
};

/// A `.local` name that is being looked up, and the candidates that wait for it.
struct pending_name {
  std::string name;
  std::vector<candidate> candidates;
  time_point deadline;
};

/// What a restart replaces (RFC 8445 §9).
struct generation {
  credentials local;
  stun::integrity_key local_key;
  std::optional<credentials> remote{};
  std::optional<stun::integrity_key> remote_key{};

  std::vector<candidate> remotes{};
  std::vector<pending_name> names{};
  std::vector<early_check> early_checks{};
  bool remote_ended = false;

  std::vector<candidate_pair> pairs{};
  std::deque<std::uint32_t> triggered{};  ///< Numbers of pairs.
  std::optional<time_point> checking_since{};
  std::optional<time_point> first_success{};
  bool selected = false;
};

/// The path in use and the other side's consent to it (RFC 7675).
struct consented_path {
  endpoint_pair path;
  std::string username;
  stun::integrity_key key;
  std::array<stun::transaction_id, 8> ids{};  ///< The requests sent last, in a ring.
  std::array<time_point, 8> sent_at{};
  std::size_t next_id = 0;
  time_point last_heard;
  time_point next_request;
  std::optional<duration> round_trip{};
  bool disconnected = false;
};

/// A response owed; built when it is polled.
struct owed_response {
  endpoint_pair path;
  stun::transaction_id id;
  stun::integrity_key key;
  std::optional<stun::error_code> error;      ///< None: success.
  std::vector<stun::attribute_type> unknown;  ///< With 420.
};

/// One question to one STUN server from one socket (RFC 8445 §5.1.1.2).
struct gathering_request {
  endpoint local;
  std::size_t local_index;
  std::size_t server_index;
  stun::transaction_id id;
  stun::retransmission_timer timer{};
};

class agent::impl {
 public:
  impl(random_source& random, const options& opts);

  // agent.cpp: commands, time, outputs
  void set_role(role r);
  result<void, error> add_local_address(time_point now, const endpoint& base);
  void gather(time_point now);
  void set_remote_lite();
  result<void, error> set_remote_credentials(time_point now, const credentials& c);
  result<void, error> add_remote_candidate(time_point now, const candidate& c);
  void end_of_remote_candidates(time_point now);
  void resolve(time_point now, std::string_view name, std::span<const ip_address> addresses);
  void restart(time_point now);
  void close();
  void handle_timeout(time_point now);
  std::optional<addressed_transmit> poll_transmit(time_point now, mutable_bytes buffer);
  std::optional<time_point> poll_timeout() const;
  std::optional<event> poll_event();

  // messages.cpp
  bool handle_input(time_point now, const endpoint& local, const endpoint& remote,
                    const_bytes datagram);

  std::optional<endpoint_pair> selected_pair() const noexcept;
  bool is_valid_path(const endpoint_pair& path) const noexcept;
  std::optional<duration> round_trip() const noexcept;

  ice::state state() const noexcept { return state_; }
  ice::role role() const noexcept { return role_; }
  const credentials& local_credentials() const noexcept { return current_.local; }
  std::span<const candidate> local_candidates() const noexcept { return locals_; }
  const counters& stats() const noexcept { return stats_; }

 private:
  // agent.cpp
  time_point advance(time_point now);
  generation fresh_generation();
  std::string random_text(std::size_t size);
  void draw_tie_breaker();
  duration randomised(duration interval);
  std::string foundation(candidate_type type, const ip_address& base, const ip_address& server);
  void add_local_candidate(candidate c);
  void add_server_reflexive(const gathering_request& request, const endpoint& mapped);
  void finish_gathering_if_done();
  void fail_gathering(const gathering_request& request, std::uint16_t code, std::string text);
  void check_consent(time_point now);
  void update_state(time_point now);
  void set_state(ice::state s);
  void set_new_role(ice::role r);

  // checklist.cpp
  std::optional<std::size_t> index_of_base(const endpoint& base) const noexcept;
  candidate_pair* find_pair(const endpoint_pair& path) noexcept;
  candidate_pair* find_pair(std::uint32_t number) noexcept;
  result<void, error> add_resolved_candidate(const candidate& c);
  void pair_base(std::size_t local_index);
  void pair_remote(const candidate& remote);
  candidate_pair* add_pair(std::size_t local_index, const candidate& remote);
  candidate_pair* add_peer_reflexive(const early_check& check);
  void prioritise(candidate_pair& pair) const;
  void set_initial_state(candidate_pair& pair);
  void unfreeze(const std::string& foundation);
  bool checks_ordinary() const;
  bool has_ordinary() const;
  candidate_pair* next_ordinary();
  void trigger(candidate_pair& pair);
  void handle_check(time_point now, const early_check& check);
  void handle_nomination(time_point now, candidate_pair& pair);
  void consider_selection(time_point now, candidate_pair& pair);
  void handle_check_success(time_point now, candidate_pair& pair);
  void handle_check_failure(time_point now, candidate_pair& pair);
  std::optional<time_point> nomination_deadline() const;
  void consider_nomination(time_point now);
  const candidate_pair* best_valid() const;
  void select(time_point now, candidate_pair& pair);

  // messages.cpp
  generation* generation_of(std::string_view username) noexcept;
  void handle_request(time_point now, const endpoint_pair& path, const stun::message_view& m);
  bool settle_role(const stun::message_view& m);
  void owe(owed_response response);
  void handle_response(time_point now, const endpoint_pair& path, const stun::message_view& m);
  void handle_check_response(time_point now, const endpoint_pair& path, candidate_pair& pair,
                             const stun::message_view& m);
  bool handle_consent_response(time_point now, const endpoint_pair& path,
                               const stun::message_view& m);
  void handle_gathering_response(const gathering_request& request, const stun::message_view& m);
  std::optional<addressed_transmit> send_response(mutable_bytes buffer);
  std::optional<addressed_transmit> send_triggered(time_point now, mutable_bytes buffer);
  std::optional<addressed_transmit> send_retransmission(time_point now, mutable_bytes buffer);
  std::optional<addressed_transmit> send_paced(time_point now, mutable_bytes buffer);
  std::optional<addressed_transmit> begin_check(time_point now, candidate_pair& pair,
                                                mutable_bytes buffer);
  std::optional<addressed_transmit> send_check(time_point now, candidate_pair& pair,
                                               mutable_bytes buffer);
  std::optional<addressed_transmit> send_consent(time_point now, mutable_bytes buffer);
  std::optional<addressed_transmit> send_gathering(time_point now, gathering_request& request,
                                                   mutable_bytes buffer);
  void add_role(stun::message_builder& out, ice::role as) const;

  random_source* random_;
  options options_;
  ice::role role_ = ice::role::controlled;
  std::uint64_t tie_breaker_ = 0;
  bool remote_lite_ = false;
  ice::state state_ = ice::state::new_;
  time_point last_now_{};

  std::vector<endpoint> bases_;
  std::vector<candidate> locals_;
  std::vector<std::string> foundations_;
  std::vector<gathering_request> gathering_;
  bool gathering_begun_ = false;
  bool gathered_ = false;

  generation current_;
  std::optional<generation> previous_;  ///< After a restart, until a new pair is selected.
  std::optional<consented_path> path_;
  bool consent_lost_ = false;
  std::uint32_t next_number_ = 1;
  time_point next_paced_{};
  std::deque<owed_response> owed_;
  std::deque<event> events_;
  counters stats_;
};

}  // namespace weft::ice

#endif  // WEFT_ICE_SRC_AGENT_IMPL_HPP
