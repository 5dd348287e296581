#ifndef WEFT_ICE_SRC_IMPLEMENTATION_HPP
#define WEFT_ICE_SRC_IMPLEMENTATION_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <weft/ice/agent.hpp>
#include <weft/stun/integrity.hpp>

#include "checklist.hpp"
#include "gatherer.hpp"
#include "names.hpp"

namespace weft::ice {

/// What an agent is. Commands and state are in implementation.cpp, what the other side asks in
/// requests.cpp, what this side asks in checks.cpp.
class agent::implementation {
 public:
  implementation(random_source& random, const options& opts);

  result<void, error> add_local_address(time_point now, const endpoint& base);
  void gather(time_point now);
  const credentials& local_credentials() const noexcept { return current_.local; }
  void set_role(ice::role r);
  ice::role role() const noexcept { return role_; }
  void set_remote_lite();
  result<void, error> set_remote_credentials(time_point now, const credentials& remote);
  result<void, error> add_remote_candidate(time_point now, const candidate& remote);
  void end_of_remote_candidates(time_point now);
  void resolve(time_point now, std::string_view name, std::span<const ip_address> addresses);
  void restart(time_point now);
  void close(time_point now);

  bool handle_input(time_point now, const endpoint& local, const endpoint& remote,
                    const_bytes datagram);
  void handle_timeout(time_point now);
  std::optional<addressed_transmit> poll_transmit(time_point now, mutable_bytes buffer);
  std::optional<time_point> poll_timeout() const noexcept { return deadline_; }
  std::optional<event> poll_event();

  std::optional<five_tuple> selected_pair() const noexcept;
  bool is_valid_path(const five_tuple& path) const noexcept;
  ice::state state() const noexcept { return state_; }
  const counters& stats() const noexcept { return stats_; }
  std::vector<candidate> local_candidates() const;
  std::vector<candidate> remote_candidates() const;
  std::optional<duration> round_trip() const noexcept;

 private:
  /// The credentials between two restarts, with the keys made of them.
  struct session {
    credentials local;
    stun::integrity_key local_key;
    credentials remote{};
    std::optional<stun::integrity_key> remote_key{};
  };

  struct base {
    endpoint address;
    std::uint16_t preference;
    std::uint32_t foundation;
  };

  struct local_candidate {
    candidate info;
    endpoint base;
  };

  struct remote_candidate {
    candidate signalled;  ///< As it came; all but the priority are empty if it was learned.
    endpoint address;
    std::uint32_t foundation;
    bool was_signalled;
  };

  /// A check of the other side as the rules that follow from it need it.
  struct request {
    five_tuple path;
    std::uint32_t priority;
    bool use_candidate;
    stun::transaction_id id;
  };
  struct early_request {
    request what;
    std::string remote_ufrag;
  };

  /// An answer that is due. Built when it is polled.
  struct response {
    five_tuple path;
    stun::transaction_id id;
    bool to_old_session;
    bool sha256;
    std::optional<stun::error_code> error{};
    std::array<stun::attribute_type, 8> unknown{};
    std::size_t unknown_count = 0;
  };

  // implementation.cpp: candidates, states, time
  session make_session();
  void new_tie_breaker();
  void use_remote_address(const candidate& remote, const endpoint& address);
  void form_pairs();
  pair* add_pair(const base& local, const remote_candidate& remote);
  std::uint32_t remote_foundation(const std::string& foundation);
  const base* find_base(const endpoint& address) const noexcept;
  void add_reflexive(const base& from, const endpoint& address, std::size_t server);
  void learn_local(const pair& p, const endpoint& mapped);
  std::uint32_t local_foundation(candidate_type type, const ip_address& from, std::size_t server);
  void collect_gathered();
  void select(pair& p);
  void drop_old_session();
  void lose_consent(pair& p);
  bool is_quiet(const pair& p) const noexcept;
  bool is_hopeless() const noexcept;
  ice::state compute_state() const noexcept;
  void push(event e);
  void begin(time_point now);
  void finish();
  std::optional<time_point> compute_deadline() const noexcept;
  duration pace() const noexcept;
  bool may_begin_ordinary() const noexcept;

  // requests.cpp: the server half
  void handle_request(const five_tuple& path, const stun::message_view& message);
  /// Whether the request may be answered with success; else the answer is 487.
  bool repair_role_conflict(const stun::message_view& message);
  void switch_role();
  void respond(response r);
  void remember_early(const request& r, std::string_view remote_ufrag);
  void follow_up(const request& r);
  void accept_nomination(pair& p, const stun::transaction_id& id);
  void choose_nominated();
  std::optional<addressed_transmit> poll_response(mutable_bytes buffer);

  // checks.cpp: the client half
  bool handle_response(const five_tuple& path, const stun::message_view& message);
  void handle_answer(pair& p, const transaction& t, bool is_current, const five_tuple& path,
                     const stun::message_view& message);
  void handle_error(pair& p, const transaction& t, bool is_current, unsigned code);
  void handle_success(pair& p, const transaction& t, const endpoint& mapped);
  void fail_pair(pair& p);
  void consider_nomination();
  void expire_checks();
  void expire_consent();
  std::optional<addressed_transmit> poll_check(mutable_bytes buffer);
  std::optional<addressed_transmit> poll_paced(mutable_bytes buffer);
  std::optional<addressed_transmit> begin_check(pair& p, mutable_bytes buffer);
  std::optional<addressed_transmit> repeat_check(pair& p, mutable_bytes buffer);
  std::optional<addressed_transmit> check_consent(mutable_bytes buffer);
  const_bytes build_check(const pair& p, const transaction& t, mutable_bytes buffer) const;
  stun::retransmission_timer::options check_schedule() const noexcept;
  duration randomised(duration interval);

  const options options_;
  random_source* random_;
  time_point now_ = time_point::min();
  std::optional<time_point> deadline_;

  ice::role role_;
  std::uint64_t tie_breaker_ = 0;
  bool remote_lite_ = false;
  session current_;
  std::optional<session> previous_;  ///< While its selected pair carries data.

  std::vector<base> bases_;
  std::vector<local_candidate> locals_;
  struct foundation_key {
    candidate_type type;
    ip_address base;
    std::size_t server;
    bool operator==(const foundation_key&) const = default;
  };
  std::vector<foundation_key> foundations_;
  gatherer gatherer_;
  bool has_gathered_ = false;

  std::vector<remote_candidate> remotes_;
  std::uint32_t remote_foundations_ = 0;
  pending_names names_;
  bool remote_ended_ = false;
  std::vector<early_request> early_;

  checklist checklist_;
  pair* selected_ = nullptr;
  bool concluded_ = false;    ///< A pair of this session has been selected.
  bool server_turn_ = false;  ///< The next new transaction is rather one with a server.
  std::uint64_t nominations_ = 0;
  std::size_t checks_begun_ = 0;
  time_point next_check_ = time_point::min();
  std::optional<time_point> patience_ends_;
  std::optional<time_point> first_valid_;
  std::optional<time_point> nomination_due_;

  std::vector<response> responses_;
  std::deque<event> events_;
  ice::state state_ = ice::state::new_;
  counters stats_;
};

}  // namespace weft::ice

#endif  // WEFT_ICE_SRC_IMPLEMENTATION_HPP
