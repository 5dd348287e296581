#ifndef WEFT_DTLS_PACKET_QUEUE_HPP
#define WEFT_DTLS_PACKET_QUEUE_HPP

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <weft/core/bytes.hpp>

namespace weft::dtls {

/// Byte strings of less than 64 KiB each, first in, first out, in one buffer that is kept
/// between uses: no allocation per packet. Holds no more than a bound.
class packet_queue {
 public:
  /// `max_bytes` counts the strings and two bytes for each.
  explicit packet_queue(std::size_t max_bytes) : max_bytes_{max_bytes} {}

  bool empty() const noexcept { return head_ == bytes_.size(); }
  void clear() noexcept {
    bytes_.clear();
    head_ = 0;
  }

  /// Room for one string at the end, to be kept by `commit` or forgotten by the next call.
  /// Empty where the bound does not allow so many bytes.
  mutable_bytes prepare(std::size_t size) {
    drop_consumed();
    if (size > 0xffff || bytes_.size() + prefix + size > max_bytes_) return {};
    newest_ = bytes_.size();
    bytes_.resize(newest_ + prefix + size);
    return mutable_bytes{bytes_}.subspan(newest_ + prefix);
  }
  /// Keeps the first `size` bytes of what was prepared, or nothing.
  void commit(std::size_t size) {
    write_size(size);
    bytes_.resize(size == 0 ? newest_ : newest_ + prefix + size);
  }

  bool push(const_bytes bytes) {
    const mutable_bytes room = prepare(bytes.size());
    if (room.empty()) return false;
    byte_writer{room}.bytes(bytes);
    commit(bytes.size());
    return true;
  }

  /// Puts `bytes` behind the newest string, if that makes no more than `max_size`.
  bool extend(const_bytes bytes, std::size_t max_size) {
    if (empty()) return false;
    const std::size_t size = bytes_.size() - newest_ - prefix + bytes.size();
    if (size > max_size || bytes_.size() + bytes.size() > max_bytes_) return false;
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    write_size(size);
    return true;
  }

  /// The oldest string, which stays. Lives until the next call that changes the queue.
  std::optional<const_bytes> front() const noexcept {
    if (empty()) return std::nullopt;
    byte_reader in{const_bytes{bytes_}.subspan(head_)};
    const std::size_t size = in.u16();
    return in.bytes(size);
  }

  /// The oldest string, which leaves. Lives as long as `front`'s.
  std::optional<const_bytes> pop() noexcept {
    const auto oldest = front();
    if (oldest) head_ += prefix + oldest->size();
    return oldest;
  }

 private:
  static constexpr std::size_t prefix = 2;

  void write_size(std::size_t size) {
    bytes_[newest_] = static_cast<std::uint8_t>(size >> 8);
    bytes_[newest_ + 1] = static_cast<std::uint8_t>(size);
  }

  void drop_consumed() {
    bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }

  std::size_t max_bytes_;
  std::vector<std::uint8_t> bytes_;
  std::size_t head_ = 0;
  std::size_t newest_ = 0;  // Where the last string given to `prepare` begins.
};

}  // namespace weft::dtls

#endif  // WEFT_DTLS_PACKET_QUEUE_HPP
