#ifndef WEFT_FUZZ_INPUT_HPP
#define WEFT_FUZZ_INPUT_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <weft/core/bytes.hpp>

namespace weft::fuzz {

/// The fuzzer's bytes as a list of decisions. Behind its end there are zeros and empty pieces.
class input {
 public:
  explicit input(const_bytes data) : rest_{data} {}

  bool empty() const { return rest_.empty(); }
  std::uint8_t u8() {
    if (rest_.empty()) return 0;
    const std::uint8_t first = rest_.front();
    rest_ = rest_.subspan(1);
    return first;
  }
  std::uint16_t u16() {
    const unsigned high = u8();
    return static_cast<std::uint16_t>(high << 8 | u8());
  }
  /// As many as there are, at most `count`.
  const_bytes bytes(std::size_t count) {
    const auto taken = rest_.first(std::min(count, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }

 private:
  const_bytes rest_;
};

}  // namespace weft::fuzz

#endif  // WEFT_FUZZ_INPUT_HPP
