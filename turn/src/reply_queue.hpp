#ifndef WEFT_TURN_SRC_REPLY_QUEUE_HPP
#define WEFT_TURN_SRC_REPLY_QUEUE_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include <weft/core/bytes.hpp>
#include <weft/core/machine.hpp>

namespace weft::turn {

/// Replies that wait to be sent, in one array of fixed size.
///
/// They are built at once and not when they are polled: a reply follows from its request, which
/// is gone by then. What does not fit is lost, as it might be on the way.
class reply_queue {
 public:
  /// No reply is longer: what passes everywhere.
  static constexpr std::size_t max_reply = max_datagram_size;

  explicit reply_queue(std::size_t size) : bytes_(size) {}

  /// Where the next reply can be built: `max_reply` bytes, or nothing if there is no room.
  mutable_bytes reserve() {
    if (bytes_.size() - tail_ < sizeof(header) + max_reply && head_ > 0) {
      std::memmove(bytes_.data(), bytes_.data() + head_, tail_ - head_);
      tail_ -= head_;
      head_ = 0;
    }
    if (bytes_.size() - tail_ < sizeof(header) + max_reply) return {};
    return mutable_bytes{bytes_}.subspan(tail_ + sizeof(header), max_reply);
  }

  /// Keeps the first `size` bytes of what was reserved.
  void commit(const five_tuple& client, std::size_t size) {
    const header h{client, size};
    std::memcpy(bytes_.data() + tail_, &h, sizeof h);
    tail_ += sizeof h + size;
  }

  std::optional<addressed_transmit> poll(mutable_bytes buffer) {
    if (head_ == tail_) return std::nullopt;
    header h;
    std::memcpy(&h, bytes_.data() + head_, sizeof h);
    if (h.size > buffer.size()) return std::nullopt;
    std::memcpy(buffer.data(), bytes_.data() + head_ + sizeof h, h.size);
    head_ += sizeof h + h.size;
    if (head_ == tail_) head_ = tail_ = 0;
    return addressed_transmit{.local = h.client.local,
                              .remote = h.client.remote,
                              .bytes = buffer.first(h.size),
                              .protocol = h.client.protocol};
  }

 private:
  struct header {
    five_tuple client{};
    std::size_t size = 0;
  };

  std::vector<std::uint8_t> bytes_;
  std::size_t head_ = 0;
  std::size_t tail_ = 0;
};

}  // namespace weft::turn

#endif  // WEFT_TURN_SRC_REPLY_QUEUE_HPP
