#ifndef WEFT_ICE_POLICY_HPP
#define WEFT_ICE_POLICY_HPP

#include <algorithm>
#include <cstdint>
#include <optional>

#include <weft/core/net.hpp>
#include <weft/core/time.hpp>
#include <weft/ice/candidate.hpp>

namespace weft::ice {

/// A candidate pair, as much of it as decisions need.
struct pair_view {
  five_tuple path;
  std::uint16_t component = 1;
  candidate_type local = candidate_type::host;  ///< Host or relayed.
  candidate_type remote = candidate_type::host;
  std::uint64_t priority = 0;  ///< RFC 8445 §6.1.2.3.
  /// Of both ends' networks together: 0 to 1998, the less the better.
  std::uint32_t network_cost = 0;
  std::optional<duration> round_trip{};
  /// The latest checks were answered, or wait for it no longer than usual.
  bool answering = false;

  constexpr bool is_relayed() const noexcept {
    return local == candidate_type::relayed || remote == candidate_type::relayed;
  }
};

/// Decides in which order pairs are checked, which one is nominated, and when to leave it for
/// another. It has no state of its own: an agent asks it about values and may ask twice. Whoever
/// wants other decisions overrides some of these and gives the agent a pointer to the object,
/// which must outlive it. The functions themselves are the default.
///
/// Answers must follow from the arguments. What the RFCs make impossible a policy cannot
/// make possible: only valid pairs are nominated, and only by the controlling agent.
class pair_policy {
 public:
  virtual ~pair_policy() = default;

  /// Pairs are checked from the greatest down. RFC 8445 §6.1.4.2: by priority.
  virtual std::uint64_t check_order(const pair_view& p) const noexcept { return p.priority; }

  /// Whether data goes rather by `a` than by `b`, both valid. As browsers do: the cheaper network
  /// first, then the greater priority.
  virtual bool is_better(const pair_view& a, const pair_view& b) const noexcept {
    if (a.network_cost != b.network_cost) return a.network_cost < b.network_cost;
    return a.priority > b.priority;
  }

  /// How long after its first valid pair a controlling agent waits for better ones than `best`
  /// that are still being checked (RFC 8445 §8.1.1). By default two round trips, in which a
  /// better one would have answered had its check left at the same time; for a relayed
  /// pair not under `least_wait_relayed`, since direct ones may need to open two NATs.
  virtual duration wait_for_better(const pair_view& best) const noexcept {
    const duration least = best.is_relayed() ? least_wait_relayed : duration{};
    const duration wait = best.round_trip ? 2 * *best.round_trip : longest_wait;
    return std::clamp(wait, least, std::max(longest_wait, least));
  }

  /// Whether to leave `selected`, which works, for the better pair `other`, valid for `valid_for`.
  /// By default a direct path is taken instead of a relayed one, and a cheaper one instead of a
  /// dearer one, once it has held for `switch_after`; among equals nothing moves.
  virtual bool should_switch(const pair_view& selected, const pair_view& other,
                             duration valid_for) const noexcept {
    if (valid_for < switch_after) return false;
    if (other.network_cost != selected.network_cost)
      return other.network_cost < selected.network_cost;
    return selected.is_relayed() && !other.is_relayed();
  }

  static constexpr duration longest_wait = std::chrono::milliseconds{200};
  static constexpr duration least_wait_relayed = std::chrono::milliseconds{300};
  /// Longer than the disturbances of a network that is being joined.
  static constexpr duration switch_after = std::chrono::seconds{2};
};

}  // namespace weft::ice

#endif  // WEFT_ICE_POLICY_HPP
