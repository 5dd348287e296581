// What this side asks: RFC 8445 §7.2 and RFC 7675.
#include <algorithm>
#include <array>
#include <utility>

#include "implementation.hpp"
#include "wire.hpp"

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
    ++p->stats.responses_received;
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
  if (t.sendings == 1) {
    p.round_trip = now_ - t.first_sent;
    p.stats.total_round_trip += *p.round_trip;
    ++p.stats.round_trips;
  }
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
  p.mapped = mapped;
  if (t.consent) p.next_consent = now_ + randomised(options_.consent_interval);
  if (p.old) return;
  if (t.consent) return consider_nomination(p.component);
  if (p.valid && p.nominating && !t.use_candidate) return;  // An earlier one; go on nominating.

  const bool is_new = !p.valid;
  checklist_.succeed(p);
  component_state& c = component(p.component);
  if (is_new) {
    p.valid_since = now_;
    doubt_selected(p);
  }
  if (!c.first_valid) c.first_valid = now_;
  if (const base* const from = locals_.find(p.path.local, p.path.protocol))
    locals_.learn(*from, mapped);
  if (role_ == ice::role::controlled) {
    if (p.nominated) choose_nominated(p.component);
    return;
  }
  if (t.use_candidate && t.as == role_) {  // RFC 8445 §7.2.5.3.4
    p.nominating = false;
    select(p);
  }
  keep_backups(p.component);
  consider_nomination(p.component);
}

// Requests

/// What does not wait its turn: triggered checks, consent, retransmissions. Deviation from
/// RFC 8445 §6.1.4.2: a triggered check is not paced. It answers a check that was authentic, and
/// there are no more of them than of those.
std::optional<addressed_transmit> agent::implementation::poll_check(mutable_bytes buffer) {
  if (pair* const p = checklist_.next_triggered(now_)) return begin_check(*p, buffer);
  if (!is_lite())
    for (const component_state& c : components_)
      if (c.selected != nullptr && now_ >= c.selected->next_consent)
        return check_consent(*c.selected, buffer);
  for (auto& p : checklist_.all())
    if (p->timer.is_due() || p->resend) return repeat_check(*p, buffer);
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
  pair* const next = checklist_.next_ordinary();
  auto out = next != nullptr ? begin_check(*next, buffer) : std::nullopt;
  if (!out) return std::nullopt;
  server_turn_ = true;
  next_check_ = now_ + pace();
  ++checks_begun_;
  return out;
}

std::optional<addressed_transmit> agent::implementation::begin_check(pair& p,
                                                                     mutable_bytes buffer) {
  const auto schedule = check_schedule(p);
  transaction t{.first_sent = now_,
                .expires = now_ + length_of(schedule),
                .sendings = 1,
                .as = role_,
                .use_candidate = p.nominating,
                .nomination = p.nominating && renomination_ ? p.own_nomination : 0};
  random_->fill(t.id);
  const const_bytes bytes = build_check(p, t, buffer);
  if (bytes.empty()) return std::nullopt;
  p.current = p.open(t);
  p.timer = stun::retransmission_timer{schedule};
  p.timer.start();
  p.timer.sent(now_);
  p.state = pair_state::in_progress;
  p.resend = false;
  if (p.is_tcp()) p.released = false;
  if (p.triggered != 0) p.next_trigger = now_ + options_.ta;
  p.triggered = 0;
  ++stats_.checks_sent;
  ++p.stats.requests_sent;
  return on(p.path, bytes);
}

std::optional<addressed_transmit> agent::implementation::repeat_check(pair& p,
                                                                      mutable_bytes buffer) {
  transaction& t = p.transactions[p.current];
  const const_bytes bytes = build_check(p, t, buffer);
  if (bytes.empty()) return std::nullopt;
  // Where the connection was only now made, nothing has been sent before.
  if (std::exchange(p.resend, false)) {
    t.first_sent = now_;
    t.expires = now_ + options_.tcp_timeout;
  } else {
    ++t.sendings;
  }
  p.timer.sent(now_);
  ++stats_.retransmissions;
  ++p.stats.retransmissions_sent;
  return on(p.path, bytes);
}

/// RFC 7675 §5.1: each is sent once, with a transaction ID of its own. With renomination it says
/// again what was nominated: when the NAT of this side gives out another port, the other side sees
/// another pair, and learns so that data goes there.
std::optional<addressed_transmit> agent::implementation::check_consent(pair& p,
                                                                       mutable_bytes buffer) {
  const bool nominates = renomination_ && role_ == ice::role::controlling && is_selected(p) &&
                         !p.old && p.own_nomination != 0;
  transaction t{.first_sent = now_,
                .expires = now_ + options_.consent_timeout,
                .sendings = 1,
                .as = role_,
                .use_candidate = nominates,
                .nomination = nominates ? p.own_nomination : 0,
                .consent = true};
  random_->fill(t.id);
  const const_bytes bytes = build_check(p, t, buffer);
  if (bytes.empty()) return std::nullopt;
  (void)p.open(t);
  p.next_consent = now_ + randomised(options_.consent_retry);
  p.last_consent = now_;
  if (!p.unanswered_since) {
    p.unanswered_since = now_;
    consider_nomination(p.component);  // How long to wait for the answer.
  }
  ++stats_.consent_sent;
  ++p.stats.consent_requests_sent;
  return on(p.path, bytes);
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
  message.add_priority(p.priority_as_learned);  // RFC 8445 §7.1.1
  if (t.as == ice::role::controlling) {
    message.add_ice_controlling(tie_breaker_);
  } else {
    message.add_ice_controlled(tie_breaker_);
  }
  if (t.use_candidate) message.add_use_candidate();
  if (t.nomination != 0) message.add_u32(nomination, t.nomination);
  if (p.local_network_id != 0 || p.local_cost != 0)
    message.add_u32(network_info, std::uint32_t{p.local_network_id} << 16 | p.local_cost);
  message.add_message_integrity(*s.remote_key);
  message.add_fingerprint();
  return message.finish();
}

/// RFC 8445 §14.3, where N is left out: with 100 pairs it would make the RTO 200 s.
stun::retransmission_timer::options agent::implementation::check_schedule(
    const pair& p) const noexcept {
  if (p.is_tcp()) return {.rto = options_.tcp_timeout, .max_requests = 1, .last_wait = 1};
  // Another path may be tried if this one, known to be good, is not: 3.5 s.
  if (p.nominating && component(p.component).concluded)
    return {
        .rto = options_.rto, .max_requests = std::min(options_.max_requests, 3), .last_wait = 4};
  const auto busy = std::ranges::count_if(checklist_.all(), [](const auto& other) {
    return !other->old &&
           (other->state == pair_state::waiting || other->state == pair_state::in_progress);
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
