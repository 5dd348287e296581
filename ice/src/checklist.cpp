#include "checklist.hpp"

#include <algorithm>

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
  auto victim = pairs_.end();
  for (auto at = pairs_.begin(); at != pairs_.end(); ++at) {
    const pair& p = **at;
    if (p.old || p.triggered != 0) continue;
    if (p.state == pair_state::failed && !p.revoked) {
      victim = at;
      break;
    }
    if (is_pending(p) && p.priority < priority &&
        (victim == pairs_.end() || p.priority < (*victim)->priority))
      victim = at;
  }
  if (victim == pairs_.end()) return false;
  pairs_.erase(victim);
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

pair* checklist::next_ordinary() noexcept {
  pair* best = nullptr;
  const auto take_waiting = [&] {
    for (auto& p : pairs_)
      if (!p->old && p->state == pair_state::waiting && p->triggered == 0 &&
          (best == nullptr || p->priority > best->priority))
        best = p.get();
  };
  take_waiting();
  if (best != nullptr) return best;

  // Nobody waits: of each foundation with nothing under way, the best may.
  for (auto& p : pairs_) {
    if (p->old || p->state != pair_state::frozen) continue;
    const bool held = std::ranges::any_of(pairs_, [&](auto& other) {
      return !other->old && other->foundation == p->foundation &&
             (other->state == pair_state::waiting || other->state == pair_state::in_progress ||
              (other->state == pair_state::frozen && other->priority > p->priority));
    });
    if (!held) p->state = pair_state::waiting;
  }
  take_waiting();
  return best;
}

bool checklist::has_ordinary() const noexcept {
  for (const auto& p : pairs_) {
    if (p->old) continue;
    if (p->state == pair_state::waiting && p->triggered == 0) return true;
    if (p->state != pair_state::frozen) continue;
    const bool held = std::ranges::any_of(pairs_, [&](auto& other) {
      return !other->old && other->foundation == p->foundation &&
             (other->state == pair_state::waiting || other->state == pair_state::in_progress);
    });
    if (!held) return true;
  }
  return false;
}

pair* checklist::best_valid() noexcept {
  pair* best = nullptr;
  for (auto& p : pairs_)
    if (!p->old && p->valid && !p->revoked && (best == nullptr || p->priority > best->priority))
      best = p.get();
  return best;
}

bool checklist::may_improve(const pair& p) const noexcept {
  return std::ranges::any_of(pairs_, [&](auto& other) {
    return !other->old && other->priority > p.priority &&
           (is_pending(*other) || other->state == pair_state::in_progress);
  });
}

void checklist::conclude() noexcept {
  std::erase_if(pairs_, [](auto& p) {
    return is_pending(*p) && !p->valid && !(p->triggered != 0 && p->nominated);
  });
  for (auto& p : pairs_) {
    if (p->old || p->state != pair_state::in_progress) continue;
    p->timer.stop();
    p->state = p->valid ? pair_state::succeeded : pair_state::failed;
  }
}

void checklist::age() noexcept {
  std::erase_if(pairs_, [](auto& p) { return p->old || !p->valid || p->revoked; });
  for (auto& p : pairs_) {
    p->old = true;
    p->triggered = 0;
    p->timer.stop();
    p->state = pair_state::succeeded;
  }
}

void checklist::drop_old() noexcept {
  std::erase_if(pairs_, [](auto& p) { return p->old; });
}

}  // namespace weft::ice
