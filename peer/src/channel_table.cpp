#include "channel_table.hpp"

#include <algorithm>
#include <utility>

namespace weft::peer {
namespace {

constexpr sctp::send_options dcep_delivery{};  // RFC 8832 §6: ordered and reliable.

failure<error> refuse(error_code code, std::string text) {
  return fail(error{code, std::move(text)});
}

failure<error> refuse(sctp::send_error e) {
  const auto code = e == sctp::send_error::buffer_full         ? error_code::resource
                    : e == sctp::send_error::message_too_large ? error_code::too_large
                                                               : error_code::invalid_state;
  return refuse(code, std::string{sctp::to_string(e)});
}

dcep::ppid ppid_of(message_kind kind, bool empty) {
  if (kind == message_kind::text) return empty ? dcep::ppid::text_empty : dcep::ppid::text;
  return empty ? dcep::ppid::binary_empty : dcep::ppid::binary;
}

std::optional<message_kind> kind_of(dcep::ppid ppid) {
  switch (ppid) {
    case dcep::ppid::text:
    case dcep::ppid::text_empty:
      return message_kind::text;
    case dcep::ppid::binary:
    case dcep::ppid::binary_empty:
      return message_kind::binary;
    case dcep::ppid::control:
      break;
  }
  return std::nullopt;
}

dcep::open open_message(std::string_view label, const data_channel_options& opts) {
  dcep::open out{.ordered = opts.ordered, .label = label, .protocol = opts.protocol};
  if (opts.max_retransmits) {
    out.kind = dcep::reliability::limited_retransmissions;
    out.reliability_parameter = *opts.max_retransmits;
  } else if (opts.max_packet_life_time) {
    out.kind = dcep::reliability::limited_lifetime;
    out.reliability_parameter = *opts.max_packet_life_time;
  }
  return out;
}

/// The W3C keeps both limits in 16 bits, DCEP in 32.
std::uint16_t clamped(std::uint32_t limit) {
  return static_cast<std::uint16_t>(std::min<std::uint32_t>(limit, 0xffff));
}

data_channel_options options_of(const dcep::open& message, std::uint16_t stream) {
  data_channel_options out{.ordered = message.ordered,
                           .max_packet_life_time = {},
                           .max_retransmits = {},
                           .protocol = std::string{message.protocol},
                           .negotiated = false,
                           .id = stream};
  switch (message.kind) {
    case dcep::reliability::reliable:
      break;
    case dcep::reliability::limited_retransmissions:
      out.max_retransmits = clamped(message.reliability_parameter);
      break;
    case dcep::reliability::limited_lifetime:
      out.max_packet_life_time = clamped(message.reliability_parameter);
      break;
  }
  return out;
}

}  // namespace

result<void, error> channel_table::check(std::string_view label,
                                         const data_channel_options& opts) const {
  if (label.size() > 0xffff) return refuse(error_code::bad_argument, "label over 65535 bytes");
  if (opts.protocol.size() > 0xffff)
    return refuse(error_code::bad_argument, "protocol over 65535 bytes");
  if (opts.max_packet_life_time && opts.max_retransmits)
    return refuse(error_code::bad_argument,
                  "max_packet_life_time and max_retransmits exclude each other");
  if (opts.negotiated != opts.id.has_value())
    return refuse(error_code::bad_argument, "negotiated and id go together");
  if (opts.id && (*opts.id > dcep::max_stream || (role_ && *opts.id >= streams_)))
    return refuse(error_code::bad_argument, "id beyond the last stream");
  if (opts.id && by_stream_.contains(*opts.id)) return refuse(error_code::resource, "id in use");
  if (channels_.size() >= max_channels_)
    return refuse(error_code::resource, "too many data channels");
  return {};
}

result<channel_handle, error> channel_table::create(std::string_view label,
                                                    const data_channel_options& opts) {
  if (auto ok = check(label, opts); !ok) return fail(ok.error());
  const auto handle =
      add({.label = std::string{label}, .options = opts, .acknowledged = opts.negotiated});
  waiting_.push_back(handle);
  return handle;
}

channel_handle channel_table::add(channel&& c) {
  const auto handle = static_cast<channel_handle>(next_handle_++);
  if (c.options.id) by_stream_.emplace(*c.options.id, handle);
  channels_.emplace(handle, std::move(c));
  return handle;
}

result<void, error> channel_table::send(time_point now, sctp::association& sctp,
                                        channel_handle handle, message_kind kind,
                                        std::vector<std::uint8_t>&& payload,
                                        std::size_t message_limit) {
  channel* const c = find(handle);
  if (c == nullptr) return refuse(error_code::not_found, "no such channel");
  if (c->state != data_channel_state::open)
    return refuse(error_code::invalid_state, "the channel is " + std::string{to_string(c->state)});
  if (payload.size() > message_limit)
    return refuse(error_code::too_large,
                  "the other side takes " + std::to_string(message_limit) + " bytes");

  const bool empty = payload.empty();
  const auto ppid = static_cast<std::uint32_t>(ppid_of(kind, empty));
  if (empty) payload.assign(std::begin(dcep::empty_payload), std::end(dcep::empty_payload));
  // RFC 8832 §6: until the other side is known to have the channel, nothing may overtake OPEN.
  const bool ordered = c->options.ordered || !c->acknowledged;
  sctp::send_options how{
      .order = ordered ? sctp::delivery_order::ordered : sctp::delivery_order::unordered,
      .lifetime = {},
      .max_retransmissions = c->options.max_retransmits};
  if (c->options.max_packet_life_time)
    how.lifetime = std::chrono::milliseconds{*c->options.max_packet_life_time};
  if (auto sent = sctp.send(now, *c->options.id, ppid, std::move(payload), how); !sent) {
    if (empty) payload.clear();  // Whoever tries again later sends what was asked for.
    return refuse(sent.error());
  }
  c->used = true;
  return {};
}

void channel_table::close(time_point now, sctp::association* sctp, channel_handle handle) {
  const auto at = channels_.find(handle);
  if (at == channels_.end()) return;
  switch (at->second.state) {
    case data_channel_state::connecting:
      std::erase(waiting_, handle);
      finish(at, {});
      return;
    case data_channel_state::open:
      at->second.state = data_channel_state::closing;
      if (sctp != nullptr) end_outgoing(now, *sctp, at);
      return;
    case data_channel_state::closing:
    case data_channel_state::closed:
      return;
  }
}

void channel_table::close_all(std::string_view reason) {
  waiting_.clear();
  while (!channels_.empty()) finish(channels_.begin(), reason);
}

void channel_table::set_low_threshold(sctp::association* sctp, channel_handle handle,
                                      std::size_t bytes) {
  channel* const c = find(handle);
  if (c == nullptr) return;
  c->low_threshold = bytes;
  if (sctp != nullptr && c->options.id)
    sctp->set_buffered_amount_low_threshold(*c->options.id, bytes);
}

void channel_table::handle_connected(dcep::role role, std::uint16_t streams) {
  role_ = role;
  streams_ = streams;
}

void channel_table::open_waiting(time_point now, sctp::association& sctp,
                                 std::size_t message_limit) {
  while (!waiting_.empty()) {
    const auto handle = waiting_.front();
    const auto at = channels_.find(handle);
    channel& c = at->second;
    if (!c.options.id) c.options.id = free_stream();
    if (!c.options.id || *c.options.id >= streams_) {
      waiting_.pop_front();
      finish(at, "no stream left");
      continue;
    }
    by_stream_.emplace(*c.options.id, handle);
    const bool fits =
        c.options.negotiated || dcep::open_size(open_message(c.label, c.options)) <= message_limit;
    if (!fits) {
      waiting_.pop_front();
      finish(at, "label and protocol are too long for the other side");
      continue;
    }
    if (!send_open(now, sctp, c)) return;  // There will be room.
    waiting_.pop_front();
    sctp.set_buffered_amount_low_threshold(*c.options.id, c.low_threshold);
    c.state = data_channel_state::open;
    events_.push_back(connection::data_channel_opened{handle});
  }
}

std::optional<std::uint16_t> channel_table::free_stream() const {
  for (std::uint32_t id = dcep::first_stream(*role_); id < streams_ && id <= dcep::max_stream;
       id += 2)
    if (!by_stream_.contains(static_cast<std::uint16_t>(id))) return static_cast<std::uint16_t>(id);
  return std::nullopt;
}

result<void, sctp::send_error> channel_table::send_open(time_point now, sctp::association& sctp,
                                                        const channel& c) {
  if (c.options.negotiated) return {};
  const auto message = open_message(c.label, c.options);
  std::vector<std::uint8_t> bytes(dcep::open_size(message));
  dcep::build_open(bytes, message);
  return sctp.send(now, *c.options.id, static_cast<std::uint32_t>(dcep::ppid::control),
                   std::move(bytes), dcep_delivery);
}

std::optional<data_channel_message> channel_table::handle_message(time_point now,
                                                                  sctp::association& sctp,
                                                                  const sctp::message& message) {
  const auto ppid = static_cast<dcep::ppid>(message.ppid);
  if (ppid == dcep::ppid::control) {
    handle_control(now, sctp, message);
    return std::nullopt;
  }
  const auto kind = kind_of(ppid);
  const auto at = find_by_stream(message.stream);
  // Deviation from RFC 8832 §6, which has the stream closed: a channel negotiated out of band
  // may be about to be created on our side.
  if (!kind || at == channels_.end()) {
    ++bad_messages_;
    return std::nullopt;
  }
  at->second.acknowledged = true;
  if (at->second.state != data_channel_state::open) return std::nullopt;
  return data_channel_message{at->first, *kind,
                              dcep::is_empty_message(ppid) ? const_bytes{} : message.payload};
}

bool channel_table::is_open(const sctp::message& message) {
  if (static_cast<dcep::ppid>(message.ppid) != dcep::ppid::control) return false;
  const auto type = dcep::parse_type(message.payload);
  return type && *type == dcep::message_type::open;
}

void channel_table::handle_control(time_point now, sctp::association& sctp,
                                   const sctp::message& message) {
  const auto type = dcep::parse_type(message.payload);
  if (type && *type == dcep::message_type::open) return handle_open(now, sctp, message);
  const auto at = find_by_stream(message.stream);
  if (type && at != channels_.end() && !at->second.options.negotiated) {
    at->second.acknowledged = true;
    return;
  }
  ++bad_messages_;
  if (!type) close_stream(now, sctp, message.stream);
}

void channel_table::handle_open(time_point now, sctp::association& sctp,
                                const sctp::message& message) {
  const auto open = dcep::parse_open(message.payload);
  const auto theirs =
      role_ == dcep::role::dtls_client ? dcep::role::dtls_server : dcep::role::dtls_client;
  const std::uint16_t stream = message.stream;
  // RFC 8832 §6: on any of these the channel is to be closed and not acknowledged.
  if (!open || !dcep::may_open(theirs, stream) || stream >= streams_ ||
      by_stream_.contains(stream) || channels_.size() >= max_channels_) {
    ++bad_messages_;
    close_stream(now, sctp, stream);
    return;
  }
  const auto ack = sctp.send(now, stream, static_cast<std::uint32_t>(dcep::ppid::control),
                             const_bytes{dcep::ack_message}, dcep_delivery);
  if (!ack) {  // The stream is still being reset, or we are full: refused like any other.
    ++bad_messages_;
    close_stream(now, sctp, stream);
    return;
  }
  const auto handle = add({.label = std::string{open->label},
                           .options = options_of(*open, stream),
                           .state = data_channel_state::open,
                           .acknowledged = true});
  events_.push_back(connection::data_channel_added{handle});
  events_.push_back(connection::data_channel_opened{handle});
}

void channel_table::close_stream(time_point now, sctp::association& sctp, std::uint16_t stream) {
  if (const auto at = find_by_stream(stream); at != channels_.end())
    return close(now, &sctp, at->first);
  // Without RE-CONFIG the stream stays as it is, which harms nobody.
  (void)sctp.reset_streams(now, {&stream, 1});
}

void channel_table::handle_incoming_reset(time_point now, sctp::association& sctp,
                                          std::span<const std::uint16_t> streams) {
  if (streams.empty()) {
    for (auto at = channels_.begin(); at != channels_.end();)
      incoming_ended(now, sctp, at++);  // May erase the one it is given.
    return;
  }
  for (const std::uint16_t stream : streams)
    if (const auto at = find_by_stream(stream); at != channels_.end())
      incoming_ended(now, sctp, at);
}

void channel_table::incoming_ended(time_point now, sctp::association& sctp,
                                   channel_map::iterator at) {
  channel& c = at->second;
  if (c.state == data_channel_state::connecting) return;
  c.incoming_ended = true;
  if (c.outgoing_ended) return finish(at, {});
  if (c.state != data_channel_state::open) return;
  c.state = data_channel_state::closing;
  events_.push_back(connection::data_channel_closing{at->first});
  end_outgoing(now, sctp, at);
}

void channel_table::end_outgoing(time_point now, sctp::association& sctp,
                                 channel_map::iterator at) {
  const std::uint16_t stream = *at->second.options.id;
  // Where streams cannot be reset, closing is ours alone, and the stream is not used again
  // by anyone who keeps to the same rule.
  if (!sctp.reset_streams(now, {&stream, 1})) finish(at, {});
}

void channel_table::handle_outgoing_reset(std::span<const std::uint16_t> streams) {
  for (const std::uint16_t stream : streams) {
    const auto at = find_by_stream(stream);
    if (at == channels_.end() || at->second.state != data_channel_state::closing) continue;
    at->second.outgoing_ended = true;
    if (at->second.incoming_ended) finish(at, {});
  }
}

void channel_table::handle_denied_reset(std::span<const std::uint16_t> streams) {
  for (const std::uint16_t stream : streams) {
    const auto at = find_by_stream(stream);
    if (at == channels_.end() || at->second.state != data_channel_state::closing) continue;
    const auto handle = at->first;
    finish(at, "the other side refused to end its stream");
    by_stream_.emplace(stream, handle);
  }
}

void channel_table::handle_buffered_amount_low(std::uint16_t stream) {
  if (const auto at = find_by_stream(stream);
      at != channels_.end() && at->second.used && at->second.state == data_channel_state::open)
    events_.push_back(connection::buffered_amount_low{at->first});
}

void channel_table::finish(channel_map::iterator at, std::string_view error) {
  const auto handle = at->first;
  const auto stream = at->second.options.id;
  if (const auto held = stream ? by_stream_.find(*stream) : by_stream_.end();
      held != by_stream_.end() && held->second == handle)
    by_stream_.erase(held);
  channels_.erase(at);
  events_.push_back(connection::data_channel_closed{handle, std::string{error}});
}

channel_table::channel* channel_table::find(channel_handle handle) {
  const auto at = channels_.find(handle);
  return at == channels_.end() ? nullptr : &at->second;
}

channel_table::channel_map::iterator channel_table::find_by_stream(std::uint16_t stream) {
  const auto held = by_stream_.find(stream);
  return held == by_stream_.end() ? channels_.end() : channels_.find(held->second);
}

std::optional<data_channel_info> channel_table::info(const sctp::association* sctp,
                                                     channel_handle handle) const {
  const auto at = channels_.find(handle);
  if (at == channels_.end()) return std::nullopt;
  const channel& c = at->second;
  return data_channel_info{
      .label = c.label,
      .options = c.options,
      .state = c.state,
      .buffered_amount = sctp != nullptr && c.options.id ? sctp->buffered_amount(*c.options.id) : 0,
      .buffered_amount_low_threshold = c.low_threshold};
}

}  // namespace weft::peer
