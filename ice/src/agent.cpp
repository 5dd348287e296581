#include <weft/ice/agent.hpp>

#include <algorithm>
#include <utility>

#include "agent_impl.hpp"

namespace weft::ice {

static_assert(machine<agent>);

namespace {

// RFC 8445 §5.3 asks for 24 and 128 bits of randomness; an ice-char carries six.
constexpr std::size_t ufrag_size = 8;
constexpr std::size_t password_size = 24;

// A check of two usernames of 256 bytes still fits (RFC 8839 §5.4).
constexpr std::size_t smallest_buffer = 700;

bool is_ice_text(std::string_view text, std::size_t shortest) {
  return text.size() >= shortest && text.size() <= 256 && std::ranges::all_of(text, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '+' || c == '/';
         });
}

bool is_usable(const endpoint& e) {
  return e.address && e.port != 0 && !e.address.is_unspecified() && !e.address.is_multicast() &&
         !e.address.is_v4_mapped();
}

}  // namespace

std::string_view to_string(state s) noexcept {
  switch (s) {
    case state::new_:
      return "new";
    case state::checking:
      return "checking";
    case state::connected:
      return "connected";
    case state::completed:
      return "completed";
    case state::disconnected:
      return "disconnected";
    case state::failed:
      return "failed";
    case state::closed:
      return "closed";
  }
  return "unknown";
}

std::string_view to_string(error e) noexcept {
  switch (e) {
    case error::closed:
      return "closed";
    case error::bad_credentials:
      return "bad credentials";
    case error::bad_address:
      return "bad address";
    case error::too_many:
      return "too many";
    case error::not_supported:
      return "not supported";
  }
  return "unknown";
}

agent::impl::impl(random_source& random, const options& opts)
    : random_{&random}, options_{opts}, current_{fresh_generation()} {
  draw_tie_breaker();
}

void agent::impl::draw_tie_breaker() {
  std::array<std::uint8_t, 8> bytes;
  random_->fill(bytes);
  tie_breaker_ = byte_reader{bytes}.u64();
}

/// RFC 7675 §5.1: times 0.8 to 1.2, so that many agents do not fall into step.
duration agent::impl::randomised(duration interval) {
  std::array<std::uint8_t, 2> bytes;
  random_->fill(bytes);
  return interval * 4 / 5 + interval * 2 / 5 * byte_reader{bytes}.u16() / 65535;
}

generation agent::impl::fresh_generation() {
  credentials local{random_text(ufrag_size), random_text(password_size)};
  auto key = stun::integrity_key::short_term(local.password);
  return {.local = std::move(local), .local_key = key};
}

std::string agent::impl::random_text(std::size_t size) {
  static constexpr std::string_view alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::array<std::uint8_t, 32> bytes;
  random_->fill(std::span{bytes}.first(size));
  std::string out;
  for (std::size_t i = 0; i < size; ++i) out += alphabet[bytes[i] & 63];
  return out;
}

// Commands

void agent::impl::set_role(ice::role r) {
  role_ = r;
  for (auto& pair : current_.pairs) prioritise(pair);
}

void agent::impl::set_new_role(ice::role r) {
  set_role(r);
  events_.push_back(role_changed{r});
}

void agent::impl::set_remote_lite() {
  remote_lite_ = true;
  set_role(ice::role::controlling);
}

result<void, error> agent::impl::add_local_address(time_point now, const endpoint& base) {
  now = advance(now);
  if (state_ == ice::state::closed) return fail(error::closed);
  if (!is_usable(base)) return fail(error::bad_address);
  if (index_of_base(base)) return {};
  if (bases_.size() >= options_.max_local_addresses) return fail(error::too_many);
  bases_.push_back(base);
  const auto preference = static_cast<std::uint16_t>(65536 - bases_.size());
  add_local_candidate({.foundation = foundation(candidate_type::host, base.address, {}),
                       .priority = candidate_priority(candidate_type::host, preference, 1),
                       .address = base,
                       .name = {},
                       .type = candidate_type::host,
                       .related = {}});
  pair_base(bases_.size() - 1);
  update_state(now);
  return {};
}

void agent::impl::add_local_candidate(candidate c) {
  locals_.push_back(c);
  events_.push_back(candidate_gathered{std::move(c)});
}

/// RFC 8445 §5.1.1.3: equal for candidates of one type, base address and server.
std::string agent::impl::foundation(candidate_type type, const ip_address& base,
                                    const ip_address& server) {
  auto key =
      std::to_string(static_cast<int>(type)) + ' ' + to_string(base) + ' ' + to_string(server);
  const auto known = std::ranges::find(foundations_, key);
  const auto index = static_cast<std::size_t>(known - foundations_.begin());
  if (known == foundations_.end()) foundations_.push_back(std::move(key));
  return std::to_string(index + 1);
}

void agent::impl::gather(time_point now) {
  now = advance(now);
  if (gathering_begun_ || state_ == ice::state::closed) return;
  gathering_begun_ = true;
  for (std::size_t i = 0; i < bases_.size(); ++i) {
    for (std::size_t j = 0; j < options_.stun_servers.size(); ++j) {
      const auto& server = options_.stun_servers[j].address;
      const bool reachable = is_usable(server) &&
                             server.address.is_v4() == bases_[i].address.is_v4() &&
                             server.address.is_loopback() == bases_[i].address.is_loopback();
      if (!reachable) continue;
      auto& request = gathering_.emplace_back(gathering_request{
          .local = bases_[i],
          .local_index = i,
          .server_index = j,
          .id = {},
          .timer = stun::retransmission_timer{{.rto = options_.gathering_rto,
                                               .max_requests = options_.gathering_requests,
                                               .last_wait = options_.gathering_last_wait}}});
      random_->fill(request.id);
      request.timer.start();
    }
  }
  finish_gathering_if_done();
}

void agent::impl::add_server_reflexive(const gathering_request& request, const endpoint& mapped) {
  // RFC 8445 §5.1.3: one address twice is one candidate, and the base itself is no other.
  if (std::ranges::find(locals_, mapped, &candidate::address) != locals_.end()) return;
  const auto& server = options_.stun_servers[request.server_index].address;
  const auto preference = static_cast<std::uint16_t>(65535 - request.local_index);
  add_local_candidate(
      {.foundation =
           foundation(candidate_type::server_reflexive, request.local.address, server.address),
       .priority = candidate_priority(candidate_type::server_reflexive, preference, 1),
       .address = mapped,
       .name = {},
       .type = candidate_type::server_reflexive,
       .related = request.local});
}

void agent::impl::finish_gathering_if_done() {
  if (!gathering_begun_ || gathered_ || !gathering_.empty()) return;
  gathered_ = true;
  events_.push_back(gathering_complete{});
}

void agent::impl::fail_gathering(const gathering_request& request, std::uint16_t code,
                                 std::string text) {
  events_.push_back(gathering_error{options_.stun_servers[request.server_index], request.local,
                                    code, std::move(text)});
}

result<void, error> agent::impl::set_remote_credentials(time_point now, const credentials& c) {
  now = advance(now);
  if (state_ == ice::state::closed) return fail(error::closed);
  if (!is_ice_text(c.ufrag, 4) || !is_ice_text(c.password, 22)) return fail(error::bad_credentials);
  if (current_.remote == c) return {};
  current_.remote = c;
  current_.remote_key = stun::integrity_key::short_term(c.password);
  const auto early = std::exchange(current_.early_checks, {});
  for (const auto& check : early) handle_check(now, check);
  update_state(now);
  return {};
}

result<void, error> agent::impl::add_remote_candidate(time_point now, const candidate& c) {
  now = advance(now);
  if (state_ == ice::state::closed) return fail(error::closed);
  if (c.protocol != transport_protocol::udp || c.component != 1) return fail(error::not_supported);
  if (c.name.empty()) {
    if (!is_usable(c.address)) return fail(error::bad_address);
    const auto added = add_resolved_candidate(c);
    update_state(now);
    return added;
  }
  if (!c.name.ends_with(".local")) return fail(error::not_supported);
  if (c.address.port == 0) return fail(error::bad_address);
  auto& names = current_.names;
  const auto known = std::ranges::find(names, c.name, &pending_name::name);
  if (known != names.end()) {
    if (known->candidates.size() >= options_.max_pending_names) return fail(error::too_many);
    known->candidates.push_back(c);
    return {};
  }
  if (names.size() >= options_.max_pending_names) return fail(error::too_many);
  names.push_back({c.name, {c}, now + options_.name_timeout});
  events_.push_back(resolve_name{c.name});
  update_state(now);
  return {};
}

void agent::impl::end_of_remote_candidates(time_point now) {
  now = advance(now);
  current_.remote_ended = true;
  update_state(now);
}

void agent::impl::resolve(time_point now, std::string_view name,
                          std::span<const ip_address> addresses) {
  now = advance(now);
  const auto known = std::ranges::find(current_.names, name, &pending_name::name);
  if (known == current_.names.end()) return;
  const auto candidates = std::move(known->candidates);
  current_.names.erase(known);
  for (candidate c : candidates) {
    // mDNS candidates stand for one address; the family of the first found decides.
    for (const auto& address : addresses) {
      c.address.address = address;
      if (is_usable(c.address) && add_resolved_candidate(c)) break;
    }
  }
  update_state(now);
}

void agent::impl::restart(time_point now) {
  now = advance(now);
  if (state_ == ice::state::closed) return;
  // A second restart before the first is done: the path in use still knows its first credentials.
  if (!previous_) previous_ = std::move(current_);
  current_ = fresh_generation();
  for (std::size_t i = 0; i < bases_.size(); ++i) pair_base(i);
  update_state(now);
}

void agent::impl::close() {
  current_.pairs.clear();
  current_.triggered.clear();
  current_.names.clear();
  previous_.reset();
  path_.reset();
  gathering_.clear();
  owed_.clear();
  set_state(ice::state::closed);
}

// Time

/// A `now` earlier than the last one counts as the last one.
time_point agent::impl::advance(time_point now) {
  return last_now_ = std::max(last_now_, now);
}

void agent::impl::handle_timeout(time_point now) {
  now = advance(now);
  if (state_ == ice::state::closed) return;
  for (auto& pair : current_.pairs) {
    pair.timer.handle_timeout(now);
    if (pair.timer.has_expired()) handle_check_failure(now, pair);
  }
  for (auto& request : gathering_) {
    request.timer.handle_timeout(now);
    if (request.timer.has_expired()) fail_gathering(request, 701, "the server did not answer");
  }
  std::erase_if(gathering_, [](const auto& r) { return r.timer.has_expired(); });
  finish_gathering_if_done();
  std::erase_if(current_.names, [&](const auto& n) { return n.deadline <= now; });
  check_consent(now);
  consider_nomination(now);
  update_state(now);
}

void agent::impl::check_consent(time_point now) {
  if (!path_) return;
  const duration silence = now - path_->last_heard;
  path_->disconnected = silence >= options_.disconnected_after;
  if (silence < options_.consent_timeout) return;
  path_.reset();  // RFC 7675 §5.1: not a byte more.
  for (auto& pair : current_.pairs) {
    // What was proved so long ago proves nothing now.
    if (std::exchange(pair.valid, false)) pair.state = check_state::failed;
    pair.nominate = false;
  }
  previous_.reset();
  current_.selected = false;
  consent_lost_ = true;
}

void agent::impl::update_state(time_point now) {
  if (state_ == ice::state::closed) return;
  if (path_) {
    consent_lost_ = false;
    const bool done = gathered_ && current_.remote_ended && current_.selected;
    set_state(path_->disconnected ? ice::state::disconnected
              : done              ? ice::state::completed
                                  : ice::state::connected);
    return;
  }
  const bool alive =
      !current_.names.empty() || std::ranges::any_of(current_.pairs, [](const auto& p) {
        return p.state != check_state::failed;
      });
  if (!current_.remote) {
    if (consent_lost_) set_state(ice::state::failed);
    return;
  }
  if (!current_.checking_since) current_.checking_since = now;
  if (alive) {
    consent_lost_ = false;
    set_state(ice::state::checking);
  } else if (consent_lost_ || now >= *current_.checking_since + options_.patience) {
    set_state(ice::state::failed);
  } else {
    set_state(ice::state::checking);
  }
}

void agent::impl::set_state(ice::state s) {
  if (std::exchange(state_, s) != s) events_.push_back(state_changed{s});
}

std::optional<time_point> agent::impl::poll_timeout() const {
  if (state_ == ice::state::closed) return std::nullopt;
  std::optional<time_point> next;
  for (const auto& pair : current_.pairs) next = earliest(next, pair.timer.deadline());
  for (const auto& request : gathering_) {
    next = earliest(next, request.timer.deadline());
    if (request.timer.is_due()) next = earliest(next, next_paced_);
  }
  if (checks_ordinary() && has_ordinary()) next = earliest(next, next_paced_);
  for (const auto& name : current_.names) next = earliest(next, name.deadline);
  next = earliest(next, nomination_deadline());
  if (path_) {
    next = earliest(next, path_->next_request);
    next = earliest(next, path_->last_heard + options_.consent_timeout);
    if (!path_->disconnected)
      next = earliest(next, path_->last_heard + options_.disconnected_after);
  } else if (state_ == ice::state::checking && current_.checking_since &&
             last_now_ < *current_.checking_since + options_.patience) {
    next = earliest(next, *current_.checking_since + options_.patience);
  }
  return next;
}

// Outputs

std::optional<addressed_transmit> agent::impl::poll_transmit(time_point now, mutable_bytes buffer) {
  now = advance(now);
  if (state_ == ice::state::closed || buffer.size() < smallest_buffer) return std::nullopt;
  if (!owed_.empty()) return send_response(buffer);
  if (auto sent = send_triggered(now, buffer)) return sent;
  if (auto sent = send_retransmission(now, buffer)) return sent;
  if (auto sent = send_consent(now, buffer)) return sent;
  return send_paced(now, buffer);
}

std::optional<agent::event> agent::impl::poll_event() {
  if (events_.empty()) return std::nullopt;
  auto e = std::move(events_.front());
  events_.pop_front();
  return e;
}

std::optional<endpoint_pair> agent::impl::selected_pair() const noexcept {
  if (!path_) return std::nullopt;
  return path_->path;
}

bool agent::impl::is_valid_path(const endpoint_pair& path) const noexcept {
  if (path_ && path_->path == path) return true;
  return std::ranges::any_of(current_.pairs,
                             [&](const auto& p) { return p.valid && p.path == path; });
}

std::optional<duration> agent::impl::round_trip() const noexcept {
  return path_ ? path_->round_trip : std::nullopt;
}

// The public face

agent::agent(random_source& random) : agent{random, options{}} {}
agent::agent(random_source& random, const options& opts)
    : impl_{std::make_unique<impl>(random, opts)} {}
agent::agent(agent&&) noexcept = default;
agent& agent::operator=(agent&&) noexcept = default;
agent::~agent() = default;

void agent::set_role(time_point, ice::role r) {
  impl_->set_role(r);
}
result<void, error> agent::add_local_address(time_point now, const endpoint& base) {
  return impl_->add_local_address(now, base);
}
void agent::gather(time_point now) {
  impl_->gather(now);
}
void agent::set_remote_lite(time_point) {
  impl_->set_remote_lite();
}
result<void, error> agent::set_remote_credentials(time_point now, const credentials& c) {
  return impl_->set_remote_credentials(now, c);
}
result<void, error> agent::add_remote_candidate(time_point now, const candidate& c) {
  return impl_->add_remote_candidate(now, c);
}
void agent::end_of_remote_candidates(time_point now) {
  impl_->end_of_remote_candidates(now);
}
void agent::resolve(time_point now, std::string_view name, std::span<const ip_address> addresses) {
  impl_->resolve(now, name, addresses);
}
void agent::restart(time_point now) {
  impl_->restart(now);
}
void agent::close(time_point) {
  impl_->close();
}
bool agent::handle_input(time_point now, const endpoint& local, const endpoint& remote,
                         const_bytes datagram) {
  return impl_->handle_input(now, local, remote, datagram);
}
void agent::handle_timeout(time_point now) {
  impl_->handle_timeout(now);
}
std::optional<addressed_transmit> agent::poll_transmit(time_point now, mutable_bytes buffer) {
  return impl_->poll_transmit(now, buffer);
}
std::optional<time_point> agent::poll_timeout() const {
  return impl_->poll_timeout();
}
std::optional<agent::event> agent::poll_event() {
  return impl_->poll_event();
}
std::optional<endpoint_pair> agent::selected_pair() const noexcept {
  return impl_->selected_pair();
}
bool agent::is_valid_path(const endpoint& local, const endpoint& remote) const noexcept {
  return impl_->is_valid_path({local, remote});
}
std::optional<duration> agent::round_trip() const noexcept {
  return impl_->round_trip();
}
ice::state agent::current_state() const noexcept {
  return impl_->state();
}
ice::role agent::current_role() const noexcept {
  return impl_->role();
}
const credentials& agent::local_credentials() const noexcept {
  return impl_->local_credentials();
}
std::span<const candidate> agent::local_candidates() const noexcept {
  return impl_->local_candidates();
}
const agent::counters& agent::stats() const noexcept {
  return impl_->stats();
}

}  // namespace weft::ice
