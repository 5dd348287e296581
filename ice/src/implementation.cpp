// What the agent knows and in which state it is.
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
  opts.rto = std::max<duration>(opts.rto, milliseconds{500});  // RFC 8445 §14.3
  opts.consent_interval = std::max<duration>(opts.consent_interval, milliseconds{5000});
  // As often as browsers ask while a path is in doubt; more would be a flood.
  opts.consent_retry = std::max<duration>(opts.consent_retry, milliseconds{500});
  opts.max_requests = std::clamp(opts.max_requests, 1, 10);
  opts.max_server_requests = std::clamp(opts.max_server_requests, 1, 10);
  opts.max_events = std::max<std::size_t>(opts.max_events, std::variant_size_v<agent::event>);
  return opts;
}

bool can_receive(const ip_address& a) noexcept {
  constexpr std::array<std::uint8_t, 4> broadcast{255, 255, 255, 255};
  return a && !a.is_unspecified() && !a.is_multicast() && !a.is_v4_mapped() &&
         a != ip_address{broadcast};
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

}  // namespace

agent::implementation::implementation(random_source& random, const options& opts)
    : options_{corrected(opts)},
      random_{&random},
      role_{opts.role},
      current_{make_session()},
      names_{options_.max_names, options_.name_timeout},
      checklist_{options_.max_pairs} {
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
  deadline_ = compute_deadline();
}

// Local candidates

result<void, error> agent::implementation::add_local_address(time_point now,
                                                             const endpoint& address) {
  if (state_ == ice::state::closed) return fail(error::closed);
  if (!can_receive(address.address) || address.port == 0) return fail(error::invalid_address);
  if (find_base(address) != nullptr) return {};
  if (bases_.size() >= options_.max_local_addresses) return fail(error::too_many);
  begin(now);

  const auto preference = static_cast<std::uint16_t>(0xffff - bases_.size());
  const auto foundation = local_foundation(candidate_type::host, address.address, 0);
  bases_.push_back({address, preference, foundation});
  candidate host;
  host.foundation = std::to_string(foundation);
  host.priority = candidate_priority(candidate_type::host, preference);
  host.address = address;
  locals_.push_back({host, address});
  push(candidate_gathered{std::move(host)});
  form_pairs();
  finish();
  return {};
}

/// Numbers, not hashes: a foundation tells nothing of the address behind it.
std::uint32_t agent::implementation::local_foundation(candidate_type type, const ip_address& from,
                                                      std::size_t server) {
  const foundation_key key{type, from, server};
  const auto known = std::ranges::find(foundations_, key);
  const auto number = static_cast<std::uint32_t>(known - foundations_.begin() + 1);
  if (known == foundations_.end()) foundations_.push_back(key);
  return number;
}

const agent::implementation::base* agent::implementation::find_base(
    const endpoint& address) const noexcept {
  const auto at = std::ranges::find(bases_, address, &base::address);
  return at == bases_.end() ? nullptr : &*at;
}

void agent::implementation::gather(time_point now) {
  if (state_ == ice::state::closed) return;
  begin(now);
  std::vector<endpoint> addresses;
  for (const base& b : bases_) addresses.push_back(b.address);
  gatherer_.start(*random_, options_, addresses);
  collect_gathered();
  finish();
}

void agent::implementation::collect_gathered() {
  while (const auto found = gatherer_.poll_found())
    if (const base* const from = find_base(found->base))
      add_reflexive(*from, found->reflexive, found->server);
  while (auto failed = gatherer_.poll_error()) push(*std::move(failed));
  if (!gatherer_.poll_complete()) return;
  has_gathered_ = true;
  push(gathering_complete{});
}

// RFC 8838 §9: one with the address and base of another is redundant. It is not paired: its
// base is, and that pair would be the same (RFC 8445 §6.1.2.4).
void agent::implementation::add_reflexive(const base& from, const endpoint& address,
                                          std::size_t server) {
  if (!can_receive(address.address) || address.port == 0) return;
  const auto known = std::ranges::find_if(locals_, [&](const local_candidate& c) {
    return c.info.address == address && c.base == from.address;
  });
  if (known != locals_.end()) {
    if (known->info.type != candidate_type::peer_reflexive) return;
    locals_.erase(known);  // Now it has a better name.
  }
  candidate made;
  made.foundation = std::to_string(
      local_foundation(candidate_type::server_reflexive, from.address.address, server));
  made.priority = candidate_priority(candidate_type::server_reflexive, from.preference);
  made.address = address;
  made.type = candidate_type::server_reflexive;
  made.related = from.address;
  locals_.push_back({made, from.address});
  push(candidate_gathered{std::move(made)});
}

// RFC 8445 §7.2.5.3.1. Nothing is paired with it, and it is not signalled.
void agent::implementation::learn_local(const pair& p, const endpoint& mapped) {
  const base* const from = find_base(p.path.local);
  const bool known = std::ranges::any_of(
      locals_, [&](const local_candidate& c) { return c.info.address == mapped; });
  if (known || from == nullptr || locals_.size() >= 4 * options_.max_local_addresses) return;
  candidate made;
  made.foundation =
      std::to_string(local_foundation(candidate_type::peer_reflexive, from->address.address, 0));
  made.priority = candidate_priority(candidate_type::peer_reflexive, from->preference);
  made.address = mapped;
  made.type = candidate_type::peer_reflexive;
  made.related = from->address;
  locals_.push_back({std::move(made), from->address});
}

std::vector<candidate> agent::implementation::local_candidates() const {
  std::vector<candidate> out;
  for (const local_candidate& c : locals_) out.push_back(c.info);
  return out;
}

// Roles

void agent::implementation::set_role(ice::role r) {
  if (remote_lite_ || role_ == r) return;
  role_ = r;
  checklist_.set_role(r);
}

void agent::implementation::set_remote_lite() {
  remote_lite_ = false;
  set_role(ice::role::controlling);
  remote_lite_ = true;
}

// The other side's description

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

result<void, error> agent::implementation::add_remote_candidate(time_point now,
                                                                const candidate& remote) {
  if (state_ == ice::state::closed) return fail(error::closed);
  if (remote.protocol != transport_protocol::udp || remote.component != 1 || remote_ended_) {
    ++stats_.ignored_candidates;
    return {};
  }
  if (remote.address.port == 0 || remote.priority == 0) return fail(error::invalid_candidate);
  if (!remote.name.empty()) {
    if (!pending_names::is_local_name(remote.name)) {
      ++stats_.ignored_names;
      return fail(error::invalid_candidate);
    }
    begin(now);
    const auto outcome = names_.add(now_, remote);
    if (outcome == pending_names::outcome::refused) return fail(error::too_many);
    if (outcome == pending_names::outcome::ask) push(resolve_name{remote.name});
    finish();
    return {};
  }
  if (!can_receive(remote.address.address)) return fail(error::invalid_candidate);
  begin(now);
  const bool known =
      std::ranges::find(remotes_, remote.address, &remote_candidate::address) != remotes_.end();
  if (!known && remotes_.size() >= options_.max_remote_candidates) return fail(error::too_many);
  use_remote_address(remote, remote.address);
  finish();
  return {};
}

/// A signalled candidate whose address is known by now.
void agent::implementation::use_remote_address(const candidate& remote, const endpoint& address) {
  const auto known = std::ranges::find(remotes_, address, &remote_candidate::address);
  if (known == remotes_.end()) {
    remotes_.push_back({remote, address, remote_foundation(remote.foundation), true});
  } else if (known->was_signalled) {
    ++stats_.ignored_candidates;  // RFC 8445 §5.1.3
    return;
  } else {
    // RFC 8445 §7.3.1.3: what a check has shown is now described. Both sides reckon with the
    // priority that was signalled.
    *known = {remote, address, remote_foundation(remote.foundation), true};
    for (auto& p : checklist_.all()) {
      if (p->old || p->path.remote != address) continue;
      p->remote_priority = remote.priority;
      p->foundation = (p->foundation >> 32 << 32) | known->foundation;
      checklist_.update_priority(*p, role_);
    }
  }
  form_pairs();
}

std::uint32_t agent::implementation::remote_foundation(const std::string& foundation) {
  const auto same = std::ranges::find_if(remotes_, [&](const remote_candidate& r) {
    return r.was_signalled && r.signalled.foundation == foundation;
  });
  return same != remotes_.end() ? same->foundation : ++remote_foundations_;
}

/// RFC 8445 §6.1.2.2, RFC 8838 §10 and §11. After a pair is selected none are formed but
/// by checks of the other side: a session nominates once (RFC 8445 §8.1.1).
void agent::implementation::form_pairs() {
  if (concluded_) return;
  for (const base& local : bases_)
    for (const remote_candidate& remote : remotes_)
      if (remote.was_signalled && can_reach(local.address.address, remote.address.address))
        (void)add_pair(local, remote);
}

pair* agent::implementation::add_pair(const base& local, const remote_candidate& remote) {
  return checklist_.add(
      {.path = {local.address, remote.address},
       .local_priority = candidate_priority(candidate_type::host, local.preference),
       .remote_priority = remote.signalled.priority,
       .foundation = std::uint64_t{local.foundation} << 32 | remote.foundation},
      role_);
}

void agent::implementation::end_of_remote_candidates(time_point now) {
  if (state_ == ice::state::closed) return;
  begin(now);
  remote_ended_ = true;
  finish();
}

void agent::implementation::resolve(time_point now, std::string_view name,
                                    std::span<const ip_address> addresses) {
  if (state_ == ice::state::closed) return;
  begin(now);
  const auto waiting = names_.take(name);
  if (waiting.empty()) ++stats_.ignored_names;
  const auto use_first = [&](const candidate& c, bool v4) {
    const auto at = std::ranges::find_if(
        addresses, [&](const ip_address& a) { return can_receive(a) && a.is_v4() == v4; });
    if (at == addresses.end()) return false;
    const endpoint address{*at, c.address.port};
    const bool known =
        std::ranges::find(remotes_, address, &remote_candidate::address) != remotes_.end();
    if (!known && remotes_.size() >= options_.max_remote_candidates) return false;
    use_remote_address(c, address);
    return true;
  };
  for (const candidate& c : waiting) {
    const bool v4 = use_first(c, true);
    const bool v6 = use_first(c, false);
    if (!v4 && !v6) ++stats_.names_failed;
  }
  finish();
}

std::vector<candidate> agent::implementation::remote_candidates() const {
  std::vector<candidate> out;
  for (const remote_candidate& r : remotes_)
    if (r.was_signalled) out.push_back(r.signalled);
  return out;
}

// Sessions

void agent::implementation::restart(time_point now) {
  if (state_ == ice::state::closed) return;
  begin(now);
  if (selected_ != nullptr && !selected_->old) {
    checklist_.age();
    previous_ = std::move(current_);
  } else if (selected_ != nullptr) {
    // The session between never came to anything; the one before still carries data.
    std::erase_if(checklist_.all(), [](auto& p) { return !p->old; });
  } else {
    checklist_.clear();
    previous_.reset();
  }
  current_ = make_session();
  std::erase_if(responses_, [&](const response& r) { return !r.to_old_session; });
  remotes_.clear();
  names_.clear();
  early_.clear();
  remote_ended_ = concluded_ = false;
  checks_begun_ = 0;
  patience_ends_.reset();
  first_valid_.reset();
  nomination_due_.reset();
  finish();
}

void agent::implementation::close(time_point now) {
  if (state_ == ice::state::closed) return;
  begin(now);
  selected_ = nullptr;
  checklist_.clear();
  gatherer_.stop();
  names_.clear();
  early_.clear();
  responses_.clear();
  push(state_changed{state_ = ice::state::closed});
  finish();
}

void agent::implementation::drop_old_session() {
  checklist_.drop_old();
  std::erase_if(responses_, [](const response& r) { return r.to_old_session; });
  previous_.reset();
}

/// A pair is nominated: from now on data goes there (RFC 8445 §8.1).
void agent::implementation::select(pair& p) {
  if (selected_ == &p) return;
  selected_ = &p;
  concluded_ = true;
  drop_old_session();
  p.unanswered_since.reset();
  p.next_consent = now_ + randomised(options_.consent_interval);
  nomination_due_.reset();
  checklist_.conclude();
  push(selected_pair_changed{p.path});
}

/// RFC 7675 §5.1: this path may not be used again in this session.
void agent::implementation::lose_consent(pair& p) {
  p.valid = false;
  p.revoked = true;
  p.nominating = p.nominated = false;
  p.triggered = 0;
  p.state = pair_state::failed;
  p.timer.stop();
  p.close_transactions();
  if (selected_ != &p) return;
  selected_ = nullptr;
  if (p.old) {
    drop_old_session();
  } else if (role_ == ice::role::controlled) {
    choose_nominated();
  }
}

// States

/// No sign of life: a consent check waits for its answer, and no check comes either.
bool agent::implementation::is_quiet(const pair& p) const noexcept {
  return p.unanswered_since && *p.unanswered_since + options_.disconnected_after <= now_ &&
         (p.last_request == time_point::min() ||
          p.last_request + options_.disconnected_after <= now_);
}

/// RFC 8445 §7.2.5.4, with the conditions of RFC 8838 §8 and RFC 8863 §4.
bool agent::implementation::is_hopeless() const noexcept {
  if (!patience_ends_ || now_ < *patience_ends_ || gatherer_.is_active() || !names_.empty())
    return false;
  bool any = false;
  for (const auto& p : checklist_.all()) {
    if (p->old) continue;
    any = true;
    if (p->triggered != 0 || p->timer.is_running()) return false;
    // It awaits a nomination, though not for ever.
    if (p->valid && now_ < p->last_answer + options_.patience) return false;
  }
  return !may_begin_ordinary() && (any || remote_ended_);
}

ice::state agent::implementation::compute_state() const noexcept {
  if (selected_ != nullptr) {
    if (is_quiet(*selected_)) return selected_->old ? state::checking : state::disconnected;
    const bool busy = std::ranges::any_of(checklist_.all(), [](const auto& p) {
      return !p->old && (p->triggered != 0 || p->timer.is_running());
    });
    return !selected_->old && has_gathered_ && !gatherer_.is_active() && remote_ended_ &&
                   names_.empty() && !busy
               ? state::completed
               : state::connected;
  }
  if (!current_.remote_key) return state_ == state::new_ ? state::new_ : state::checking;
  const auto& pairs = checklist_.all();
  // Consent was lost, and nobody does anything about it.
  const bool lost = std::ranges::any_of(pairs, [](const auto& p) { return p->revoked; }) &&
                    std::ranges::none_of(pairs, [](const auto& p) {
                      return p->triggered != 0 || p->timer.is_running();
                    });
  if (lost || is_hopeless()) return state::failed;
  const bool begun = !pairs.empty() || !remotes_.empty() || !names_.empty() || remote_ended_;
  return begun || state_ != state::new_ ? state::checking : state::new_;
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

// The data path

std::optional<five_tuple> agent::implementation::selected_pair() const noexcept {
  if (selected_ == nullptr) return std::nullopt;
  return selected_->path;
}

bool agent::implementation::is_valid_path(const five_tuple& path) const noexcept {
  if (selected_ != nullptr && selected_->path == path) return true;
  return std::ranges::any_of(checklist_.all(),
                             [&](const auto& p) { return p->valid && p->path == path; });
}

std::optional<duration> agent::implementation::round_trip() const noexcept {
  return selected_ != nullptr ? selected_->round_trip : std::nullopt;
}

// Inputs and time

bool agent::implementation::handle_input(time_point now, const endpoint& local,
                                         const endpoint& remote, const_bytes datagram) {
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
      if (binding && find_base(local) != nullptr) {
        handle_request({local, remote}, *message);
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
      if (!binding || !(handle_response({local, remote}, *message) ||
                        gatherer_.handle_input(now_, local, remote, datagram)))
        ++stats_.unexpected;
      collect_gathered();
      break;
  }
  finish();
  return true;
}

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

/// RFC 8445 §14.2. Twice as fast or more while it matters most.
duration agent::implementation::pace() const noexcept {
  return checks_begun_ < options_.initial_checks ? std::min(options_.initial_ta, options_.ta)
                                                 : options_.ta;
}

bool agent::implementation::may_begin_ordinary() const noexcept {
  return current_.remote_key && !concluded_ && checks_begun_ < options_.max_checks &&
         checklist_.has_ordinary();
}

std::optional<time_point> agent::implementation::compute_deadline() const noexcept {
  if (!responses_.empty() || gatherer_.has_transmit()) return now_;
  std::optional<time_point> next = earliest(names_.deadline(), gatherer_.poll_timeout());
  const auto consider = [&](std::optional<time_point> t) { next = earliest(next, t); };
  // What is past need not wake anybody again.
  const auto consider_future = [&](std::optional<time_point> t) {
    if (t && *t > now_) consider(t);
  };
  for (const auto& p : checklist_.all()) {
    if (p->timer.is_due()) return now_;
    if (p->triggered != 0) consider(std::max(p->not_before, now_));
    consider(p->timer.deadline());
    if (selected_ == nullptr && p->valid) consider_future(p->last_answer + options_.patience);
  }
  if (gatherer_.has_queued() || may_begin_ordinary()) consider(std::max(next_check_, now_));
  if (selected_ != nullptr) {
    consider(selected_->next_consent);
    consider(selected_->last_answer + options_.consent_timeout);
    if (selected_->unanswered_since) {
      consider_future(*selected_->unanswered_since + options_.disconnected_after);
      if (selected_->last_request != time_point::min())
        consider_future(selected_->last_request + options_.disconnected_after);
    }
  } else {
    consider_future(patience_ends_);
  }
  consider(nomination_due_);
  return next;
}

}  // namespace weft::ice
