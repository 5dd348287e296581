#include "relay.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace weft::peer {
namespace {

/// IANA's port 0 of errors: W3C WebRTC's code for a server that cannot be reached.
constexpr auto unreachable = static_cast<stun::error_code>(701);

/// What DTLS puts in front of a record's plaintext: its header and the explicit nonce (RFC 5288
/// §3). Behind it stands the tag.
constexpr std::size_t record_front = 21;
constexpr std::size_t record_tail = dtls::session::record_overhead - record_front;

bool is_dtls(const_bytes datagram) {
  return !datagram.empty() && datagram[0] >= 20 && datagram[0] <= 63;  // RFC 7983 §7.
}

/// Servers may ask for a certificate, and do not care whose. Each session shows a fresh one.
std::optional<dtls::certificate> passing_certificate() {
  auto made = dtls::certificate::generate(
      {.now = std::chrono::system_clock::time_point{std::chrono::hours{24 * 365 * 50}},
       .lifetime = std::chrono::hours{24 * 365 * 100}});
  if (!made) return std::nullopt;
  return *std::move(made);
}

turn::client::options client_options(const ice_transport::options& opts, const relay::target& t) {
  turn::client::options out;
  out.transport = t.uri.protocol();
  out.credentials = t.credentials;
  out.families = turn::client::families::both;
  out.mobility = opts.mobility;
  // Only the pair that is selected is worth a channel; checks go in indications.
  out.channels = turn::client::channel_use::on_request;
  // People wait for the first answer; and 39.5 s of trying carry a Refresh over an outage.
  if (out.transport == transport_protocol::udp)
    out.retransmission = {
        .rto = std::chrono::milliseconds{250}, .max_requests = 8, .last_wait = 30};
  else
    out.retransmission = stun::retransmission_timer::options::reliable();
  out.fingerprint = true;
  return out;
}

}  // namespace

relay::relay(random_source& random, const ice_transport::options& opts, target t)
    : random_{&random},
      client_options_{client_options(opts, t)},
      connect_timeout_{opts.connect_timeout},
      min_retry_{opts.min_retry},
      max_retry_{opts.max_retry},
      target_{std::move(t)},
      layer_{target_.uri.protocol() == transport_protocol::tcp ? layer::stream
             : target_.uri.is_secure()                         ? layer::dtls
                                                               : layer::datagram},
      server_{target_.server},
      server_name_{target_.uri.host},
      path_{path_from(target_.base)},
      next_retry_{opts.min_retry} {}

five_tuple relay::path_from(const endpoint& base) const {
  if (layer_ == layer::stream) return {{base.address, 0}, server_, transport_protocol::tcp};
  return {base, server_, transport_protocol::udp};
}

ice::relay_protocol relay::protocol() const noexcept {
  switch (layer_) {
    case layer::datagram:
      return ice::relay_protocol::udp;
    case layer::dtls:
      return ice::relay_protocol::dtls;
    case layer::stream:
      break;
  }
  return is_over_tls() ? ice::relay_protocol::tls : ice::relay_protocol::tcp;
}

// Commands

void relay::open(time_point now) {
  server_ = target_.server;
  server_name_ = target_.uri.host;
  path_ = path_from(target_.base);
  client_.emplace(*random_, server_, client_options_);
  mobile_ = moving_ = stranded_ = false;
  begin_carrier(now);
}

void relay::begin_carrier(time_point now) {
  phase_ = phase::opening;
  deadline_ = now + connect_timeout_;
  connected_ = false;
  switch (layer_) {
    case layer::datagram:
      return carrier_is_open(now);
    case layer::stream:
      events_.push_back(connection_wanted{});
      return;
    case layer::dtls:
      break;
  }
  const auto certificate = passing_certificate();
  if (!certificate) return fail_opening("no certificate could be made");
  shown_.clear();
  dtls_.emplace(*certificate,
                dtls::session::options{.role = dtls::role::client,
                                       .initial_retransmission = std::chrono::milliseconds{250},
                                       .handshake_timeout = connect_timeout_});
  dtls_->start(now);
}

void relay::carrier_is_open(time_point now) {
  connected_ = true;
  if (std::exchange(moving_, false)) {
    deadline_.reset();
    phase_ = phase::allocated;
    if (client_->move(now)) return;
    events_.push_back(
        turn::client::event{turn::client::allocation_lost{unreachable, "not mobile"}});
    return;
  }
  phase_ = phase::asking;
  client_->allocate(now);
}

void relay::set_credentials(time_point now, stun::long_term_credentials credentials) {
  target_.credentials = credentials;
  client_options_.credentials = credentials;
  if (client_) client_->set_credentials(now, std::move(credentials));
}

void relay::judge(time_point now, const_bytes certificate, bool trusted) {
  if (!dtls_ || connected_ || phase_ != phase::opening) return;
  if (!std::ranges::equal(certificate, shown_)) return;
  if (!trusted) return fail_opening("the server's certificate is not the right one");
  dtls_->set_remote_fingerprints(now, {dtls::fingerprint_of(dtls::hash::sha_256, certificate)});
  follow_dtls(now);
}

bool relay::move(time_point now, const endpoint& base, const ice::network& network) {
  if (phase_ != phase::allocated || !mobile_) return false;
  target_.base = base;
  target_.network = network;
  path_ = path_from(base);
  stranded_ = false;
  moving_ = true;
  begin_carrier(now);
  return true;
}

void relay::start_stream(std::uint16_t number) {
  path_.local.port = number;
  stream_ = path_;
}

void relay::redirect(time_point now, const endpoint& server, const std::string& domain) {
  if (server.address.is_v4() != target_.base.address.is_v4())
    return fail_opening("sent to a server of another address family");
  server_ = server;
  if (!domain.empty()) server_name_ = domain;
  path_ = path_from(target_.base);
  begin_carrier(now);
}

void relay::try_later(time_point now, duration at_least) {
  client_.reset();
  dtls_.reset();
  phase_ = phase::waiting;
  told_to_wait_ = at_least > duration{};
  deadline_ = now + std::max(at_least, next_retry_);
  next_retry_ = std::min(next_retry_ * 2, max_retry_);
}

void relay::give_up() {
  client_.reset();
  dtls_.reset();
  deadline_.reset();
  phase_ = phase::failed;
}

void relay::close(time_point now) {
  if (!client_ || !connected_ || stranded_ || phase_ == phase::waiting) {
    give_up();
    phase_ = phase::closed;
    return;
  }
  phase_ = phase::closing;
  deadline_ = now + connect_timeout_;
  client_->close(now);
}

void relay::fail_opening(std::string reason) {
  const bool moved = std::exchange(moving_, false);
  deadline_.reset();
  phase_ = phase::failed;
  if (moved)
    events_.push_back(
        turn::client::event{turn::client::allocation_lost{unreachable, std::move(reason)}});
  else
    events_.push_back(turn::client::event{
        turn::client::allocation_failed{unreachable, std::move(reason), std::nullopt}});
}

// Inputs

void relay::handle_connected(time_point now) {
  if (layer_ == layer::stream && phase_ == phase::opening) carrier_is_open(now);
}

void relay::handle_disconnected(time_point now) {
  stream_.reset();
  const bool was_connected = std::exchange(connected_, false);
  if (phase_ == phase::opening) return fail_opening("no connection to the server");
  if (client_ && was_connected) client_->handle_disconnected(now);
}

bool relay::handle_input(time_point now, const_bytes bytes) {
  if (!client_) return false;
  if (layer_ != layer::dtls) return connected_ && client_->handle_input(now, bytes);
  if (!dtls_ || !is_dtls(bytes)) return false;
  dtls_->handle_input(now, bytes);
  follow_dtls(now);
  return true;
}

std::optional<turn::client::received> relay::receive(time_point now) {
  while (client_ && connected_) {
    if (auto data = client_->receive()) return data;
    const auto record = dtls_ ? dtls_->receive() : std::nullopt;
    if (!record) break;
    client_->handle_input(now, *record);
  }
  return std::nullopt;
}

void relay::follow_dtls(time_point now) {
  while (dtls_) {
    const auto e = dtls_->poll_event();
    if (!e) break;
    if (std::holds_alternative<dtls::session::connected>(*e)) {
      carrier_is_open(now);
    } else {
      const auto* failed = std::get_if<dtls::session::failed>(&*e);
      const std::string reason = failed != nullptr
                                     ? "DTLS: " + std::string{dtls::to_string(failed->reason)}
                                     : "the server closed the DTLS session";
      if (phase_ == phase::opening) return fail_opening(reason);
      handle_disconnected(now);
    }
  }
  if (!dtls_ || connected_) return;
  // A handshake that was spoiled and begun again may show another one.
  const auto own = dtls_->remote_certificate();
  if (!own.empty() && !std::ranges::equal(own, shown_)) {
    shown_.assign(own.begin(), own.end());
    std::vector<std::vector<std::uint8_t>> chain{shown_};
    const auto& others = dtls_->remote_intermediates();
    chain.insert(chain.end(), others.begin(), others.end());
    events_.push_back(certificate_shown{std::move(chain)});
  }
}

void relay::handle_timeout(time_point now) {
  if (dtls_) {
    dtls_->handle_timeout(now);
    follow_dtls(now);
  }
  if (client_ && connected_) client_->handle_timeout(now);
  if (!deadline_ || now < *deadline_) return;
  deadline_.reset();
  switch (phase_) {
    case phase::opening:
      return fail_opening("no connection to the server");
    case phase::asking:
      return fail_opening("no answer from the server");
    case phase::waiting:
      return open(now);
    case phase::closing:
      phase_ = phase::closed;
      return;
    case phase::allocated:
    case phase::failed:
    case phase::closed:
      return;
  }
}

// Outputs

std::optional<addressed_transmit> relay::poll_transmit(time_point now, mutable_bytes buffer) {
  if (dtls_) {
    if (const auto flight = dtls_->poll_transmit(now, buffer))
      return addressed_transmit{path_.local, path_.remote, flight->bytes, flight->traffic};
  }
  if (!client_ || !connected_ || stranded_) return std::nullopt;
  if (layer_ != layer::dtls) {
    const auto message = client_->poll_transmit(now, buffer);
    if (!message) return std::nullopt;
    return addressed_transmit{path_.local, path_.remote, message->bytes, message->traffic,
                              path_.protocol};
  }
  std::array<std::uint8_t, max_datagram_size> plain;
  const auto message = client_->poll_transmit(now, plain);
  if (!message) return std::nullopt;
  const auto record = dtls_->protect(now, message->bytes, buffer);
  if (!record) return std::nullopt;  // The client sends again what was lost.
  return addressed_transmit{path_.local, path_.remote, *record, message->traffic};
}

std::optional<time_point> relay::poll_timeout() const {
  auto next = deadline_;
  if (dtls_) next = earliest(next, dtls_->poll_timeout());
  // Nothing can be sent while it is stranded, and asking again and again helps nobody.
  if (client_ && connected_ && !stranded_) next = earliest(next, client_->poll_timeout());
  return next;
}

std::optional<relay::event> relay::poll_event() {
  if (!events_.empty()) {
    auto e = std::move(events_.front());
    events_.pop_front();
    return e;
  }
  if (!client_) return std::nullopt;
  auto e = client_->poll_event();
  if (!e) return std::nullopt;
  if (const auto* allocated = std::get_if<turn::client::allocated>(&*e)) {
    phase_ = phase::allocated;
    deadline_.reset();
    next_retry_ = min_retry_;
    mobile_ = allocated->mobile;
  } else if (std::holds_alternative<turn::client::closed>(*e)) {
    give_up();
    phase_ = phase::closed;
  }
  return event{*std::move(e)};
}

// The data path

ice_transport::room relay::room_for(const endpoint& peer) const noexcept {
  const std::size_t front = client_ ? client_->headroom(peer) : 0;
  if (layer_ != layer::dtls) return {front, turn::client::max_tailroom};
  return {record_front + front, turn::client::max_tailroom + record_tail};
}

result<addressed_transmit, turn::client_error> relay::wrap(time_point now, const endpoint& peer,
                                                           mutable_bytes buffer, std::size_t size,
                                                           traffic_class traffic) {
  if (!client_ || !connected_ || stranded_) return fail(turn::client_error::no_allocation);
  const std::size_t front = client_->headroom(peer);
  if (layer_ != layer::dtls) {
    const auto message = client_->encapsulate(now, peer, buffer, front, size);
    if (!message) return fail(message.error());
    return addressed_transmit{path_.local, path_.remote, *message, traffic, path_.protocol};
  }
  if (buffer.size() < dtls::session::record_overhead) return fail(turn::client_error::too_large);
  const auto message = client_->encapsulate(
      now, peer, buffer.subspan(record_front, buffer.size() - dtls::session::record_overhead),
      front, size);
  if (!message) return fail(message.error());
  const auto record = dtls_->protect(now, *message, buffer);
  if (!record) return fail(turn::client_error::too_large);
  return addressed_transmit{path_.local, path_.remote, *record, traffic};
}

std::optional<endpoint> relay::relayed(turn::address_family family) const noexcept {
  if (!client_ || phase_ == phase::failed || phase_ == phase::waiting) return std::nullopt;
  return client_->relayed_address(family);
}

bool relay::relays_at(const endpoint& relayed_address) const noexcept {
  return relayed(turn::family_of(relayed_address.address)) == relayed_address;
}

}  // namespace weft::peer
