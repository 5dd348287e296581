#include "internet_tcp.hpp"

#include <algorithm>
#include <utility>

namespace weft::sim {

namespace {

constexpr duration first_timeout = std::chrono::milliseconds{300};
constexpr int most_attempts = 8;                 // 76 s in all.
constexpr std::size_t most_unacknowledged = 64;  // Segments.

}  // namespace

tcp_connection::tcp_connection(side s, stream_layer layer) : side_{s}, layer_{layer} {
  queue(segment::kind::syn);
}

void tcp_connection::queue(segment::kind what, const_bytes bytes) {
  unacknowledged_.push_back(
      {what, layer_, next_number_++, 0, std::vector<std::uint8_t>(bytes.begin(), bytes.end())});
}

bool tcp_connection::write(const_bytes bytes, seeded_random& cuts) {
  if (state_ != state::connected || unacknowledged_.size() >= most_unacknowledged) return false;
  while (!bytes.empty()) {
    const std::size_t most = std::min<std::size_t>(bytes.size(), 1400);
    // One in four is cut in two, so that readers learn to wait for the rest.
    const std::size_t size = cuts.next() % 4 == 0 ? 1 + cuts.next() % most : most;
    queue(segment::kind::data, bytes.first(size));
    bytes = bytes.subspan(size);
  }
  return true;
}

void tcp_connection::close() {
  if (state_ == state::connecting) end();
  if (state_ == state::connected) {
    state_ = state::closing;
    queue(segment::kind::fin);
  }
  events_.clear();
}

void tcp_connection::end() {
  if (state_ != state::over && state_ != state::closing)
    events_.push_back({event::kind::ended, {}});
  state_ = state::over;
  unacknowledged_.clear();
  deadline_.reset();
}

void tcp_connection::receive(time_point now, const segment& s) {
  if (state_ == state::over) return;
  if (s.what == segment::kind::reset) return end();
  acknowledge(now, s.acknowledges);
  proceed();
  if (s.what == segment::kind::acknowledgement) return;
  due_ = true;
  if (s.number >= expected_) early_.emplace(s.number, s);
  for (auto next = early_.find(expected_); next != early_.end(); next = early_.find(expected_)) {
    const segment taken = std::move(next->second);
    early_.erase(next);
    ++expected_;
    take(taken);
    proceed();
  }
}

void tcp_connection::acknowledge(time_point now, std::uint64_t up_to) {
  while (!unacknowledged_.empty() && unacknowledged_.front().number < up_to) {
    unacknowledged_.pop_front();
    if (sent_ > 0) --sent_;
    attempts_ = 0;
    deadline_ = now + first_timeout;
  }
  if (sent_ == 0) deadline_.reset();
}

void tcp_connection::take(const segment& s) {
  switch (s.what) {
    case segment::kind::hello:
      hello_seen_ = true;
      break;
    case segment::kind::data:
      if (state_ == state::connected) events_.push_back({event::kind::bytes, s.bytes});
      break;
    case segment::kind::fin:
      if (state_ != state::connected) break;
      events_.push_back({event::kind::ended, {}});
      state_ = state::closing;
      queue(segment::kind::fin);
      break;
    case segment::kind::syn:
    case segment::kind::acknowledgement:
    case segment::kind::reset:
      break;
  }
}

void tcp_connection::proceed() {
  const bool first_acknowledged =
      unacknowledged_.empty() || unacknowledged_.front().what != segment::kind::syn;
  if (state_ != state::connecting || expected_ == 0 || !first_acknowledged) return;
  if (layer_ == stream_layer::tls) {
    const bool may_greet = side_ == side::opening || hello_seen_;
    if (may_greet && !std::exchange(hello_sent_, hello_sent_ || may_greet))
      queue(segment::kind::hello);
    if (!hello_seen_) return;
  }
  state_ = state::connected;
  events_.push_back({event::kind::connected, {}});
}

void tcp_connection::handle_timeout(time_point now) {
  if (!deadline_ || now < *deadline_) return;
  if (++attempts_ >= most_attempts) return end();
  sent_ = 0;  // All of them again: nobody looks at how efficient this is.
  deadline_ = now + first_timeout * (1 << attempts_);
}

std::optional<segment> tcp_connection::poll_segment(time_point now) {
  if (sent_ < unacknowledged_.size()) {
    segment s = unacknowledged_[sent_++];
    s.acknowledges = expected_;
    due_ = false;
    if (!deadline_) deadline_ = now + first_timeout;
    return s;
  }
  if (!std::exchange(due_, false)) return std::nullopt;
  return segment{segment::kind::acknowledgement, layer_, 0, expected_, {}};
}

std::optional<tcp_connection::event> tcp_connection::poll_event() {
  if (events_.empty()) return std::nullopt;
  event e = std::move(events_.front());
  events_.pop_front();
  return e;
}

}  // namespace weft::sim
