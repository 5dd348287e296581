// What this side asks: RFC 8445 §7.2 and RFC 7675.
#include <algorithm>
#include <array>

#include "implementation.hpp"

namespace weft::ice {
namespace {

constexpr stun::attribute_set understood{stun::attribute_type::mapped_address,
                                         stun::attribute_type::xor_mapped_address,
                                         stun::attribute_type::username,
                                         stun::attribute_type::error_code,
                                         stun::attribute_type::unknown_attributes,
                                         stun::attribute_type::realm,
                                         stun::attribute_type::nonce};

constexpr unsigned forbidden = 403;  // RFC 7675 §5.2
constexpr unsigned role_conflict = 487;

/// Agents with good random numbers need one role switch, rarely two.
constexpr int max_role_conflicts = 8;

/// RFC 8489 §6.2.1: from the first request to giving up.
duration length_of(const stun::retransmission_timer::options& o) noexcept {
  return o.rto * ((1 << (o.max_requests - 1)) - 1 + o.last_wait);
}

}  // namespace

// Answers

bool agent::implementation::handle_response(const five_tuple& path,
                                            const stun::message_view& message) {
  const auto id = message.id();
  for (auto& p : checklist_.all()) {
    transaction* const t = p->find_transaction(id, now_);
    if (t == nullptr) continue;
    const auto& key = p->old ? previous_->remote_key : current_.remote_key;
    if (!key || !stun::verify_integrity(message, *key)) {
      ++stats_.unauthenticated;
      return true;
    }
    ++stats_.responses_received;
    t->is_open = false;
    const transaction answered = *t;
    const bool is_current = t == &p->transactions[p->current] && p->timer.is_running();
    handle_answer(*p, answered, is_current, path, message);
    return true;
  }
  return false;
}

void agent::implementation::handle_answer(pair& p, const transaction& t, bool is_current,
                                          const five_tuple& path,
                                          const stun::message_view& message) {
  if (path != p.path) {  // RFC 8445 §7.2.5.2.1
    ++stats_.not_symmetric;
    if (is_current) fail_pair(p);
    return;
  }
  if (t.sendings == 1) p.round_trip = now_ - t.first_sent;
  const auto error = message.error();
  const auto mapped = message.xor_mapped_address();
  if (!message.has_unknown(understood)) {
    if (message.type_class() == stun::message_class::error && error)
      return handle_error(p, t, is_current, static_cast<unsigned>(error->code));
    if (message.type_class() == stun::message_class::success && mapped)
      return handle_success(p, t, *mapped);
  }
  if (is_current) fail_pair(p);
}

void agent::implementation::handle_error(pair& p, const transaction& t, bool is_current,
                                         unsigned code) {
  if (code == forbidden && p.valid) return lose_consent(p);
  if (code == role_conflict && !p.old && !remote_lite_) {  // RFC 8445 §7.2.5.1
    ++stats_.role_conflicts;
    if (t.as == role_) {
      new_tie_breaker();
      switch_role();
    }
    if (t.consent || !is_current) return;
    if (++p.role_conflicts > max_role_conflicts) return fail_pair(p);
    return checklist_.trigger(p);
  }
  if (is_current) fail_pair(p);  // RFC 8445 §7.2.5.2.4
}

// RFC 8445 §7.2.5.3. Deviation from RFC 8445 §7.2.5.3.2: the valid pair is always the one that
// was checked, also where the mapped address is another base. What is sent from this base got
// an answer here; from the other nothing was sent.
void agent::implementation::handle_success(pair& p, const transaction& t, const endpoint& mapped) {
  p.last_answer = now_;
  p.unanswered_since.reset();
  if (t.consent) p.next_consent = now_ + randomised(options_.consent_interval);
  if (t.consent || p.old) return;
  if (p.valid && p.nominating && !t.use_candidate) return;  // An earlier one; go on nominating.

  checklist_.succeed(p);
  if (!first_valid_) first_valid_ = now_;
  learn_local(p, mapped);
  if (role_ == ice::role::controlled) {
    if (p.nominated) choose_nominated();
    return;
  }
  if (t.use_candidate && t.as == role_) {  // RFC 8445 §7.2.5.3.4
    p.nominating = false;
    if (!concluded_) select(p);
  }
  consider_nomination();
}

void agent::implementation::fail_pair(pair& p) {
  p.timer.stop();
  p.state = pair_state::failed;
  p.triggered = 0;
  p.valid = p.nominating = p.nominated = false;
  ++stats_.pairs_failed;
  consider_nomination();
}

/// RFC 8445 §8.1.1: the best valid pair, as soon as there is no better one to hope for; hope
/// lasts as long as such a pair would need, had its check left with that of the pair at hand.
void agent::implementation::consider_nomination() {
  nomination_due_.reset();
  if (role_ != ice::role::controlling || concluded_) return;
  pair* const best = checklist_.best_valid();
  const bool nominating =
      std::ranges::any_of(checklist_.all(), [](const auto& p) { return p->nominating; });
  if (best == nullptr || nominating) return;
  if (checklist_.may_improve(*best)) {
    const duration wait = best->round_trip ? 2 * *best->round_trip : pair_policy::longest_wait;
    const time_point due = *first_valid_ + std::min(wait, pair_policy::longest_wait);
    if (now_ < due) {
      nomination_due_ = due;
      return;
    }
  }
  best->nominating = true;
  checklist_.trigger(*best);
}

void agent::implementation::expire_checks() {
  for (auto& p : checklist_.all()) {
    p->timer.handle_timeout(now_);
    if (p->timer.has_expired()) fail_pair(*p);
  }
  expire_consent();
  if (nomination_due_ && now_ >= *nomination_due_) consider_nomination();
}

/// RFC 7675 §5.1: what is over stays over, whoever looks first: an answer that comes too late
/// or a poll does not bring it back.
void agent::implementation::expire_consent() {
  if (selected_ != nullptr && now_ >= selected_->last_answer + options_.consent_timeout)
    lose_consent(*selected_);
}

// Requests

/// What does not wait its turn: triggered checks, consent, retransmissions. Deviation from
/// RFC 8445 §6.1.4.2: a triggered check is not paced. It answers a check that was authentic, and
/// there are no more of them than of those.
std::optional<addressed_transmit> agent::implementation::poll_check(mutable_bytes buffer) {
  if (pair* const p = checklist_.next_triggered(now_)) return begin_check(*p, buffer);
  if (selected_ != nullptr && now_ >= selected_->next_consent) return check_consent(buffer);
  for (auto& p : checklist_.all())
    if (p->timer.is_due()) return repeat_check(*p, buffer);
  return std::nullopt;
}

/// What begins every Ta: an ordinary check or a question to a server, in turns.
std::optional<addressed_transmit> agent::implementation::poll_paced(mutable_bytes buffer) {
  if (now_ < next_check_) return std::nullopt;
  const bool ordinary = may_begin_ordinary();
  if (gatherer_.has_queued() && (server_turn_ || !ordinary)) {
    server_turn_ = false;
    gatherer_.begin_next(now_);
    next_check_ = now_ + pace();
    return gatherer_.poll_transmit(now_, buffer);
  }
  if (!ordinary) return std::nullopt;
  auto out = begin_check(*checklist_.next_ordinary(), buffer);
  if (!out) return std::nullopt;
  server_turn_ = true;
  next_check_ = now_ + pace();
  ++checks_begun_;
  return out;
}

std::optional<addressed_transmit> agent::implementation::begin_check(pair& p,
                                                                     mutable_bytes buffer) {
  const auto schedule = check_schedule();
  transaction t{.first_sent = now_,
                .expires = now_ + length_of(schedule),
                .sendings = 1,
                .as = role_,
                .use_candidate = p.nominating};
  random_->fill(t.id);
  const const_bytes bytes = build_check(p, t, buffer);
  if (bytes.empty()) return std::nullopt;
  p.current = p.open(t);
  p.timer = stun::retransmission_timer{schedule};
  p.timer.start();
  p.timer.sent(now_);
  p.state = pair_state::in_progress;
  if (p.triggered != 0) p.next_trigger = now_ + options_.ta;
  p.triggered = 0;
  ++stats_.checks_sent;
  return addressed_transmit{p.path.local, p.path.remote, bytes};
}

std::optional<addressed_transmit> agent::implementation::repeat_check(pair& p,
                                                                      mutable_bytes buffer) {
  transaction& t = p.transactions[p.current];
  const const_bytes bytes = build_check(p, t, buffer);
  if (bytes.empty()) return std::nullopt;
  ++t.sendings;
  p.timer.sent(now_);
  ++stats_.retransmissions;
  return addressed_transmit{p.path.local, p.path.remote, bytes};
}

/// RFC 7675 §5.1: each is sent once, with a transaction ID of its own.
std::optional<addressed_transmit> agent::implementation::check_consent(mutable_bytes buffer) {
  pair& p = *selected_;
  transaction t{.first_sent = now_,
                .expires = now_ + options_.consent_timeout,
                .sendings = 1,
                .as = role_,
                .consent = true};
  random_->fill(t.id);
  const const_bytes bytes = build_check(p, t, buffer);
  if (bytes.empty()) return std::nullopt;
  (void)p.open(t);
  p.next_consent = now_ + randomised(options_.consent_retry);
  if (!p.unanswered_since) p.unanswered_since = now_;
  ++stats_.consent_sent;
  return addressed_transmit{p.path.local, p.path.remote, bytes};
}

/// RFC 8445 §7.2.2, §7.2.4. Empty if the buffer is too small.
const_bytes agent::implementation::build_check(const pair& p, const transaction& t,
                                               mutable_bytes buffer) const {
  const session& s = p.old ? *previous_ : current_;
  std::array<char, 513> name;
  auto end = std::ranges::copy(s.remote.ufrag, name.begin()).out;
  *end++ = ':';
  end = std::ranges::copy(s.local.ufrag, end).out;

  stun::message_builder message{buffer, stun::message_class::request, stun::method::binding, t.id};
  message.add_username({name.data(), static_cast<std::size_t>(end - name.begin())});
  // RFC 8445 §7.1.1: what a candidate learned from this check shall have.
  message.add_priority((p.local_priority & 0xffffff) |
                       type_preference(candidate_type::peer_reflexive) << 24);
  if (t.as == ice::role::controlling) {
    message.add_ice_controlling(tie_breaker_);
  } else {
    message.add_ice_controlled(tie_breaker_);
  }
  if (t.use_candidate) message.add_use_candidate();
  message.add_message_integrity(*s.remote_key);
  message.add_fingerprint();
  return message.finish();
}

/// RFC 8445 §14.3, where N is left out: with 100 pairs it would make the RTO 200 s.
stun::retransmission_timer::options agent::implementation::check_schedule() const noexcept {
  const auto busy = std::ranges::count_if(checklist_.all(), [](const auto& p) {
    return !p->old && (p->state == pair_state::waiting || p->state == pair_state::in_progress);
  });
  return {.rto = std::max(options_.rto, options_.ta * busy), .max_requests = options_.max_requests};
}

/// RFC 7675 §5.1: times 0.8 to 1.2, so that many agents do not fall into step.
duration agent::implementation::randomised(duration interval) {
  std::array<std::uint8_t, 2> bits;
  random_->fill(bits);
  return interval * 4 / 5 + interval * 2 / 5 / 65536 * byte_reader{bits}.u16();
}

}  // namespace weft::ice
