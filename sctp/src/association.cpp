#include <weft/sctp/association.hpp>

#include <algorithm>
#include <limits>

#include "association_impl.hpp"

namespace weft::sctp {

static_assert(machine<association>);

namespace {

association::options within_limits(association::options o) {
  o.max_packet_size = std::clamp<std::size_t>(o.max_packet_size, 512, max_datagram_size) & ~3u;
  o.outgoing_streams = std::max<std::uint16_t>(o.outgoing_streams, 1);
  o.incoming_streams = std::max<std::uint16_t>(o.incoming_streams, 1);
  // RFC 9260 §3.3.2: an a_rwnd below 1500 is refused.
  o.receive_window = std::clamp<std::size_t>(o.receive_window, 4096, 0xffffffff);
  o.max_tsn_window = std::clamp<std::size_t>(o.max_tsn_window, 16, 65535);
  o.sack_delay = std::clamp<duration>(o.sack_delay, duration{}, std::chrono::milliseconds{500});
  return o;
}

/// What a full chunk carries, the unit of the congestion window.
std::size_t chunk_payload(const association::options& o) {
  return o.max_packet_size - common_header_size - data_header_size;
}

}  // namespace

association::impl::impl(random_source& random, const options& opts)
    : random_{&random},
      options_{within_limits(opts)},
      queue_{messages_},
      outstanding_{messages_},
      congestion_{chunk_payload(options_)},
      rto_{{options_.rto_initial, options_.rto_min, options_.rto_max}},
      tracker_{options_.max_tsn_window},
      reassembly_{pool_, options_.max_message_size} {
  timers_.fill(never);
  random_->fill(secret_);
}

time_point association::impl::advance(time_point now) noexcept {
  now_ = std::max(now_, now);
  return now_;
}

std::uint32_t association::impl::draw_number() {
  std::array<std::uint8_t, 4> bytes{};
  random_->fill(bytes);
  return detail::load_u32(bytes.data());
}

std::uint32_t association::impl::draw_tag() {
  // RFC 9260 §5.3.1: never zero. Any other value for a zero keeps a broken source from hanging us.
  const std::uint32_t tag = draw_number();
  return tag != 0 ? tag : 1;
}

void association::impl::start_timer(timer t, duration after) {
  timer_at(t) = after < never - now_ ? now_ + after : never - duration{1};
}

/// Forgets the association, not what waits to be sent on the next one or to be read.
void association::impl::reset_association() {
  timers_.fill(never);
  agreed_ = {};
  cookie_.clear();
  handshake_tries_ = errors_ = 0;
  congestion_ = congestion_control{chunk_payload(options_)};
  rto_ = rto_estimator{{options_.rto_initial, options_.rto_min, options_.rto_max}};
  outstanding_ = outstanding_chunks{messages_};
  timed_tsn_.reset();
  packets_since_sack_ = 0;
  init_due_ = cookie_echo_due_ = cookie_ack_due_ = sack_due_ = forward_tsn_due_ = false;
  fast_retransmit_due_ = shutdown_due_ = shutdown_ack_due_ = heartbeat_due_ = false;
  heartbeat_ack_.reset();
  errors_due_.clear();
  heartbeat_nonce_.reset();
  re_config_restart();
}

void association::impl::connect(time_point now) {
  advance(now);
  if (state_ != association_state::closed) return;
  ended_ = false;
  reset_association();
  local_tie_tag_ = draw_tag();
  peer_tie_tag_ = draw_tag();
  agreed_.local_tag = draw_tag();
  agreed_.local_initial_tsn = draw_number();
  state_ = association_state::cookie_wait;
  send_init();
}

template <class Payload>
result<void, send_error> association::impl::send(time_point now, std::uint16_t stream,
                                                 std::uint32_t ppid, Payload&& payload,
                                                 const send_options& how) {
  advance(now);
  const bool open = state_ == association_state::established ||
                    state_ == association_state::cookie_wait ||
                    state_ == association_state::cookie_echoed ||
                    (state_ == association_state::closed && !ended_);
  if (!open) return fail(send_error::closed);
  if (payload.empty()) return fail(send_error::empty_payload);
  if (payload.size() > options_.remote_max_message_size || payload.size() > options_.send_buffer ||
      payload.size() > std::numeric_limits<std::uint32_t>::max())
    return fail(send_error::message_too_large);
  const std::uint16_t streams = state_ == association_state::established
                                    ? agreed_.outgoing_streams
                                    : options_.outgoing_streams;
  if (stream >= streams) return fail(send_error::no_such_stream);
  if (queue_.resetting(stream)) return fail(send_error::stream_resetting);
  if (unacknowledged_ + payload.size() > options_.send_buffer ||
      messages_.in_use() >= options_.max_queued_messages) {
    buffer_was_full_ = true;
    return fail(send_error::buffer_full);
  }

  const std::uint32_t index = messages_.acquire();
  outgoing_message& m = messages_[index];
  if constexpr (std::is_same_v<std::decay_t<Payload>, const_bytes>) {
    m.payload = pool_.take();
    m.payload.assign(payload.begin(), payload.end());
  } else {
    m.payload = std::forward<Payload>(payload);
  }
  m.ppid = ppid;
  m.stream = stream;
  m.ssn = 0;
  m.unordered = how.order == delivery_order::unordered;
  m.abandoned = false;
  m.max_retransmissions = how.max_retransmissions ? std::uint32_t{*how.max_retransmissions}
                                                  : outgoing_message::unlimited;
  m.expires = never;
  if (how.lifetime && *how.lifetime < never - now_) m.expires = now_ + *how.lifetime;
  m.cut = m.live_chunks = 0;
  unacknowledged_ += m.payload.size();
  ++stats_.messages_sent;
  queue_.push(index);
  return {};
}

void association::impl::shutdown(time_point now) {
  advance(now);
  switch (state_) {
    case association_state::closed:
      return;
    case association_state::cookie_wait:
    case association_state::cookie_echoed:
      finish(close_reason::shutdown, 0, {});  // RFC 9260 §9.2 knows no shutdown before it began.
      return;
    case association_state::established:
      state_ = association_state::shutdown_pending;
      start_timer(timer::guard, options_.shutdown_guard);
      continue_shutdown();
      return;
    case association_state::shutdown_pending:
    case association_state::shutdown_sent:
    case association_state::shutdown_received:
    case association_state::shutdown_ack_sent:
      return;
  }
}

void association::impl::abort(time_point now, std::string_view reason) {
  advance(now);
  if (state_ == association_state::closed) return;
  fail_association(close_reason::aborted_locally, error_cause::user_initiated_abort, reason);
}

/// Ends the association and tells the peer why.
void association::impl::fail_association(close_reason reason, error_cause cause,
                                         std::string_view text) {
  if (agreed_.peer_tag != 0) {
    constexpr std::size_t max_text = 256;
    std::array<std::uint8_t, max_text + 4> buffer{};
    tlv_writer causes{buffer};
    causes.add(cause, as_bytes(text.substr(0, max_text)));
    const const_bytes value = causes.written();
    push_reply({agreed_.peer_tag, chunk_type::abort, 0, {value.begin(), value.end()}});
  }
  finish(reason, 0, std::string{text});
}

void association::impl::finish(close_reason reason, std::uint16_t cause, std::string text) {
  state_ = association_state::closed;
  ended_ = true;
  reset_association();
  random_->fill(secret_);
  messages_.clear();
  queue_ = send_queue{messages_};
  unacknowledged_ = 0;
  buffer_was_full_ = false;
  events_.push_back(association::closed{reason, cause, std::move(text)});
}

void association::impl::push_reply(reply r) {
  constexpr std::size_t max_replies = 4;
  if (replies_.size() < max_replies) replies_.push_back(std::move(r));
}

/// RFC 9260 §8.1, §8.3: another answer that did not come.
void association::impl::count_error() {
  if (++errors_ > options_.max_retransmissions)
    fail_association(close_reason::peer_unreachable, error_cause::user_initiated_abort,
                     "no answer");
}

bool association::impl::can_send_data() const noexcept {
  return state_ == association_state::established ||
         state_ == association_state::shutdown_pending ||
         state_ == association_state::shutdown_received ||
         state_ == association_state::cookie_echoed;
}

bool association::impl::can_receive_data() const noexcept {
  return state_ == association_state::established ||
         state_ == association_state::shutdown_pending ||
         state_ == association_state::shutdown_sent;
}

std::optional<association::event> association::impl::poll_event() {
  if (!events_.empty()) return events_.pop_front();
  if (const auto stream = queue_.poll_low()) return event{buffered_amount_low{*stream}};
  if (buffer_was_full_ && unacknowledged_ <= options_.send_buffer / 2 &&
      messages_.in_use() <= options_.max_queued_messages / 2) {
    buffer_was_full_ = false;
    return event{send_ready{}};
  }
  return std::nullopt;
}

std::optional<message> association::impl::receive() {
  pool_.give(std::move(current_));
  auto next = reassembly_.receive();
  if (!next) {
    current_ = {};
    return std::nullopt;
  }
  current_ = std::move(next->payload);
  // A peer that was told of little room learns of more before it has to probe (RFC 9260 §6.2).
  const std::size_t room = receive_room();
  if (can_receive_data() && announced_window_ < options_.receive_window / 4 &&
      room >= announced_window_ + std::min(options_.receive_window / 8, 16 * max_payload()))
    sack_due_ = true;
  return message{next->stream, next->ppid,
                 next->unordered ? delivery_order::unordered : delivery_order::ordered, current_};
}

association::path_state association::impl::path() const noexcept {
  return {rto_.smoothed_round_trip(),     rto_.rto(),
          congestion_.window(),           congestion_.slow_start_threshold(),
          outstanding_.bytes_in_flight(), peer_window_};
}

association::association(random_source& random) : association{random, options{}} {}
association::association(random_source& random, const options& opts)
    : impl_{std::make_unique<impl>(random, opts)} {}
association::association(association&&) noexcept = default;
association& association::operator=(association&&) noexcept = default;
association::~association() = default;

void association::connect(time_point now) {
  impl_->connect(now);
}
result<void, send_error> association::send(time_point now, std::uint16_t stream, std::uint32_t ppid,
                                           std::vector<std::uint8_t>&& payload,
                                           const send_options& how) {
  return impl_->send(now, stream, ppid, std::move(payload), how);
}
result<void, send_error> association::send(time_point now, std::uint16_t stream, std::uint32_t ppid,
                                           const_bytes payload, const send_options& how) {
  return impl_->send(now, stream, ppid, payload, how);
}
result<void, reset_error> association::reset_streams(time_point now,
                                                     std::span<const std::uint16_t> streams) {
  return impl_->reset_streams(now, streams);
}
void association::shutdown(time_point now) {
  impl_->shutdown(now);
}
void association::abort(time_point now, std::string_view reason) {
  impl_->abort(now, reason);
}
bool association::handle_input(time_point now, const_bytes packet) {
  return impl_->handle_input(now, packet);
}
void association::handle_timeout(time_point now) {
  impl_->handle_timeout(now);
}
std::optional<transmit> association::poll_transmit(time_point now, mutable_bytes buffer) {
  return impl_->poll_transmit(now, buffer);
}
std::optional<time_point> association::poll_timeout() const {
  return impl_->poll_timeout();
}
std::optional<association::event> association::poll_event() {
  return impl_->poll_event();
}
std::optional<message> association::receive() {
  return impl_->receive();
}
std::vector<std::uint8_t> association::take_payload() {
  return impl_->take_payload();
}
association_state association::state() const noexcept {
  return impl_->state();
}
std::size_t association::buffered_amount(std::uint16_t stream) const noexcept {
  return std::as_const(*impl_).queue().buffered(stream);
}
std::size_t association::buffered_amount() const noexcept {
  return std::as_const(*impl_).queue().buffered();
}
void association::set_buffered_amount_low_threshold(std::uint16_t stream, std::size_t bytes) {
  impl_->queue().set_low_threshold(stream, bytes);
}
const association::counters& association::stats() const noexcept {
  return impl_->stats();
}
association::path_state association::path() const noexcept {
  return impl_->path();
}

}  // namespace weft::sctp
