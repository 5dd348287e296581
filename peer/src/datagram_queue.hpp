#ifndef WEFT_PEER_SRC_DATAGRAM_QUEUE_HPP
#define WEFT_PEER_SRC_DATAGRAM_QUEUE_HPP

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include <weft/core/bytes.hpp>
#include <weft/core/net.hpp>

namespace weft::peer {

/// Datagrams that wait for someone to take them, one behind the other in one piece of memory
/// that is used again once all are taken.
class datagram_queue {
 public:
  explicit datagram_queue(std::size_t max_bytes) : max_bytes_{max_bytes} {}

  /// False if there is no room.
  bool push(const five_tuple& path, const_bytes datagram) {
    if (next_ == entries_.size()) clear();
    if (bytes_.size() + datagram.size() + (entries_.size() + 1) * overhead > max_bytes_)
      return false;
    entries_.push_back({path, bytes_.size(), datagram.size()});
    bytes_.insert(bytes_.end(), datagram.begin(), datagram.end());
    return true;
  }

  /// Valid until the next call of either function.
  std::optional<std::pair<five_tuple, const_bytes>> pop() {
    if (next_ == entries_.size()) return std::nullopt;
    const entry& e = entries_[next_++];
    return std::pair{e.path, const_bytes{bytes_}.subspan(e.offset, e.size)};
  }

 private:
  static constexpr std::size_t overhead = 64;  ///< So that tiny ones are bounded too.

  struct entry {
    five_tuple path;
    std::size_t offset;
    std::size_t size;
  };

  void clear() noexcept {
    entries_.clear();
    bytes_.clear();
    next_ = 0;
  }

  std::size_t max_bytes_;
  std::vector<std::uint8_t> bytes_;
  std::vector<entry> entries_;
  std::size_t next_ = 0;
};

}  // namespace weft::peer

#endif  // WEFT_PEER_SRC_DATAGRAM_QUEUE_HPP
