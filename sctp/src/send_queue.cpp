#include "send_queue.hpp"

#include <algorithm>

namespace weft::sctp {

void send_queue::push(std::uint32_t message) {
  outgoing_message& m = (*messages_)[message];
  m.next = none;
  const std::uint32_t index = find_or_add(m.stream);
  stream_state& s = streams_[index];
  s.buffered += m.payload.size();
  buffered_ += m.payload.size();
  if (s.head == none) {
    s.head = s.tail = message;
    append_ready(index);
  } else {
    (*messages_)[s.tail].next = message;
    s.tail = message;
  }
}

void send_queue::cut(std::size_t bytes) {
  stream_state& s = streams_[first_ready_];
  outgoing_message& m = (*messages_)[s.head];
  if (m.cut == 0 && !m.unordered) m.ssn = s.next_ssn++;
  m.cut += static_cast<std::uint32_t>(bytes);
  reduce(s, bytes);
  if (m.fully_cut()) finish_current();
}

void send_queue::drop_current() {
  stream_state& s = streams_[first_ready_];
  const outgoing_message& m = (*messages_)[s.head];
  reduce(s, m.payload.size() - m.cut);
  finish_current();
}

void send_queue::finish_current() {
  const std::uint32_t index = first_ready_;
  stream_state& s = streams_[index];
  s.head = (*messages_)[s.head].next;
  if (s.head == none) s.tail = none;
  first_ready_ = s.next_ready;
  if (first_ready_ == none) last_ready_ = none;
  if (s.head != none) append_ready(index);
}

void send_queue::append_ready(std::uint32_t index) {
  streams_[index].next_ready = none;
  if (last_ready_ == none) {
    first_ready_ = last_ready_ = index;
  } else {
    streams_[last_ready_].next_ready = index;
    last_ready_ = index;
  }
}

void send_queue::reduce(stream_state& s, std::size_t bytes) {
  const bool above = s.buffered > s.low_threshold;
  s.buffered -= bytes;
  buffered_ -= bytes;
  if (above && s.buffered <= s.low_threshold && !s.low_pending) {
    s.low_pending = true;
    low_.push_back(s.id);
  }
}

std::optional<std::uint16_t> send_queue::poll_low() {
  if (low_.empty()) return std::nullopt;
  const std::uint16_t stream = low_.pop_front();
  streams_[index_[stream]].low_pending = false;
  return stream;
}

std::size_t send_queue::buffered(std::uint16_t stream) const noexcept {
  const stream_state* s = find(stream);
  return s == nullptr ? 0 : s->buffered;
}

void send_queue::set_low_threshold(std::uint16_t stream, std::size_t bytes) {
  streams_[find_or_add(stream)].low_threshold = bytes;
}

bool send_queue::drained(std::uint16_t stream) const noexcept {
  const stream_state* s = find(stream);
  return s == nullptr || s->head == none;
}

void send_queue::set_resetting(std::uint16_t stream, bool resetting) {
  streams_[find_or_add(stream)].resetting = resetting;
}

bool send_queue::resetting(std::uint16_t stream) const noexcept {
  const stream_state* s = find(stream);
  return s != nullptr && s->resetting;
}

void send_queue::restart_ssn(std::uint16_t stream) {
  streams_[find_or_add(stream)].next_ssn = 0;
}

void send_queue::restart() {
  for (stream_state& s : streams_) {
    s.next_ssn = 0;
    s.resetting = false;
  }
}

const send_queue::stream_state* send_queue::find(std::uint16_t stream) const noexcept {
  if (stream >= index_.size() || index_[stream] == none) return nullptr;
  return &streams_[index_[stream]];
}

std::uint32_t send_queue::find_or_add(std::uint16_t stream) {
  if (stream >= index_.size())
    index_.resize(std::max<std::size_t>(std::size_t{stream} + 1, 16), none);
  if (index_[stream] == none) {
    index_[stream] = static_cast<std::uint32_t>(streams_.size());
    streams_.emplace_back().id = stream;
  }
  return index_[stream];
}

}  // namespace weft::sctp
