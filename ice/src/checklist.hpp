#ifndef WEFT_ICE_SRC_CHECKLIST_HPP
#define WEFT_ICE_SRC_CHECKLIST_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include <weft/core/time.hpp>
#include <weft/ice/candidate.hpp>
#include <weft/ice/policy.hpp>
#include <weft/ice/statistics.hpp>
#include <weft/stun/message.hpp>
#include <weft/stun/transaction.hpp>

namespace weft::ice {

/// RFC 8445 §6.1.2.6.
using pair_state = candidate_pair_state;

/// A request of ours whose answer is still of interest.
struct transaction {
  stun::transaction_id id{};
  time_point first_sent{};
  time_point expires{};
  int sendings = 0;
  role as = role::controlling;  ///< What the request said of us.
  bool use_candidate = false;
  std::uint32_t nomination = 0;  ///< Its value; 0 if it has none.
  bool consent = false;
  bool is_open = false;
};

/// What a pair is formed of. The local candidate is always a base: reflexive ones would
/// be replaced by theirs and pruned (RFC 8445 §6.1.2.4).
struct pair_key {
  five_tuple path;
  std::uint16_t component = 1;
  std::uint32_t local_priority = 0;
  std::uint32_t priority_as_learned = 0;  ///< What its checks say in PRIORITY.
  std::uint32_t remote_priority = 0;
  std::uint64_t foundation = 0;  ///< Of both candidates together.
  candidate_type local_type = candidate_type::host;
  candidate_type remote_type = candidate_type::host;
  std::uint16_t local_network_id = 0;
  std::uint16_t local_cost = 0;
  std::uint16_t remote_cost = 0;
  /// Whether this side opens the connection, over TCP.
  bool opens = false;
};

struct pair : pair_key {
  explicit pair(const pair_key& key) : pair_key{key} {}

  std::uint64_t number = 0;  ///< Never used again.
  std::uint64_t priority = 0;
  pair_state state = pair_state::frozen;
  /// Of the session before the restart.
  bool old = false;
  /// The other end has answered an authenticated check: RFC 8445's valid list.
  bool valid = false;
  /// Consent was lost or revoked: never to be used again in this session (RFC 7675 §5.1).
  bool revoked = false;
  /// This side nominates it: its next check has USE-CANDIDATE.
  bool nominating = false;
  /// The other side has nominated it; counts once its check succeeds (RFC 8445 §7.3.1.5).
  bool nominated = false;
  /// Whether the other side's latest check here had USE-CANDIDATE.
  bool last_request_nominated = false;
  /// The place among the other side's nominations; a later one has a higher number.
  std::uint64_t nomination_order = 0;
  /// The greatest value of the other side's NOMINATION here.
  std::uint32_t nomination_value = 0;
  /// The value that this side's next NOMINATION here has.
  std::uint32_t own_nomination = 0;
  stun::transaction_id nomination_id{};
  /// The place in the triggered-check queue; 0 if it is not in there.
  std::uint64_t triggered = 0;
  /// The triggered check waits until then.
  time_point not_before = time_point::min();
  /// Before, the other side's checks trigger no further one.
  time_point next_trigger = time_point::min();
  int role_conflicts = 0;

  stun::retransmission_timer timer;
  /// The check in progress is to be sent once more, since the connection is there.
  bool resend = false;
  /// The owner has been told that its connection is not needed, or knows that it has ended.
  bool released = true;
  std::optional<duration> round_trip;
  time_point valid_since{};
  time_point last_answer = time_point::min();
  time_point last_request = time_point::min();
  /// The first of the consent checks that wait for an answer.
  std::optional<time_point> unanswered_since;
  time_point next_consent{};
  time_point last_consent = time_point::min();
  /// When a valid pair that is not selected is checked again.
  std::optional<time_point> keepalive;
  /// Where the other side sees this one.
  endpoint mapped{};

  candidate_pair_statistics stats{};

  /// Eight: the latest consent checks, or a check and those cancelled for triggered ones.
  std::array<transaction, 8> transactions{};
  std::size_t next_transaction = 0;
  /// Of the check in progress.
  std::size_t current = 0;

  bool is_tcp() const noexcept { return path.protocol == transport_protocol::tcp; }
  /// Puts a transaction in the place of the oldest one; returns where.
  std::size_t open(const transaction& t) noexcept;
  transaction* find_transaction(const stun::transaction_id& id, time_point now) noexcept;
  void close_transactions() noexcept;
  pair_view view() const noexcept;
};

/// The pairs of the data stream, in the states of RFC 8445 §6.1.2.6 and §7.2.5.3.3, with the
/// additions of RFC 8838 §10 to §12 and RFC 6544 §6.2. Knows nothing of datagrams.
class checklist {
 public:
  checklist(std::size_t max_pairs, std::size_t max_connection_attempts, const pair_policy& policy)
      : max_pairs_{max_pairs}, max_attempts_{max_connection_attempts}, policy_{&policy} {}

  /// Adds a pair unless there is one with that path. Null if the list is full of better ones.
  pair* add(const pair_key& key, role r);
  pair* find(const five_tuple& path) noexcept;
  /// Puts a pair at the end of the triggered-check queue, Waiting.
  void trigger(pair& p, time_point not_before = time_point::min()) noexcept;
  /// Sets a pair Succeeded and valid and thaws those with its foundation (RFC 8445 §7.2.5.3.3).
  void succeed(pair& p) noexcept;
  void set_role(role r) noexcept;
  /// After a new priority or foundation of a remote candidate.
  void update_priority(pair& p, role r) noexcept;

  pair* next_triggered(time_point now) noexcept;
  /// RFC 8445 §6.1.4.2, steps 2 and 3.
  pair* next_ordinary() noexcept;
  bool has_ordinary() const noexcept;
  /// The best valid pair of a component that `may`.
  template <class May>
  pair* best_valid(std::uint16_t component, May may) noexcept;
  /// Whether a pair may still turn out valid that is better than `p`.
  bool may_improve(const pair& p) const noexcept;

  /// A pair is selected: drops what was not begun of its component and stops what was
  /// (RFC 8445 §8.1.2).
  void conclude(const pair& selected);
  /// The same, but goes on with those that would be better.
  void conclude_worse(const pair& selected);
  /// Forgets the failures of a component, so that its pairs may be formed again.
  void forgive(std::uint16_t component);
  /// Keeps the valid pairs as those of the old session, and no others.
  void age();
  void drop_old();
  void clear();
  template <class Predicate>
  void drop_if(Predicate drop);

  std::vector<std::unique_ptr<pair>>& all() noexcept { return pairs_; }
  const std::vector<std::unique_ptr<pair>>& all() const noexcept { return pairs_; }
  /// No connection is needed for this pair any more.
  void release(pair& p);
  /// TCP paths that pairs used and no pair uses any more.
  std::vector<five_tuple> take_released();

 private:
  template <class Predicate>
  void stop_if(const pair& selected, Predicate stop);
  pair* best_waiting() noexcept;
  bool make_room(std::uint64_t priority);
  bool has_attempt_left(const pair& p) const noexcept;
  bool is_held(const pair& p) const noexcept;

  std::size_t max_pairs_;
  std::size_t max_attempts_;
  const pair_policy* policy_;
  std::vector<std::unique_ptr<pair>> pairs_;
  std::vector<five_tuple> released_;
  std::uint64_t triggers_ = 0;
  std::uint64_t last_number_ = 0;
};

template <class May>
pair* checklist::best_valid(std::uint16_t component, May may) noexcept {
  pair* best = nullptr;
  for (auto& p : pairs_) {
    if (p->old || !p->valid || p->revoked || p->component != component || !may(*p)) continue;
    if (best == nullptr || policy_->is_better(p->view(), best->view())) best = p.get();
  }
  return best;
}

template <class Predicate>
void checklist::drop_if(Predicate drop) {
  std::erase_if(pairs_, [&](auto& p) {
    if (!drop(*p)) return false;
    release(*p);
    return true;
  });
}

}  // namespace weft::ice

#endif  // WEFT_ICE_SRC_CHECKLIST_HPP
