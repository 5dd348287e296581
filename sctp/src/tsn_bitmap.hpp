#ifndef WEFT_SCTP_SRC_TSN_BITMAP_HPP
#define WEFT_SCTP_SRC_TSN_BITMAP_HPP

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace weft::sctp {

/// A set of unwrapped TSNs that lie within `capacity()` of each other, one bit each, looked
/// through 64 at a time.
class tsn_bitmap {
 public:
  std::size_t capacity() const noexcept { return 64 * words_.size(); }

  bool test(std::uint64_t tsn) const noexcept { return (word(tsn) >> (tsn % 64) & 1) != 0; }
  void set(std::uint64_t tsn) noexcept { word(tsn) |= std::uint64_t{1} << (tsn % 64); }
  void reset(std::uint64_t tsn) noexcept { word(tsn) &= ~(std::uint64_t{1} << (tsn % 64)); }

  /// Calls `visit(tsn)` for every member in [first, last], upwards; it may remove that one.
  template <class Visit>
  void for_each(std::uint64_t first, std::uint64_t last, Visit&& visit) const {
    if (first > last) return;
    for (std::uint64_t base = first - first % 64; base <= last; base += 64) {
      std::uint64_t bits = word(base);
      if (base < first) bits &= ~std::uint64_t{0} << (first - base);
      if (last - base < 63) bits &= (std::uint64_t{2} << (last - base)) - 1;
      for (; bits != 0; bits &= bits - 1)
        visit(base + static_cast<std::uint64_t>(std::countr_zero(bits)));
    }
  }

  /// The lowest member (or, with `Member` false, the lowest non-member) in [first, last];
  /// `last + 1` when there is none.
  template <bool Member>
  std::uint64_t find(std::uint64_t first, std::uint64_t last) const noexcept {
    for (std::uint64_t base = first - first % 64; base <= last; base += 64) {
      std::uint64_t bits = Member ? word(base) : ~word(base);
      if (base < first) bits &= ~std::uint64_t{0} << (first - base);
      if (bits == 0) continue;
      const std::uint64_t found = base + static_cast<std::uint64_t>(std::countr_zero(bits));
      return found <= last ? found : last + 1;
    }
    return last + 1;
  }

  /// Makes room for `capacity` TSNs, a power of two and at least 64, keeping the members in
  /// [first, last].
  void grow(std::size_t capacity, std::uint64_t first, std::uint64_t last) {
    tsn_bitmap larger;
    larger.words_.resize(capacity / 64);
    if (!words_.empty()) for_each(first, last, [&](std::uint64_t tsn) { larger.set(tsn); });
    words_ = std::move(larger.words_);
  }

  void clear() { words_.clear(); }

 private:
  const std::uint64_t& word(std::uint64_t tsn) const noexcept {
    return words_[tsn / 64 & (words_.size() - 1)];
  }
  std::uint64_t& word(std::uint64_t tsn) noexcept { return words_[tsn / 64 & (words_.size() - 1)]; }

  std::vector<std::uint64_t> words_;
};

}  // namespace weft::sctp

#endif  // WEFT_SCTP_SRC_TSN_BITMAP_HPP
