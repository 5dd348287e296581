#include <algorithm>

#include <weft/turn/channel_data.hpp>
#include <weft/turn/framing.hpp>

#include "server_core.hpp"

// Streams of clients: TCP, and TLS above it.
namespace weft::turn {
namespace {

// What a stream keeps allocated between frames: that of common datagrams.
constexpr std::size_t kept_capacity = 2048;

}  // namespace

bool server_core::handle_connected(time_point now, const five_tuple& client) {
  advance(now);
  if (streams_.size() >= options_.max_streams || streams_.find(client) != nullptr ||
      client.protocol != transport_protocol::tcp) {
    ++stats_.streams_refused;
    return false;
  }
  const std::uint64_t age = ++stream_age_;
  stream& s = idle_streams_[age];
  s.age = age;
  s.client = client;
  s.idle_since = now_;
  streams_.insert(client, &s);
  limit_idle_streams();
  return streams_.find(client) != nullptr;
}

server::stream_step server_core::handle_stream(time_point now, const five_tuple& client,
                                               const_bytes chunk) {
  using next = server::stream_step::next;
  advance(now);
  stream* s = streams_.find(client);
  if (s == nullptr) return {.then = next::close};
  server::stream_step step;
  if (s->joined) {
    step.then = next::joined;
    step.connection = *s->joined;
    return step;
  }
  const auto frame = next_stream_frame(*s, chunk, step);
  if (step.then == next::close) {
    ++stats_.malformed;
    handle_disconnected(now, client);
    return step;
  }
  if (!frame) return step;
  step.forward =
      is_channel_data(*frame) ? relay_channel_data(client, *frame) : handle_stun(client, *frame);
  // The request may have ended the stream, or joined it.
  s = streams_.find(client);
  if (s == nullptr) {
    step.then = next::close;
  } else if (s->joined) {
    step.then = next::joined;
    step.connection = *s->joined;
  }
  return step;
}

// The next whole frame, in the chunk or in the stream's memory, with what it took of the chunk.
std::optional<const_bytes> server_core::next_stream_frame(stream& s, const_bytes chunk,
                                                          server::stream_step& step) {
  using kind = stream_frame::kind;
  const std::size_t limit = s.idle ? options_.idle_stream_buffer : options_.stream_buffer;
  if (s.frame_is_done) {
    s.frame_is_done = false;
    s.partial.clear();
    if (s.partial.capacity() > kept_capacity) s.partial.shrink_to_fit();
  }
  const auto fits = [&](const stream_frame& frame) {
    if (frame.what != kind::not_turn && frame.size <= limit) return true;
    step.then = server::stream_step::next::close;
    return false;
  };

  if (s.partial.empty()) {
    const stream_frame frame = next_frame(chunk);
    if (!fits(frame)) return std::nullopt;
    if (frame.what != kind::need_more) {
      step.consumed = frame.size;
      return chunk.first(frame.size);
    }
    s.partial.assign(chunk.begin(), chunk.end());
    step.consumed = chunk.size();
    return std::nullopt;
  }
  while (step.consumed < chunk.size()) {
    // First what tells the frame's size, then the rest of the frame.
    const stream_frame before = next_frame(s.partial);
    if (!fits(before)) return std::nullopt;
    const std::size_t count =
        std::min(before.size - s.partial.size(), chunk.size() - step.consumed);
    const const_bytes more = chunk.subspan(step.consumed, count);
    s.partial.insert(s.partial.end(), more.begin(), more.end());
    step.consumed += count;
    const stream_frame frame = next_frame(s.partial);
    if (!fits(frame)) return std::nullopt;
    if (frame.what == kind::need_more) continue;
    s.frame_is_done = true;
    return const_bytes{s.partial};
  }
  return std::nullopt;
}

void server_core::handle_disconnected(time_point now, const five_tuple& client) {
  advance(now);
  if (stream* const s = streams_.find(client)) {
    if (const auto joined = s->joined) {
      if (peer_connection* const c = find_connection(*joined)) {
        push(server::close_peer{c->id});
        forget_connection(*c);
      }
    }
    forget_stream(*s);
  }
  allocation* const a = clients_.find(client);
  if (a == nullptr) return;
  if (a->moving_to == client) {
    clients_.erase(client);
    a->moving_to.reset();
    if (a->client.remote.address) return;
  } else if (a->moving_to) {
    finish_move(*a);  // RFC 8016 §3.2.2
    return;
  }
  if (a->mobile && a->is_open() && a->transport == relayed_transport::udp)
    detach(*a);
  else
    end(*a, allocation_end::disconnected);
}

void server_core::set_busy(const five_tuple& client) {
  stream* const s = streams_.find(client);
  if (s == nullptr || !s->idle) return;
  s->idle = false;
  busy_streams_.insert(idle_streams_.extract(s->age));
}

// An old stream that has lost its allocation has the time of a new one.
void server_core::set_idle(const five_tuple& client) {
  stream* const s = streams_.find(client);
  if (s == nullptr || s->idle) return;
  auto node = busy_streams_.extract(s->age);
  s->idle = true;
  s->idle_since = now_;
  s->age = ++stream_age_;
  node.key() = s->age;
  idle_streams_.insert(std::move(node));
  limit_idle_streams();
}

void server_core::limit_idle_streams() {
  if (idle_streams_.size() <= options_.max_idle_streams) return;
  ++stats_.streams_timed_out;
  close_stream(idle_streams_.begin()->second);
}

void server_core::forget_stream(stream& s) {
  const std::uint64_t age = s.age;
  streams_.erase(s.client);
  (s.idle ? idle_streams_ : busy_streams_).erase(age);
}

void server_core::close_stream(stream& s) {
  push(server::close_stream{s.client});
  forget_stream(s);
}

void server_core::close_abandoned(const five_tuple& client) {
  if (stream* const s = streams_.find(client)) close_stream(*s);
}

void server_core::close_idle_streams() {
  while (!idle_streams_.empty() &&
         idle_streams_.begin()->second.idle_since + options_.idle_stream_timeout <= now_) {
    ++stats_.streams_timed_out;
    close_stream(idle_streams_.begin()->second);
  }
}

}  // namespace weft::turn
