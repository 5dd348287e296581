#include <algorithm>

#include "association_impl.hpp"

namespace weft::sctp {
namespace {

constexpr std::size_t max_unread_events = 1024;

std::vector<std::uint16_t> stream_list(const_bytes bytes) {
  std::vector<std::uint16_t> streams;
  streams.reserve(bytes.size() / 2);
  for (std::size_t at = 0; at + 2 <= bytes.size(); at += 2)
    streams.push_back(detail::load_u16(bytes.data() + at));
  return streams;
}

}  // namespace

result<void, reset_error> association::impl::reset_streams(time_point now,
                                                           std::span<const std::uint16_t> streams) {
  advance(now);
  if (state_ != association_state::established) return fail(reset_error::not_connected);
  if (!agreed_.peer_re_config) return fail(reset_error::not_supported);
  for (const std::uint16_t stream : streams)
    if (stream >= agreed_.outgoing_streams) return fail(reset_error::no_such_stream);
  for (const std::uint16_t stream : streams) {
    if (queue_.resetting(stream)) continue;
    queue_.set_resetting(stream, true);
    reset_wanted_.push_back(stream);
  }
  return {};
}

void association::impl::handle_re_config(const chunk_view& chunk) {
  if (state_ == association_state::cookie_wait || state_ == association_state::cookie_echoed) {
    ++stats_.unexpected;
    return;
  }
  const_bytes rest = chunk.value();
  // RFC 6525 §3.1: two parameters at most.
  for (int count = 0; count < 2; ++count) {
    const auto parameter = take_tlv(rest);
    if (!parameter) break;
    if (parameter->is(parameter_type::outgoing_ssn_reset_request)) {
      if (const auto request = outgoing_reset_request::parse(*parameter)) {
        handle_outgoing_reset(*request);
        continue;
      }
    } else if (parameter->is(parameter_type::incoming_ssn_reset_request)) {
      if (const auto request = incoming_reset_request::parse(*parameter)) {
        handle_incoming_reset(*request);
        continue;
      }
    } else if (parameter->is(parameter_type::re_configuration_response)) {
      if (const auto response = reset_response::parse(*parameter)) {
        handle_reset_response(*response);
        continue;
      }
    } else if (parameter->is(parameter_type::ssn_tsn_reset_request) ||
               parameter->is(parameter_type::add_outgoing_streams_request) ||
               parameter->is(parameter_type::add_incoming_streams_request)) {
      handle_unsupported_request(*parameter);
      continue;
    }
    ++stats_.malformed;
  }
}

/// Whether this is the peer's next request. Its last one is answered as before, any other is
/// refused (RFC 6525 §5.2.1).
bool association::impl::request_is_new(std::uint32_t sequence) {
  sack_due_ = true;  // RFC 6525 §5.2.1: what is still missing becomes known the sooner.
  if (sequence == expected_request_) {
    ++expected_request_;
    return true;
  }
  const bool repeated = sequence == expected_request_ - 1;
  response_due_ = {sequence, repeated ? last_result_ : reset_result::bad_sequence_number};
  return false;
}

void association::impl::respond(reset_result outcome) {
  last_result_ = outcome;
  response_due_ = {expected_request_ - 1, outcome};
}

/// RFC 6525 §5.2.2
void association::impl::handle_outgoing_reset(const outgoing_reset_request& request) {
  if (!request_is_new(request.request)) return;
  std::vector<std::uint16_t> streams = stream_list(request.streams);
  const bool known = std::ranges::all_of(
      streams, [&](std::uint16_t stream) { return stream < agreed_.incoming_streams; });
  const std::uint64_t last = tracker_.unwrap(request.last_assigned_tsn);
  if (!known || !tracker_.within_reach(last)) {
    ++stats_.unexpected;
    respond(known ? reset_result::denied : reset_result::wrong_ssn);
    return;
  }
  if (events_.size() >= max_unread_events) {
    respond(reset_result::denied);
    return;
  }
  // A new request takes the place of one that was put off: the peer asks for the same again.
  deferred_ = {last, std::move(streams)};
  if (last > tracker_.cumulative()) {
    respond(reset_result::in_progress);
  } else {
    perform_deferred_reset();
  }
}

void association::impl::perform_deferred_reset() {
  if (!deferred_ || deferred_->last_assigned_tsn > tracker_.cumulative()) return;
  reassembly_.reset(deferred_->streams);
  events_.push_back(incoming_streams_reset{std::move(deferred_->streams)});
  deferred_.reset();
  respond(reset_result::performed);
}

/// RFC 6525 §5.2.3: the peer asks us to end our side of some streams.
void association::impl::handle_incoming_reset(const incoming_reset_request& request) {
  if (!request_is_new(request.request)) return;
  const std::vector<std::uint16_t> streams = stream_list(request.streams);
  // All streams at once would end channels that this side still uses.
  if (streams.empty() || state_ != association_state::established) {
    respond(reset_result::denied);
    return;
  }
  const std::size_t before = reset_wanted_.size();
  if (!reset_streams(now_, streams)) {
    respond(reset_result::wrong_ssn);
    return;
  }
  respond(reset_wanted_.size() == before ? reset_result::nothing_to_do : reset_result::performed);
}

/// What WebRTC has no use for is refused (RFC 6525 §5.2.1, RFC 8831 §6.7).
void association::impl::handle_unsupported_request(const tlv_view& parameter) {
  const std::uint32_t sequence = byte_reader{parameter.value()}.u32();
  if (parameter.value().size() < 4) {
    ++stats_.malformed;
  } else if (request_is_new(sequence)) {
    respond(reset_result::denied);
  }
}

/// RFC 6525 §5.2.7
void association::impl::handle_reset_response(const reset_response& response) {
  if (!reset_request_ || response.response != reset_request_->sequence) return;
  errors_ = 0;
  if (response.result == reset_result::in_progress) {
    reset_request_->counts_as_error = false;
    start_timer(timer::re_config, rto_.rto());
    return;
  }
  const bool performed =
      response.result == reset_result::performed || response.result == reset_result::nothing_to_do;
  for (const std::uint16_t stream : reset_request_->streams) {
    queue_.set_resetting(stream, false);
    if (performed) queue_.restart_ssn(stream);
  }
  using outcome = outgoing_streams_reset::outcome;
  events_.push_back(outgoing_streams_reset{std::move(reset_request_->streams),
                                           performed ? outcome::performed : outcome::denied});
  reset_request_.reset();
  reset_request_due_ = false;
  stop_timer(timer::re_config);
}

/// Asks for all streams that wait and have nothing left to send (RFC 6525 §5.1.2, RFC 8831 §6.7),
/// if nothing is asked yet.
void association::impl::begin_reset_request() {
  if (reset_request_) return;
  constexpr std::size_t max_streams = 128;  // Fits beside other control chunks.
  reset_request request;
  std::erase_if(reset_wanted_, [&](std::uint16_t stream) {
    if (request.streams.size() == max_streams || !queue_.drained(stream)) return false;
    request.streams.push_back(stream);
    return true;
  });
  if (request.streams.empty()) return;
  request.sequence = next_request_++;
  request.last_assigned_tsn = static_cast<std::uint32_t>(outstanding_.next_tsn() - 1);
  reset_request_ = std::move(request);
  reset_request_due_ = true;
}

/// At most one answer and one request share a chunk (RFC 6525 §3.1).
void association::impl::add_re_config(packet_builder& packet) {
  begin_reset_request();
  if (!response_due_ && !reset_request_due_) return;
  std::array<std::uint8_t, 16 + 2 * 128 + 12 + 4> buffer{};
  byte_writer out{buffer};
  if (response_due_) {
    out.u16(static_cast<std::uint16_t>(parameter_type::re_configuration_response));
    out.u16(12);
    out.u32(response_due_->response);
    out.u32(static_cast<std::uint32_t>(response_due_->result));
  }
  if (reset_request_due_) {
    out.u16(static_cast<std::uint16_t>(parameter_type::outgoing_ssn_reset_request));
    out.u16(static_cast<std::uint16_t>(16 + 2 * reset_request_->streams.size()));
    out.u32(reset_request_->sequence);
    out.u32(expected_request_ - 1);
    out.u32(reset_request_->last_assigned_tsn);
    for (const std::uint16_t stream : reset_request_->streams) out.u16(stream);
  }
  if (packet.room() < chunk_header_size + out.size()) return;
  packet.add(chunk_type::re_config, 0, out.written());
  response_due_.reset();
  if (std::exchange(reset_request_due_, false)) start_timer(timer::re_config, rto_.rto());
}

/// RFC 6525 §5.1.1
void association::impl::re_config_timeout() {
  if (!reset_request_) return;
  if (reset_request_->counts_as_error) {
    rto_.back_off();
    count_error();
    if (state_ == association_state::closed) return;
  }
  reset_request_due_ = true;
}

/// A new association knows nothing of the resets of the one before.
void association::impl::re_config_restart() {
  reset_wanted_.clear();
  reset_request_.reset();
  reset_request_due_ = false;
  deferred_.reset();
  response_due_.reset();
  last_result_ = reset_result::bad_sequence_number;
}

}  // namespace weft::sctp
