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
#include "local_table.hpp"
#include "names.hpp"

namespace weft::ice {

/// What an agent is. Commands about candidates are in candidates.cpp, sessions and states in
/// implementation.cpp, decisions about pairs in nomination.cpp, what the other side asks in
/// requests.cpp, what this side asks in checks.cpp, what is told in telling.cpp, and everything
/// that has to do with time in timing.cpp.
class agent::implementation {
 public:
  implementation(random_source& random, const options& opts);

  result<void, error> add_local_address(time_point now, const local_address& address);
  result<void, error> add_relayed_candidate(time_point now, const relayed_address& address);
  result<void, error> add_server_reflexive_candidate(time_point now, const endpoint& base,
                                                     const endpoint& mapped, std::string_view url,
                                                     transport_protocol protocol);
  void remove_local_address(time_point now, const endpoint& base, transport_protocol protocol);
  result<void, error> add_stun_server(time_point now, const server& s);
  void gather(time_point now);
  void hold_gathering(time_point now);
  void release_gathering(time_point now);
  void set_candidate_policy(time_point now, candidate_policy policy);

  const credentials& local_credentials() const noexcept { return current_.local; }
  void set_role(ice::role r);
  ice::role role() const noexcept { return role_; }
  void set_remote_lite();
  void set_renomination() noexcept { renomination_ = true; }
  result<void, error> set_remote_credentials(time_point now, const credentials& remote);
  result<void, error> add_remote_candidate(time_point now, const candidate& remote);
  void end_of_remote_candidates(time_point now);
  void resolve(time_point now, std::string_view name, std::span<const ip_address> addresses);
  void restart(time_point now);
  const credentials& next_credentials();
  void close(time_point now);

  bool handle_input(time_point now, const five_tuple& path, const_bytes datagram);
  void handle_connected(time_point now, const five_tuple& path);
  void handle_disconnected(time_point now, const five_tuple& path);
  void handle_timeout(time_point now);
  std::optional<addressed_transmit> poll_transmit(time_point now, mutable_bytes buffer);
  std::optional<time_point> poll_timeout() const noexcept { return deadline_; }
  std::optional<event> poll_event();

  std::optional<five_tuple> selected_pair(std::uint16_t component) const noexcept;
  bool is_valid_path(const five_tuple& path) const noexcept;
  void count_sent(time_point now, const five_tuple& path, std::size_t bytes,
                  std::size_t packets) noexcept;
  void count_received(time_point now, const five_tuple& path, std::size_t bytes,
                      std::size_t packets) noexcept;
  ice::state state() const noexcept { return state_; }
  const counters& stats() const noexcept { return stats_; }
  std::vector<candidate> local_candidates() const;
  std::vector<candidate> remote_candidates() const;
  std::vector<candidate_statistics> candidate_stats() const;
  std::vector<candidate_pair_statistics> pair_stats() const;
  std::optional<duration> round_trip(std::uint16_t component) const noexcept;

 private:
  /// The credentials between two restarts, with the keys made of them.
  struct session {
    credentials local;
    stun::integrity_key local_key;
    credentials remote{};
    std::optional<stun::integrity_key> remote_key{};
  };

  struct remote_candidate {
    candidate signalled;  ///< As it came; little but the priority if it was learned.
    endpoint address;
    std::uint32_t foundation;
    bool was_signalled;
    std::uint64_t number;   ///< Never used again.
    endpoint learned_at{};  ///< The base that a check came to, if it was not signalled.
  };

  /// RFC 8445 §8: one of the data stream's components, and what it runs on.
  struct component_state {
    pair* selected = nullptr;
    bool concluded = false;  ///< A pair of this session is selected, or was and may recover.
    std::optional<time_point> first_valid{};
    std::optional<time_point> decision_due{};
    /// The pair that was selected is gone, and another one is sought.
    bool lost = false;
  };

  /// A check of the other side as the rules that follow from it need it.
  struct request {
    five_tuple path;
    std::uint32_t priority;
    bool use_candidate;
    std::uint32_t nomination;
    std::optional<std::uint32_t> network;
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

  // implementation.cpp: sessions and states
  session make_session();
  void new_tie_breaker();
  void push(event e);
  void begin(time_point now);
  void finish();
  void drop_old_session();
  bool is_quiet(const pair& p) const noexcept;
  bool is_hopeless(std::uint16_t component) const noexcept;
  ice::state compute_state() const noexcept;
  ice::state compute_state(std::uint16_t component) const noexcept;
  bool is_lite() const noexcept { return options_.kind == implementation_kind::lite; }
  component_state& component(std::uint16_t number) noexcept { return components_[number - 1u]; }
  const component_state& component(std::uint16_t number) const noexcept {
    return components_[number - 1u];
  }
  bool is_selected(const pair& p) const noexcept { return component(p.component).selected == &p; }

  // candidates.cpp
  result<void, error> use_base(const result<const base*, error>& made);
  void gather_from(const base& b);
  void apply_policy();
  void collect_gathered();
  void tell_locals();
  remote_candidate* find_remote(const endpoint& address, transport_protocol protocol,
                                std::uint16_t component) noexcept;
  void use_remote_address(const candidate& remote, const endpoint& address);
  void form_pairs();
  void form_pairs_from(const base& local);
  void form_pairs_to(const remote_candidate& remote);
  static bool may_pair(const base& local, const remote_candidate& remote) noexcept;
  pair* add_pair(const base& local, const remote_candidate& remote);
  std::uint32_t remote_foundation(const candidate& remote);

  // nomination.cpp: which pair carries data
  void consider_nomination(std::uint16_t component);
  void consider_switch(std::uint16_t component);
  void nominate(pair& p);
  void select(pair& p);
  void lose_consent(pair& p);
  bool replace_selected(std::uint16_t component);
  void lose_selected(std::uint16_t component);
  void doubt_selected(const pair& other);
  void fail_pair(pair& p);
  void accept_nomination(pair& p, const request& r);
  void choose_nominated(std::uint16_t component);
  void keep_backups(std::uint16_t component);

  // requests.cpp: the server half
  void handle_request(const five_tuple& path, const stun::message_view& message);
  /// Whether the request may be answered with success; else the answer is 487.
  bool repair_role_conflict(const stun::message_view& message);
  void switch_role();
  void respond(response r);
  void remember_early(const request& r, std::string_view remote_ufrag);
  void follow_up(const request& r);
  pair* learn_pair(const request& r);
  bool has_learned_enough(const five_tuple& path) noexcept;
  void follow_up_lite(pair& p, const request& r);
  std::optional<addressed_transmit> poll_response(mutable_bytes buffer);

  // checks.cpp: the client half
  bool handle_response(const five_tuple& path, const stun::message_view& message);
  void handle_answer(pair& p, const transaction& t, bool is_current, const five_tuple& path,
                     const stun::message_view& message);
  void handle_error(pair& p, const transaction& t, bool is_current, unsigned code);
  void handle_success(pair& p, const transaction& t, const endpoint& mapped);
  std::optional<addressed_transmit> poll_check(mutable_bytes buffer);
  std::optional<addressed_transmit> poll_paced(mutable_bytes buffer);
  std::optional<addressed_transmit> begin_check(pair& p, mutable_bytes buffer);
  std::optional<addressed_transmit> repeat_check(pair& p, mutable_bytes buffer);
  std::optional<addressed_transmit> check_consent(pair& p, mutable_bytes buffer);
  const_bytes build_check(const pair& p, const transaction& t, mutable_bytes buffer) const;
  stun::retransmission_timer::options check_schedule(const pair& p) const noexcept;
  duration randomised(duration interval);

  // timing.cpp
  void expire_checks();
  void expire_consent();
  std::optional<time_point> compute_deadline() const noexcept;
  duration pace() const noexcept;
  bool may_begin_ordinary() const noexcept;

  // telling.cpp
  pair* find_counted(const five_tuple& path) noexcept;
  candidate shown(const remote_candidate& r) const;

  const options options_;
  const pair_policy default_policy_{};
  const pair_policy* policy_;
  random_source* random_;
  time_point now_ = time_point::min();
  std::optional<time_point> deadline_;

  ice::role role_;
  std::uint64_t tie_breaker_ = 0;
  bool remote_lite_ = false;
  bool renomination_ = false;
  session current_;
  std::optional<session> previous_;  ///< While its selected pair carries data.
  std::optional<session> next_;      ///< What `restart` will bring, if somebody has asked.

  local_table locals_;
  candidate_policy wanted_policy_;
  gatherer gatherer_;
  bool has_gathered_ = false;

  std::vector<remote_candidate> remotes_;
  std::uint32_t remote_foundations_ = 0;
  std::uint64_t last_remote_ = 0;
  pending_names names_;
  bool remote_ended_ = false;
  std::vector<early_request> early_;

  checklist checklist_;
  std::vector<component_state> components_;
  bool server_turn_ = false;            ///< The next new transaction is rather one with a server.
  std::uint64_t nominations_ = 0;       ///< Of the other side, so far.
  std::uint32_t nomination_value_ = 0;  ///< The last value of NOMINATION that was sent.
  std::size_t checks_begun_ = 0;
  std::optional<time_point> checks_renewed_;  ///< When the loss of a path last gave more.
  time_point next_check_ = time_point::min();
  std::optional<time_point> patience_ends_;

  std::vector<response> responses_;
  std::deque<event> events_;
  ice::state state_ = ice::state::new_;
  counters stats_;
};

}  // namespace weft::ice

#endif  // WEFT_ICE_SRC_IMPLEMENTATION_HPP
