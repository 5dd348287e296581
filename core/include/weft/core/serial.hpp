#ifndef WEFT_CORE_SERIAL_HPP
#define WEFT_CORE_SERIAL_HPP

#include <concepts>
#include <cstdint>
#include <optional>
#include <type_traits>

namespace weft {

// Serial numbers wrap, so their order is only local (RFC 1982 §3.2): a, b and c can
// each be newer than the one before and still make a circle. There is deliberately no
// `operator<` and no comparator for ordered containers here; unwrap first.

/// How far `to` lies after `from`; negative when it lies before. Exactly half the
/// number space apart, where RFC 1982 leaves the order undefined, counts as before.
template <std::unsigned_integral T>
constexpr std::make_signed_t<T> serial_distance(T from, T to) noexcept {
  return static_cast<std::make_signed_t<T>>(static_cast<T>(to - from));
}

/// Whether `a` comes after `b` on the shorter way round.
template <std::unsigned_integral T>
constexpr bool newer_than(T a, T b) noexcept {
  return serial_distance(b, a) > 0;
}

/// Turns wrapping numbers into 64-bit ones that do not wrap, taking each as the
/// nearest to the newest seen so far. The first number becomes itself plus one turn
/// of the number space, so that older ones still have a place below it.
template <std::unsigned_integral T>
class unwrapper {
 public:
  /// The 64-bit number for `value`, without remembering it.
  constexpr std::uint64_t peek(T value) const noexcept {
    if (!newest_) return turn + value;
    const auto distance = serial_distance(static_cast<T>(*newest_), value);
    return *newest_ + static_cast<std::uint64_t>(static_cast<std::int64_t>(distance));
  }

  /// The 64-bit number for `value`; later ones are taken as near the newest of these.
  constexpr std::uint64_t unwrap(T value) noexcept {
    const std::uint64_t unwrapped = peek(value);
    if (!newest_ || unwrapped > *newest_) newest_ = unwrapped;
    return unwrapped;
  }

 private:
  static_assert(sizeof(T) < sizeof(std::uint64_t));
  static constexpr std::uint64_t turn = std::uint64_t{1} << (8 * sizeof(T));

  std::optional<std::uint64_t> newest_;
};

}  // namespace weft

#endif  // WEFT_CORE_SERIAL_HPP
