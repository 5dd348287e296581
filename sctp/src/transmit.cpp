#include <algorithm>
#include <cassert>

#include "association_impl.hpp"

namespace weft::sctp {

std::size_t association::impl::max_payload() const noexcept {
  return options_.max_packet_size - common_header_size - data_header_size;
}

/// What a_rwnd says (RFC 9260 §6.2.1).
std::size_t association::impl::receive_room() const noexcept {
  const std::size_t held = reassembly_.held_bytes();
  return held < options_.receive_window ? options_.receive_window - held : 0;
}

std::optional<transmit> association::impl::poll_transmit(time_point now, mutable_bytes buffer) {
  advance(now);
  if (buffer.size() < options_.max_packet_size) return std::nullopt;
  buffer = buffer.first(options_.max_packet_size);
  const_bytes packet;
  if (!replies_.empty()) {
    packet = build_reply(buffer);
  } else if (state_ == association_state::cookie_wait) {
    packet = build_init(buffer);
  } else if (state_ != association_state::closed) {
    packet = build_packet(buffer);
  }
  if (packet.empty()) return std::nullopt;
  ++stats_.packets_sent;
  stats_.bytes_sent += packet.size();
  return transmit{packet};
}

const_bytes association::impl::build_reply(mutable_bytes buffer) {
  const reply r = replies_.pop_front();
  packet_builder packet{buffer, options_.local_port, options_.remote_port, r.tag};
  return packet.add(r.type, r.flags, r.value).finish();
}

const_bytes association::impl::build_init(mutable_bytes buffer) {
  if (!std::exchange(init_due_, false)) return {};
  const auto parameters = init_parameters({}, {});
  init_chunk init = own_init(agreed_.local_tag, agreed_.local_initial_tsn);
  init.parameters = parameters;
  packet_builder packet{buffer, options_.local_port, options_.remote_port, 0};
  return packet.add(chunk_type::init, init).finish();
}

const_bytes association::impl::build_packet(mutable_bytes buffer) {
  packet_builder packet{buffer, options_.local_port, options_.remote_port, agreed_.peer_tag};
  const bool opens = state_ == association_state::cookie_echoed;
  if (opens) {  // RFC 9260 §5.1 C: one packet, with DATA behind the COOKIE ECHO.
    if (!std::exchange(cookie_echo_due_, false)) return {};
    packet.add(chunk_type::cookie_echo, 0, cookie_);
  }
  while (!queue_.empty() && drop_expired()) {
  }
  add_control(packet);
  bool closing = shutdown_due_ || shutdown_ack_due_;
  if (!closing && can_send_data()) {
    while (add_data(packet)) {
    }
    fast_retransmit_due_ = fast_retransmit_due_ && packet.empty();
    if (!running(timer::rtx) && !outstanding_.empty()) start_timer(timer::rtx, rto_.rto());
  }
  if (std::exchange(shutdown_due_, false)) {
    packet.add_shutdown(static_cast<std::uint32_t>(tracker_.cumulative()));
    start_timer(timer::shutdown, rto_.rto());
  }
  if (std::exchange(shutdown_ack_due_, false)) {
    packet.add(chunk_type::shutdown_ack, 0, {});
    start_timer(timer::shutdown, rto_.rto());
  }
  assert(packet.ok());
  if (packet.empty()) return {};
  const bool zero_checksum =
      !opens && options_.zero_checksum && agreed_.peer_zero_checksum;  // RFC 9653 §5.2
  return zero_checksum ? packet.finish_without_checksum() : packet.finish();
}

/// Control chunks come first (RFC 9260 §6.10); of the larger ones as many as fit.
void association::impl::add_control(packet_builder& packet) {
  if (std::exchange(cookie_ack_due_, false)) packet.add(chunk_type::cookie_ack, 0, {});
  // A delayed SACK goes along for free where it takes no DATA out of the packet.
  if (!sack_due_ && running(timer::sack)) {
    const std::size_t data = next_data_size();
    sack_due_ =
        data > 0 && packet.room() >= padded(data) + data_header_size + 16 && !tracker_.has_gaps();
  }
  if (sack_due_) add_sack(packet);
  if (forward_tsn_due_) add_forward_tsn(packet);
  if (heartbeat_ack_ && packet.room() >= chunk_header_size + heartbeat_ack_->size()) {
    packet.add(chunk_type::heartbeat_ack, 0, *heartbeat_ack_);
    heartbeat_ack_.reset();
  }
  if (!errors_due_.empty() && packet.room() >= chunk_header_size + errors_due_.size()) {
    packet.add(chunk_type::error, 0, errors_due_);
    errors_due_.clear();
  }
  if (response_due_ || reset_request_due_ || !reset_wanted_.empty()) add_re_config(packet);
  if (heartbeat_due_ && packet.room() >= 16) {
    heartbeat_due_ = false;
    std::array<std::uint8_t, 8> nonce{};
    random_->fill(nonce);
    heartbeat_nonce_ = byte_reader{nonce}.u64();
    heartbeat_sent_ = now_;
    std::array<std::uint8_t, 12> info{};
    tlv_writer{info}.add(parameter_type::heartbeat_info, nonce);
    packet.add(chunk_type::heartbeat, 0, info);
    start_timer(timer::heartbeat, rto_.rto());
  }
}

void association::impl::add_sack(packet_builder& packet) {
  constexpr std::size_t fixed = 16;
  const auto duplicates = tracker_.duplicates();
  if (packet.room() < fixed + 4 * duplicates.size()) return;
  std::array<gap_block, max_datagram_size / 4> gaps;
  const std::size_t room = (packet.room() - fixed) / 4 - duplicates.size();
  const std::size_t count = tracker_.gap_blocks(std::span{gaps}.first(std::min(room, gaps.size())));
  announced_window_ = std::min<std::size_t>(receive_room(), 0xffffffff);
  packet.add_sack(static_cast<std::uint32_t>(tracker_.cumulative()),
                  static_cast<std::uint32_t>(announced_window_), std::span{gaps}.first(count),
                  duplicates);
  tracker_.clear_duplicates();
  packets_since_sack_ = 0;
  sack_due_ = false;
  stop_timer(timer::sack);
}

void association::impl::add_forward_tsn(packet_builder& packet) {
  constexpr std::size_t fixed = 8;
  if (packet.room() < fixed + 4) return;
  const std::uint64_t to = outstanding_.forward(skipped_, (packet.room() - fixed) / 4);
  forward_tsn_due_ = false;
  if (to > outstanding_.cumulative_ack())
    packet.add_forward_tsn(static_cast<std::uint32_t>(to), skipped_);
  if (!running(timer::rtx)) start_timer(timer::rtx, rto_.rto());  // RFC 3758 §3.5 C5
}

/// Returns whether a chunk was added.
bool association::impl::add_data(packet_builder& packet) {
  if (outstanding_.has_lost()) return add_lost(packet);
  return !queue_.empty() && add_new(packet);
}

/// RFC 9260 §6.3.3 E3, §7.2.4. Within the congestion window, but for the first packet of a fast
/// retransmission.
bool association::impl::add_lost(packet_builder& packet) {
  if (outstanding_.bytes_in_flight() >= congestion_.window() && !fast_retransmit_due_) return false;
  const std::uint64_t tsn = *outstanding_.next_lost();
  const auto& c = outstanding_[tsn];
  const outgoing_message& m = messages_[c.message];
  if (m.expires <= now_ && agreed_.peer_forward_tsn) {
    abandon(c.message);
    update_forward_tsn();
    return true;
  }
  if (packet.room() < data_header_size + padded(c.length)) return false;
  if (timed_tsn_ == tsn) timed_tsn_.reset();  // RFC 9260 §6.3.1 C5
  const bool oldest = tsn == outstanding_.cumulative_ack() + 1;
  outstanding_.retransmitted(tsn);
  write_chunk(packet, tsn);
  ++stats_.chunks_retransmitted;
  if (oldest) start_timer(timer::rtx, rto_.rto());  // RFC 9260 §7.2.4, step 4
  return true;
}

bool association::impl::add_new(packet_builder& packet) {
  if (drop_expired()) return true;
  const std::uint32_t index = queue_.current();
  const outgoing_message& m = messages_[index];
  const std::size_t offset = m.cut;
  const std::size_t size = std::min(m.payload.size() - offset, max_payload());
  if (packet.room() < data_header_size + padded(size) || !window_is_open(size)) return false;
  if (outstanding_.empty() && now_ - last_sent_ > rto_.rto()) congestion_.idle();
  last_sent_ = now_;
  queue_.cut(size);
  const std::uint64_t tsn = outstanding_.add(index, offset, size);
  if (!timed_tsn_) {
    timed_tsn_ = tsn;
    timed_at_ = now_;
  }
  write_chunk(packet, tsn);
  return true;
}

void association::impl::write_chunk(packet_builder& packet, std::uint64_t tsn) {
  const auto& c = outstanding_[tsn];
  const outgoing_message& m = messages_[c.message];
  data_chunk out;
  out.tsn = static_cast<std::uint32_t>(tsn);
  out.stream = c.stream;
  out.ssn = c.ssn;
  out.ppid = m.ppid;
  out.unordered = c.unordered;
  out.beginning = c.offset == 0;
  out.ending = c.offset + c.length == m.payload.size();
  out.payload = const_bytes{m.payload}.subspan(c.offset, c.length);
  // RFC 7053 §4.1: the sender cannot go on without the SACK, so it should not be delayed.
  out.immediate =
      queue_.empty() ? state_ != association_state::established : !window_is_open(max_payload());
  packet.add(out);
  ++stats_.chunks_sent;
}

/// What the next DATA chunk carries if it may go now; zero if none may.
std::size_t association::impl::next_data_size() {
  if (!can_send_data()) return 0;
  if (const auto lost = outstanding_.next_lost())
    return outstanding_.bytes_in_flight() < congestion_.window() || fast_retransmit_due_
               ? outstanding_[*lost].length
               : 0;
  if (queue_.empty()) return 0;
  const outgoing_message& m = messages_[queue_.current()];
  const std::size_t size = std::min(m.payload.size() - m.cut, max_payload());
  return window_is_open(size) ? size : 0;
}

/// RFC 9260 §6.1 A, B. Deviation from D: no Max.Burst. What the window has room for may go at
/// once, as four packets per SACK make recovery from a burst of losses crawl.
bool association::impl::window_is_open(std::size_t bytes) const noexcept {
  const std::size_t flight = outstanding_.bytes_in_flight();
  if (outstanding_.size() >= options_.max_tsn_window || flight >= congestion_.window())
    return false;
  return flight + bytes <= peer_window_ || flight == 0;  // A probe, when the window is zero.
}

/// Gives the current message up when its time is over. Returns whether it did.
bool association::impl::drop_expired() {
  const std::uint32_t index = queue_.current();
  const outgoing_message& m = messages_[index];
  if (m.expires > now_) return false;
  if (m.cut == 0) {
    queue_.drop_current();
    ++stats_.messages_abandoned_unsent;
    release(index);
    return true;
  }
  if (!agreed_.peer_forward_tsn) return false;  // RFC 3758 §3.3.1: it has to be finished.
  abandon(index);
  update_forward_tsn();
  return true;
}

/// Gives up a message of which something was sent.
void association::impl::abandon(std::uint32_t message) {
  const bool unfinished = !messages_[message].fully_cut();
  if (unfinished) queue_.drop_current();
  outstanding_.abandon(message, unfinished);
  ++stats_.messages_abandoned_sent;
  release(message);
}

void association::impl::release(std::uint32_t message) {
  outgoing_message& m = messages_[message];
  unacknowledged_ -= m.payload.size();
  pool_.give(std::move(m.payload));
  m.abandoned = true;
  messages_.release(message);
}

/// Works off what `outstanding_` found out about messages.
void association::impl::collect_released() {
  while (const auto finished = outstanding_.poll_finished()) release(*finished);
  while (const auto exhausted = outstanding_.poll_exhausted())
    if (agreed_.peer_forward_tsn && !messages_[*exhausted].abandoned) abandon(*exhausted);
}

/// RFC 3758 §3.5 C3
void association::impl::update_forward_tsn() {
  if (!outstanding_.empty() && outstanding_.advanced_ack_point() > outstanding_.cumulative_ack())
    forward_tsn_due_ = true;
}

/// Goes a step on in RFC 9260 §9.2 when nothing is left to be delivered.
void association::impl::continue_shutdown() {
  if (!queue_.empty() || !outstanding_.empty()) return;
  if (state_ == association_state::shutdown_pending) {
    state_ = association_state::shutdown_sent;
    shutdown_due_ = true;
  } else if (state_ == association_state::shutdown_received) {
    state_ = association_state::shutdown_ack_sent;
    shutdown_ack_due_ = true;
  }
}

std::optional<time_point> association::impl::poll_timeout() const {
  const time_point first = *std::ranges::min_element(timers_);
  if (first == never) return std::nullopt;
  return first;
}

void association::impl::handle_timeout(time_point now) {
  advance(now);
  const auto expired = [&](timer t) {
    if (timer_at(t) > now_) return false;
    stop_timer(t);
    return true;
  };
  if (expired(timer::sack)) sack_due_ = true;
  if (expired(timer::init)) handshake_timeout();
  if (expired(timer::rtx)) rtx_timeout();
  if (expired(timer::shutdown)) shutdown_timeout();
  if (expired(timer::re_config)) re_config_timeout();
  if (expired(timer::heartbeat)) heartbeat_timeout();
  if (expired(timer::guard))
    fail_association(close_reason::shutdown_timeout, error_cause::user_initiated_abort,
                     "shutdown timed out");
}

/// T3-rtx (RFC 9260 §6.3.3)
void association::impl::rtx_timeout() {
  ++stats_.timeouts;
  rto_.back_off();
  // A closed window is not congestion: the probe is repeated, the congestion window stays.
  const bool probing = peer_window_ < max_payload() && outstanding_.size() == 1;
  if (!probing) congestion_.timed_out();
  timed_tsn_.reset();
  fast_retransmit_due_ = false;
  outstanding_.time_out();
  collect_released();
  update_forward_tsn();
  if (state_ != association_state::cookie_echoed) count_error();  // There, T1 counts.
  if (state_ != association_state::closed && !outstanding_.empty())
    start_timer(timer::rtx, rto_.rto());
}

/// T2-shutdown (RFC 9260 §9.2)
void association::impl::shutdown_timeout() {
  rto_.back_off();
  count_error();
  if (state_ == association_state::shutdown_sent) shutdown_due_ = true;
  if (state_ == association_state::shutdown_ack_sent) shutdown_ack_due_ = true;
}

/// RFC 9260 §8.3. A path is idle when nothing came from the peer for an interval.
void association::impl::heartbeat_timeout() {
  if (heartbeat_nonce_) {  // No answer within an RTO.
    heartbeat_nonce_.reset();
    rto_.back_off();
    count_error();
    if (state_ == association_state::closed) return;
    heartbeat_due_ = true;
    return;
  }
  const duration silent = now_ - last_heard_;
  if (silent < options_.heartbeat_interval) {
    start_timer(timer::heartbeat, options_.heartbeat_interval - silent);
    return;
  }
  if (!outstanding_.empty()) {  // T3-rtx watches the path.
    start_timer(timer::heartbeat, options_.heartbeat_interval);
    return;
  }
  heartbeat_due_ = true;
  pool_.clear();
}

}  // namespace weft::sctp
