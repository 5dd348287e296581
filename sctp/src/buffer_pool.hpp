#ifndef WEFT_SCTP_SRC_BUFFER_POOL_HPP
#define WEFT_SCTP_SRC_BUFFER_POOL_HPP

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace weft::sctp {

/// Payload buffers between two uses. The one returned last is handed out first, as it is the
/// likeliest to be in the cache.
class buffer_pool {
 public:
  /// Unused memory kept at most: a few of the largest messages, or a thousand small ones.
  static constexpr std::size_t max_bytes = 1024 * 1024;

  std::vector<std::uint8_t> take() {
    if (free_.empty()) return {};
    std::vector<std::uint8_t> buffer = std::move(free_.back());
    free_.pop_back();
    bytes_ -= buffer.capacity();
    return buffer;
  }

  void give(std::vector<std::uint8_t>&& buffer) {
    if (buffer.capacity() == 0 || bytes_ + buffer.capacity() > max_bytes) {
      buffer = {};
      return;
    }
    buffer.clear();
    bytes_ += buffer.capacity();
    free_.push_back(std::move(buffer));
  }

  void clear() {
    free_ = {};
    bytes_ = 0;
  }

 private:
  std::vector<std::vector<std::uint8_t>> free_;
  std::size_t bytes_ = 0;
};

}  // namespace weft::sctp

#endif  // WEFT_SCTP_SRC_BUFFER_POOL_HPP
