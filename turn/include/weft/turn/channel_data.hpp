#ifndef WEFT_TURN_CHANNEL_DATA_HPP
#define WEFT_TURN_CHANNEL_DATA_HPP

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <weft/core/bytes.hpp>
#include <weft/stun/message.hpp>

/// ChannelData: four bytes in front of what is relayed (RFC 8656 §12.4).
namespace weft::turn {

inline constexpr std::size_t channel_header_size = 4;
/// The numbers to give to channels (RFC 8656 §12).
inline constexpr std::uint16_t first_channel = 0x4000;
inline constexpr std::uint16_t last_channel = 0x4fff;
/// Deviation from RFC 8656 §12: up to here numbers are taken from others, since RFC 5766 §11
/// gave them to channels and its clients are still about, coturn's among them.
inline constexpr std::uint16_t last_accepted_channel = 0x7fff;

constexpr bool is_channel_number(std::uint16_t number) noexcept {
  return number >= first_channel && number <= last_accepted_channel;
}

/// Whether the bytes start as ChannelData does: enough to tell it from what else WebRTC puts
/// on one socket (RFC 7983 §7, which leaves 80 to 127 to nobody).
constexpr bool is_channel_data(const_bytes bytes) noexcept {
  return bytes.size() >= channel_header_size && (bytes[0] & 0xc0) == 0x40;
}

/// A ChannelData message where it lies.
struct channel_data_view {
  std::uint16_t channel;
  const_bytes data;  ///< May be empty.

  /// Nothing for what is not ChannelData or is shorter than it claims. What stands behind the
  /// data is padding, which is allowed over UDP too (RFC 8656 §12.5).
  static constexpr std::optional<channel_data_view> parse(const_bytes message) noexcept {
    if (!is_channel_data(message)) return std::nullopt;
    const std::size_t length = stun::detail::load_u16(message.data() + 2);
    if (length > message.size() - channel_header_size) return std::nullopt;
    return channel_data_view{stun::detail::load_u16(message.data()),
                             message.subspan(channel_header_size, length)};
  }
};

/// Writes the header that goes in front of `length` bytes of data.
constexpr void write_channel_header(std::span<std::uint8_t, channel_header_size> out,
                                    std::uint16_t channel, std::uint16_t length) noexcept {
  out[0] = static_cast<std::uint8_t>(channel >> 8);
  out[1] = static_cast<std::uint8_t>(channel);
  out[2] = static_cast<std::uint8_t>(length >> 8);
  out[3] = static_cast<std::uint8_t>(length);
}

/// How long a ChannelData message with so many bytes of data is over TCP and TLS, where it is
/// padded (RFC 8656 §12.5).
constexpr std::size_t padded_channel_data_size(std::size_t length) noexcept {
  return channel_header_size + stun::padded(length);
}

}  // namespace weft::turn

#endif  // WEFT_TURN_CHANNEL_DATA_HPP
