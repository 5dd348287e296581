#ifndef WEFT_DCEP_MESSAGE_HPP
#define WEFT_DCEP_MESSAGE_HPP

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include <weft/core/bytes.hpp>
#include <weft/core/result.hpp>

/// The Data Channel Establishment Protocol (RFC 8832) and the rest of what RFC 8831 lays over
/// SCTP. Pure functions of bytes: who sends what when is the peer connection's business.
namespace weft::dcep {

/// Payload protocol identifiers (RFC 8831 §8).
enum class ppid : std::uint32_t {
  control = 50,  ///< A message of this protocol.
  text = 51,     ///< UTF-8, not empty.
  binary = 53,
  text_empty = 56,  ///< An empty text: SCTP cannot send one, so one ignored byte stands for it.
  binary_empty = 57,
};

/// The payload that stands for an empty message (RFC 8831 §6.6: one zero byte).
inline constexpr std::uint8_t empty_payload[1] = {0};

/// Whether `value` says that the payload is to be ignored and the message is empty.
constexpr bool is_empty_message(ppid value) noexcept {
  return value == ppid::text_empty || value == ppid::binary_empty;
}

enum class message_type : std::uint8_t { ack = 0x02, open = 0x03 };

/// How far a channel goes to deliver a message; `open::reliability_parameter` has the limit.
enum class reliability : std::uint8_t {
  reliable = 0x00,
  limited_retransmissions = 0x01,  ///< The parameter counts retransmissions.
  limited_lifetime = 0x02,         ///< The parameter is in milliseconds.
};

/// RFC 8831 §6.4 gives these four levels; other values are allowed on the wire.
enum class priority : std::uint16_t {
  below_normal = 128,
  normal = 256,
  high = 512,
  extra_high = 1024
};

/// DATA_CHANNEL_OPEN (RFC 8832 §5.1). `label` and `protocol` view the parsed bytes; they ought to
/// be UTF-8, which is not checked here.
struct open {
  reliability kind = reliability::reliable;
  bool ordered = true;
  std::uint16_t priority = static_cast<std::uint16_t>(dcep::priority::normal);
  std::uint32_t reliability_parameter = 0;  ///< Zero when sent, ignored when read, if reliable.
  std::string_view label;
  std::string_view protocol;

  friend bool operator==(const open&, const open&) = default;
};

enum class parse_error : std::uint8_t {
  empty,                 ///< Not a byte. Close the channel.
  unknown_type,          ///< Neither OPEN nor ACK. Close the channel (RFC 8832 §6).
  truncated,             ///< Shorter than its fields or than it says of itself. Close the channel.
  trailing_bytes,        ///< Longer than it says of itself. Close the channel.
  unknown_channel_type,  ///< A channel type that is not assigned. Close the channel.
};

constexpr std::string_view to_string(parse_error error) noexcept {
  switch (error) {
    case parse_error::empty:
      return "empty";
    case parse_error::unknown_type:
      return "unknown message type";
    case parse_error::truncated:
      return "truncated";
    case parse_error::trailing_bytes:
      return "trailing bytes";
    case parse_error::unknown_channel_type:
      return "unknown channel type";
  }
  return "unknown";
}

/// Which of the two messages this is. The rest is not looked at.
constexpr result<message_type, parse_error> parse_type(const_bytes message) {
  if (message.empty()) return fail(parse_error::empty);
  switch (message[0]) {
    case 0x02:
      return message_type::ack;
    case 0x03:
      return message_type::open;
    default:
      return fail(parse_error::unknown_type);
  }
}

/// Reads a DATA_CHANNEL_OPEN, its type byte included.
inline result<open, parse_error> parse_open(const_bytes message) {
  if (message.empty()) return fail(parse_error::empty);
  byte_reader in{message};
  if (in.u8() != static_cast<std::uint8_t>(message_type::open))
    return fail(parse_error::unknown_type);
  const std::uint8_t channel_type = in.u8();
  open out;
  out.priority = in.u16();
  out.reliability_parameter = in.u32();
  const std::size_t label_size = in.u16();
  const std::size_t protocol_size = in.u16();
  out.label = as_text(in.bytes(label_size));
  out.protocol = as_text(in.bytes(protocol_size));
  if (!in.ok()) return fail(parse_error::truncated);
  if (!in.at_end()) return fail(parse_error::trailing_bytes);
  if ((channel_type & 0x7f) > 2) return fail(parse_error::unknown_channel_type);
  out.kind = static_cast<reliability>(channel_type & 0x7f);
  out.ordered = (channel_type & 0x80) == 0;
  if (out.kind == reliability::reliable) out.reliability_parameter = 0;
  return out;
}

/// Bytes that `build_open` needs.
constexpr std::size_t open_size(const open& message) noexcept {
  return 12 + message.label.size() + message.protocol.size();
}

/// Writes a DATA_CHANNEL_OPEN at the front of `buffer`. Nothing when it does not fit, or when
/// label or protocol exceed 65535 bytes.
inline std::optional<const_bytes> build_open(mutable_bytes buffer, const open& message) {
  if (message.label.size() > 0xffff || message.protocol.size() > 0xffff) return std::nullopt;
  byte_writer out{buffer};
  out.u8(static_cast<std::uint8_t>(message_type::open));
  out.u8(static_cast<std::uint8_t>(static_cast<unsigned>(message.kind) |
                                   (message.ordered ? 0u : 0x80u)));
  out.u16(message.priority);
  out.u32(message.kind == reliability::reliable ? 0 : message.reliability_parameter);
  out.u16(static_cast<std::uint16_t>(message.label.size()));
  out.u16(static_cast<std::uint16_t>(message.protocol.size()));
  out.bytes(as_bytes(message.label));
  out.bytes(as_bytes(message.protocol));
  if (!out.ok()) return std::nullopt;
  return out.written();
}

/// DATA_CHANNEL_ACK (RFC 8832 §5.2): the whole message.
inline constexpr std::uint8_t ack_message[1] = {static_cast<std::uint8_t>(message_type::ack)};

/// The end of the DTLS handshake that this side had, which decides whose streams are whose.
enum class role : std::uint8_t { dtls_client, dtls_server };

/// Streams 0 to 65534 carry channels: 65535 is not used (RFC 8831 §6.2, RFC 8832 §6).
inline constexpr std::uint16_t max_stream = 65534;

/// Whether a side with this role may open a channel on this stream by DCEP: the DTLS client
/// has the even streams, the server the odd ones (RFC 8832 §6).
constexpr bool may_open(role side, std::uint16_t stream) noexcept {
  return stream <= max_stream && (stream % 2 == 0) == (side == role::dtls_client);
}

/// The lowest stream that this role may open.
constexpr std::uint16_t first_stream(role side) noexcept {
  return side == role::dtls_client ? 0 : 1;
}

}  // namespace weft::dcep

#endif  // WEFT_DCEP_MESSAGE_HPP
