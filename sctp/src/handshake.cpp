#include <algorithm>

#include "association_impl.hpp"

namespace weft::sctp {
namespace {

constexpr std::uint32_t least_window = 1500;     // RFC 9260 §3.3.2
constexpr std::size_t max_reported_bytes = 256;  // Of unknown parameters, in one answer.

}  // namespace

std::vector<std::uint8_t> association::impl::init_parameters(const_bytes cookie,
                                                             const_bytes unrecognized) const {
  std::vector<std::uint8_t> buffer(64 + cookie.size() + unrecognized.size());
  tlv_writer out{buffer};
  if (!cookie.empty()) out.add(parameter_type::state_cookie, cookie);
  constexpr std::uint8_t extensions[] = {static_cast<std::uint8_t>(chunk_type::re_config),
                                         static_cast<std::uint8_t>(chunk_type::forward_tsn)};
  out.add(parameter_type::supported_extensions, extensions);  // RFC 5061 §4.2.7
  out.add(parameter_type::forward_tsn_supported, {});         // RFC 3758 §3.1
  if (options_.zero_checksum) {
    constexpr std::uint8_t method[] = {0, 0, 0, edmid_dtls};
    out.add(parameter_type::zero_checksum_acceptable, method);  // RFC 9653 §4
  }
  for (const_bytes rest = unrecognized; const auto item = take_tlv(rest);)
    out.add(parameter_type::unrecognized_parameter, item->bytes);
  buffer.resize(out.written().size());
  return buffer;
}

init_chunk association::impl::own_init(std::uint32_t tag, std::uint32_t tsn) const noexcept {
  init_chunk init;
  init.initiate_tag = tag;
  init.a_rwnd = static_cast<std::uint32_t>(receive_room());
  init.outgoing_streams = options_.outgoing_streams;
  init.incoming_streams = options_.incoming_streams;
  init.initial_tsn = tsn;
  return init;
}

/// What an INIT or INIT ACK says of the peer; nothing when it cannot be used. Parameters that
/// are to be reported are appended to `unrecognized`, padded.
std::optional<handshake_state> association::impl::read_init(
    const init_chunk& init, std::vector<std::uint8_t>& unrecognized) {
  if (init.initiate_tag == 0 || init.a_rwnd < least_window || init.outgoing_streams == 0 ||
      init.incoming_streams == 0)
    return std::nullopt;
  handshake_state s;
  s.peer_tag = init.initiate_tag;
  s.peer_initial_tsn = init.initial_tsn;
  s.peer_window = init.a_rwnd;
  s.outgoing_streams = std::min(options_.outgoing_streams, init.incoming_streams);
  s.incoming_streams = std::min(options_.incoming_streams, init.outgoing_streams);

  const_bytes rest = init.parameters;
  while (const auto p = take_tlv(rest)) {
    const auto type = static_cast<parameter_type>(p->type);
    switch (type) {
      case parameter_type::forward_tsn_supported:
        s.peer_forward_tsn = true;
        continue;
      case parameter_type::supported_extensions:
        for (const std::uint8_t extension : p->value()) {
          const auto chunk = static_cast<chunk_type>(extension);
          s.peer_re_config = s.peer_re_config || chunk == chunk_type::re_config;
        }
        continue;
      case parameter_type::zero_checksum_acceptable:
        s.peer_zero_checksum =
            p->value().size() == 4 && detail::load_u32(p->value().data()) == edmid_dtls;
        continue;
      case parameter_type::host_name_address:  // RFC 9260 §5.1.2: no longer to be used.
        return std::nullopt;
      case parameter_type::state_cookie:
      case parameter_type::unrecognized_parameter:
      case parameter_type::ipv4_address:  // RFC 8261 §6.1: addresses mean nothing over DTLS.
      case parameter_type::ipv6_address:
      case parameter_type::supported_address_types:
      case parameter_type::cookie_preservative:
        continue;
      case parameter_type::heartbeat_info:
      case parameter_type::outgoing_ssn_reset_request:
      case parameter_type::incoming_ssn_reset_request:
      case parameter_type::ssn_tsn_reset_request:
      case parameter_type::re_configuration_response:
      case parameter_type::add_outgoing_streams_request:
      case parameter_type::add_incoming_streams_request:
        break;  // Unknown here.
    }
    if (unknown_parameter_is_reported(type) &&
        unrecognized.size() + padded(p->bytes.size()) <= max_reported_bytes) {
      unrecognized.insert(unrecognized.end(), p->bytes.begin(), p->bytes.end());
      unrecognized.resize(padded(unrecognized.size()));
    }
    if (unknown_parameter_stops_chunk(type)) return s;
  }
  if (!rest.empty()) return std::nullopt;
  return s;
}

/// RFC 9260 §5.1 B, §5.2.1, §5.2.2. Nothing is kept but the answer, which goes once.
void association::impl::handle_init(const packet_view& packet, const chunk_view& chunk) {
  if (packet.verification_tag() != 0 ||
      common_header_size + padded(chunk.bytes.size()) < packet.bytes().size()) {
    ++stats_.malformed;
    return;
  }
  const auto init = init_chunk::parse(chunk);
  if (!init) {
    ++stats_.malformed;
    return;
  }
  if (state_ == association_state::shutdown_ack_sent) {  // RFC 9260 §9.2
    shutdown_ack_due_ = true;
    return;
  }
  std::vector<std::uint8_t> unrecognized;
  auto s = read_init(*init, unrecognized);
  if (!s || ended_) {
    ++(ended_ ? stats_.out_of_the_blue : stats_.unexpected);
    if (init->initiate_tag != 0) push_reply({init->initiate_tag, chunk_type::abort, 0, {}});
    return;
  }

  state_cookie cookie{.created = now_, .state = *s};
  const bool opening =
      state_ == association_state::cookie_wait || state_ == association_state::cookie_echoed;
  if (opening) {
    cookie.state.local_tag = agreed_.local_tag;
    cookie.state.local_initial_tsn = agreed_.local_initial_tsn;
  } else {
    cookie.state.local_tag = draw_tag();
    cookie.state.local_initial_tsn = draw_number();
  }
  if (state_ != association_state::closed) {
    cookie.local_tie_tag = local_tie_tag_;
    cookie.peer_tie_tag = peer_tie_tag_;
  }
  const auto sealed = seal(secret_, cookie);
  const auto parameters = init_parameters(sealed, unrecognized);
  init_chunk answer = own_init(cookie.state.local_tag, cookie.state.local_initial_tsn);
  answer.parameters = parameters;
  std::array<std::uint8_t, max_datagram_size> scratch;
  packet_builder built{scratch, 0, 0, 0};
  const const_bytes bytes = built.add(chunk_type::init_ack, answer).finish_without_checksum();
  const const_bytes value =
      bytes.subspan(common_header_size + chunk_header_size, 16 + parameters.size());
  push_reply({s->peer_tag, chunk_type::init_ack, 0, {value.begin(), value.end()}});
}

/// RFC 9260 §5.1 C, §5.2.3
void association::impl::handle_init_ack(const chunk_view& chunk) {
  if (state_ != association_state::cookie_wait) {
    ++stats_.unexpected;
    return;
  }
  const auto init = init_chunk::parse(chunk);
  if (!init) {
    ++stats_.malformed;
    return;
  }
  std::vector<std::uint8_t> unrecognized;
  auto s = read_init(*init, unrecognized);
  const_bytes cookie;
  for (const_bytes rest = init->parameters; const auto p = take_tlv(rest);)
    if (p->is(parameter_type::state_cookie)) cookie = p->value();
  if (!s) {
    agreed_.peer_tag = init->initiate_tag;
    fail_association(close_reason::refused, error_cause::invalid_mandatory_parameter, "INIT ACK");
    return;
  }
  // It has to come back in one packet.
  if (cookie.empty() ||
      cookie.size() > options_.max_packet_size - common_header_size - chunk_header_size) {
    agreed_.peer_tag = init->initiate_tag;
    fail_association(close_reason::refused, error_cause::missing_mandatory_parameter, "cookie");
    return;
  }
  s->local_tag = agreed_.local_tag;
  s->local_initial_tsn = agreed_.local_initial_tsn;
  adopt(*s);
  cookie_.assign(cookie.begin(), cookie.end());
  for (const_bytes rest = unrecognized; const auto p = take_tlv(rest);)
    add_error(error_cause::unrecognized_parameters, p->bytes);
  state_ = association_state::cookie_echoed;
  handshake_tries_ = 0;
  cookie_echo_due_ = true;
  start_timer(timer::init, rto_.rto());
}

bool association::impl::handle_cookie_echo(const packet_view& packet, const chunk_view& chunk) {
  const auto cookie = unseal(secret_, chunk.value());
  if (!cookie || packet.verification_tag() != cookie->state.local_tag || ended_) {
    ++stats_.bad_cookie;
    return false;
  }
  const bool exists = state_ != association_state::closed;
  const bool local_same = exists && cookie->state.local_tag == agreed_.local_tag;
  const bool peer_same = exists && cookie->state.peer_tag == agreed_.peer_tag;
  const duration age = now_ - cookie->created;
  if (age > options_.cookie_lifetime && !(local_same && peer_same)) {  // RFC 9260 §5.1.5, §5.2.4
    ++stats_.bad_cookie;
    using microseconds = std::chrono::duration<std::uint64_t, std::micro>;
    const auto late = std::chrono::duration_cast<microseconds>(age - options_.cookie_lifetime);
    std::array<std::uint8_t, 8> cause{};
    byte_writer out{cause};
    out.u16(static_cast<std::uint16_t>(error_cause::stale_cookie));
    out.u16(8);
    out.u32(static_cast<std::uint32_t>(std::min<std::uint64_t>(late.count(), 0xffffffff)));
    push_reply({cookie->state.peer_tag, chunk_type::error, 0, {cause.begin(), cause.end()}});
    return false;
  }

  if (!exists) {
    reset_association();
    local_tie_tag_ = draw_tag();
    peer_tie_tag_ = draw_tag();
    adopt(cookie->state);
    establish();
  } else if (local_same && peer_same) {  // RFC 9260 §5.2.4, action D
    if (state_ == association_state::cookie_echoed) establish();
  } else if (local_same) {  // Action B: both ends opened at once.
    const bool opening =
        state_ == association_state::cookie_wait || state_ == association_state::cookie_echoed;
    if (!opening) {
      // Deviation from RFC 9260 §5.2.4: an association that stands does not change its peer for
      // a cookie from when it was opened; a peer that lost its state restarts by action A.
      ++stats_.bad_cookie;
      return false;
    }
    adopt(cookie->state);
    establish();
  } else if (!peer_same && cookie->local_tie_tag == local_tie_tag_ &&
             cookie->peer_tie_tag == peer_tie_tag_) {  // Action A
    if (state_ == association_state::shutdown_ack_sent) {
      shutdown_ack_due_ = true;
      add_error(error_cause::cookie_received_while_shutting_down, {});
      return false;
    }
    restart(cookie->state);
  } else {  // Action C, and what is in no row of the table.
    ++stats_.bad_cookie;
    return false;
  }
  cookie_ack_due_ = true;
  return true;
}

void association::impl::handle_cookie_ack() {
  if (state_ != association_state::cookie_echoed) {
    ++stats_.unexpected;  // RFC 9260 §5.2.5
    return;
  }
  establish();
}

/// RFC 9260 §5.2.6: the cookie took too long; another one is asked for.
void association::impl::handle_stale_cookie() {
  if (state_ != association_state::cookie_echoed) return;
  state_ = association_state::cookie_wait;
  cookie_echo_due_ = false;
  agreed_.peer_tag = 0;
  if (++handshake_tries_ > options_.max_init_retransmissions) {
    finish(close_reason::handshake_timeout, 0, "stale cookie");
    return;
  }
  send_init();
}

/// Takes over what the handshake has agreed and makes both directions ready.
void association::impl::adopt(const handshake_state& agreed) {
  agreed_ = agreed;
  peer_window_ = agreed.peer_window;
  if (!outstanding_.started()) {  // Otherwise DATA went out with an earlier COOKIE ECHO.
    outstanding_.start(agreed.local_initial_tsn);
    next_request_ = agreed.local_initial_tsn;  // RFC 6525 §5.1.1 and §4.1
  }
  start_receiving();
}

void association::impl::start_receiving() {
  tracker_.start(agreed_.peer_initial_tsn);
  reassembly_.restart();
  expected_request_ = agreed_.peer_initial_tsn;
  announced_window_ = receive_room();
  packets_since_sack_ = 1;  // The first DATA is acknowledged at once: its sender knows no RTT yet.
}

void association::impl::establish() {
  enter_established();
  events_.push_back(connected{agreed_.outgoing_streams, agreed_.incoming_streams,
                              agreed_.peer_forward_tsn, agreed_.peer_re_config,
                              agreed_.peer_zero_checksum && options_.zero_checksum});
}

void association::impl::enter_established() {
  state_ = association_state::established;
  stop_timer(timer::init);
  cookie_echo_due_ = false;
  cookie_.clear();
  handshake_tries_ = errors_ = 0;
  last_heard_ = now_;
  if (options_.heartbeat_interval > duration{})
    start_timer(timer::heartbeat, options_.heartbeat_interval);
}

/// RFC 9260 §5.2.4, action A
void association::impl::restart(const handshake_state& agreed) {
  std::size_t lost = 0;
  if (!queue_.empty() && messages_[queue_.current()].cut > 0) {
    const std::uint32_t current = queue_.current();
    queue_.drop_current();
    release(current);
    ++lost;
  }
  for (std::uint64_t tsn = outstanding_.cumulative_ack() + 1; tsn != outstanding_.next_tsn();
       ++tsn) {
    const auto& c = outstanding_[tsn];
    if (c.abandoned || messages_[c.message].abandoned) continue;
    release(c.message);
    ++lost;
  }
  reset_association();
  queue_.restart();
  adopt(agreed);
  enter_established();
  // A peer that restarts again and again fills no queue.
  if (auto* last = events_.empty() ? nullptr : std::get_if<restarted>(&events_.back())) {
    last->messages_lost += lost;
  } else {
    events_.push_back(restarted{lost});
  }
}

void association::impl::send_init() {
  init_due_ = true;
  start_timer(timer::init, rto_.rto());
}

/// T1 (RFC 9260 §5.1.6)
void association::impl::handshake_timeout() {
  if (++handshake_tries_ > options_.max_init_retransmissions) {
    finish(close_reason::handshake_timeout, 0,
           state_ == association_state::cookie_wait ? "no answer to INIT"
                                                    : "no answer to COOKIE ECHO");
    return;
  }
  rto_.back_off();
  (state_ == association_state::cookie_wait ? init_due_ : cookie_echo_due_) = true;
  start_timer(timer::init, rto_.rto());
}

}  // namespace weft::sctp
