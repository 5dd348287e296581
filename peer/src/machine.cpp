// How a connection moves: datagrams, time, and what the layers have to say to each other.
#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

#include <weft/turn/client.hpp>

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

/// The most that a relay and DTLS on the way to it put around a datagram.
constexpr std::size_t most_room =
    turn::client::max_headroom + turn::client::max_tailroom + dtls::session::record_overhead;

connection::options corrected(connection::options opts) {
  opts.mtu = std::clamp<std::size_t>(opts.mtu, 576, max_datagram_size - most_room);
  return opts;
}

ice_transport::options transport_options(const connection::options& opts) {
  ice_transport::options out;
  out.servers = opts.ice_servers;
  out.policy = opts.ice_transport_policy;
  out.candidate_pool_size = opts.ice_candidate_pool_size;
  out.mobility = opts.turn_mobility;
  out.ice = opts.ice;
  return out;
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
      transport_{random, transport_options(opts)},
      channels_{events_, opts.max_channels} {
  std::array<std::uint8_t, 8> id;
  random.fill(id);
  session_id_.id = byte_reader{id}.u64() >> 1;  // RFC 9429 §5.2.1: 63 bits.
}

// Commands

result<void, error> connection::implementation::add_local_address(time_point now,
                                                                  const ice::local_address& local) {
  if (signaling_ == signaling_state::closed)
    return fail(error{error_code::invalid_state, "the connection is closed"});
  if (const auto added = transport_.add_local_address(now, local); !added) {
    const bool wrong = added.error() == ice::error::invalid_address;
    return fail(error{wrong ? error_code::bad_argument : error_code::resource,
                      std::string{ice::to_string(added.error())}});
  }
  if (gathering_ == ice_gathering_state::complete && !transport_.is_gathering_complete())
    set_gathering(ice_gathering_state::gathering);
  addresses_changed_ = true;
  advance(now);
  watch_path(now);
  return {};
}

void connection::implementation::remove_local_address(time_point now, const endpoint& local,
                                                      transport_protocol protocol) {
  transport_.remove_local_address(now, local, protocol);
  advance(now);
}

void connection::implementation::resolve(time_point now, std::string_view name,
                                         std::span<const ip_address> addresses) {
  transport_.resolve(now, name, addresses);
  advance(now);
}

void connection::implementation::server_verified(time_point now, const verify_server& shown,
                                                 bool trusted) {
  transport_.server_verified(now, shown, trusted);
  advance(now);
}

void connection::implementation::set_ice_servers(time_point now, std::vector<ice_server> servers) {
  transport_.set_servers(now, std::move(servers));
  advance(now);
}

result<channel_handle, error> connection::implementation::create_data_channel(
    time_point now, std::string_view label, const data_channel_options& opts) {
  if (signaling_ == signaling_state::closed)
    return fail(error{error_code::invalid_state, "the connection is closed"});
  auto made = channels_.create(label, opts);
  if (made) data_rejected_ = false;
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
  if (sctp_) sctp_->abort(now, "closed");
  end(now, {});
}

/// The connection is over: nothing comes in any more, and `poll_transmit` says farewell.
void connection::implementation::end(time_point now, std::string_view reason) {
  waiting_message_.reset();
  restart_deadline_.reset();
  channels_.close_all(reason);
  farewell_path_ = data_path();
  if (!farewell_path_) transport_.close(now);  // Or else when the farewell has left.
  set_ice_state(ice_connection_state::closed);
  set_signaling(signaling_state::closed);
  set_state(connection_state::closed, reason);
  advance_ice(now);
}

// Inputs

bool connection::implementation::handle_input(time_point now, const five_tuple& path,
                                              const_bytes bytes) {
  if (signaling_ == signaling_state::closed) {
    const bool ours = !farewell_path_ && transport_.handle_input(now, path, bytes);
    advance_ice(now);
    return ours;
  }
  ++stats_.datagrams_received;
  stats_.bytes_received += bytes.size();
  if (transport_.handle_input(now, path, bytes)) {
    receive_datagrams(now);
    advance(now);
    return true;
  }
  switch (classify(bytes)) {
    case protocol::stun:
      return true;
    case protocol::dtls:
      ++stats_.unvalidated_datagrams;
      return true;
    case protocol::media:
      ++stats_.media_datagrams;
      return true;
    case protocol::unknown:
      ++stats_.unknown_datagrams;
      return false;
  }
  return false;
}

/// What has come on a path that is known to lead to the other side.
void connection::implementation::receive_datagrams(time_point now) {
  while (const auto d = transport_.receive()) {
    switch (classify(d->bytes)) {
      case protocol::dtls:
        receive_dtls(now, d->path, d->bytes);
        break;
      case protocol::media:
        ++stats_.media_datagrams;
        break;
      case protocol::stun:
      case protocol::unknown:
        ++stats_.unknown_datagrams;
        break;
    }
  }
}

void connection::implementation::receive_dtls(time_point now, const five_tuple& path,
                                              const_bytes datagram) {
  if (!dtls_) {
    ++stats_.unvalidated_datagrams;
    return;
  }
  early_path_ = path;
  dtls_->handle_input(now, datagram);
  while (const auto packet = dtls_->receive()) sctp_->handle_input(now, *packet);
}

void connection::implementation::handle_connected(time_point now, const five_tuple& path) {
  transport_.handle_connected(now, path);
  advance(now);
}

void connection::implementation::handle_disconnected(time_point now, const five_tuple& path) {
  transport_.handle_disconnected(now, path);
  advance(now);
}

void connection::implementation::handle_timeout(time_point now) {
  if (signaling_ == signaling_state::closed) {
    if (!farewell_path_) transport_.handle_timeout(now);
    return advance_ice(now);
  }
  transport_.handle_timeout(now);
  receive_datagrams(now);
  if (restart_deadline_ && *restart_deadline_ <= now) {
    restart_deadline_.reset();
    want_restart();
  }
  if (dtls_) dtls_->handle_timeout(now);
  if (sctp_) sctp_->handle_timeout(now);
  advance(now);
}

// What follows from inputs and commands

/// Carries what one layer has to say to the next. Each turn may give the layers below more to
/// say, but only once: ICE connects, DTLS connects, SCTP connects.
void connection::implementation::advance(time_point now) {
  advance_ice(now);
  if (signaling_ == signaling_state::closed) return;
  advance_dtls(now);
  advance_sctp(now);
}

void connection::implementation::advance_ice(time_point now) {
  while (auto e = transport_.poll_event()) handle_transport_event(now, *std::move(e));
  if (signaling_ != signaling_state::closed && dtls_ &&
      dtls_->current_state() == dtls::session::state::fresh && data_path())
    dtls_->start(now);
}

/// Where DTLS goes. Before a pair is selected, RFC 8445 §12.1 allows any valid one: the other side
/// has selected, and the response that would tell us so is lost or late.
std::optional<five_tuple> connection::implementation::data_path() const {
  if (const auto selected = transport_.selected_pair()) return selected;
  if (early_path_ && transport_.is_valid_path(*early_path_)) return early_path_;
  return std::nullopt;
}

void connection::implementation::handle_transport_event(time_point now, ice_transport::event&& e) {
  const bool over = signaling_ == signaling_state::closed;
  std::visit(overloaded{
                 [&](ice_transport::candidate_gathered& gathered) {
                   if (!over) take_candidate(gathered.candidate);
                 },
                 [&](ice_transport::candidate_removed& removed) {
                   std::erase(candidates_, to_sdp(removed.candidate));
                 },
                 [&](ice_transport::gathering_complete&) {
                   if (over || gathering_ == ice_gathering_state::new_) return;
                   set_gathering(ice_gathering_state::complete);
                   signal_candidate({});
                 },
                 [&](ice_transport::candidate_error& failed) {
                   if (!over)
                     events_.push_back(ice_candidate_error{failed.local, std::move(failed.url),
                                                           failed.code, std::move(failed.text)});
                 },
                 [&](ice_transport::state_changed& changed) {
                   if (over) return;
                   set_ice_state(to_peer(changed.state));
                   watch_path(now);
                 },
                 [&](ice_transport::selected_pair_changed& selected) {
                   addresses_changed_ = false;
                   events_.push_back(selected);
                 },
                 [](ice_transport::role_changed&) {},
                 [&](auto& for_driver) { events_.push_back(std::move(for_driver)); },
             },
             e);
}

void connection::implementation::take_candidate(const ice::candidate& c) {
  candidates_.push_back(to_sdp(c));
  if (gathering_ == ice_gathering_state::new_) return;  // Of the pool: until it is wanted.
  signal_candidate(sdp::to_string(candidates_.back()));
}

/// Asks for ICE to be restarted where nothing else helps: all paths have failed; or addresses of
/// ours have come and no path from them is found, for the other side may be where it can
/// be reached by none it has not been told of.
void connection::implementation::watch_path(time_point now) {
  switch (ice_state_) {
    case ice_connection_state::connected:
    case ice_connection_state::completed:
      was_connected_ = true;
      restart_deadline_.reset();
      return;
    case ice_connection_state::failed:
      restart_deadline_.reset();
      // Of two sides that are cut off for no reason of theirs, one had better ask.
      if (was_connected_ &&
          (addresses_changed_ || transport_.current_role() == ice::role::controlling))
        want_restart();
      return;
    case ice_connection_state::disconnected:
      if (addresses_changed_ && !restart_deadline_)
        restart_deadline_ = now + options_.restart_after;
      return;
    case ice_connection_state::new_:
    case ice_connection_state::checking:
    case ice_connection_state::closed:
      return;
  }
}

void connection::implementation::want_restart() {
  was_connected_ = false;  // Once: what becomes of it is the application's.
  restart_ice();
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
      {std::move(line), std::move(mid), index, transport_.local_credentials().ufrag}});
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
  if (sctp_connected_ && channels_.is_waiting())
    channels_.open_waiting(now, *sctp_, remote_message_limit_);
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
                 [&](const sctp::association::restarted&) { sctp_restarted_ = true; },
                 [&](const sctp::association::closed& closed) {
                   sctp_connected_ = false;
                   sctp_end_ = "SCTP: " + std::string{sctp::to_string(closed.reason)};
                 },
                 [&](const sctp::association::incoming_streams_reset& reset) {
                   resets_.push_back(reset.streams);
                 },
                 [&](const sctp::association::outgoing_streams_reset& reset) {
                   using outcome = sctp::association::outgoing_streams_reset::outcome;
                   if (reset.result == outcome::performed)
                     channels_.handle_outgoing_reset(reset.streams);
                   else
                     channels_.handle_denied_reset(reset.streams);
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
    if (channel_table::is_open(*message)) apply_reset_of(now, message->stream);
    waiting_message_ = channels_.handle_message(now, *sctp_, *message);
  }
  if (waiting_message_ || events_.size() >= max_waiting_events) return;
  if (std::exchange(sctp_restarted_, false)) {
    resets_.clear();
    channels_.close_all("the other side began its SCTP association anew");
  }
  for (; !resets_.empty(); resets_.pop_front())
    channels_.handle_incoming_reset(now, *sctp_, resets_.front());
  if (sctp_end_) channels_.close_all(*sctp_end_);
  if (ended_by_peer_) end(now, "closed by the other side");
}

/// The other side opens a channel on a stream that it has reset: that reset need not wait for
/// messages of other channels, for those of its own have been read.
void connection::implementation::apply_reset_of(time_point now, std::uint16_t stream) {
  const auto at = std::ranges::find_if(resets_, [&](const auto& reset) {
    return reset.empty() || std::ranges::find(reset, stream) != reset.end();
  });
  if (at == resets_.end()) return;
  if (at->empty()) {  // Of all streams: what was before it, too.
    for (auto left = at - resets_.begin() + 1; left > 0; --left, resets_.pop_front())
      channels_.handle_incoming_reset(now, *sctp_, resets_.front());
    return;
  }
  std::erase(*at, stream);
  if (at->empty()) resets_.erase(at);
  channels_.handle_incoming_reset(now, *sctp_, {&stream, 1});
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
  if (signaling_ == signaling_state::closed) {
    if (auto farewell = poll_farewell(now, buffer)) return farewell;
    return transport_.poll_transmit(now, buffer);
  }
  if (auto control = transport_.poll_transmit(now, buffer)) return control;
  advance_ice(now);  // A check that needs a connection first has asked for one.
  const auto path = data_path();
  if (!path || !dtls_) return std::nullopt;
  if (auto flight = poll_dtls(now, *path, buffer)) return flight;
  return poll_sctp(now, *path, buffer);
}

std::optional<addressed_transmit> connection::implementation::poll_dtls(time_point now,
                                                                        const five_tuple& path,
                                                                        mutable_bytes buffer) {
  const auto room = transport_.room_for(path);
  if (buffer.size() < room.before + room.after + options_.mtu) return std::nullopt;
  const auto flight = dtls_->poll_transmit(
      now, buffer.subspan(room.before, buffer.size() - room.before - room.after));
  if (!flight) return std::nullopt;
  return transport_.wrap(now, path, buffer, flight->bytes.size(), flight->traffic);
}

std::optional<addressed_transmit> connection::implementation::poll_sctp(time_point now,
                                                                        const five_tuple& path,
                                                                        mutable_bytes buffer) {
  const auto room = transport_.room_for(path);
  if (dtls_->current_state() != dtls::session::state::connected ||
      buffer.size() < room.before + room.after + options_.mtu)
    return std::nullopt;
  std::array<std::uint8_t, max_datagram_size> plain;
  const auto packet = sctp_->poll_transmit(now, plain);
  if (!packet) return std::nullopt;
  const auto record = dtls_->protect(
      now, packet->bytes, buffer.subspan(room.before, buffer.size() - room.before - room.after));
  if (!record) return std::nullopt;  // SCTP sends again what was lost.
  return transport_.wrap(now, path, buffer, record->size(), packet->traffic);
}

/// After the end: SCTP's ABORT and DTLS's close_notify, over the path there was, and then what
/// the transport has to say.
std::optional<addressed_transmit> connection::implementation::poll_farewell(time_point now,
                                                                            mutable_bytes buffer) {
  if (!farewell_path_) return std::nullopt;
  if (dtls_) {
    if (auto abort = poll_sctp(now, *farewell_path_, buffer)) return abort;
    dtls_->close(now);
    if (auto alert = poll_dtls(now, *farewell_path_, buffer)) return alert;
  }
  farewell_path_.reset();
  transport_.close(now);
  advance_ice(now);
  return std::nullopt;
}

std::optional<time_point> connection::implementation::poll_timeout() const {
  if (signaling_ == signaling_state::closed)
    return farewell_path_ ? std::nullopt : transport_.poll_timeout();
  auto next = earliest(transport_.poll_timeout(), restart_deadline_);
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
  return transport_.local_credentials().ufrag;
}

std::optional<data_channel_info> connection::implementation::channel(channel_handle handle) const {
  return channels_.info(open_sctp(), handle);
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

transport_statistics connection::implementation::transport_stats() const {
  const auto& counted = transport_.stats();
  transport_statistics out{.packets_sent = counted.datagrams_sent,
                           .packets_received = counted.datagrams_received,
                           .bytes_sent = counted.bytes_sent,
                           .bytes_received = counted.bytes_received,
                           .ice_role = transport_.current_role(),
                           .ice_state = transport_.current_state(),
                           .ice_local_username_fragment = transport_.local_credentials().ufrag,
                           .selected_candidate_pair_changes = counted.selected_pair_changes};
  for (const auto& pair : transport_.pair_stats())
    if (pair.selected) out.selected_candidate_pair_id = pair.id;
  if (dtls_) {
    out.dtls_state = dtls_->current_state();
    out.dtls_role = dtls_->role();
    out.dtls_cipher = dtls_->cipher_suite();
  }
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
