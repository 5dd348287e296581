// Which pair carries data: RFC 8445 §8, and what comes after it.
#include <algorithm>

#include "implementation.hpp"

namespace weft::ice {

// Controlling

/// RFC 8445 §8.1.1: the best valid pair, as soon as there is no better one to hope for; the policy
/// says how long hope lasts.
void agent::implementation::consider_nomination(std::uint16_t number) {
  component_state& c = component(number);
  c.decision_due.reset();
  if (role_ != ice::role::controlling) return;
  if (c.concluded) return consider_switch(number);
  pair* const best = checklist_.best_valid(number, [](const pair&) { return true; });
  const bool nominating = std::ranges::any_of(
      checklist_.all(), [&](const auto& p) { return p->component == number && p->nominating; });
  if (best == nullptr || nominating) return;
  if (checklist_.may_improve(*best)) {
    const time_point due = c.first_valid.value_or(now_) + policy_->wait_for_better(best->view());
    if (now_ < due) {
      c.decision_due = due;
      return;
    }
  }
  nominate(*best);
}

/// Deviation from RFC 8445 §8.1.1, which nominates once: a pair that no longer answers is left for
/// one that does, as browsers do; a restart would need a way to signal it. A pair that does answer
/// is left only where both sides know of renomination.
void agent::implementation::consider_switch(std::uint16_t number) {
  component_state& c = component(number);
  if (c.selected == nullptr || c.selected->old) return;
  const pair& selected = *c.selected;
  if (std::ranges::any_of(checklist_.all(),
                          [&](const auto& p) { return p->component == number && p->nominating; }))
    return;
  pair* const other = checklist_.best_valid(number, [&](const pair& p) {
    return &p != &selected && now_ < p.last_answer + 2 * options_.keepalive;
  });
  if (other == nullptr) return;
  const duration held = now_ - other->valid_since;
  const bool silent =
      selected.unanswered_since && *selected.unanswered_since + options_.leave_after <= now_;
  if (silent || (renomination_ && policy_->should_switch(selected.view(), other->view(), held))) {
    return nominate(*other);
  }
  std::optional<time_point> due;
  if (selected.unanswered_since) due = *selected.unanswered_since + options_.leave_after;
  if (renomination_ && held < pair_policy::switch_after)
    due = earliest(due, other->valid_since + pair_policy::switch_after);
  c.decision_due = due;
}

void agent::implementation::nominate(pair& p) {
  p.nominating = true;
  p.own_nomination = ++nomination_value_;
  p.keepalive.reset();
  checklist_.trigger(p);
}

/// Valid pairs beside the selected one are kept so, the best of them: when it fails, there is
/// no time to look for others.
void agent::implementation::keep_backups(std::uint16_t number) {
  const component_state& c = component(number);
  if (!c.concluded || role_ != ice::role::controlling) return;
  std::vector<pair*> kept;
  while (kept.size() < options_.max_backup_pairs) {
    pair* const next = checklist_.best_valid(number, [&](const pair& p) {
      return &p != c.selected && std::ranges::find(kept, &p) == kept.end();
    });
    if (next == nullptr) break;
    kept.push_back(next);
  }
  for (auto& p : checklist_.all()) {
    if (p->old || p->component != number) continue;
    if (std::ranges::find(kept, p.get()) == kept.end()) {
      p->keepalive.reset();
    } else if (const time_point due = p->last_answer + options_.keepalive; now_ < due) {
      p->keepalive = due;
    } else if (p->triggered == 0 && !p->timer.is_running()) {
      checklist_.trigger(*p);  // It was not kept before.
    }
  }
}

// Controlled

// RFC 8445 §7.3.1.5. A repeated request is not a new nomination. Of values of NOMINATION the
// greatest counts (draft-thatcher-ice-renomination §4).
void agent::implementation::accept_nomination(pair& p, const request& r) {
  if (!p.nominated || p.nomination_id != r.id) p.nomination_order = ++nominations_;
  p.nomination_id = r.id;
  p.nomination_value = std::max(p.nomination_value, r.nomination);
  p.nominated = true;
  if (!p.valid) return;
  // It was good long ago. RFC 7675 §5.1: consent comes before data.
  if (!is_selected(p) && now_ >= p.last_answer + options_.consent_timeout)
    return checklist_.trigger(p);
  choose_nominated(p.component);
}

/// A controlling agent that follows RFC 8445 nominates one pair after the other, and the last one
/// counts. One that nominates with every check (RFC 5245 §8.1.1.2, Chromium) means the best
/// of those it checks (RFC 8445 §8.1.1), while it checks that one at all. One that says NOMINATION
/// means one pair, and the latest of one value is where that is seen now.
void agent::implementation::choose_nominated(std::uint16_t number) {
  const pair* const selected = component(number).selected;
  const bool by_priority = selected != nullptr && !selected->old &&
                           selected->nomination_value == 0 && selected->last_request_nominated &&
                           !is_quiet(*selected) &&
                           now_ < selected->last_request + 2 * options_.disconnected_after;
  const auto beats = [&](const pair& a, const pair& b) {
    if (a.nomination_value != b.nomination_value) return a.nomination_value > b.nomination_value;
    return by_priority ? a.priority > b.priority : a.nomination_order > b.nomination_order;
  };
  pair* best = nullptr;
  for (auto& p : checklist_.all()) {
    if (p->old || p->component != number || !p->valid || !p->nominated ||
        p->state != pair_state::succeeded || now_ >= p->last_answer + options_.consent_timeout)
      continue;
    if (best == nullptr || beats(*p, *best)) best = p.get();
  }
  if (best != nullptr) select(*best);
}

// Both

/// A pair is nominated: from now on data goes there (RFC 8445 §8.1).
void agent::implementation::select(pair& p) {
  component_state& c = component(p.component);
  if (c.selected == &p) return;
  if (c.selected != nullptr && !c.selected->old) {
    ++stats_.switches;
    c.selected->unanswered_since.reset();
  }
  c.selected = &p;
  c.concluded = true;
  c.lost = false;
  c.decision_due.reset();
  drop_old_session();
  p.unanswered_since.reset();
  p.keepalive.reset();
  p.next_consent = now_ + randomised(options_.consent_interval);
  if (renomination_) {
    checklist_.conclude_worse(p);
  } else {
    checklist_.conclude(p);
  }
  keep_backups(p.component);
  push(selected_pair_changed{p.path, p.component});
}

/// RFC 7675 §5.1: this path may not be used again in this session.
void agent::implementation::lose_consent(pair& p) {
  p.valid = false;
  p.revoked = true;
  p.nominating = p.nominated = false;
  p.triggered = 0;
  p.state = pair_state::failed;
  p.timer.stop();
  p.resend = false;
  p.keepalive.reset();
  p.close_transactions();
  checklist_.release(p);
  if (!is_selected(p)) {
    if (!p.old) consider_nomination(p.component);
    return;
  }
  component_state& c = component(p.component);
  c.selected = nullptr;
  if (p.old) return drop_old_session();
  replace_selected(p.component);
}

void agent::implementation::fail_pair(pair& p) {
  p.timer.stop();
  p.resend = false;
  p.state = pair_state::failed;
  p.triggered = 0;
  p.keepalive.reset();
  p.valid = p.nominating = p.nominated = false;
  ++stats_.pairs_failed;
  checklist_.release(p);
  const std::uint16_t number = p.component;
  if (is_selected(p)) {
    component(number).selected = nullptr;
    lose_selected(number);
  } else {
    consider_nomination(number);
  }
}

/// Another pair that is known to be good takes the place of the one that is gone. RFC 8445
/// §12.1 lets data go on any valid pair; the nomination follows.
bool agent::implementation::replace_selected(std::uint16_t number) {
  component_state& c = component(number);
  c.concluded = false;
  c.first_valid.reset();
  c.decision_due.reset();
  if (role_ == ice::role::controlled) {
    choose_nominated(number);
    return c.selected != nullptr;
  }
  pair* const best = checklist_.best_valid(
      number, [&](const pair& p) { return now_ < p.last_answer + options_.consent_timeout; });
  if (best == nullptr) return false;
  select(*best);
  ++stats_.switches;
  if (!best->nominating) nominate(*best);
  return true;
}

/// The selected pair is gone, though nothing is wrong with consent: if there is no other, all that
/// may be one is tried (again).
void agent::implementation::lose_selected(std::uint16_t number) {
  if (replace_selected(number)) return;
  component_state& c = component(number);
  c.lost = true;
  patience_ends_ = std::max(patience_ends_.value_or(now_), now_ + options_.patience);
  // Not more than once in a while: the other side can make this happen as often as it likes.
  if (!checks_renewed_ || now_ >= *checks_renewed_ + options_.consent_timeout) {
    checks_renewed_ = now_;
    checks_begun_ = std::min(checks_begun_, options_.initial_checks);
  }
  checklist_.forgive(number);
  form_pairs();
  if (role_ == ice::role::controlling || is_lite()) return;
  // The other side has to decide, and hears by this that it should.
  for (auto& p : checklist_.all())
    if (!p->old && p->component == number && p->valid) checklist_.trigger(*p);
}

/// The other side checks another pair than the selected one. Why, if that were good? Ask at once,
/// though not more than once in `consent_retry`: such a check can be repeated by anyone.
void agent::implementation::doubt_selected(const pair& other) {
  pair* const selected = component(other.component).selected;
  if (role_ != ice::role::controlling || selected == nullptr || selected == &other || selected->old)
    return;
  time_point soon = now_;
  if (selected->last_consent != time_point::min())
    soon = std::max(soon, selected->last_consent + options_.consent_retry);
  selected->next_consent = std::min(selected->next_consent, soon);
}

}  // namespace weft::ice
