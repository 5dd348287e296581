// How a connection moves: datagrams, time, and what the layers have to say to each other.
#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

#include "conversion.hpp"
#include "implementation.hpp"

namespace weft::peer {

namespace {

/// Who a datagram is for, by its first byte (RFC 7983 §7).
enum class protocol : std::uint8_t { stun, dtls, media, unknown };

protocol classify(const_bytes datagram) {
  if (datagram.empty()) return protocol::unknown;
  const unsigned first = datagram[0];
  if (first <= 3) return protocol::stun;
  if (first >= 20 && first <= 63) return protocol::dtls;
  if (first >= 128 && first <= 191) return protocol::media;
  return protocol::unknown;
}

ice_connection_state to_peer(ice::state s) {
  switch (s) {
    case ice::state::new_:
      return ice_connection_state::new_;
    case ice::state::checking:
      return ice_connection_state::checking;
    case ice::state::connected:
      return ice_connection_state::connected;
    case ice::state::completed:
      return ice_connection_state::completed;
    case ice::state::disconnected:
      return ice_connection_state::disconnected;
    case ice::state::failed:
      return ice_connection_state::failed;
    case ice::state::closed:
      return ice_connection_state::closed;
  }
  return ice_connection_state::new_;
}

/// Calls the function of `handlers` that takes the event.
template <class... Handlers>
struct overloaded : Handlers... {
  using Handlers::operator()...;
};
template <class... Handlers>
overloaded(Handlers...) -> overloaded<Handlers...>;

connection::options corrected(connection::options opts) {
  opts.mtu = std::clamp<std::size_t>(opts.mtu, 576, max_datagram_size);
  return opts;
}

/// Events wait for the application; beyond this many, what would cause more waits with them.
constexpr std::size_t max_waiting_events = 1024;

}  // namespace

connection::implementation::implementation(random_source& random, dtls::certificate certificate,
                                           const options& opts)
    : options_{corrected(opts)},
      random_{&random},
      certificate_{std::move(certificate)},
      fingerprint_{certificate_.fingerprint()},
      ice_{random, opts.ice},
      channels_{events_, opts.max_channels} {
  std::array<std::uint8_t, 8> id;
  random.fill(id);
  session_id_.id = byte_reader{id}.u64() >> 1;  // RFC 9429 §5.2.1: 63 bits.
}

// Commands

result<void, error> connection::implementation::add_local_address(const endpoint& local) {
  if (gathering_ != ice_gathering_state::new_ || signaling_ == signaling_state::closed)
    return fail(error{error_code::invalid_state, "gathering has begun"});
  if (!local.address || local.port == 0)
    return fail(error{error_code::bad_argument, "an address and a port are needed"});
  addresses_.push_back(local);
  return {};
}

void connection::implementation::resolve(time_point now, std::string_view name,
                                         std::span<const ip_address> addresses) {
  ice_.resolve(now, name, addresses);
  advance(now);
}

result<channel_handle, error> connection::implementation::create_data_channel(
    time_point now, std::string_view label, const data_channel_options& opts) {
  if (signaling_ == signaling_state::closed)
    return fail(error{error_code::invalid_state, "the connection is closed"});
  auto made = channels_.create(label, opts);
  check_negotiation_needed();
  advance(now);
  return made;
}

result<void, error> connection::implementation::send(time_point now, channel_handle channel,
                                                     message_kind kind,
                                                     std::vector<std::uint8_t>&& payload) {
  if (!sctp_) {
    const auto known = channels_.info(nullptr, channel);
    return fail(known ? error{error_code::invalid_state, "the channel is not open yet"}
                      : error{error_code::not_found, "no such channel"});
  }
  auto sent = channels_.send(now, *sctp_, channel, kind, std::move(payload), remote_message_limit_);
  if (sent) ++stats_.messages_sent;
  return sent;
}

void connection::implementation::set_buffered_amount_low_threshold(channel_handle channel,
                                                                   std::size_t bytes) {
  channels_.set_low_threshold(open_sctp(), channel, bytes);
}

void connection::implementation::close_data_channel(time_point now, channel_handle channel) {
  channels_.close(now, open_sctp(), channel);
}

void connection::implementation::close(time_point now) {
  if (signaling_ == signaling_state::closed) return;
  farewell_path_ = data_path();
  if (sctp_) sctp_->abort(now, "closed");
  end(now, {});
}

/// The connection is over: nothing comes in any more, and `poll_transmit` says farewell.
void connection::implementation::end(time_point now, std::string_view reason) {
  waiting_message_.reset();
  channels_.close_all(reason);
  ice_.close(now);
  set_ice_state(ice_connection_state::closed);
  set_signaling(signaling_state::closed);
  set_state(connection_state::closed, reason);
}

// Inputs

bool connection::implementation::handle_input(time_point now, const endpoint& local,
                                              const endpoint& remote, const_bytes datagram) {
  if (signaling_ == signaling_state::closed) return false;
  ++stats_.datagrams_received;
  stats_.bytes_received += datagram.size();
  switch (classify(datagram)) {
    case protocol::stun:
      ice_.handle_input(now, local, remote, datagram);
      break;
    case protocol::dtls:
      receive_dtls(now, local, remote, datagram);
      break;
    case protocol::media:
      ++stats_.media_datagrams;
      return true;
    case protocol::unknown:
      ++stats_.unknown_datagrams;
      return false;
  }
  advance(now);
  return true;
}

void connection::implementation::receive_dtls(time_point now, const endpoint& local,
                                              const endpoint& remote, const_bytes datagram) {
  if (!dtls_ || !ice_.is_valid_path(local, remote)) {
    ++stats_.unvalidated_datagrams;
    return;
  }
  early_path_ = five_tuple{local, remote};
  dtls_->handle_input(now, datagram);
  while (const auto packet = dtls_->receive()) sctp_->handle_input(now, *packet);
}

void connection::implementation::handle_timeout(time_point now) {
  if (signaling_ == signaling_state::closed) return;
  ice_.handle_timeout(now);
  if (dtls_) dtls_->handle_timeout(now);
  if (sctp_) sctp_->handle_timeout(now);
  advance(now);
}

// What follows from inputs and commands

/// Carries what one layer has to say to the next. Each turn may give the layers below more to
/// say, but only once: ICE connects, DTLS connects, SCTP connects.
void connection::implementation::advance(time_point now) {
  if (signaling_ == signaling_state::closed) return;
  advance_ice(now);
  advance_dtls(now);
  advance_sctp(now);
}

void connection::implementation::advance_ice(time_point now) {
  while (const auto e = ice_.poll_event()) handle_ice_event(*e);
  if (dtls_ && dtls_->current_state() == dtls::session::state::fresh && data_path())
    dtls_->start(now);
}

/// Where DTLS goes. Before a pair is selected, RFC 8445 §12.1 allows any valid one: the other side
/// has selected, and the response that would tell us so is lost or late.
std::optional<five_tuple> connection::implementation::data_path() const {
  if (const auto selected = ice_.selected_pair()) return selected;
  if (early_path_ && ice_.is_valid_path(early_path_->local, early_path_->remote))
    return early_path_;
  return std::nullopt;
}

void connection::implementation::handle_ice_event(const ice::agent::event& e) {
  std::visit(
      overloaded{
          [&](const ice::agent::candidate_gathered& gathered) {
            candidates_.push_back(to_sdp(gathered.candidate));
            signal_candidate(sdp::to_string(candidates_.back()));
          },
          [&](const ice::agent::gathering_complete&) {
            set_gathering(ice_gathering_state::complete);
            signal_candidate({});
          },
          [&](const ice::agent::gathering_error& failed) {
            events_.push_back(ice_candidate_error{{}, failed.server.url, failed.code, failed.text});
          },
          [&](const ice::agent::state_changed& changed) { set_ice_state(to_peer(changed.state)); },
          [&](const ice::agent::resolve_name& asked) {
            events_.push_back(resolve_name{asked.name});
          },
          [](const auto&) {},
      },
      e);
}

void connection::implementation::signal_candidate(std::string line) {
  const auto* const d = local();
  std::string mid = data_mid_.value_or("");
  std::optional<std::uint16_t> index;
  if (const auto data = d ? d->sdp.media_by_mid(mid) : std::nullopt) {
    const auto section = negotiation::transport_of(d->sdp, *data);
    mid = section.mid();
    index = static_cast<std::uint16_t>(section.index());
  }
  events_.push_back(candidate_gathered{
      {std::move(line), std::move(mid), index, std::string{ice_.local_credentials().ufrag}}});
}

void connection::implementation::advance_dtls(time_point now) {
  while (dtls_) {
    const auto e = dtls_->poll_event();
    if (!e) return;
    if (std::holds_alternative<dtls::session::connected>(*e)) {
      sctp_->connect(now);
      update_state({});
    } else if (const auto* failed = std::get_if<dtls::session::failed>(&*e)) {
      const std::string reason = "DTLS: " + std::string{dtls::to_string(failed->reason)};
      dtls_failed_ = true;
      channels_.close_all(reason);
      update_state(reason);
    } else {
      ended_by_peer_ = true;
    }
  }
}

void connection::implementation::advance_sctp(time_point now) {
  if (!sctp_) return;
  // What waits behind unread messages is bounded too: the association keeps the rest.
  while (resets_.size() < max_waiting_events) {
    const auto e = sctp_->poll_event();
    if (!e) break;
    handle_sctp_event(*e);
  }
  if (sctp_connected_ && channels_.is_waiting()) channels_.open_waiting(now, *sctp_);
  read_messages(now);
}

void connection::implementation::handle_sctp_event(const sctp::association::event& e) {
  std::visit(overloaded{
                 [&](const sctp::association::connected& connected) {
                   sctp_connected_ = true;
                   channels_.handle_connected(
                       dtls_->role() == dtls::role::client ? dcep::role::dtls_client
                                                           : dcep::role::dtls_server,
                       std::min(connected.outgoing_streams, connected.incoming_streams));
                 },
                 [&](const sctp::association::restarted&) {
                   channels_.close_all("the other side began its SCTP association anew");
                 },
                 [&](const sctp::association::closed& closed) {
                   sctp_connected_ = false;
                   sctp_end_ = "SCTP: " + std::string{sctp::to_string(closed.reason)};
                 },
                 [&](const sctp::association::incoming_streams_reset& reset) {
                   resets_.push_back(reset.streams);
                 },
                 [&](const sctp::association::outgoing_streams_reset& reset) {
                   channels_.handle_outgoing_reset(reset.streams);
                 },
                 [&](const sctp::association::buffered_amount_low& low) {
                   channels_.handle_buffered_amount_low(low.stream);
                 },
                 [](const sctp::association::send_ready&) {},
             },
             e);
}

/// Takes DCEP out of what has come in, up to the first message for the application. What the
/// other side did after sending messages waits until they are read.
void connection::implementation::read_messages(time_point now) {
  while (!waiting_message_ && events_.size() < max_waiting_events) {
    const auto message = sctp_->receive();
    if (!message) break;
    waiting_message_ = channels_.handle_message(now, *sctp_, *message);
  }
  if (waiting_message_ || events_.size() >= max_waiting_events) return;
  for (; !resets_.empty(); resets_.pop_front())
    channels_.handle_incoming_reset(now, *sctp_, resets_.front());
  if (sctp_end_) channels_.close_all(*sctp_end_);
  if (ended_by_peer_) end(now, "closed by the other side");
}

std::optional<data_channel_message> connection::implementation::receive(time_point now) {
  advance(now);
  auto message = std::exchange(waiting_message_, std::nullopt);
  if (message) ++stats_.messages_received;
  return message;
}

// Outputs

std::optional<addressed_transmit> connection::implementation::poll_transmit(time_point now,
                                                                            mutable_bytes buffer) {
  auto out = next_transmit(now, buffer);
  if (out) {
    ++stats_.datagrams_sent;
    stats_.bytes_sent += out->bytes.size();
  }
  return out;
}

std::optional<addressed_transmit> connection::implementation::next_transmit(time_point now,
                                                                            mutable_bytes buffer) {
  if (signaling_ == signaling_state::closed) return poll_farewell(now, buffer);
  if (auto check = ice_.poll_transmit(now, buffer)) return check;
  const auto path = data_path();
  if (!path || !dtls_) return std::nullopt;
  if (const auto flight = dtls_->poll_transmit(now, buffer))
    return addressed_transmit{path->local, path->remote, flight->bytes, flight->traffic};
  return poll_sctp(now, *path, buffer);
}

std::optional<addressed_transmit> connection::implementation::poll_sctp(time_point now,
                                                                        const five_tuple& path,
                                                                        mutable_bytes buffer) {
  if (dtls_->current_state() != dtls::session::state::connected || buffer.size() < options_.mtu)
    return std::nullopt;
  std::array<std::uint8_t, max_datagram_size> plain;
  const auto packet = sctp_->poll_transmit(now, plain);
  if (!packet) return std::nullopt;
  const auto record = dtls_->protect(now, packet->bytes, buffer);
  if (!record) return std::nullopt;  // SCTP sends again what was lost.
  return addressed_transmit{path.local, path.remote, *record, packet->traffic};
}

/// After `close`: SCTP's ABORT and DTLS's close_notify, over the path there was.
std::optional<addressed_transmit> connection::implementation::poll_farewell(time_point now,
                                                                            mutable_bytes buffer) {
  if (!farewell_path_ || !dtls_ || buffer.size() < options_.mtu) return std::nullopt;
  if (auto abort = poll_sctp(now, *farewell_path_, buffer)) return abort;
  dtls_->close(now);
  if (const auto alert = dtls_->poll_transmit(now, buffer))
    return addressed_transmit{farewell_path_->local, farewell_path_->remote, alert->bytes,
                              alert->traffic};
  farewell_path_.reset();
  return std::nullopt;
}

std::optional<time_point> connection::implementation::poll_timeout() const {
  if (signaling_ == signaling_state::closed) return std::nullopt;
  auto next = ice_.poll_timeout();
  if (dtls_) next = earliest(next, dtls_->poll_timeout());
  if (sctp_) next = earliest(next, sctp_->poll_timeout());
  return next;
}

std::optional<connection::event> connection::implementation::poll_event() {
  if (events_.empty()) return std::nullopt;
  auto e = std::move(events_.front());
  events_.pop_front();
  return e;
}

// Attributes

std::string_view connection::implementation::local_username_fragment() const noexcept {
  return ice_.local_credentials().ufrag;
}

std::optional<data_channel_info> connection::implementation::channel(channel_handle handle) const {
  return channels_.info(sctp_ ? &*sctp_ : nullptr, handle);
}

std::optional<std::size_t> connection::implementation::max_message_size() const noexcept {
  if (!sctp_) return std::nullopt;
  return remote_message_limit_;
}

connection::counters connection::implementation::stats() const noexcept {
  auto out = stats_;
  out.bad_messages = channels_.bad_messages();
  return out;
}

// States

void connection::implementation::set_signaling(signaling_state s) {
  if (std::exchange(signaling_, s) != s) events_.push_back(signaling_state_changed{s});
}

void connection::implementation::set_gathering(ice_gathering_state s) {
  if (std::exchange(gathering_, s) != s) events_.push_back(ice_gathering_state_changed{s});
}

void connection::implementation::set_ice_state(ice_connection_state s) {
  if (std::exchange(ice_state_, s) == s) return;
  events_.push_back(ice_connection_state_changed{s});
  update_state(s == ice_connection_state::failed ? "ICE: no path to the other side" : "");
}

void connection::implementation::set_state(connection_state s, std::string_view reason) {
  if (std::exchange(state_, s) != s)
    events_.push_back(connection_state_changed{s, std::string{reason}});
}

/// W3C WebRTC §4.3.3, RTCPeerConnectionState.
void connection::implementation::update_state(std::string_view reason) {
  if (signaling_ == signaling_state::closed || ice_state_ == ice_connection_state::closed) return;
  const bool dtls_connected = dtls_ && dtls_->current_state() == dtls::session::state::connected;
  if (dtls_failed_ || ice_state_ == ice_connection_state::failed)
    set_state(connection_state::failed, reason);
  else if (ice_state_ == ice_connection_state::disconnected)
    set_state(connection_state::disconnected, reason);
  else if (ice_state_ == ice_connection_state::new_)
    set_state(connection_state::new_, reason);
  else if (ice_state_ == ice_connection_state::checking || !dtls_connected)
    set_state(connection_state::connecting, reason);
  else
    set_state(connection_state::connected, reason);
}

}  // namespace weft::peer
