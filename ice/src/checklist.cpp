// The checklist: which pairs there are, in which order they are checked, and which one is
// taken (RFC 8445 §6.1.2, §6.1.4, §7.2.5, §7.3.1, §8).
#include <algorithm>
#include <utility>

#include "agent_impl.hpp"

namespace weft::ice {
namespace {

/// Whether datagrams can be expected to pass between these two. A check that came in proves it
/// and does not ask.
bool can_reach(const ip_address& base, const ip_address& remote) {
  return base.is_v4() == remote.is_v4() && base.is_loopback() == remote.is_loopback() &&
         base.is_link_local() == remote.is_link_local();
}

}  // namespace

std::optional<std::size_t> agent::impl::index_of_base(const endpoint& base) const noexcept {
  const auto at = std::ranges::find(bases_, base);
  if (at == bases_.end()) return std::nullopt;
  return static_cast<std::size_t>(at - bases_.begin());
}

candidate_pair* agent::impl::find_pair(const endpoint_pair& path) noexcept {
  const auto at = std::ranges::find(current_.pairs, path, &candidate_pair::path);
  return at == current_.pairs.end() ? nullptr : &*at;
}

candidate_pair* agent::impl::find_pair(std::uint32_t number) noexcept {
  const auto at = std::ranges::find(current_.pairs, number, &candidate_pair::number);
  return at == current_.pairs.end() ? nullptr : &*at;
}

// Pairing

result<void, error> agent::impl::add_resolved_candidate(const candidate& c) {
  auto& remotes = current_.remotes;
  const auto known = std::ranges::find(remotes, c.address, &candidate::address);
  if (known != remotes.end()) {
    // RFC 8838 §11.4: what was signalled says more than what a check has shown.
    if (known->type == candidate_type::peer_reflexive) *known = c;
    return {};
  }
  if (remotes.size() >= options_.max_remote_candidates) {
    ++stats_.over_limit;
    return fail(error::too_many);
  }
  remotes.push_back(c);
  pair_remote(c);
  return {};
}

void agent::impl::pair_remote(const candidate& remote) {
  for (std::size_t i = 0; i < bases_.size(); ++i)
    if (can_reach(bases_[i].address, remote.address.address)) add_pair(i, remote);
}

void agent::impl::pair_base(std::size_t local_index) {
  for (const auto& remote : current_.remotes)
    if (can_reach(bases_[local_index].address, remote.address.address))
      add_pair(local_index, remote);
}

/// Null when there are as many as there may be.
candidate_pair* agent::impl::add_pair(std::size_t local_index, const candidate& remote) {
  auto& pairs = current_.pairs;
  const endpoint_pair path{bases_[local_index], remote.address};
  if (auto* const known = find_pair(path)) return known;  // RFC 8445 §6.1.2.4
  if (pairs.size() >= options_.max_pairs) {
    ++stats_.over_limit;
    return nullptr;
  }
  const auto preference = static_cast<std::uint16_t>(65535 - local_index);
  candidate_pair pair{.number = next_number_++,
                      .path = path,
                      .foundation = foundation(candidate_type::host, path.local.address, {}) + ':' +
                                    remote.foundation,
                      .local_preference = preference,
                      .local_priority = candidate_priority(candidate_type::host, preference, 1),
                      .remote_priority = remote.priority};
  prioritise(pair);
  set_initial_state(pair);
  pairs.push_back(std::move(pair));
  return &pairs.back();
}

void agent::impl::prioritise(candidate_pair& pair) const {
  pair.priority = role_ == ice::role::controlling
                      ? pair_priority(pair.local_priority, pair.remote_priority)
                      : pair_priority(pair.remote_priority, pair.local_priority);
}

/// RFC 8838 §12: the first of its foundation is tried; the others wait for what becomes of it.
void agent::impl::set_initial_state(candidate_pair& pair) {
  const bool others_pending = std::ranges::any_of(current_.pairs, [&](const auto& p) {
    return p.foundation == pair.foundation &&
           (p.state == check_state::waiting || p.state == check_state::in_progress);
  });
  pair.state = others_pending ? check_state::frozen : check_state::waiting;
}

void agent::impl::unfreeze(const std::string& foundation) {
  for (auto& pair : current_.pairs)
    if (pair.state == check_state::frozen && pair.foundation == foundation)
      pair.state = check_state::waiting;
}

// Ordinary checks

/// Once a pair is selected, further ones come of the other side's checks alone (RFC 8445 §8.1.2).
bool agent::impl::checks_ordinary() const {
  return current_.remote.has_value() && !current_.selected;
}

bool agent::impl::has_ordinary() const {
  return std::ranges::any_of(current_.pairs, [](const auto& p) {
    return p.state == check_state::waiting || p.state == check_state::frozen;
  });
}

/// RFC 8445 §6.1.4.2: the best that waits, or else the best that is frozen.
candidate_pair* agent::impl::next_ordinary() {
  candidate_pair* best = nullptr;
  for (auto& pair : current_.pairs) {
    if (pair.state != check_state::waiting && pair.state != check_state::frozen) continue;
    const auto rank = [](const candidate_pair& p) {
      return std::pair{p.state == check_state::waiting, p.priority};
    };
    if (best == nullptr || rank(pair) > rank(*best)) best = &pair;
  }
  return best;
}

// Triggered checks

void agent::impl::trigger(candidate_pair& pair) {
  pair.timer.stop();
  pair.state = check_state::waiting;
  if (std::ranges::find(current_.triggered, pair.number) == current_.triggered.end())
    current_.triggered.push_back(pair.number);
}

/// RFC 8445 §7.3.1.3 to §7.3.1.5, for an authentic check that has been answered.
void agent::impl::handle_check(time_point now, const early_check& check) {
  if (!current_.remote) {
    auto& early = current_.early_checks;
    const auto known = std::ranges::find(early, check.path, &early_check::path);
    if (known != early.end())
      known->use_candidate |= check.use_candidate;
    else if (early.size() < options_.max_early_checks)
      early.push_back(check);
    else
      ++stats_.over_limit;
    return;
  }
  auto* pair = find_pair(check.path);
  if (pair == nullptr) pair = add_peer_reflexive(check);
  if (pair == nullptr) return;

  if (check.use_candidate && role_ == ice::role::controlled) handle_nomination(now, *pair);
  if (!check.use_candidate) pair->plain_check_seen = true;
  switch (pair->state) {
    case check_state::succeeded:
      return;
    case check_state::in_progress:
      // The other side is there now: what it has missed so far is sent again at once. RFC 8445
      // §7.3.1.4 has a new transaction in its place, which differs in its number alone.
      if (pair->timer.deadline()) pair->timer.start();
      return;
    case check_state::frozen:
    case check_state::waiting:
    case check_state::failed:
      trigger(*pair);
      return;
  }
}

candidate_pair* agent::impl::add_peer_reflexive(const early_check& check) {
  auto& remotes = current_.remotes;
  auto known = std::ranges::find(remotes, check.path.remote, &candidate::address);
  if (known == remotes.end()) {
    if (remotes.size() >= options_.max_remote_candidates) {
      ++stats_.over_limit;
      return nullptr;
    }
    remotes.push_back({.foundation = "p" + std::to_string(next_number_),
                       .priority = check.priority,
                       .address = check.path.remote,
                       .name = {},
                       .type = candidate_type::peer_reflexive,
                       .related = {}});
    known = remotes.end() - 1;
  }
  const auto base = index_of_base(check.path.local);
  return base ? add_pair(*base, *known) : nullptr;
}

/// RFC 8445 §7.3.1.5. One side nominates once and means it; another has USE-CANDIDATE in every
/// check, and then the best pair counts (as RFC 5245 §8.1.1.2 had it), or the one that still works.
void agent::impl::handle_nomination(time_point now, candidate_pair& pair) {
  pair.nominate = true;
  if (pair.state == check_state::succeeded) consider_selection(now, pair);
}

void agent::impl::consider_selection(time_point now, candidate_pair& pair) {
  if (!current_.selected || !path_) return select(now, pair);
  if (path_->path == pair.path) return;
  const auto* const selected = find_pair(path_->path);
  const bool meant = pair.plain_check_seen;
  if (selected == nullptr || meant || path_->disconnected || pair.priority > selected->priority)
    select(now, pair);
}

void agent::impl::handle_check_success(time_point now, candidate_pair& pair) {
  const auto measured = pair.timer.round_trip(now);
  pair.timer.stop();
  pair.state = check_state::succeeded;
  pair.valid = true;
  if (measured) pair.round_trip = measured;
  unfreeze(pair.foundation);
  if (!current_.first_success) current_.first_success = now;
  if (role_ == ice::role::controlling) {
    if (pair.nominating && pair.checked_as == role_) select(now, pair);
  } else if (pair.nominate) {
    consider_selection(now, pair);
  }
  consider_nomination(now);
}

void agent::impl::handle_check_failure(time_point now, candidate_pair& pair) {
  pair.timer.stop();
  pair.state = check_state::failed;
  pair.valid = pair.nominate = false;
  consider_nomination(now);
}

// Nomination by the controlling side (RFC 8445 §8.1.1)

void agent::impl::consider_nomination(time_point now) {
  const auto deadline = nomination_deadline();
  if (!deadline || now < *deadline) return;
  candidate_pair* const best = find_pair(best_valid()->number);
  best->nominate = true;
  trigger(*best);
}

/// When the best pair that works is to be nominated: at once if no better one can come.
std::optional<time_point> agent::impl::nomination_deadline() const {
  if (role_ != ice::role::controlling || current_.selected || !current_.first_success)
    return std::nullopt;
  const bool under_way =
      std::ranges::any_of(current_.pairs, [](const auto& p) { return p.nominate; });
  const auto* const best = best_valid();
  if (under_way || best == nullptr) return std::nullopt;
  const bool better_to_come = std::ranges::any_of(current_.pairs, [&](const auto& p) {
    return p.priority > best->priority && p.state != check_state::failed;
  });
  return better_to_come ? *current_.first_success + options_.nomination_patience
                        : *current_.first_success;
}

const candidate_pair* agent::impl::best_valid() const {
  const candidate_pair* best = nullptr;
  for (const auto& p : current_.pairs)
    if (p.valid && (best == nullptr || p.priority > best->priority)) best = &p;
  return best;
}

void agent::impl::select(time_point now, candidate_pair& pair) {
  current_.selected = true;
  previous_.reset();
  path_ = consented_path{.path = pair.path,
                         .username = current_.remote->ufrag + ':' + current_.local.ufrag,
                         .key = *current_.remote_key,
                         .last_heard = now,
                         .next_request = now + randomised(options_.consent_interval),
                         .round_trip = pair.round_trip};
  events_.push_back(selected_pair_changed{pair.path});
  // RFC 8445 §8.1.2: checks under way are not sent again.
  for (auto& p : current_.pairs) {
    if (p.number == pair.number || p.state != check_state::in_progress) continue;
    p.timer.stop();
    p.state = check_state::failed;
  }
  std::erase_if(current_.triggered, [&](auto number) { return number != pair.number; });
}

}  // namespace weft::ice
