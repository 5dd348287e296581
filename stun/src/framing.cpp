#include <weft/stun/framing.hpp>

namespace weft::stun {

std::optional<const_bytes> stream_reader::next(const_bytes& chunk) {
  if (consumed_ != 0) {
    partial_.clear();
    consumed_ = 0;
  }
  while (!failed_) {
    const const_bytes seen = partial_.empty() ? chunk : const_bytes{partial_};
    const stream_frame frame = options_.frame(seen);
    const bool is_whole = frame.what == stream_frame::kind::message;
    if (frame.what == stream_frame::kind::not_stun || frame.size > options_.max_message_size ||
        is_whole != (frame.size <= seen.size())) {
      failed_ = true;
      break;
    }
    if (is_whole) {
      if (partial_.empty()) {
        chunk = chunk.subspan(frame.size);
        return seen.first(frame.size);
      }
      consumed_ = frame.size;
      return const_bytes{partial_}.first(frame.size);
    }
    if (chunk.empty()) return std::nullopt;
    // No more than what the next question needs, so that what follows stays in the chunk.
    const std::size_t missing = std::min(frame.size - partial_.size(), chunk.size());
    partial_.insert(partial_.end(), chunk.begin(),
                    chunk.begin() + static_cast<std::ptrdiff_t>(missing));
    chunk = chunk.subspan(missing);
  }
  chunk = {};
  partial_ = {};
  return std::nullopt;
}

}  // namespace weft::stun
