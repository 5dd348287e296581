#ifndef WEFT_TURN_FRAMING_HPP
#define WEFT_TURN_FRAMING_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <weft/core/bytes.hpp>
#include <weft/stun/framing.hpp>
#include <weft/turn/channel_data.hpp>

/// Where STUN messages and ChannelData begin and end in a stream of both (RFC 8656 §12.5).
namespace weft::turn {

/// How a stream of TURN goes on.
struct stream_frame {
  enum class kind : std::uint8_t {
    need_more,     ///< Read at least `size` bytes in all, then ask again.
    stun_message,  ///< The first `size` bytes: `stun::message_view::parse` takes them.
    channel_data,  ///< The first `size` bytes, padding included: `channel_data_view::parse`.
    not_turn,      ///< The stream is not TURN, or has lost its place: close it.
  };

  kind what;
  std::size_t size;

  friend constexpr bool operator==(const stream_frame&, const stream_frame&) = default;
};

/// What the first bytes of a TCP or TLS stream are, as soon as they tell.
constexpr stream_frame next_frame(const_bytes stream) noexcept {
  using kind = stream_frame::kind;
  if (stream.empty()) return {kind::need_more, channel_header_size};
  if ((stream[0] & 0xc0) == 0x40) {
    if (stream.size() < channel_header_size) return {kind::need_more, channel_header_size};
    const std::size_t size = padded_channel_data_size(stun::detail::load_u16(stream.data() + 2));
    return {stream.size() < size ? kind::need_more : kind::channel_data, size};
  }
  const stun::stream_frame frame = stun::next_frame(stream);
  switch (frame.what) {
    case stun::stream_frame::kind::need_more:
      return {kind::need_more, frame.size};
    case stun::stream_frame::kind::message:
      return {kind::stun_message, frame.size};
    case stun::stream_frame::kind::not_stun:
      break;
  }
  return {kind::not_turn, 0};
}

/// Cuts the chunks in which a stream arrives into whole frames, without copying those that
/// came whole.
///
/// ```
/// frames.push(chunk);
/// while (const auto frame = frames.next()) use(*frame);
/// ```
///
/// At most one unfinished frame is kept, of at most `max_frame` bytes.
class stream_assembler {
 public:
  /// `max_frame`: a longer one fails the stream. The longest there can be is 65,552 bytes.
  explicit stream_assembler(std::size_t max_frame) noexcept : max_frame_{max_frame} {}

  /// Takes the next bytes of the stream, which must stay until `next` has yielded nothing.
  /// What an earlier chunk had left is gone: call `next` to its end before.
  void push(const_bytes chunk) noexcept { rest_ = chunk; }

  /// The next whole frame, a STUN message or ChannelData with its padding. It lies in the
  /// chunk, and lives as long; or, when an earlier chunk held its beginning, in here, and lives
  /// until the next `push`.
  std::optional<const_bytes> next() {
    while (!failed_ && !rest_.empty()) {
      if (partial_.empty()) {
        const stream_frame frame = next_frame(rest_);
        if (!accept(frame)) return std::nullopt;
        if (frame.what != stream_frame::kind::need_more) return take(frame.size);
        keep(rest_.size());
        return std::nullopt;
      }
      keep(std::min(rest_.size(), next_frame(partial_).size - partial_.size()));
      const stream_frame frame = next_frame(partial_);
      if (!accept(frame)) return std::nullopt;
      if (frame.what != stream_frame::kind::need_more) {
        finished_.swap(partial_);
        partial_.clear();
        return const_bytes{finished_};
      }
    }
    return std::nullopt;
  }

  /// The stream is not TURN, or held a frame over the limit: it yields nothing more.
  bool failed() const noexcept { return failed_; }
  /// Bytes of the unfinished frame.
  std::size_t buffered() const noexcept { return partial_.size(); }

 private:
  bool accept(const stream_frame& frame) noexcept {
    failed_ = frame.what == stream_frame::kind::not_turn || frame.size > max_frame_;
    return !failed_;
  }
  const_bytes take(std::size_t size) noexcept {
    const const_bytes taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
  }
  void keep(std::size_t size) {
    const const_bytes kept = take(size);
    partial_.insert(partial_.end(), kept.begin(), kept.end());
  }

  std::size_t max_frame_;
  const_bytes rest_;
  std::vector<std::uint8_t> partial_;
  std::vector<std::uint8_t> finished_;  ///< Apart: the rest of its chunk may begin the next.
  bool failed_ = false;
};

}  // namespace weft::turn

#endif  // WEFT_TURN_FRAMING_HPP
