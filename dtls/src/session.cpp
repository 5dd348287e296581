#include <weft/dtls/session.hpp>

#include <algorithm>
#include <array>
#include <utility>

#include "client_hello.hpp"
#include "engine.hpp"
#include "record.hpp"

namespace weft::dtls {

static_assert(machine<session>);

namespace {

/// ServerHellos known to answer ClientHellos that are given up.
constexpr std::size_t max_stale_hellos = 8;

/// A handshake may be pushed out by a newer one when nothing was heard of its ClientHello for
/// so long. It bounds what a flood of ClientHellos costs, and lets the peer's answer arrive.
constexpr duration handshake_grace = std::chrono::milliseconds{500};

}  // namespace

struct session::impl {
  struct attempt {
    std::unique_ptr<dtls::engine> engine;
    hello_random random{};    // Of the ClientHello that a server answers.
    time_point last_heard{};  // When that came last.
    bool caught_up = false;   // With the encrypted records that were early.
  };

  impl(const certificate& c, const options& o)
      : identity{c}, opts{o}, hello{std::min<std::size_t>(o.max_client_hello_size, 16'000)} {}

  void advance(time_point now) { last_now = std::max(last_now, now); }
  bool knows_nobody() const {
    return opts.role == role::server && opts.client_identity == client_identity::none;
  }
  std::uint16_t first_message() const {
    return opts.path_validation == path_validation::cookie ? 1 : 0;
  }
  bool finished() const { return state == state::closed || state == state::failed; }

  // Handshakes
  void begin_as_client();
  void begin_as_server(const record& client_hello);
  void discard(std::size_t index);
  void drop_spoiled();
  void complete(std::size_t index);
  void begin_again_later();

  // Records
  void take(const record& r);
  void take_plaintext_handshake(const record& r);
  void take_early(const record& r);
  void offer(const record& r);
  void catch_up();
  bool feed(std::size_t index, const record& r);
  bool is_stale(const record& r);
  void remember_stale(const hello_random& random);

  // After a handshake
  void deliver(const record& r);
  void verify();
  void accept();
  void fail(error reason);
  void end(session::state final_state);

  certificate identity;
  options opts;
  time_point last_now{};
  session::state state = session::state::fresh;
  std::vector<fingerprint> fingerprints;
  std::vector<event> events;
  std::optional<time_point> give_up;
  counters stats;

  // The handshakes going on, the one heard last at the back: only that one sends its flight
  // again. A client has no more than one.
  std::vector<attempt> attempts;
  std::unique_ptr<engine> established;
  bool verified = false;
  std::vector<std::uint8_t> remote_certificate;
  std::vector<std::vector<std::uint8_t>> remote_intermediates;
  client_hello_assembler hello;
  std::vector<std::uint8_t> early;  // Whole records, one after another.

  // A client begins again after a pause, in which the answers to what it gave up arrive.
  std::optional<time_point> begin_again;
  duration pause{};
  std::optional<hello_random> server_random;
  std::vector<hello_random> stale_hellos;
};

// Handshakes

void session::impl::begin_as_client() {
  begin_again.reset();
  server_random.reset();
  attempts.push_back({std::make_unique<engine>(identity, opts, stats), {}, last_now});
  ++stats.handshakes_begun;
  attempts.back().engine->start(last_now);
  drop_spoiled();
}

void session::impl::begin_as_server(const record& client_hello) {
  const auto fragment = read_handshake(client_hello.fragment);
  const auto random = fragment ? read_random(*fragment) : std::nullopt;
  if (!random) {
    ++stats.records_dropped;
    return;
  }
  const auto known = std::ranges::find(attempts, *random, &attempt::random);
  if (known != attempts.end()) {
    known->last_heard = last_now;
    std::rotate(known, known + 1, attempts.end());
    return;
  }
  if (attempts.size() >= std::max<std::size_t>(opts.max_handshakes, 1)) {
    if (last_now < attempts.front().last_heard + handshake_grace) {
      ++stats.overflowed;
      return;
    }
    discard(0);
  }
  attempts.push_back({std::make_unique<engine>(identity, opts, stats), *random, last_now});
  ++stats.handshakes_begun;
  attempts.back().engine->input(last_now, client_hello.whole);
  drop_spoiled();
}

void session::impl::discard(std::size_t index) {
  ++stats.handshakes_discarded;
  attempts.erase(attempts.begin() + static_cast<std::ptrdiff_t>(index));
  if (opts.role == role::client) begin_again_later();
}

void session::impl::drop_spoiled() {
  for (std::size_t i = attempts.size(); i-- > 0;) {
    if (attempts[i].engine->current_status() == engine::status::spoiled) discard(i);
  }
}

void session::impl::complete(std::size_t index) {
  established = std::move(attempts[index].engine);
  stats.handshakes_discarded += attempts.size() - 1;
  attempts.clear();
  remote_intermediates = established->remote_certificates();
  if (!remote_intermediates.empty()) {
    remote_certificate = std::move(remote_intermediates.front());
    remote_intermediates.erase(remote_intermediates.begin());
  }
  verify();

  const std::vector<std::uint8_t> held = std::exchange(early, {});
  const_bytes rest = held;
  while (const auto r = read_record(rest)) {
    deliver(*r);
    rest = rest.subspan(r->whole.size());
  }
}

void session::impl::begin_again_later() {
  if (server_random) remember_stale(*server_random);
  pause = std::clamp(pause * 2, opts.initial_retransmission,
                     std::max(opts.initial_retransmission, opts.max_retransmission));
  begin_again = last_now + pause;
  early.clear();
}

// Records

void session::impl::take(const record& r) {
  if (r.epoch > 1) {
    ++stats.records_dropped;
  } else if (established) {
    // Nothing in the clear matters any more: a repeated last flight ends with an encrypted
    // Finished, and that is what calls for the repetition of ours.
    if (r.epoch == 1) return deliver(r);
    ++(r.type == content_type::alert ? stats.plaintext_alerts_dropped : stats.records_dropped);
  } else if (r.epoch == 1 || r.type == content_type::change_cipher_spec) {
    take_early(r);
  } else if (r.type == content_type::handshake) {
    take_plaintext_handshake(r);
  } else if (r.type == content_type::alert) {
    // Anybody can write one, so it counts as an invalid record (RFC 6347 §4.1.2.7).
    ++stats.plaintext_alerts_dropped;
    if (r.fragment.size() == 2) stats.last_plaintext_alert = r.fragment[1];
  } else {
    ++stats.records_dropped;
  }
}

void session::impl::take_plaintext_handshake(const record& r) {
  const auto fragment = read_handshake(r.fragment);
  if (!fragment) {
    ++stats.records_dropped;
  } else if (fragment->type != client_hello_type) {
    offer(r);
  } else if (opts.role == role::server && fragment->message_seq == first_message()) {
    if (const auto whole = hello.add(r, *fragment)) begin_as_server(*whole);
  } else {
    // A second ClientHello answers a HelloVerifyRequest, and a session sends none.
    ++stats.records_dropped;
  }
}

/// What follows the plaintext part of a handshake: for the handshakes that have come so far,
/// and held for those that have not, with the data behind it.
void session::impl::take_early(const record& r) {
  const bool is_change = r.epoch == 0;
  if (is_change && !(r.fragment.size() == 1 && r.fragment[0] == 1)) {  // RFC 5246 §7.1
    ++stats.records_dropped;
    return;
  }
  bool wanted_later = attempts.empty();
  for (std::size_t i = attempts.size(); i-- > 0;) {
    const engine& e = *attempts[i].engine;
    if (is_change ? e.expects_change_cipher_spec()
                  : e.expects_encrypted() && r.type == content_type::handshake) {
      if (feed(i, r)) return;
    } else {
      wanted_later = true;
    }
  }
  if (wanted_later && early.size() + r.whole.size() > opts.max_early_bytes) {
    ++stats.overflowed;
  } else if (wanted_later && !begin_again) {
    early.insert(early.end(), r.whole.begin(), r.whole.end());
  }
  catch_up();
}

/// A handshake message in the clear. Which handshake it belongs to shows only when one of them
/// is completed. One that has all of the peer's plaintext has no use for more; only forgers do.
void session::impl::offer(const record& r) {
  if (attempts.empty()) ++stats.records_dropped;
  for (std::size_t i = attempts.size(); i-- > 0;) {
    const engine& e = *attempts[i].engine;
    if (e.expects_change_cipher_spec() || e.expects_encrypted()) continue;
    if (feed(i, r)) return;
  }
  catch_up();
}

/// Gives the handshakes what they can take by now of what was early.
void session::impl::catch_up() {
  for (std::size_t i = early.empty() ? 0 : attempts.size(); i-- > 0;) {
    attempt& a = attempts[i];
    const_bytes rest = early;
    while (const auto r = read_record(rest)) {
      rest = rest.subspan(r->whole.size());
      if (r->epoch != 0 || !a.engine->expects_change_cipher_spec()) continue;
      if (feed(i, *r)) return;
    }
    if (a.caught_up || !a.engine->expects_encrypted()) continue;
    a.caught_up = true;
    rest = early;
    while (const auto r = read_record(rest)) {
      rest = rest.subspan(r->whole.size());
      if (r->epoch == 1 && r->type == content_type::handshake && feed(i, *r)) return;
    }
  }
  drop_spoiled();
}

/// Whether that completed the handshake, and so ended all others.
bool session::impl::feed(std::size_t index, const record& r) {
  engine& e = *attempts[index].engine;
  e.input(last_now, r.whole);
  if (e.current_status() != engine::status::established) return false;
  complete(index);
  return true;
}

/// Whether a ServerHello answers a ClientHello that was given up. Nothing in it says so; but
/// what arrives during the pause does, and what has spoiled a handshake would do it again.
bool session::impl::is_stale(const record& r) {
  if (established || opts.role != role::client || r.epoch != 0 || r.type != content_type::handshake)
    return false;
  const auto fragment = read_handshake(r.fragment);
  if (!fragment || fragment->type != server_hello_type) return false;
  const auto random = read_random(*fragment);
  if (!random) return false;
  if (std::ranges::find(stale_hellos, *random) != stale_hellos.end()) return true;
  if (!begin_again) {
    server_random = *random;
    return false;
  }
  remember_stale(*random);
  return true;
}

void session::impl::remember_stale(const hello_random& random) {
  if (stale_hellos.size() == max_stale_hellos) stale_hellos.erase(stale_hellos.begin());
  stale_hellos.push_back(random);
}

// After a handshake

void session::impl::deliver(const record& r) {
  if (finished() || !established) return;
  established->input(last_now, r.whole);
  const engine::status status = established->current_status();
  if (status == engine::status::established) return;

  if (!verified) {
    // Whoever it was, it has not shown to be the peer.
    established.reset();
    remote_certificate.clear();
    remote_intermediates.clear();
    ++stats.handshakes_discarded;
    if (opts.role == role::client) begin_again_later();
  } else if (status == engine::status::closed) {
    established->shut_down();  // RFC 5246 §7.2.1 has it answered.
    events.emplace_back(closed{});
    end(state::closed);
  } else {
    fail(status == engine::status::peer_alert ? error::peer_alert : error::protocol_violation);
  }
}

void session::impl::verify() {
  if (!established || verified || finished()) return;
  if (knows_nobody()) return accept();
  if (fingerprints.empty()) return;
  // RFC 8122 §5.1: the set of the most preferred hash decides alone.
  const hash strongest = std::ranges::max(fingerprints, {}, &fingerprint::algorithm).algorithm();
  const fingerprint shown = fingerprint_of(strongest, remote_certificate);
  if (std::ranges::find(fingerprints, shown) == fingerprints.end()) {
    established->received().clear();
    // Deviation from RFC 8122 §6.2, which asks for a bad_certificate alert: libssl sends none
    // after a handshake, and before its end nobody knows whose certificate it is. close_notify
    // tells the peer as well.
    established->shut_down();
    return fail(error::fingerprint_mismatch);
  }
  accept();
}

void session::impl::accept() {
  verified = true;
  state = state::connected;
  give_up.reset();
  events.emplace_back(connected{});
}

void session::impl::fail(error reason) {
  events.emplace_back(failed{reason});
  end(state::failed);
}

void session::impl::end(session::state final_state) {
  state = final_state;
  attempts.clear();
  early.clear();
  give_up.reset();
  begin_again.reset();
}

// The public face

session::session(const certificate& identity, const options& opts)
    : impl_{std::make_unique<impl>(identity, opts)} {}
session::session(session&&) noexcept = default;
session& session::operator=(session&&) noexcept = default;
session::~session() = default;

void session::start(time_point now) {
  impl_->advance(now);
  if (impl_->finished() || impl_->verified || impl_->give_up) return;
  impl_->state = state::connecting;
  impl_->give_up = impl_->last_now + impl_->opts.handshake_timeout;
  if (impl_->opts.role == role::client) impl_->begin_as_client();
}

void session::set_remote_fingerprints(time_point now, std::vector<fingerprint> fingerprints) {
  impl_->advance(now);
  impl_->fingerprints = std::move(fingerprints);
  impl_->verify();
}

result<const_bytes, error> session::protect(time_point now, const_bytes plaintext,
                                            mutable_bytes buffer) {
  impl_->advance(now);
  if (impl_->state != state::connected) return fail(error::not_connected);
  constexpr std::size_t max_plaintext = 1 << 14;
  if (plaintext.empty() || plaintext.size() > max_plaintext ||
      buffer.size() < plaintext.size() + record_overhead)
    return fail(error::buffer_too_small);
  ++impl_->stats.records_protected;
  return impl_->established->protect(plaintext, buffer);
}

void session::close(time_point now) {
  impl_->advance(now);
  if (impl_->finished()) return;
  if (impl_->established) impl_->established->shut_down();
  impl_->end(state::closed);
}

bool session::handle_input(time_point now, const_bytes datagram) {
  impl_->advance(now);
  if (datagram.empty() || datagram[0] < 20 || datagram[0] > 63) return false;
  ++impl_->stats.datagrams_received;
  while (!datagram.empty()) {
    const auto r = impl_->finished() ? std::nullopt : read_record(datagram);
    // What is left of the datagram cannot be told apart, or answers a ServerHello's sender.
    if (!r || impl_->is_stale(*r)) {
      ++impl_->stats.records_dropped;
      break;
    }
    impl_->take(*r);
    datagram = datagram.subspan(r->whole.size());
  }
  return true;
}

void session::handle_timeout(time_point now) {
  impl_->advance(now);
  impl& i = *impl_;
  if (i.give_up && i.last_now >= *i.give_up) return i.fail(error::handshake_timeout);
  if (i.begin_again && i.last_now >= *i.begin_again) i.begin_as_client();
  if (i.attempts.empty()) return;
  i.attempts.back().engine->handle_timeout(i.last_now);
  i.drop_spoiled();
}

std::optional<transmit> session::poll_transmit(time_point now, mutable_bytes buffer) {
  impl_->advance(now);
  const auto poll = [&](engine& e) -> std::optional<transmit> {
    const auto datagram = e.output().front();
    if (!datagram || datagram->size() > buffer.size()) return std::nullopt;
    std::ranges::copy(*datagram, buffer.begin());
    const std::size_t size = datagram->size();
    e.output().pop();
    ++impl_->stats.datagrams_sent;
    return transmit{buffer.first(size)};
  };
  if (impl_->established) return poll(*impl_->established);
  for (impl::attempt& a : impl_->attempts) {
    if (auto t = poll(*a.engine)) return t;
  }
  return std::nullopt;
}

std::optional<time_point> session::poll_timeout() const {
  const auto handshake =
      impl_->attempts.empty() ? std::nullopt : impl_->attempts.back().engine->poll_timeout();
  return earliest(earliest(impl_->give_up, impl_->begin_again), handshake);
}

std::optional<session::event> session::poll_event() {
  if (impl_->events.empty()) return std::nullopt;
  const event first = impl_->events.front();
  impl_->events.erase(impl_->events.begin());
  return first;
}

std::optional<const_bytes> session::receive() {
  if (!impl_->verified) return std::nullopt;
  return impl_->established->received().pop();
}

result<std::vector<std::uint8_t>, error> session::export_keying_material(std::string_view label,
                                                                         std::size_t size) const {
  if (impl_->state != state::connected) return fail(error::not_connected);
  return impl_->established->export_keying_material(label, size);
}

role session::role() const noexcept {
  return impl_->opts.role;
}
session::state session::current_state() const noexcept {
  return impl_->state;
}

std::optional<srtp_profile> session::negotiated_srtp_profile() const {
  if (!impl_->verified) return std::nullopt;
  return impl_->established->negotiated_srtp_profile();
}

const_bytes session::remote_certificate() const noexcept {
  return impl_->remote_certificate;
}

const std::vector<std::vector<std::uint8_t>>& session::remote_intermediates() const noexcept {
  return impl_->remote_intermediates;
}

std::string_view session::cipher_suite() const noexcept {
  return impl_->verified ? impl_->established->cipher_suite() : std::string_view{};
}

const session::counters& session::stats() const noexcept {
  return impl_->stats;
}

}  // namespace weft::dtls
