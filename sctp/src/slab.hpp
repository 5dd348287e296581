#ifndef WEFT_SCTP_SRC_SLAB_HPP
#define WEFT_SCTP_SRC_SLAB_HPP

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace weft::sctp {

/// Records with small stable numbers instead of addresses, reused rather than freed.
template <class T>
class slab {
 public:
  static constexpr std::uint32_t none = 0xffffffff;

  /// The number of a record that holds what its last user left in it.
  std::uint32_t acquire() {
    if (free_.empty()) {
      records_.emplace_back();
      return static_cast<std::uint32_t>(records_.size() - 1);
    }
    const std::uint32_t index = free_.back();
    free_.pop_back();
    return index;
  }

  void release(std::uint32_t index) {
    assert(index < records_.size());
    free_.push_back(index);
  }

  T& operator[](std::uint32_t index) noexcept { return records_[index]; }
  const T& operator[](std::uint32_t index) const noexcept { return records_[index]; }
  std::size_t in_use() const noexcept { return records_.size() - free_.size(); }

  void clear() {
    records_.clear();
    free_.clear();
  }

 private:
  std::vector<T> records_;
  std::vector<std::uint32_t> free_;
};

}  // namespace weft::sctp

#endif  // WEFT_SCTP_SRC_SLAB_HPP
