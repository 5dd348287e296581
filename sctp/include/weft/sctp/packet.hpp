#ifndef WEFT_SCTP_PACKET_HPP
#define WEFT_SCTP_PACKET_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include <weft/core/bytes.hpp>
#include <weft/core/result.hpp>
#include <weft/sctp/crc32c.hpp>

/// SCTP packets on the wire, chunk by chunk in RFC 9260's order.
///
/// Reading: `packet_view::parse` checks once that all chunks lie within the packet; then
/// `for_each_chunk` and, for a chunk of known type, `data_chunk::parse` and its brothers. Views
/// point into the packet. Writing: `packet_builder{buffer, ...}`, `add(...)`, `finish()`.
namespace weft::sctp {

namespace detail {

constexpr std::uint16_t load_u16(const std::uint8_t* p) noexcept {
  return static_cast<std::uint16_t>(p[0] << 8 | p[1]);
}
constexpr std::uint32_t load_u32(const std::uint8_t* p) noexcept {
  return std::uint32_t{p[0]} << 24 | std::uint32_t{p[1]} << 16 | std::uint32_t{p[2]} << 8 | p[3];
}
constexpr void store_u16(std::uint8_t* p, std::uint16_t v) noexcept {
  p[0] = static_cast<std::uint8_t>(v >> 8);
  p[1] = static_cast<std::uint8_t>(v);
}
constexpr void store_u32(std::uint8_t* p, std::uint32_t v) noexcept {
  p[0] = static_cast<std::uint8_t>(v >> 24);
  p[1] = static_cast<std::uint8_t>(v >> 16);
  p[2] = static_cast<std::uint8_t>(v >> 8);
  p[3] = static_cast<std::uint8_t>(v);
}

}  // namespace detail

/// Chunks and parameters are padded with zeros to this.
constexpr std::size_t padded(std::size_t size) noexcept {
  return (size + 3) & ~std::size_t{3};
}

inline constexpr std::size_t common_header_size = 12;
inline constexpr std::size_t chunk_header_size = 4;
inline constexpr std::size_t data_header_size = 16;

/// RFC 9260 §3.2, RFC 6525 §3.1, RFC 3758 §3.2. An open enum: a packet may hold any value.
enum class chunk_type : std::uint8_t {
  data = 0,
  init = 1,
  init_ack = 2,
  sack = 3,
  heartbeat = 4,
  heartbeat_ack = 5,
  abort = 6,
  shutdown = 7,
  shutdown_ack = 8,
  error = 9,
  cookie_echo = 10,
  cookie_ack = 11,
  shutdown_complete = 14,
  re_config = 130,
  forward_tsn = 192,
};

/// What to do with a chunk whose type is not known (RFC 9260 §3.2: the two highest bits).
constexpr bool unknown_chunk_stops_packet(chunk_type type) noexcept {
  return (static_cast<unsigned>(type) & 0x80) == 0;
}
constexpr bool unknown_chunk_is_reported(chunk_type type) noexcept {
  return (static_cast<unsigned>(type) & 0x40) != 0;
}

/// The T bit of ABORT and SHUTDOWN COMPLETE: the tag is the receiver's own view of its peer's
/// (RFC 9260 §8.5.1).
inline constexpr std::uint8_t reflected_tag_flag = 0x01;

/// RFC 9260 §3.3.2 and §3.3.3, RFC 5061 §4.2.7, RFC 3758 §3.1, RFC 9653 §4, RFC 6525 §4.
enum class parameter_type : std::uint16_t {
  heartbeat_info = 1,
  ipv4_address = 5,
  ipv6_address = 6,
  state_cookie = 7,
  unrecognized_parameter = 8,
  cookie_preservative = 9,
  host_name_address = 11,
  supported_address_types = 12,
  outgoing_ssn_reset_request = 13,
  incoming_ssn_reset_request = 14,
  ssn_tsn_reset_request = 15,
  re_configuration_response = 16,
  add_outgoing_streams_request = 17,
  add_incoming_streams_request = 18,
  zero_checksum_acceptable = 0x8001,
  supported_extensions = 0x8008,
  forward_tsn_supported = 0xc000,
};

/// RFC 9260 §3.2.1, as for chunks.
constexpr bool unknown_parameter_stops_chunk(parameter_type type) noexcept {
  return (static_cast<unsigned>(type) & 0x8000) == 0;
}
constexpr bool unknown_parameter_is_reported(parameter_type type) noexcept {
  return (static_cast<unsigned>(type) & 0x4000) != 0;
}

/// RFC 9260 §3.3.10.
enum class error_cause : std::uint16_t {
  invalid_stream_identifier = 1,
  missing_mandatory_parameter = 2,
  stale_cookie = 3,
  out_of_resource = 4,
  unresolvable_address = 5,
  unrecognized_chunk_type = 6,
  invalid_mandatory_parameter = 7,
  unrecognized_parameters = 8,
  no_user_data = 9,
  cookie_received_while_shutting_down = 10,
  restart_with_new_addresses = 11,
  user_initiated_abort = 12,
  protocol_violation = 13,
};

/// RFC 9653 §4: the identifier of "SCTP over DTLS" as an error detection method.
inline constexpr std::uint32_t edmid_dtls = 1;

enum class parse_error : std::uint8_t {
  truncated,         ///< Shorter than the common header. Not SCTP: drop it.
  bad_chunk_length,  ///< A chunk is shorter than its header or leaves the packet. Drop the packet.
};
constexpr std::string_view to_string(parse_error error) noexcept {
  return error == parse_error::truncated ? "truncated" : "bad chunk length";
}

/// A type-length-value item: a parameter (RFC 9260 §3.2.1) or an error cause (§3.3.10).
struct tlv_view {
  std::uint16_t type = 0;
  const_bytes bytes;  ///< Its header included, its padding not.

  constexpr const_bytes value() const noexcept { return bytes.subspan(4); }
  constexpr bool is(parameter_type t) const noexcept { return type == static_cast<unsigned>(t); }
};

/// Takes the item at the front of `rest` off it. Nothing at the end or where a length is wrong;
/// `rest` is then what was not understood.
constexpr std::optional<tlv_view> take_tlv(const_bytes& rest) noexcept {
  if (rest.size() < 4) return std::nullopt;
  const std::size_t length = detail::load_u16(rest.data() + 2);
  if (length < 4 || length > rest.size()) return std::nullopt;
  const tlv_view item{detail::load_u16(rest.data()), rest.first(length)};
  const std::size_t step = padded(length);
  rest = rest.subspan(step < rest.size() ? step : rest.size());
  return item;
}

struct chunk_view {
  chunk_type type{};
  std::uint8_t flags = 0;
  const_bytes bytes;  ///< Its header included, its padding not.

  constexpr const_bytes value() const noexcept { return bytes.subspan(chunk_header_size); }
};

/// A packet all of whose chunks lie within it. Nothing is said about what they hold, nor about
/// the checksum.
class packet_view {
 public:
  static constexpr result<packet_view, parse_error> parse(const_bytes packet) {
    if (packet.size() < common_header_size) return fail(parse_error::truncated);
    for (std::size_t at = common_header_size; at < packet.size();) {
      const std::size_t room = packet.size() - at;
      if (room < chunk_header_size) return fail(parse_error::bad_chunk_length);
      const std::size_t length = detail::load_u16(packet.data() + at + 2);
      if (length < chunk_header_size || length > room) return fail(parse_error::bad_chunk_length);
      at += padded(length);  // The last chunk may come without its padding.
    }
    return packet_view{packet};
  }

  constexpr const_bytes bytes() const noexcept { return packet_; }
  constexpr std::uint16_t source_port() const noexcept { return detail::load_u16(packet_.data()); }
  constexpr std::uint16_t destination_port() const noexcept {
    return detail::load_u16(packet_.data() + 2);
  }
  constexpr std::uint32_t verification_tag() const noexcept {
    return detail::load_u32(packet_.data() + 4);
  }
  /// As on the wire, where its bytes stand in little-endian order (RFC 9260 Appendix A).
  constexpr std::uint32_t checksum() const noexcept {
    const std::uint8_t* p = packet_.data() + 8;
    return std::uint32_t{p[3]} << 24 | std::uint32_t{p[2]} << 16 | std::uint32_t{p[1]} << 8 | p[0];
  }
  bool has_valid_checksum() const noexcept { return checksum() == packet_crc32c(packet_); }

  /// Calls `visit(chunk_view)` in order until one returns false.
  template <class Visit>
  constexpr void for_each_chunk(Visit&& visit) const {
    for (const_bytes rest = packet_.subspan(common_header_size); !rest.empty();) {
      const chunk_view chunk = front(rest);
      if (!visit(chunk)) return;
      const std::size_t step = padded(chunk.bytes.size());
      rest = rest.subspan(step < rest.size() ? step : rest.size());
    }
  }

  /// The first chunk, which decides much; nothing when there is none.
  constexpr std::optional<chunk_view> first_chunk() const noexcept {
    if (packet_.size() == common_header_size) return std::nullopt;
    return front(packet_.subspan(common_header_size));
  }

 private:
  constexpr explicit packet_view(const_bytes packet) noexcept : packet_{packet} {}

  static constexpr chunk_view front(const_bytes rest) noexcept {
    return {static_cast<chunk_type>(rest[0]), rest[1],
            rest.first(detail::load_u16(rest.data() + 2))};
  }

  const_bytes packet_;
};

/// DATA (RFC 9260 §3.3.1, RFC 7053 §3).
struct data_chunk {
  std::uint32_t tsn = 0;
  std::uint16_t stream = 0;
  std::uint16_t ssn = 0;  ///< Meaningless when unordered.
  std::uint32_t ppid = 0;
  bool unordered = false;
  bool beginning = false;
  bool ending = false;
  bool immediate = false;  ///< The sender wants its SACK now.
  const_bytes payload;

  static constexpr std::optional<data_chunk> parse(const chunk_view& chunk) noexcept {
    if (chunk.bytes.size() < data_header_size) return std::nullopt;
    const std::uint8_t* p = chunk.bytes.data();
    return data_chunk{
        detail::load_u32(p + 4),  detail::load_u16(p + 8), detail::load_u16(p + 10),
        detail::load_u32(p + 12), (chunk.flags & 4) != 0,  (chunk.flags & 2) != 0,
        (chunk.flags & 1) != 0,   (chunk.flags & 8) != 0,  chunk.bytes.subspan(data_header_size)};
  }
};

/// INIT and INIT ACK (RFC 9260 §3.3.2, §3.3.3).
struct init_chunk {
  std::uint32_t initiate_tag = 0;
  std::uint32_t a_rwnd = 0;
  std::uint16_t outgoing_streams = 0;
  std::uint16_t incoming_streams = 0;
  std::uint32_t initial_tsn = 0;
  const_bytes parameters;

  static constexpr std::optional<init_chunk> parse(const chunk_view& chunk) noexcept {
    if (chunk.bytes.size() < 20) return std::nullopt;
    const std::uint8_t* p = chunk.bytes.data();
    return init_chunk{detail::load_u32(p + 4),  detail::load_u32(p + 8),  detail::load_u16(p + 12),
                      detail::load_u16(p + 14), detail::load_u32(p + 16), chunk.bytes.subspan(20)};
  }
};

/// Offsets from the cumulative TSN ack, both ends included (RFC 9260 §3.3.4).
struct gap_block {
  std::uint16_t start = 0;
  std::uint16_t end = 0;
  friend constexpr bool operator==(const gap_block&, const gap_block&) = default;
};

/// SACK (RFC 9260 §3.3.4).
struct sack_chunk {
  std::uint32_t cumulative_tsn_ack = 0;
  std::uint32_t a_rwnd = 0;
  const_bytes gap_blocks;      ///< Four bytes each.
  const_bytes duplicate_tsns;  ///< Four bytes each.

  constexpr std::size_t gap_block_count() const noexcept { return gap_blocks.size() / 4; }
  constexpr gap_block block(std::size_t i) const noexcept {
    return {detail::load_u16(gap_blocks.data() + 4 * i),
            detail::load_u16(gap_blocks.data() + 4 * i + 2)};
  }
  constexpr std::size_t duplicate_count() const noexcept { return duplicate_tsns.size() / 4; }
  constexpr std::uint32_t duplicate(std::size_t i) const noexcept {
    return detail::load_u32(duplicate_tsns.data() + 4 * i);
  }

  static constexpr std::optional<sack_chunk> parse(const chunk_view& chunk) noexcept {
    if (chunk.bytes.size() < 16) return std::nullopt;
    const std::uint8_t* p = chunk.bytes.data();
    const std::size_t gaps = 4 * std::size_t{detail::load_u16(p + 12)};
    const std::size_t duplicates = 4 * std::size_t{detail::load_u16(p + 14)};
    if (chunk.bytes.size() != 16 + gaps + duplicates) return std::nullopt;
    return sack_chunk{detail::load_u32(p + 4), detail::load_u32(p + 8),
                      chunk.bytes.subspan(16, gaps), chunk.bytes.subspan(16 + gaps, duplicates)};
  }
};

/// The cumulative TSN ack of a SHUTDOWN (RFC 9260 §3.3.8), or the new cumulative TSN that begins
/// a FORWARD TSN (RFC 3758 §3.2).
constexpr std::optional<std::uint32_t> parse_shutdown(const chunk_view& chunk) noexcept {
  if (chunk.bytes.size() != 8) return std::nullopt;
  return detail::load_u32(chunk.bytes.data() + 4);
}

/// FORWARD TSN (RFC 3758 §3.2).
struct forward_tsn_chunk {
  struct skipped {
    std::uint16_t stream = 0;
    std::uint16_t ssn = 0;  ///< The highest that is skipped.
    friend constexpr bool operator==(const skipped&, const skipped&) = default;
  };
  std::uint32_t new_cumulative_tsn = 0;
  const_bytes streams;  ///< Four bytes each.

  constexpr std::size_t stream_count() const noexcept { return streams.size() / 4; }
  constexpr skipped stream(std::size_t i) const noexcept {
    return {detail::load_u16(streams.data() + 4 * i), detail::load_u16(streams.data() + 4 * i + 2)};
  }

  static constexpr std::optional<forward_tsn_chunk> parse(const chunk_view& chunk) noexcept {
    if (chunk.bytes.size() < 8 || chunk.bytes.size() % 4 != 0) return std::nullopt;
    return forward_tsn_chunk{detail::load_u32(chunk.bytes.data() + 4), chunk.bytes.subspan(8)};
  }
};

/// Outgoing SSN Reset Request (RFC 6525 §4.1).
struct outgoing_reset_request {
  std::uint32_t request = 0;   ///< Its own sequence number.
  std::uint32_t response = 0;  ///< Of the incoming request it answers, or the last one seen.
  std::uint32_t last_assigned_tsn = 0;
  const_bytes streams;  ///< Two bytes each; none means all.

  static constexpr std::optional<outgoing_reset_request> parse(const tlv_view& p) noexcept {
    if (p.bytes.size() < 16 || p.bytes.size() % 2 != 0) return std::nullopt;
    return outgoing_reset_request{detail::load_u32(p.bytes.data() + 4),
                                  detail::load_u32(p.bytes.data() + 8),
                                  detail::load_u32(p.bytes.data() + 12), p.bytes.subspan(16)};
  }
};

/// Incoming SSN Reset Request (RFC 6525 §4.2).
struct incoming_reset_request {
  std::uint32_t request = 0;
  const_bytes streams;  ///< Two bytes each; none means all.

  static constexpr std::optional<incoming_reset_request> parse(const tlv_view& p) noexcept {
    if (p.bytes.size() < 8 || p.bytes.size() % 2 != 0) return std::nullopt;
    return incoming_reset_request{detail::load_u32(p.bytes.data() + 4), p.bytes.subspan(8)};
  }
};

/// RFC 6525 §4.4, table 3.
enum class reset_result : std::uint32_t {
  nothing_to_do = 0,
  performed = 1,
  denied = 2,
  wrong_ssn = 3,
  already_in_progress = 4,
  bad_sequence_number = 5,
  in_progress = 6,
};

/// Re-configuration Response (RFC 6525 §4.4), without the TSNs that only an SSN/TSN reset has.
struct reset_response {
  std::uint32_t response = 0;
  reset_result result{};

  static constexpr std::optional<reset_response> parse(const tlv_view& p) noexcept {
    if (p.bytes.size() < 12) return std::nullopt;
    return reset_response{detail::load_u32(p.bytes.data() + 4),
                          static_cast<reset_result>(detail::load_u32(p.bytes.data() + 8))};
  }
};

/// Builds a packet in a caller's buffer. What does not fit is left out, and `ok()` is then false.
class packet_builder {
 public:
  packet_builder(mutable_bytes buffer, std::uint16_t source_port, std::uint16_t destination_port,
                 std::uint32_t verification_tag) noexcept
      : buffer_{buffer} {
    ok_ = buffer.size() >= common_header_size;
    if (!ok_) return;
    detail::store_u16(buffer.data(), source_port);
    detail::store_u16(buffer.data() + 2, destination_port);
    detail::store_u32(buffer.data() + 4, verification_tag);
    detail::store_u32(buffer.data() + 8, 0);
    size_ = common_header_size;
  }

  bool ok() const noexcept { return ok_; }
  std::size_t size() const noexcept { return size_; }
  /// Bytes left for further chunks, headers included.
  std::size_t room() const noexcept { return (buffer_.size() - size_) & ~std::size_t{3}; }
  bool empty() const noexcept { return size_ <= common_header_size; }

  /// Appends a chunk of `length` bytes and returns where its value goes; padding is written.
  /// Null when it does not fit.
  std::uint8_t* add_chunk(chunk_type type, std::uint8_t flags, std::size_t length) noexcept {
    const std::size_t whole = padded(length);
    ok_ = ok_ && length <= 0xffff && whole <= buffer_.size() - size_;
    if (!ok_) return nullptr;
    std::uint8_t* const p = buffer_.data() + size_;
    p[0] = static_cast<std::uint8_t>(type);
    p[1] = flags;
    detail::store_u16(p + 2, static_cast<std::uint16_t>(length));
    for (std::size_t i = length; i < whole; ++i) p[i] = 0;
    size_ += whole;
    return p + chunk_header_size;
  }

  /// A chunk with this value: what is left when the type says all.
  packet_builder& add(chunk_type type, std::uint8_t flags, const_bytes value) noexcept {
    std::uint8_t* const p = add_chunk(type, flags, chunk_header_size + value.size());
    if (p != nullptr && !value.empty()) std::memcpy(p, value.data(), value.size());
    return *this;
  }

  packet_builder& add(const data_chunk& c) noexcept {
    const auto flags = static_cast<std::uint8_t>((c.immediate ? 8 : 0) | (c.unordered ? 4 : 0) |
                                                 (c.beginning ? 2 : 0) | (c.ending ? 1 : 0));
    std::uint8_t* const p = add_chunk(chunk_type::data, flags, data_header_size + c.payload.size());
    if (p == nullptr) return *this;
    detail::store_u32(p, c.tsn);
    detail::store_u16(p + 4, c.stream);
    detail::store_u16(p + 6, c.ssn);
    detail::store_u32(p + 8, c.ppid);
    if (!c.payload.empty()) std::memcpy(p + 12, c.payload.data(), c.payload.size());
    return *this;
  }

  /// `type` is INIT or INIT ACK.
  packet_builder& add(chunk_type type, const init_chunk& c) noexcept {
    std::uint8_t* const p = add_chunk(type, 0, 20 + c.parameters.size());
    if (p == nullptr) return *this;
    detail::store_u32(p, c.initiate_tag);
    detail::store_u32(p + 4, c.a_rwnd);
    detail::store_u16(p + 8, c.outgoing_streams);
    detail::store_u16(p + 10, c.incoming_streams);
    detail::store_u32(p + 12, c.initial_tsn);
    if (!c.parameters.empty()) std::memcpy(p + 16, c.parameters.data(), c.parameters.size());
    return *this;
  }

  packet_builder& add_sack(std::uint32_t cumulative_tsn_ack, std::uint32_t a_rwnd,
                           std::span<const gap_block> gaps,
                           std::span<const std::uint32_t> duplicates) noexcept {
    std::uint8_t* p = add_chunk(chunk_type::sack, 0, 16 + 4 * (gaps.size() + duplicates.size()));
    if (p == nullptr) return *this;
    detail::store_u32(p, cumulative_tsn_ack);
    detail::store_u32(p + 4, a_rwnd);
    detail::store_u16(p + 8, static_cast<std::uint16_t>(gaps.size()));
    detail::store_u16(p + 10, static_cast<std::uint16_t>(duplicates.size()));
    p += 12;
    for (const gap_block& gap : gaps) {
      detail::store_u16(p, gap.start);
      detail::store_u16(p + 2, gap.end);
      p += 4;
    }
    for (const std::uint32_t tsn : duplicates) {
      detail::store_u32(p, tsn);
      p += 4;
    }
    return *this;
  }

  packet_builder& add_shutdown(std::uint32_t cumulative_tsn_ack) noexcept {
    std::uint8_t* const p = add_chunk(chunk_type::shutdown, 0, 8);
    if (p != nullptr) detail::store_u32(p, cumulative_tsn_ack);
    return *this;
  }

  packet_builder& add_forward_tsn(std::uint32_t new_cumulative_tsn,
                                  std::span<const forward_tsn_chunk::skipped> streams) noexcept {
    std::uint8_t* p = add_chunk(chunk_type::forward_tsn, 0, 8 + 4 * streams.size());
    if (p == nullptr) return *this;
    detail::store_u32(p, new_cumulative_tsn);
    for (const auto& s : streams) {
      p += 4;
      detail::store_u16(p, s.stream);
      detail::store_u16(p + 2, s.ssn);
    }
    return *this;
  }

  /// The packet, with its CRC32c in place.
  const_bytes finish() noexcept {
    if (size_ < common_header_size) return {};
    const std::uint32_t crc = packet_crc32c(buffer_.first(size_));
    for (std::size_t i = 0; i < 4; ++i) buffer_[8 + i] = static_cast<std::uint8_t>(crc >> (8 * i));
    return buffer_.first(size_);
  }

  /// The packet with zero for a checksum: only where the receiver accepts that (RFC 9653 §5.2).
  const_bytes finish_without_checksum() noexcept { return buffer_.first(size_); }

 private:
  mutable_bytes buffer_;
  std::size_t size_ = 0;
  bool ok_ = true;
};

/// Writes type-length-value items one after the other, each padded: the parameters of an INIT
/// or RE-CONFIG, the causes of an ABORT or ERROR.
class tlv_writer {
 public:
  explicit tlv_writer(mutable_bytes buffer) noexcept : out_{buffer} {}

  tlv_writer& add(std::uint16_t type, const_bytes value) noexcept {
    out_.zeros(padded(out_.size()) - out_.size());
    out_.u16(type);
    out_.u16(static_cast<std::uint16_t>(4 + value.size()));
    out_.bytes(value);
    return *this;
  }
  tlv_writer& add(parameter_type type, const_bytes value) noexcept {
    return add(static_cast<std::uint16_t>(type), value);
  }
  tlv_writer& add(error_cause cause, const_bytes value) noexcept {
    return add(static_cast<std::uint16_t>(cause), value);
  }

  bool ok() const noexcept { return out_.ok(); }
  /// Without the last item's padding: a chunk's length leaves that out (RFC 9260 §3.2).
  const_bytes written() const noexcept { return out_.written(); }

 private:
  byte_writer out_;
};

}  // namespace weft::sctp

#endif  // WEFT_SCTP_PACKET_HPP
