#include <algorithm>

#include <weft/core/serial.hpp>

#include "association_impl.hpp"

namespace weft::sctp {

bool association::impl::handle_input(time_point now, const_bytes bytes) {
  if (bytes.size() < common_header_size || detail::load_u16(bytes.data()) != options_.remote_port ||
      detail::load_u16(bytes.data() + 2) != options_.local_port)
    return false;
  advance(now);
  const auto packet = packet_view::parse(bytes);
  const auto first = packet ? packet->first_chunk() : std::nullopt;
  if (!first) {
    ++stats_.malformed;
    return true;
  }
  if (!checksum_is_valid(*packet, *first)) {
    ++stats_.bad_checksum;
    return true;
  }
  ++stats_.packets_received;
  stats_.bytes_received += bytes.size();

  if (first->type == chunk_type::init) {
    handle_init(*packet, *first);
    return true;
  }
  const bool opens = first->type == chunk_type::cookie_echo;
  const bool strays = state_ == association_state::closed ||
                      (first->type == chunk_type::shutdown_ack &&
                       (state_ == association_state::cookie_wait ||
                        state_ == association_state::cookie_echoed));  // RFC 9260 §8.5.1 E
  if (strays && !opens) {
    ++stats_.out_of_the_blue;
    handle_out_of_the_blue(*packet, *first);
    return true;
  }
  if (!opens && !tag_is_valid(*packet, *first)) {
    ++stats_.bad_tag;
    return true;
  }
  last_heard_ = now_;
  data_in_packet_ = sack_now_ = false;
  const bool had_gaps = tracker_.has_gaps();
  packet->for_each_chunk([&](const chunk_view& chunk) { return handle_chunk(*packet, chunk); });
  if (data_in_packet_ && state_ != association_state::closed) {
    sack_now_ = sack_now_ || had_gaps || tracker_.has_gaps();
    data_arrived();
  }
  return true;
}

/// RFC 9653 §5.3: without a checksum only what we offered to take so, and never what opens an
/// association.
bool association::impl::checksum_is_valid(const packet_view& packet,
                                          const chunk_view& first) const noexcept {
  const bool opens = first.type == chunk_type::init || first.type == chunk_type::cookie_echo;
  if (options_.zero_checksum && !opens && packet.checksum() == 0) return true;
  return packet.has_valid_checksum();
}

/// RFC 9260 §8.5, §8.5.1
bool association::impl::tag_is_valid(const packet_view& packet,
                                     const chunk_view& first) const noexcept {
  const bool may_reflect =
      first.type == chunk_type::abort || first.type == chunk_type::shutdown_complete;
  if (may_reflect && (first.flags & reflected_tag_flag) != 0)
    return agreed_.peer_tag != 0 && packet.verification_tag() == agreed_.peer_tag;
  return packet.verification_tag() == agreed_.local_tag;
}

/// RFC 9260 §8.4
void association::impl::handle_out_of_the_blue(const packet_view& packet, const chunk_view& first) {
  bool silent = false;
  packet.for_each_chunk([&](const chunk_view& chunk) {
    silent = silent || chunk.type == chunk_type::abort ||
             chunk.type == chunk_type::shutdown_complete || chunk.type == chunk_type::cookie_ack ||
             chunk.type == chunk_type::error || chunk.type == chunk_type::init;
    return !silent;
  });
  if (silent) return;
  const chunk_type answer =
      first.type == chunk_type::shutdown_ack ? chunk_type::shutdown_complete : chunk_type::abort;
  push_reply({packet.verification_tag(), answer, reflected_tag_flag, {}});
}

/// Returns whether to go on to the next chunk of the packet.
bool association::impl::handle_chunk(const packet_view& packet, const chunk_view& chunk) {
  switch (chunk.type) {
    case chunk_type::data:
      handle_data(chunk);
      break;
    case chunk_type::sack:
      handle_sack(chunk);
      break;
    case chunk_type::init:
      ++stats_.malformed;
      return false;  // RFC 9260 §3.3.2: alone.
    case chunk_type::init_ack:
      handle_init_ack(chunk);
      return false;
    case chunk_type::cookie_echo:
      return handle_cookie_echo(packet, chunk);
    case chunk_type::cookie_ack:
      handle_cookie_ack();
      break;
    case chunk_type::heartbeat:
      handle_heartbeat(chunk);
      break;
    case chunk_type::heartbeat_ack:
      handle_heartbeat_ack(chunk);
      break;
    case chunk_type::abort:
      handle_abort(chunk);
      return false;
    case chunk_type::error:
      handle_error(chunk);
      break;
    case chunk_type::shutdown:
      handle_shutdown(chunk);
      break;
    case chunk_type::shutdown_ack:
      handle_shutdown_ack();
      break;
    case chunk_type::shutdown_complete:
      handle_shutdown_complete();
      return false;
    case chunk_type::re_config:
      handle_re_config(chunk);
      break;
    case chunk_type::forward_tsn:
      handle_forward_tsn(chunk);
      break;
    default:
      return handle_unknown_chunk(chunk);
  }
  return state_ != association_state::closed;
}

bool association::impl::handle_unknown_chunk(const chunk_view& chunk) {
  ++stats_.unknown_chunks;
  if (unknown_chunk_is_reported(chunk.type))
    add_error(error_cause::unrecognized_chunk_type, chunk.bytes);
  return !unknown_chunk_stops_packet(chunk.type);
}

void association::impl::add_error(error_cause cause, const_bytes value) {
  constexpr std::size_t max_bytes = 512;  // With some room for the rest of a small packet.
  const std::size_t at = padded(errors_due_.size());
  if (at + 4 + value.size() > max_bytes) return;
  errors_due_.resize(at + 4 + value.size());
  tlv_writer{mutable_bytes{errors_due_}.subspan(at)}.add(cause, value);
}

void association::impl::handle_data(const chunk_view& chunk) {
  if (!can_receive_data()) {
    ++stats_.unexpected;
    return;
  }
  const auto c = data_chunk::parse(chunk);
  if (!c || c->payload.empty()) {
    // Deviation from RFC 9260 §6.2, which would abort for want of user data: a bad chunk costs a
    // counter.
    ++stats_.malformed;
    return;
  }
  ++stats_.chunks_received;
  data_in_packet_ = true;
  const std::uint64_t tsn = tracker_.unwrap(c->tsn);
  if (tracker_.received(tsn)) {
    ++stats_.duplicates_received;
    tracker_.note_duplicate(c->tsn);
    sack_now_ = true;
    return;
  }
  // What is next in line is taken above the window too when parts of messages fill it: it may be
  // what completes them. So what is held exceeds the window by less than one message.
  const bool completes = tsn == tracker_.cumulative() + 1 && reassembly_.has_parts();
  const std::size_t limit = options_.receive_window + (completes ? options_.max_message_size : 0);
  if (!tracker_.within_window(tsn) ||
      reassembly_.held_bytes() + c->payload.size() + reassembly::overhead > limit) {
    ++stats_.chunks_refused;
    sack_now_ = true;
    return;
  }
  tracker_.insert(tsn);
  sack_now_ = sack_now_ || c->immediate;        // RFC 7053 §4.2
  if (c->stream >= agreed_.incoming_streams) {  // RFC 9260 §6.5: acknowledged and reported.
    ++stats_.unexpected;
    std::array<std::uint8_t, 4> value{};
    detail::store_u16(value.data(), c->stream);
    add_error(error_cause::invalid_stream_identifier, value);
    return;
  }
  switch (reassembly_.add(tsn, *c, tracker_)) {
    case reassembly::outcome::taken:
      return;
    case reassembly::outcome::misplaced:
      ++stats_.unexpected;
      return;
    case reassembly::outcome::too_large:
      fail_association(close_reason::message_too_large, error_cause::protocol_violation,
                       "message exceeds max-message-size");
      return;
  }
}

/// A packet had DATA: when to say so (RFC 9260 §6.2).
void association::impl::data_arrived() {
  perform_deferred_reset();
  if (state_ == association_state::shutdown_sent) {  // RFC 9260 §9.2
    sack_due_ = shutdown_due_ = true;
    return;
  }
  if (sack_now_ || ++packets_since_sack_ >= 2) {
    sack_due_ = true;
  } else if (!running(timer::sack)) {
    start_timer(timer::sack, options_.sack_delay);
  }
}

void association::impl::handle_sack(const chunk_view& chunk) {
  const auto sack = sack_chunk::parse(chunk);
  if (!sack) {
    ++stats_.malformed;
    return;
  }
  if (!outstanding_.started()) {
    ++stats_.unexpected;
    return;
  }
  const auto cumulative = static_cast<std::uint32_t>(outstanding_.cumulative_ack());
  if (newer_than(cumulative, sack->cumulative_tsn_ack)) return;  // Overtaken (RFC 9260 §6.2.1 D i).
  if (!acknowledge(sack->cumulative_tsn_ack, sack->gap_blocks)) return;
  peer_window_ = sack->a_rwnd;
  if (sack->a_rwnd < max_payload()) errors_ = 0;  // RFC 9260 §6.1 A: closed, but alive.
}

/// What a SACK or SHUTDOWN acknowledges. Returns whether it can be true.
bool association::impl::acknowledge(std::uint32_t cumulative_tsn_ack, const_bytes gap_blocks) {
  const std::size_t flight_before = outstanding_.bytes_in_flight();
  const auto outcome = outstanding_.acknowledge(cumulative_tsn_ack, gap_blocks);
  if (!outcome.valid) {
    ++stats_.unexpected;
    return false;
  }
  if (timed_tsn_ && outstanding_.acknowledged(*timed_tsn_)) {
    rto_.add_round_trip(now_ - timed_at_);
    timed_tsn_.reset();
  }
  congestion_.acknowledged({outcome.bytes_acknowledged, flight_before,
                            outstanding_.cumulative_ack(), outcome.cumulative_advanced,
                            outstanding_.next_tsn() - 1});
  if (outcome.losses && congestion_.lost(outstanding_.next_tsn() - 1)) {
    ++stats_.fast_retransmits;
    fast_retransmit_due_ = true;
  }
  if (outcome.cumulative_advanced) {
    errors_ = 0;
    rto_.recover();
    stop_timer(timer::rtx);  // RFC 9260 §6.3.2 R3: from now, if something is left.
  }
  collect_released();
  update_forward_tsn();
  if (outstanding_.empty()) {
    stop_timer(timer::rtx);
  } else if (!running(timer::rtx)) {
    start_timer(timer::rtx, rto_.rto());
  }
  continue_shutdown();
  return true;
}

/// RFC 3758 §3.6. The window does not bound it: a sender that gave up more than the window takes
/// would wait for ever.
void association::impl::handle_forward_tsn(const chunk_view& chunk) {
  const auto forward = forward_tsn_chunk::parse(chunk);
  if (!forward) {
    ++stats_.malformed;
    return;
  }
  const std::uint64_t to = tracker_.unwrap(forward->new_cumulative_tsn);
  if (!can_receive_data() || !tracker_.within_reach(to)) {
    ++stats_.unexpected;
    return;
  }
  data_in_packet_ = sack_now_ = true;
  const std::uint64_t before = tracker_.cumulative();
  if (to <= before) return;
  reassembly_.forward(before, std::min(to, tracker_.highest()));
  tracker_.forward(to);
  for (std::size_t i = 0; i < forward->stream_count(); ++i) {
    const auto [stream, ssn] = forward->stream(i);
    if (stream < agreed_.incoming_streams) reassembly_.skip(stream, ssn);
  }
}

/// RFC 9260 §8.3: the value goes back as it is; the newest wins.
void association::impl::handle_heartbeat(const chunk_view& chunk) {
  if (state_ == association_state::cookie_wait ||
      chunk.bytes.size() > options_.max_packet_size - common_header_size) {
    ++stats_.unexpected;
    return;
  }
  heartbeat_ack_.emplace(chunk.value().begin(), chunk.value().end());
}

void association::impl::handle_heartbeat_ack(const chunk_view& chunk) {
  const_bytes rest = chunk.value();
  const auto info = take_tlv(rest);
  if (!heartbeat_nonce_ || !info || !info->is(parameter_type::heartbeat_info) ||
      byte_reader{info->value()}.u64() != *heartbeat_nonce_) {
    ++stats_.unexpected;
    return;
  }
  heartbeat_nonce_.reset();
  errors_ = 0;
  rto_.add_round_trip(now_ - heartbeat_sent_);
  start_timer(timer::heartbeat, options_.heartbeat_interval);
}

void association::impl::handle_abort(const chunk_view& chunk) {
  std::uint16_t code = 0;
  std::string text;
  const_bytes rest = chunk.value();
  if (const auto cause = take_tlv(rest)) {
    code = cause->type;
    if (code == static_cast<unsigned>(error_cause::user_initiated_abort) ||
        code == static_cast<unsigned>(error_cause::protocol_violation))
      text = as_text(cause->value());
  }
  finish(close_reason::aborted_by_peer, code, std::move(text));
}

void association::impl::handle_error(const chunk_view& chunk) {
  const_bytes rest = chunk.value();
  while (const auto cause = take_tlv(rest))
    if (cause->type == static_cast<unsigned>(error_cause::stale_cookie)) handle_stale_cookie();
}

/// RFC 9260 §9.2
void association::impl::handle_shutdown(const chunk_view& chunk) {
  const auto cumulative = parse_shutdown(chunk);
  if (!cumulative) {
    ++stats_.malformed;
    return;
  }
  switch (state_) {
    case association_state::established:
    case association_state::shutdown_pending:
      state_ = association_state::shutdown_received;
      break;
    case association_state::shutdown_received:
      break;
    case association_state::shutdown_sent:
      state_ = association_state::shutdown_ack_sent;
      shutdown_ack_due_ = true;
      shutdown_due_ = false;
      return;
    case association_state::shutdown_ack_sent:
      shutdown_ack_due_ = true;
      return;
    case association_state::closed:
    case association_state::cookie_wait:
    case association_state::cookie_echoed:
      ++stats_.unexpected;
      return;
  }
  const auto before = static_cast<std::uint32_t>(outstanding_.cumulative_ack());
  if (newer_than(*cumulative, before)) {
    acknowledge(*cumulative, {});
  } else {
    continue_shutdown();
  }
}

void association::impl::handle_shutdown_ack() {
  if (state_ != association_state::shutdown_sent &&
      state_ != association_state::shutdown_ack_sent) {
    ++stats_.unexpected;
    return;
  }
  push_reply({agreed_.peer_tag, chunk_type::shutdown_complete, 0, {}});
  finish(close_reason::shutdown, 0, {});
}

void association::impl::handle_shutdown_complete() {
  if (state_ != association_state::shutdown_ack_sent) {
    ++stats_.unexpected;
    return;
  }
  finish(close_reason::shutdown, 0, {});
}

}  // namespace weft::sctp
