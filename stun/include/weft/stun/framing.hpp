#ifndef WEFT_STUN_FRAMING_HPP
#define WEFT_STUN_FRAMING_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <weft/core/bytes.hpp>
#include <weft/stun/message.hpp>

namespace weft::stun {

/// How a stream of nothing but STUN messages goes on (RFC 8489 §6.2.2).
struct stream_frame {
  enum class kind : std::uint8_t {
    need_more,  ///< Read at least `size` bytes in all, then ask again.
    message,    ///< The first `size` bytes are the next message; `message_view::parse` takes them.
    not_stun,   ///< The stream is not STUN, or has lost its place: close it.
  };

  kind what;
  std::size_t size;

  friend constexpr bool operator==(const stream_frame&, const stream_frame&) = default;
};

/// What the first bytes of a TCP stream are, as soon as they tell: a message says its own
/// length, so no framing protocol is needed (RFC 8489 §6.2.2). A message is never longer
/// than 65,552 bytes.
constexpr stream_frame next_frame(const_bytes stream) noexcept {
  using enum stream_frame::kind;
  constexpr std::uint8_t cookie[] = {0x21, 0x12, 0xa4, 0x42};
  if (!stream.empty() && (stream[0] & 0xc0) != 0) return {not_stun, 0};
  if (stream.size() >= 4 && (stream[3] & 3) != 0) return {not_stun, 0};
  for (std::size_t i = 4; i < std::min<std::size_t>(stream.size(), 8); ++i)
    if (stream[i] != cookie[i - 4]) return {not_stun, 0};
  if (stream.size() < header_size) return {need_more, header_size};
  const std::size_t size = header_size + detail::load_u16(stream.data() + 2);
  return {stream.size() < size ? need_more : message, size};
}

}  // namespace weft::stun

#endif  // WEFT_STUN_FRAMING_HPP
