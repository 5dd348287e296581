#include "turn_leg.hpp"

#include <utility>
#include <variant>
#include <vector>

#include <weft/dtls/certificate.hpp>
#include <weft/dtls/fingerprint.hpp>
#include <weft/io/asio.hpp>

namespace weft::cli {

turn_leg::turn_leg(asio::io_context& context, random_source& random, const endpoint& server,
                   const turn::client::options& o)
    : client{random, server, o}, server_{server}, context_{context}, socket_{context} {}

bool turn_leg::open(const stun::server_uri& uri, const io::trust_store& trust) {
  if (uri.protocol() == transport_protocol::tcp) {
    open_stream(trust, uri.is_secure(), uri.host);
    return true;
  }
  if (!open_socket()) return false;
  connected_ = !uri.is_secure();
  return connected_ || open_dtls(trust, uri.host);
}

bool turn_leg::open_socket() {
  asio::error_code error;
  socket_.open(server_.address.is_v4() ? asio::ip::udp::v4() : asio::ip::udp::v6(), error);
  if (!error) socket_.connect(io::to_asio(server_), error);
  if (!error) receive();
  return !error;
}

bool turn_leg::open_dtls(const io::trust_store& trust, const std::string& name) {
  const auto identity = dtls::certificate::generate({.now = std::chrono::system_clock::now()});
  if (!identity) return false;
  dtls_.emplace(*identity, dtls::session::options{.role = dtls::role::client});
  is_trusted_ = [this, trust, name] {
    const const_bytes own = dtls_->remote_certificate();
    std::vector<std::vector<std::uint8_t>> chain{{own.begin(), own.end()}};
    const auto& others = dtls_->remote_intermediates();
    chain.insert(chain.end(), others.begin(), others.end());
    return trust.trusts(chain, name);
  };
  dtls_->start(io::now());
  return true;
}

void turn_leg::open_stream(const io::trust_store& trust, bool tls, const std::string& name) {
  streams_.emplace(
      context_.get_executor(),
      io::stream_set::handlers{.connected = [this](const five_tuple&) { connected_ = true; },
                               .disconnected =
                                   [this](const five_tuple&) {
                                     connected_ = false;
                                     if (streams_->stats().untrusted > 0)
                                       failure_ = "the server's certificate is not trusted";
                                     client.handle_disconnected(io::now());
                                   },
                               .received = [this](const five_tuple&, const_bytes b) { take(b); }},
      io::stream_set::options{.trust = trust});
  path_ = {{}, server_, transport_protocol::tcp};
  streams_->connect({.path = path_, .tls = tls, .server_name = name});
}

void turn_leg::drive() {
  const time_point now = io::now();
  std::array<std::uint8_t, max_datagram_size> buffer;
  if (dtls_) {
    dtls_->handle_timeout(now);
    follow_dtls();
    while (const auto t = dtls_->poll_transmit(now, buffer)) send_datagram(t->bytes);
  }
  client.handle_timeout(now);
  while (connected_) {
    const auto t = client.poll_transmit(now, buffer);
    if (!t) break;
    send(t->bytes);
  }
}

std::optional<time_point> turn_leg::poll_timeout() const {
  const auto next = client.poll_timeout();
  return dtls_ ? earliest(next, dtls_->poll_timeout()) : next;
}

void turn_leg::send(const_bytes message) {
  if (streams_) {
    streams_->send(path_, message);
  } else if (dtls_) {
    std::array<std::uint8_t, max_datagram_size> buffer;
    if (const auto record = dtls_->protect(io::now(), message, buffer)) send_datagram(*record);
  } else {
    send_datagram(message);
  }
}

void turn_leg::send_datagram(const_bytes datagram) {
  asio::error_code ignored;  // A datagram that cannot be sent is a datagram lost.
  socket_.send(asio::buffer(datagram.data(), datagram.size()), 0, ignored);
}

void turn_leg::close() {
  if (client.is_allocated()) client.close(io::now());
  drive();
}

void turn_leg::receive() {
  socket_.async_receive(asio::buffer(buffer_), [this](asio::error_code error, std::size_t size) {
    if (error == asio::error::operation_aborted) return;
    if (!error) take_datagram({buffer_.data(), size});
    receive();
  });
}

void turn_leg::take_datagram(const_bytes datagram) {
  if (!dtls_) return take(datagram);
  dtls_->handle_input(io::now(), datagram);
  follow_dtls();
  while (const auto record = dtls_->receive()) take(*record);
}

void turn_leg::take(const_bytes bytes) {
  const time_point now = io::now();
  client.handle_input(now, bytes);
  while (const auto data = client.receive())
    if (on_data) on_data(now, data->peer, data->bytes);
}

void turn_leg::follow_dtls() {
  const time_point now = io::now();
  if (is_trusted_ && !dtls_->remote_certificate().empty()) {
    if (std::exchange(is_trusted_, {})())
      dtls_->set_remote_fingerprints(
          now, {dtls::fingerprint_of(dtls::hash::sha_256, dtls_->remote_certificate())});
    else
      failure_ = "the server's certificate is not trusted";
  }
  while (const auto e = dtls_->poll_event()) {
    connected_ = std::holds_alternative<dtls::session::connected>(*e);
    if (const auto* failed = std::get_if<dtls::session::failed>(&*e))
      failure_ = "DTLS: " + std::string{dtls::to_string(failed->reason)};
    else if (!connected_)
      failure_ = "the server closed the DTLS session";
  }
}

}  // namespace weft::cli
