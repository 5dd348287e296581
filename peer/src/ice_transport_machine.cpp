// How a transport moves: datagrams, streams and time.
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "ice_transport_implementation.hpp"

namespace weft::peer {
namespace {

/// Events wait for the application; beyond this many, what causes more waits with them.
constexpr std::size_t max_waiting_events = 256;

/// Checks that wait for a permission: of each pair one, and ICE begins no more than 100.
constexpr std::size_t max_held_checks = 100;

}  // namespace

// Inputs

bool ice_transport::implementation::handle_input(time_point now, const five_tuple& path,
                                                 const_bytes bytes) {
  now_ = now = std::max(now, now_);
  if (auto* const r = find_relay(path)) {
    const bool ours = r->way.handle_input(now, bytes);
    if (ours || path.protocol == transport_protocol::tcp) {
      pending_ = true;
      read_relay(now, *r);
      advance(now);
      return true;
    }
  }
  if (closed_) return false;
  const bool ours = path.protocol == transport_protocol::tcp ? read_stream(now, path, bytes)
                                                             : take(now, path, bytes);
  advance(now);
  return ours;
}

void ice_transport::implementation::read_relay(time_point now, relay_entry& r) {
  while (const auto data = r.way.receive(now)) {
    const auto relayed = r.way.relayed(turn::family_of(data->peer.address));
    if (relayed && !closed_)
      (void)take(now, {*relayed, data->peer, transport_protocol::udp}, data->bytes);
  }
}

/// A datagram, or a message of a stream, that has come to an address of the agent's.
bool ice_transport::implementation::take(time_point now, const five_tuple& path,
                                         const_bytes datagram) {
  if (agent.handle_input(now, path, datagram)) {
    pending_ = true;
    return true;
  }
  if (!agent.is_valid_path(path)) {
    ++stats.unvalidated;
    return false;
  }
  ++stats.datagrams_received;
  stats.bytes_received += datagram.size();
  agent.count_received(now, path, datagram.size());
  if (!arrived_.push(path, datagram)) ++stats.overflowed;
  return true;
}

bool ice_transport::implementation::read_stream(time_point now, const five_tuple& path,
                                                const_bytes bytes) {
  const auto at = streams_.find(path);
  if (at == streams_.end() || !at->second.is_connected) return false;
  at->second.frames.feed(bytes);
  while (const auto message = at->second.frames.next()) (void)take(now, path, *message);
  if (at->second.frames.has_failed()) {
    ++stats.bad_streams;
    end_stream(now, path);
  }
  return true;
}

void ice_transport::implementation::end_stream(time_point now, five_tuple path) {
  streams_.erase(path);
  events_.push_back(disconnect{path});
  agent.handle_disconnected(now, path);
  pending_ = true;
}

void ice_transport::implementation::handle_connected(time_point now, const five_tuple& path) {
  now_ = now = std::max(now, now_);
  if (auto* const r = find_relay(path)) {
    r->way.handle_connected(now);
  } else if (const auto at = streams_.find(path); at != streams_.end()) {
    if (!std::exchange(at->second.is_connected, true)) agent.handle_connected(now, path);
  } else {
    const bool welcome = std::ranges::any_of(locals_, [&](const local& l) {
      return l.protocol == transport_protocol::tcp && l.base == path.local;
    });
    if (closed_ || !welcome)
      events_.push_back(disconnect{path});
    else
      accept(now, path);
  }
  wake(now);
}

/// Anybody can connect. All that have not proved whose they are share half of the places, and the
/// eldest of them makes room.
void ice_transport::implementation::accept(time_point now, const five_tuple& path) {
  std::size_t unproved = 0;
  auto eldest = streams_.end();
  for (auto at = streams_.begin(); at != streams_.end(); ++at) {
    if (!at->second.deadline || agent.is_valid_path(at->first)) continue;
    ++unproved;
    if (eldest == streams_.end() || at->second.deadline < eldest->second.deadline) eldest = at;
  }
  const auto is_full = [&] { return streams_.size() >= options_.max_streams; };
  if (eldest != streams_.end() && (is_full() || unproved >= options_.max_streams / 2)) {
    ++stats.bad_streams;
    end_stream(now, eldest->first);
  }
  if (is_full()) {
    ++stats.bad_streams;
    events_.push_back(disconnect{path});
    return;
  }
  streams_[path] = {.is_connected = true, .deadline = now + options_.connect_timeout};
}

void ice_transport::implementation::handle_disconnected(time_point now, const five_tuple& path) {
  now_ = now = std::max(now, now_);
  if (auto* const r = find_relay(path)) {
    r->way.handle_disconnected(now);
  } else {
    streams_.erase(path);
    agent.handle_disconnected(now, path);
  }
  wake(now);
}

void ice_transport::implementation::handle_timeout(time_point now) {
  now_ = now = std::max(now, now_);
  agent.handle_timeout(now);
  for (std::size_t i = 0; i < relays_.size(); ++i) relays_[i].way.handle_timeout(now);
  for (auto& s : servers_)
    if (s.resolving_until && *s.resolving_until <= now)
      forget_name(now, s, "the server's name was not found in time");
  std::vector<five_tuple> idle;
  for (auto& [path, s] : streams_) {
    if (!s.deadline || now < *s.deadline) continue;
    s.deadline.reset();
    if (!agent.is_valid_path(path)) idle.push_back(path);
  }
  for (const auto& path : idle) end_stream(now, path);
  wake(now);
}

// What follows

void ice_transport::implementation::wake(time_point now) {
  now_ = std::max(now, now_);
  pending_ = true;
  advance(now_);
}

void ice_transport::implementation::advance(time_point now) {
  follow_relays(now);
  follow_agent(now);
}

void ice_transport::implementation::follow_agent(time_point now) {
  while (events_.size() < max_waiting_events) {
    auto e = agent.poll_event();
    if (!e) break;
    handle_agent_event(now, *std::move(e));
  }
}

void ice_transport::implementation::handle_agent_event(time_point now, ice::agent::event&& e) {
  if (const auto* failed = std::get_if<ice::agent::gathering_error>(&e)) {
    events_.push_back(candidate_error{{}, failed->server.url, failed->code, failed->text});
  } else if (auto* asked = std::get_if<ice::agent::resolve_name>(&e)) {
    events_.push_back(resolve_name{std::move(asked->name)});
  } else if (const auto* unused = std::get_if<ice::agent::path_released>(&e)) {
    if (streams_.erase(unused->path) > 0) events_.push_back(disconnect{unused->path});
  } else if (const auto* selected = std::get_if<ice::agent::selected_pair_changed>(&e)) {
    ++stats.selected_pair_changes;
    if (auto* const r = find_relayed(selected->pair.local); r != nullptr && r->way.client())
      (void)r->way.client()->bind_channel(now, selected->pair.remote);
    release_stale_permissions(now, stale_.size());
    pending_ = true;
    events_.push_back(*selected);
  } else if (std::holds_alternative<ice::agent::gathering_complete>(e)) {
    gathering_is_complete = true;
    events_.push_back(gathering_complete{});
  } else {
    std::visit(
        [this]<class Event>(Event& same) {
          if constexpr (std::is_constructible_v<event, Event>) events_.push_back(std::move(same));
        },
        e);
  }
}

// Outputs

std::optional<addressed_transmit> ice_transport::implementation::poll_transmit(
    time_point now, mutable_bytes buffer) {
  if (!pending_) return std::nullopt;
  now_ = now = std::max(now, now_);
  for (auto& r : relays_)
    if (auto out = r.way.poll_transmit(now, buffer)) return out;
  if (auto out = poll_held(now, buffer)) return out;
  if (auto out = poll_agent(now, buffer)) return out;
  if (buffer.size() >= max_datagram_size) pending_ = false;
  return std::nullopt;
}

std::optional<addressed_transmit> ice_transport::implementation::poll_agent(time_point now,
                                                                            mutable_bytes buffer) {
  while (const auto check = agent.poll_transmit(now, buffer))
    if (auto out = send_check(now, *check, buffer)) return out;
  return std::nullopt;
}

/// Wraps what the agent has to send, or asks for what it lacks to be sent; the agent repeats it.
std::optional<addressed_transmit> ice_transport::implementation::send_check(
    time_point now, const addressed_transmit& check, mutable_bytes buffer) {
  const five_tuple path{check.local, check.remote, check.protocol};
  if (check.protocol == transport_protocol::udp) {
    if (find_relayed(check.local) == nullptr) return check;
    return relay_check(now, check.local, check.remote, check.bytes, buffer);
  }
  const auto at = streams_.find(path);
  if (at == streams_.end()) {
    if (streams_.size() >= options_.max_streams) {
      ++stats.bad_streams;
      agent.handle_disconnected(now, path);
      return std::nullopt;
    }
    streams_[path];
    const bool any_port = path.local.port == ice::active_port;
    events_.push_back(connect{
        .path = path, .bind = {path.local.address, any_port ? std::uint16_t{} : path.local.port}});
    return std::nullopt;
  }
  const std::size_t size = check.bytes.size();
  if (!at->second.is_connected || buffer.size() < size + ice::frame_header_size)
    return std::nullopt;
  std::memmove(buffer.data() + ice::frame_header_size, check.bytes.data(), size);
  return addressed_transmit{check.local, check.remote, ice::frame_in_place(buffer, size),
                            check.traffic, check.protocol};
}

std::optional<addressed_transmit> ice_transport::implementation::relay_check(
    time_point now, const endpoint& relayed, const endpoint& peer, const_bytes check,
    mutable_bytes buffer) {
  auto* const r = find_relayed(relayed);
  if (r == nullptr) return std::nullopt;
  const auto room = r->way.room_for(peer);
  if (buffer.size() < room.before + check.size() + room.after) {
    ++stats.unsendable;
    return std::nullopt;
  }
  std::memmove(buffer.data() + room.before, check.data(), check.size());
  auto out = r->way.wrap(now, peer, buffer, check.size(), {});
  if (out) return *out;
  if (out.error() != turn::client_error::no_permission) {
    ++stats.unsendable;
    return std::nullopt;
  }
  if (held_.size() >= max_held_checks) held_.pop_front();
  const auto* const at = buffer.data() + room.before;
  held_.push_back({relayed, peer, {at, at + check.size()}});
  (void)r->way.client()->create_permission(now, peer.address);
  return r->way.poll_transmit(now, buffer);  // The request for it, unless one is under way.
}

std::optional<addressed_transmit> ice_transport::implementation::poll_held(time_point now,
                                                                           mutable_bytes buffer) {
  for (;;) {
    const auto due = std::ranges::find_if(held_, &held_check::is_due);
    if (due == held_.end()) return std::nullopt;
    const held_check check = std::move(*due);
    held_.erase(due);
    if (auto out = relay_check(now, check.relayed, check.peer, check.bytes, buffer)) return out;
  }
}

std::optional<time_point> ice_transport::implementation::poll_timeout() const {
  std::optional<time_point> next;
  if (!closed_) next = agent.poll_timeout();
  for (const auto& r : relays_) next = earliest(next, r.way.poll_timeout());
  for (const auto& s : servers_) next = earliest(next, s.resolving_until);
  for (const auto& [path, s] : streams_) next = earliest(next, s.deadline);
  return next;
}

std::optional<ice_transport::event> ice_transport::implementation::poll_event() {
  if (events_.empty()) advance(now_);
  if (events_.empty()) return std::nullopt;
  auto e = std::move(events_.front());
  events_.pop_front();
  return e;
}

// The data path

std::optional<ice_transport::received> ice_transport::implementation::receive() {
  const auto next = arrived_.pop();
  if (!next) return std::nullopt;
  return received{next->first, next->second};
}

bool ice_transport::implementation::is_valid_path(const five_tuple& path) const noexcept {
  return agent.is_valid_path(path);
}

ice_transport::room ice_transport::implementation::room_for(const five_tuple& path) const noexcept {
  if (path.protocol == transport_protocol::tcp) return {ice::frame_header_size, 0};
  if (const auto* const r = find_relayed(path.local)) return r->way.room_for(path.remote);
  return {};
}

std::optional<addressed_transmit> ice_transport::implementation::wrap(time_point now,
                                                                      const five_tuple& path,
                                                                      mutable_bytes buffer,
                                                                      std::size_t size,
                                                                      traffic_class traffic) {
  now_ = now = std::max(now, now_);
  std::optional<addressed_transmit> out;
  if (path.protocol == transport_protocol::tcp) {
    const auto at = streams_.find(path);
    const auto framed = ice::frame_in_place(buffer, size);
    if (at != streams_.end() && at->second.is_connected && !framed.empty())
      out = addressed_transmit{path.local, path.remote, framed, traffic, path.protocol};
  } else if (auto* const r = find_relayed(path.local)) {
    if (auto wrapped = r->way.wrap(now, path.remote, buffer, size, traffic)) out = *wrapped;
    pending_ = true;
  } else if (buffer.size() >= size) {
    out = addressed_transmit{path.local, path.remote, buffer.first(size), traffic};
  }
  if (!out) {
    ++stats.unsendable;
    return std::nullopt;
  }
  ++stats.datagrams_sent;
  stats.bytes_sent += size;
  agent.count_sent(now, path, size);
  return out;
}

// Look-ups

ice_transport::implementation::relay_entry* ice_transport::implementation::find_relay(
    const five_tuple& path) {
  const auto at =
      std::ranges::find_if(relays_, [&](const relay_entry& r) { return r.way.path() == path; });
  return at == relays_.end() ? nullptr : &*at;
}

const ice_transport::implementation::relay_entry* ice_transport::implementation::find_relayed(
    const endpoint& relayed) const {
  const auto at = std::ranges::find_if(
      relays_, [&](const relay_entry& r) { return std::ranges::count(r.addresses, relayed) > 0; });
  return at == relays_.end() ? nullptr : &*at;
}

ice_transport::implementation::relay_entry* ice_transport::implementation::find_relayed(
    const endpoint& relayed) {
  return const_cast<relay_entry*>(std::as_const(*this).find_relayed(relayed));
}

}  // namespace weft::peer
