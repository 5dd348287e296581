// The agent's sessions and states.
#include "implementation.hpp"

#include <algorithm>
#include <utility>

#include <weft/stun/fingerprint.hpp>

namespace weft::ice {
namespace {

agent::options corrected(agent::options opts) {
  using std::chrono::milliseconds;
  opts.ta = std::max<duration>(opts.ta, milliseconds{5});  // RFC 8445 §14.2
  opts.initial_ta = std::max<duration>(opts.initial_ta, milliseconds{5});
  opts.rto = std::max<duration>(opts.rto, milliseconds{50});  // Chromium's.
  opts.tcp_timeout = std::max<duration>(opts.tcp_timeout, milliseconds{1000});
  opts.consent_interval = std::max<duration>(opts.consent_interval, milliseconds{5000});
  // As often as browsers ask while a path is in doubt; more would be a flood.
  opts.consent_retry = std::max<duration>(opts.consent_retry, milliseconds{500});
  opts.keepalive = std::max<duration>(opts.keepalive, milliseconds{5000});
  opts.max_requests = std::clamp(opts.max_requests, 1, 10);
  opts.max_server_requests = std::clamp(opts.max_server_requests, 1, 10);
  opts.max_events = std::max<std::size_t>(opts.max_events, std::variant_size_v<agent::event>);
  // RFC 8445 §5.1.2.1: a component is a byte of the priority.
  opts.components = std::clamp<std::uint16_t>(opts.components, 1, 256);
  if (opts.kind == implementation_kind::lite) opts.role = ice::role::controlled;
  return opts;
}

/// Random text of `Size` characters, six bits each.
template <std::size_t Size>
std::string random_text(random_source& random) {
  constexpr std::string_view alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::array<std::uint8_t, Size> bits;
  random.fill(bits);
  std::string out;
  for (const std::uint8_t b : bits) out += alphabet[b & 63];
  return out;
}

/// The further down, the worse for the whole.
int badness(state s) noexcept {
  switch (s) {
    case state::completed:
      return 0;
    case state::connected:
      return 1;
    case state::new_:
      return 2;
    case state::checking:
      return 3;
    case state::disconnected:
      return 4;
    case state::failed:
      return 5;
    case state::closed:
      return 6;
  }
  return 6;
}

}  // namespace

agent::implementation::implementation(random_source& random, const options& opts)
    : options_{corrected(opts)},
      policy_{opts.policy != nullptr ? opts.policy : &default_policy_},
      random_{&random},
      role_{options_.role},
      current_{make_session()},
      locals_{options_},
      wanted_policy_{opts.candidate_policy},
      gatherer_{options_},
      names_{options_.max_names, options_.name_timeout},
      checklist_{options_.max_pairs, options_.max_connection_attempts, *policy_},
      components_(options_.components) {
  new_tie_breaker();
}

// RFC 8445 §5.3: at least 24 and 128 bits of randomness.
agent::implementation::session agent::implementation::make_session() {
  credentials local{random_text<8>(*random_), random_text<24>(*random_)};
  auto key = stun::integrity_key::short_term(local.password);
  return {.local = std::move(local), .local_key = key};
}

void agent::implementation::new_tie_breaker() {
  std::array<std::uint8_t, 8> bits;
  random_->fill(bits);
  tie_breaker_ = byte_reader{bits}.u64();
}

void agent::implementation::begin(time_point now) {
  now_ = std::max(now_, now);
}

/// After everything that may have changed something.
void agent::implementation::finish() {
  if (state_ == ice::state::closed) {
    deadline_.reset();
    return;
  }
  if (const auto s = compute_state(); s != state_) push(state_changed{state_ = s});
  gatherer_.set_keeping(now_, state_ == state::new_ || state_ == state::checking);
  for (const five_tuple& path : checklist_.take_released()) push(path_released{path});
  deadline_ = compute_deadline();
}

void agent::implementation::push(event e) {
  if (events_.size() >= options_.max_events) {
    const auto same =
        std::ranges::find_if(events_.rbegin(), events_.rend(),
                             [&](const event& other) { return other.index() == e.index(); });
    if (same != events_.rend()) {
      *same = std::move(e);
      return;
    }
  }
  events_.push_back(std::move(e));
}

std::optional<agent::event> agent::implementation::poll_event() {
  if (events_.empty()) return std::nullopt;
  auto first = std::move(events_.front());
  events_.pop_front();
  return first;
}

// Roles

void agent::implementation::set_role(ice::role r) {
  if (remote_lite_ || is_lite() || role_ == r) return;
  role_ = r;
  checklist_.set_role(r);
}

void agent::implementation::set_remote_lite() {
  remote_lite_ = false;
  set_role(ice::role::controlling);
  remote_lite_ = true;
}

// Sessions

result<void, error> agent::implementation::set_remote_credentials(time_point now,
                                                                  const credentials& remote) {
  if (state_ == ice::state::closed) return fail(error::closed);
  if (!is_valid(remote)) return fail(error::invalid_credentials);
  if (current_.remote_key && current_.remote == remote) return {};
  if (current_.remote_key) return fail(error::restart_needed);
  begin(now);
  current_.remote = remote;
  current_.remote_key = stun::integrity_key::short_term(remote.password);
  patience_ends_ = now_ + options_.patience;  // RFC 8863 §4
  // RFC 8445 §7.3: the checks that came too early are now followed up.
  for (const early_request& early : std::exchange(early_, {}))
    if (early.remote_ufrag == remote.ufrag) follow_up(early.what);
  finish();
  return {};
}

const credentials& agent::implementation::next_credentials() {
  if (!next_) next_ = make_session();
  return next_->local;
}

void agent::implementation::restart(time_point now) {
  if (state_ == ice::state::closed) return;
  begin(now);
  const auto uses = [&](bool old) {
    return std::ranges::any_of(components_, [&](const component_state& c) {
      return c.selected != nullptr && c.selected->old == old;
    });
  };
  if (uses(false)) {
    // A component that is still on the session before has to do without.
    for (component_state& c : components_)
      if (c.selected != nullptr && c.selected->old) c.selected = nullptr;
    checklist_.age();
    previous_ = std::move(current_);
    std::erase_if(responses_, [](const response& r) { return r.to_old_session; });
    for (response& r : responses_) r.to_old_session = true;
  } else if (uses(true)) {
    // The session between never came to anything; the one before still carries data.
    checklist_.drop_if([](const pair& p) { return !p.old; });
    std::erase_if(responses_, [](const response& r) { return !r.to_old_session; });
  } else {
    checklist_.clear();
    previous_.reset();
    responses_.clear();
  }
  if (!next_) next_ = make_session();
  current_ = *std::exchange(next_, std::nullopt);
  remotes_.clear();
  names_.clear();
  early_.clear();
  remote_ended_ = false;
  remote_lite_ = false;
  renomination_ = false;
  for (component_state& c : components_) c = {.selected = c.selected, .lost = c.lost};
  checks_begun_ = 0;
  nominations_ = 0;
  nomination_value_ = 0;
  patience_ends_.reset();
  apply_policy();
  finish();
}

void agent::implementation::close(time_point now) {
  if (state_ == ice::state::closed) return;
  begin(now);
  for (component_state& c : components_) c = {};
  checklist_.clear();
  for (const five_tuple& path : checklist_.take_released()) push(path_released{path});
  gatherer_.stop();
  locals_.clear();
  tell_locals();
  names_.clear();
  early_.clear();
  responses_.clear();
  push(state_changed{state_ = ice::state::closed});
  finish();
}

/// Once no component needs it any more.
void agent::implementation::drop_old_session() {
  if (std::ranges::any_of(components_, [](const component_state& c) {
        return c.selected != nullptr && c.selected->old;
      }))
    return;
  checklist_.drop_old();
  std::erase_if(responses_, [](const response& r) { return r.to_old_session; });
  previous_.reset();
}

// States

/// No sign of life: a consent check waits for its answer, and no check comes either.
bool agent::implementation::is_quiet(const pair& p) const noexcept {
  if (is_lite()) return p.last_request + 2 * options_.disconnected_after <= now_;
  return p.unanswered_since && *p.unanswered_since + options_.disconnected_after <= now_ &&
         (p.last_request == time_point::min() ||
          p.last_request + options_.disconnected_after <= now_);
}

/// RFC 8445 §7.2.5.4, with the conditions of RFC 8838 §8 and RFC 8863 §4.
bool agent::implementation::is_hopeless(std::uint16_t number) const noexcept {
  if (!patience_ends_ || now_ < *patience_ends_ || gatherer_.is_active() || !names_.empty())
    return false;
  bool any = component(number).lost;
  for (const auto& p : checklist_.all()) {
    if (p->old || p->component != number) continue;
    any = true;
    if (p->triggered != 0 || p->timer.is_running()) return false;
    // It awaits a nomination, though not for ever.
    if (p->valid && now_ < p->last_answer + options_.patience) return false;
  }
  return !may_begin_ordinary() && (any || remote_ended_);
}

ice::state agent::implementation::compute_state() const noexcept {
  ice::state worst = compute_state(1);
  bool all_new = worst == state::new_;
  for (std::uint16_t i = 2; i <= options_.components; ++i) {
    const ice::state s = compute_state(i);
    all_new = all_new && s == state::new_;
    if (badness(s) > badness(worst)) worst = s;
  }
  return worst == state::new_ && !all_new ? state::checking : worst;
}

ice::state agent::implementation::compute_state(std::uint16_t number) const noexcept {
  const component_state& c = component(number);
  const auto& pairs = checklist_.all();
  const auto is_busy = [&](const auto& p) {
    return !p->old && p->component == number && (p->triggered != 0 || p->timer.is_running());
  };
  if (c.selected != nullptr) {
    const pair& selected = *c.selected;
    if (is_quiet(selected)) return selected.old ? state::checking : state::disconnected;
    // A valid pair that is checked again is only kept alive.
    const bool checking = std::ranges::any_of(
        pairs, [&](const auto& p) { return is_busy(p) && (!p->valid || p->nominating); });
    return !selected.old && has_gathered_ && !gatherer_.is_active() && remote_ended_ &&
                   names_.empty() && !checking && !may_begin_ordinary()
               ? state::completed
               : state::connected;
  }
  if (!current_.remote_key) {
    if (c.lost) return state::disconnected;
    return state_ == state::new_ ? state::new_ : state::checking;
  }
  // Consent was lost, and nobody does anything about it.
  const auto any = [&](auto is) {
    return std::ranges::any_of(
        pairs, [&](const auto& p) { return !p->old && p->component == number && is(*p); });
  };
  const bool lost = any([](const pair& p) { return p.revoked; }) &&
                    !any([](const pair& p) { return p.valid; }) &&
                    std::ranges::none_of(pairs, is_busy) && !may_begin_ordinary();
  if (lost || is_hopeless(number)) return state::failed;
  if (c.lost) return state::disconnected;
  const bool begun = !pairs.empty() || !remotes_.empty() || !names_.empty() || remote_ended_;
  return begun || state_ != state::new_ ? state::checking : state::new_;
}

// Inputs

bool agent::implementation::handle_input(time_point now, const five_tuple& path,
                                         const_bytes datagram) {
  if (!stun::is_stun(datagram)) return false;
  if (state_ == ice::state::closed) return true;
  begin(now);
  const auto message = stun::message_view::parse(datagram);
  if (!message || (message->fingerprint() && !stun::has_valid_fingerprint(*message))) {
    ++stats_.malformed;
    return true;
  }
  const bool binding = message->type_method() == stun::method::binding;
  switch (message->type_class()) {
    case stun::message_class::request:
      if (binding && locals_.find(path.local, path.protocol) != nullptr) {
        handle_request(path, *message);
      } else {
        ++stats_.unexpected;
      }
      break;
    case stun::message_class::indication:
      // RFC 8445 §11: a keepalive, which asks for nothing.
      if (!binding) ++stats_.unexpected;
      return true;
    case stun::message_class::success:
    case stun::message_class::error:
      expire_consent();
      if (!binding || !(handle_response(path, *message) ||
                        (path.protocol == transport_protocol::udp &&
                         gatherer_.handle_input(now_, path.local, path.remote, datagram))))
        ++stats_.unexpected;
      collect_gathered();
      break;
  }
  finish();
  return true;
}

/// RFC 6544 §7.1: the check goes on the connection as soon as there is one.
void agent::implementation::handle_connected(time_point now, const five_tuple& path) {
  if (state_ == ice::state::closed) return;
  begin(now);
  for (auto& p : checklist_.all())
    if (p->path == path && p->is_tcp() && p->timer.is_running()) p->resend = true;
  finish();
}

void agent::implementation::handle_disconnected(time_point now, const five_tuple& path) {
  if (state_ == ice::state::closed) return;
  begin(now);
  std::erase_if(responses_, [&](const response& r) { return r.path == path; });
  for (component_state& c : components_) {
    if (c.selected == nullptr || !c.selected->old || c.selected->path != path) continue;
    c.selected = nullptr;
    c.lost = true;
    drop_old_session();
  }
  for (auto& p : checklist_.all())
    if (p->old && p->path == path) p->released = true;
  checklist_.drop_if([&](const pair& p) { return p.old && p.path == path; });
  if (pair* const p = checklist_.find(path);
      p != nullptr && (p->valid || p->triggered != 0 || p->timer.is_running())) {
    const bool reopen = is_selected(*p) && p->opens;
    p->released = true;
    p->close_transactions();
    const std::uint64_t number = p->number;
    fail_pair(*p);
    // RFC 6544 §11.1. It may have been dropped to be formed again.
    if (pair* const again = checklist_.find(path);
        reopen && again != nullptr && (again->number != number || !again->valid))
      checklist_.trigger(*again);
  }
  finish();
}

}  // namespace weft::ice
