#ifndef WEFT_ICE_FRAMING_HPP
#define WEFT_ICE_FRAMING_HPP

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <weft/core/bytes.hpp>

/// Messages in a TCP stream, each behind its length in two bytes (RFC 4571 §2): what
/// ICE-TCP puts around STUN and around everything else (RFC 6544 §7.1, §10).
namespace weft::ice {

inline constexpr std::size_t frame_header_size = 2;
inline constexpr std::size_t max_frame_size = 0xffff;

/// The header of a frame with `size` bytes, at most `max_frame_size`.
constexpr std::array<std::uint8_t, frame_header_size> frame_header(std::size_t size) noexcept {
  return {static_cast<std::uint8_t>(size >> 8), static_cast<std::uint8_t>(size)};
}

/// Puts the header before a message that stands in `buffer` behind `frame_header_size` free
/// bytes; returns the frame. Empty if the message is too long or the buffer too short for it.
constexpr const_bytes frame_in_place(mutable_bytes buffer, std::size_t message_size) noexcept {
  if (message_size > max_frame_size || buffer.size() < frame_header_size + message_size) return {};
  const auto header = frame_header(message_size);
  std::copy(header.begin(), header.end(), buffer.begin());
  return buffer.first(frame_header_size + message_size);
}

/// Cuts a stream, which comes in pieces of any size, into messages.
///
/// Give it a piece with `feed` and take messages with `next` until there is none; then feed the
/// next piece. A message that lies whole in the piece is handed out where it lies, without a
/// copy; one that is cut is put together in a buffer that never exceeds the limit.
class deframer {
 public:
  /// Nothing on a WebRTC path is longer than a datagram was; a stream that announces more is
  /// broken or hostile.
  static constexpr std::size_t default_limit = 4096;

  explicit deframer(std::size_t limit = default_limit) : limit_{limit} {}

  /// The next piece of the stream. It must live until `next` has returned nothing. What was
  /// not taken of the piece before is lost.
  void feed(const_bytes piece) noexcept { piece_ = piece; }

  /// The next whole message, valid until the next call of either function. Empty messages, which
  /// RFC 4571 §2 allows to keep a connection alive, are skipped. Nothing also after a failure.
  std::optional<const_bytes> next() {
    if (delivered_) partial_.clear();
    delivered_ = false;
    while (!failed_ && !piece_.empty()) {
      if (partial_.empty() && piece_.size() >= frame_header_size) {
        const std::size_t size = length(piece_);
        if (size > limit_) return fail();
        if (piece_.size() >= frame_header_size + size) {
          const const_bytes whole = piece_.subspan(frame_header_size, size);
          piece_ = piece_.subspan(frame_header_size + size);
          if (size == 0) continue;
          return whole;
        }
      }
      if (const auto message = assemble()) return message;
    }
    return std::nullopt;
  }

  /// The stream announced a message over the limit. Close the connection: nothing in it
  /// can be found again.
  bool has_failed() const noexcept { return failed_; }

 private:
  static constexpr std::size_t length(const_bytes at) noexcept {
    return static_cast<std::size_t>(at[0] << 8 | at[1]);
  }

  std::optional<const_bytes> fail() noexcept {
    failed_ = true;
    partial_.clear();
    piece_ = {};
    return std::nullopt;
  }

  /// Moves what the frame in `partial_` lacks out of the piece.
  std::optional<const_bytes> assemble() {
    take(frame_header_size);
    if (partial_.size() < frame_header_size) return std::nullopt;
    const std::size_t size = length(partial_);
    if (size > limit_) return fail();
    take(frame_header_size + size);
    if (partial_.size() < frame_header_size + size) return std::nullopt;
    if (size == 0) {
      partial_.clear();
      return std::nullopt;
    }
    delivered_ = true;
    return const_bytes{partial_}.subspan(frame_header_size);
  }

  void take(std::size_t until) {
    if (partial_.size() >= until) return;
    const std::size_t count = std::min(until - partial_.size(), piece_.size());
    const const_bytes taken = piece_.first(count);
    partial_.insert(partial_.end(), taken.begin(), taken.end());
    piece_ = piece_.subspan(count);
  }

  std::size_t limit_;
  const_bytes piece_;
  std::vector<std::uint8_t> partial_;  ///< Header and what is there of a frame that is cut.
  bool delivered_ = false;             ///< `partial_` is a message that was handed out.
  bool failed_ = false;
};

}  // namespace weft::ice

#endif  // WEFT_ICE_FRAMING_HPP
