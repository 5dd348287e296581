#include "checklist.hpp"

#include <algorithm>
#include <utility>

namespace weft::ice {
namespace {

std::uint64_t priority_of(const pair_key& key, role r) noexcept {
  return r == role::controlling ? pair_priority(key.local_priority, key.remote_priority)
                                : pair_priority(key.remote_priority, key.local_priority);
}

bool is_pending(const pair& p) noexcept {
  return !p.old && (p.state == pair_state::frozen || p.state == pair_state::waiting);
}

}  // namespace

std::size_t pair::open(const transaction& t) noexcept {
  const std::size_t place = next_transaction;
  next_transaction = (place + 1) % transactions.size();
  transactions[place] = t;
  transactions[place].is_open = true;
  return place;
}

transaction* pair::find_transaction(const stun::transaction_id& id, time_point now) noexcept {
  for (transaction& t : transactions)
    if (t.is_open && t.id == id && now < t.expires) return &t;
  return nullptr;
}

void pair::close_transactions() noexcept {
  for (transaction& t : transactions) t.is_open = false;
}

pair_view pair::view() const noexcept {
  return {.path = path,
          .component = component,
          .local = local_type,
          .remote = remote_type,
          .priority = priority,
          .network_cost = std::uint32_t{local_cost} + remote_cost,
          .round_trip = round_trip,
          .answering = valid && !unanswered_since};
}

pair* checklist::find(const five_tuple& path) noexcept {
  for (auto& p : pairs_)
    if (!p->old && p->path == path) return p.get();
  return nullptr;
}

pair* checklist::add(const pair_key& key, role r) {
  if (pair* const known = find(key.path)) return known;
  const std::uint64_t priority = priority_of(key, r);
  if (!make_room(priority)) return nullptr;

  // RFC 8838 §12: Waiting if it is the topmost of its foundation or that has succeeded.
  bool topmost = true;
  bool succeeded = false;
  for (auto& p : pairs_) {
    if (p->old || p->foundation != key.foundation) continue;
    topmost = topmost && p->priority < priority;
    succeeded = succeeded || p->state == pair_state::succeeded;
  }
  auto made = std::make_unique<pair>(key);
  made->number = ++last_number_;
  made->priority = priority;
  made->state = topmost || succeeded ? pair_state::waiting : pair_state::frozen;
  pairs_.push_back(std::move(made));
  return pairs_.back().get();
}

// RFC 8838 §10: first a failed pair goes, then one of lower priority that has not begun.
bool checklist::make_room(std::uint64_t priority) {
  const auto count =
      static_cast<std::size_t>(std::ranges::count_if(pairs_, [](auto& p) { return !p->old; }));
  if (count < max_pairs_) return true;
  const pair* victim = nullptr;
  for (const auto& p : pairs_) {
    if (p->old || p->triggered != 0) continue;
    if (p->state == pair_state::failed && !p->revoked) {
      victim = p.get();
      break;
    }
    if (is_pending(*p) && p->priority < priority &&
        (victim == nullptr || p->priority < victim->priority))
      victim = p.get();
  }
  if (victim == nullptr) return false;
  drop_if([&](const pair& p) { return &p == victim; });
  return true;
}

void checklist::trigger(pair& p, time_point not_before) noexcept {
  p.timer.stop();
  p.state = pair_state::waiting;
  if (p.triggered != 0) return;
  p.triggered = ++triggers_;
  p.not_before = not_before;
}

void checklist::succeed(pair& p) noexcept {
  p.timer.stop();
  p.state = pair_state::succeeded;
  p.triggered = 0;
  p.valid = true;
  for (auto& other : pairs_)
    if (!other->old && other->state == pair_state::frozen && other->foundation == p.foundation)
      other->state = pair_state::waiting;
}

void checklist::update_priority(pair& p, role r) noexcept {
  p.priority = priority_of(p, r);
}

void checklist::set_role(role r) noexcept {
  for (auto& p : pairs_) {
    update_priority(*p, r);
    p->nominating = false;
    p->nominated = false;
  }
}

pair* checklist::next_triggered(time_point now) noexcept {
  pair* first = nullptr;
  for (auto& p : pairs_)
    if (p->triggered != 0 && p->not_before <= now &&
        (first == nullptr || p->triggered < first->triggered))
      first = p.get();
  return first;
}

pair* checklist::best_waiting() noexcept {
  pair* best = nullptr;
  std::uint64_t best_order = 0;
  for (auto& p : pairs_) {
    if (p->old || p->state != pair_state::waiting || p->triggered != 0 || !has_attempt_left(*p))
      continue;
    const std::uint64_t order = policy_->check_order(p->view());
    if (best != nullptr && order <= best_order) continue;
    best = p.get();
    best_order = order;
  }
  return best;
}

pair* checklist::next_ordinary() noexcept {
  if (pair* const best = best_waiting()) return best;
  // Nobody waits: of each foundation with nothing under way, the best may.
  for (auto& p : pairs_) {
    if (p->old || p->state != pair_state::frozen || is_held(*p)) continue;
    const bool better = std::ranges::any_of(pairs_, [&](const auto& other) {
      return !other->old && other->foundation == p->foundation &&
             other->state == pair_state::frozen && other->priority > p->priority;
    });
    if (!better) p->state = pair_state::waiting;
  }
  return best_waiting();
}

bool checklist::has_ordinary() const noexcept {
  return std::ranges::any_of(pairs_, [&](const auto& p) {
    if (p->old || !has_attempt_left(*p)) return false;
    return p->state == pair_state::waiting ? p->triggered == 0
                                           : p->state == pair_state::frozen && !is_held(*p);
  });
}

/// RFC 6544 §12: not too many connection attempts to one address. A connection that is there
/// may be used; but whether it is, nobody says.
bool checklist::has_attempt_left(const pair& p) const noexcept {
  if (!p.opens) return true;
  const auto attempts = std::ranges::count_if(pairs_, [&](const auto& other) {
    return other->opens && other->state == pair_state::in_progress &&
           other->path.remote.address == p.path.remote.address;
  });
  return static_cast<std::size_t>(attempts) < max_attempts_;
}

/// Another pair of its foundation is under way (RFC 8445 §6.1.2.6). Deviation from RFC 8445
/// §6.1.4.2, which waits until its check has failed: one that was not answered at first holds
/// no others. After a restart an address that a NAT has taken back stands before the new one, and
/// nobody waits 39.5 s for a call.
bool checklist::is_held(const pair& p) const noexcept {
  return std::ranges::any_of(pairs_, [&](const auto& other) {
    return !other->old && other->foundation == p.foundation &&
           (other->state == pair_state::waiting ||
            (other->state == pair_state::in_progress &&
             other->transactions[other->current].sendings < 2));
  });
}

bool checklist::may_improve(const pair& p) const noexcept {
  const pair_view at_hand = p.view();
  return std::ranges::any_of(pairs_, [&](const auto& other) {
    return !other->old && other->component == p.component &&
           (is_pending(*other) || other->state == pair_state::in_progress) &&
           policy_->is_better(other->view(), at_hand);
  });
}

template <class Predicate>
void checklist::stop_if(const pair& selected, Predicate stop) {
  drop_if([&](const pair& p) {
    return p.component == selected.component && is_pending(p) && !p.valid &&
           !(p.triggered != 0 && p.nominated) && stop(p);
  });
  for (auto& p : pairs_) {
    if (p->old || p->component != selected.component || p->state != pair_state::in_progress ||
        !stop(*p))
      continue;
    p->timer.stop();
    p->state = p->valid ? pair_state::succeeded : pair_state::failed;
    if (!p->valid) release(*p);
  }
}

void checklist::conclude(const pair& selected) {
  stop_if(selected, [](const pair&) { return true; });
}

void checklist::conclude_worse(const pair& selected) {
  const pair_view at_hand = selected.view();
  stop_if(selected, [&](const pair& p) { return !policy_->is_better(p.view(), at_hand); });
}

void checklist::forgive(std::uint16_t component) {
  drop_if([&](const pair& p) {
    return !p.old && p.component == component && p.state == pair_state::failed && !p.revoked &&
           p.triggered == 0;
  });
}

void checklist::age() {
  drop_if([](const pair& p) { return p.old || !p.valid || p.revoked; });
  for (auto& p : pairs_) {
    p->old = true;
    p->triggered = 0;
    p->keepalive.reset();
    p->timer.stop();
    p->state = pair_state::succeeded;
  }
}

void checklist::drop_old() {
  drop_if([](const pair& p) { return p.old; });
}

void checklist::clear() {
  drop_if([](const pair&) { return true; });
}

void checklist::release(pair& p) {
  if (!p.released) released_.push_back(p.path);
  p.released = true;
}

std::vector<five_tuple> checklist::take_released() {
  if (released_.empty()) return {};
  auto out = std::exchange(released_, {});
  // A new session may have a pair on the same connection (RFC 6544 §9.2).
  std::erase_if(out, [&](const five_tuple& path) {
    return std::ranges::any_of(pairs_,
                               [&](const auto& p) { return p->path == path && !p->released; });
  });
  return out;
}

}  // namespace weft::ice
