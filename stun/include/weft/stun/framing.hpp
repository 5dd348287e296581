#ifndef WEFT_STUN_FRAMING_HPP
#define WEFT_STUN_FRAMING_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

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

/// Cuts a stream of bytes into messages, whatever pieces it comes in.
///
///     for (const_bytes rest = chunk; const auto message = reader.next(rest);) handle(*message);
///     if (reader.has_failed()) close();
///
/// Where messages lie whole in a chunk, which is nearly always, they are not copied. The rest
/// of a chunk is kept until the next one, so that the reader never holds more than one message
/// that is not whole.
class stream_reader {
 public:
  /// How a stream goes on: `next_frame`, or that of a protocol that has more than STUN in it.
  using frame_function = stream_frame (*)(const_bytes stream) noexcept;

  struct options {
    frame_function frame = next_frame;
    /// The longest message that is taken: one that says it is longer fails the stream. By
    /// default any that STUN can have.
    std::size_t max_message_size = header_size + 0xffff;
  };

  stream_reader() : stream_reader{options{}} {}
  explicit stream_reader(const options& opts) : options_{opts} {}

  /// The next whole message, and `chunk` is what comes behind it. Nothing once all of `chunk`
  /// has been taken, or the stream has failed. A message lives until the next call, and no longer
  /// than the chunk.
  std::optional<const_bytes> next(const_bytes& chunk);

  /// The stream is not what it should be and cannot be read on: close it.
  bool has_failed() const noexcept { return failed_; }
  /// How much of a message is there that is not whole.
  std::size_t buffered() const noexcept { return partial_.size() - consumed_; }

 private:
  options options_;
  std::vector<std::uint8_t> partial_;
  std::size_t consumed_ = 0;  ///< Of `partial_`: the message that was given out last.
  bool failed_ = false;
};

}  // namespace weft::stun

#endif  // WEFT_STUN_FRAMING_HPP
