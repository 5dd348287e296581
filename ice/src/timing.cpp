// When anything happens by itself.
#include <algorithm>

#include "implementation.hpp"

namespace weft::ice {

void agent::implementation::handle_timeout(time_point now) {
  if (state_ == ice::state::closed) return;
  begin(now);
  if (!deadline_ || now_ < *deadline_) return;
  expire_checks();
  stats_.names_failed += names_.expire(now_);
  gatherer_.handle_timeout(now_);
  collect_gathered();
  finish();
}

std::optional<addressed_transmit> agent::implementation::poll_transmit(time_point now,
                                                                       mutable_bytes buffer) {
  begin(now);
  if (!deadline_ || now_ < *deadline_) return std::nullopt;
  expire_consent();
  auto out = poll_response(buffer);
  if (!out) out = poll_check(buffer);
  if (!out) out = gatherer_.poll_transmit(now_, buffer);
  if (!out) out = poll_paced(buffer);
  finish();
  return out;
}

void agent::implementation::expire_checks() {
  for (auto& p : checklist_.all()) {
    p->timer.handle_timeout(now_);
    if (p->keepalive && *p->keepalive <= now_ && !p->timer.is_running() && p->triggered == 0) {
      p->keepalive.reset();
      checklist_.trigger(*p);
    }
  }
  // A pair that fails may take others with it.
  const auto expired = [&] {
    return std::ranges::find_if(checklist_.all(),
                                [](const auto& p) { return p->timer.has_expired(); });
  };
  for (auto at = expired(); at != checklist_.all().end(); at = expired()) fail_pair(**at);
  expire_consent();
  for (std::uint16_t i = 1; i <= options_.components; ++i)
    if (const auto due = component(i).decision_due; due && now_ >= *due) consider_nomination(i);
}

/// RFC 7675 §5.1: what is over stays over, whoever looks first: an answer that comes too late
/// or a poll does not bring it back.
void agent::implementation::expire_consent() {
  for (const component_state& c : components_)
    if (c.selected != nullptr && now_ >= c.selected->last_answer + options_.consent_timeout)
      lose_consent(*c.selected);
}

/// RFC 8445 §14.2. Twice as fast or more while it matters most.
duration agent::implementation::pace() const noexcept {
  return checks_begun_ < options_.initial_checks ? std::min(options_.initial_ta, options_.ta)
                                                 : options_.ta;
}

bool agent::implementation::may_begin_ordinary() const noexcept {
  return current_.remote_key && !is_lite() && checks_begun_ < options_.max_checks &&
         checklist_.has_ordinary();
}

/// The table of all deadlines: whatever the agent does by itself has its line here.
std::optional<time_point> agent::implementation::compute_deadline() const noexcept {
  if (!responses_.empty() || gatherer_.has_transmit()) return now_;
  std::optional<time_point> next = earliest(names_.deadline(), gatherer_.poll_timeout());
  const auto consider = [&](std::optional<time_point> t) { next = earliest(next, t); };
  // What is past need not wake anybody again.
  const auto consider_future = [&](std::optional<time_point> t) {
    if (t && *t > now_) consider(t);
  };
  bool all_selected = true;
  for (const component_state& c : components_) {
    consider(c.decision_due);
    if (c.selected == nullptr) {
      all_selected = false;
      continue;
    }
    const pair& p = *c.selected;
    consider(p.last_answer + options_.consent_timeout);
    if (is_lite()) {
      consider_future(p.last_request + 2 * options_.disconnected_after);
      continue;
    }
    consider(p.next_consent);
    if (!p.unanswered_since) continue;
    consider_future(*p.unanswered_since + options_.disconnected_after);
    if (p.last_request != time_point::min())
      consider_future(p.last_request + options_.disconnected_after);
  }
  for (const auto& p : checklist_.all()) {
    if (p->timer.is_due() || p->resend) return now_;
    if (p->triggered != 0) {
      consider(std::max(p->not_before, now_));
    } else if (!p->timer.is_running()) {
      consider(p->keepalive);
    }
    consider(p->timer.deadline());
    if (component(p->component).selected == nullptr && p->valid)
      consider_future(p->last_answer + options_.patience);
  }
  if (gatherer_.has_queued() || may_begin_ordinary()) consider(std::max(next_check_, now_));
  if (!all_selected) consider_future(patience_ends_);
  return next;
}

}  // namespace weft::ice
