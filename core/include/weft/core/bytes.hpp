#ifndef WEFT_CORE_BYTES_HPP
#define WEFT_CORE_BYTES_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

namespace weft {

using const_bytes = std::span<const std::uint8_t>;
using mutable_bytes = std::span<std::uint8_t>;

/// The bytes of a text, viewed in place.
inline const_bytes as_bytes(std::string_view text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// Bytes viewed as text, in place. Nothing is checked: they need not be UTF-8.
inline std::string_view as_text(const_bytes bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Reads big-endian fields from front to back and cannot leave its buffer.
///
/// The first read that would overrun fails, and from then on every read yields
/// zero or an empty span. A parser therefore reads a whole structure in a
/// straight line and asks `ok()` once, before it believes any of it.
class byte_reader {
  // Ahead of its callers: Clang 14 evaluates at compile time only what it has seen.
  template <std::size_t Width>
  constexpr std::uint64_t big_endian() noexcept {
    if (Width > rest_.size()) {
      fail();
      return 0;
    }
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < Width; ++i) value = value << 8 | rest_[i];
    rest_ = rest_.subspan(Width);
    return value;
  }

 public:
  constexpr explicit byte_reader(const_bytes data) noexcept : rest_{data} {}

  constexpr std::uint8_t u8() noexcept { return static_cast<std::uint8_t>(big_endian<1>()); }
  constexpr std::uint16_t u16() noexcept { return static_cast<std::uint16_t>(big_endian<2>()); }
  constexpr std::uint32_t u24() noexcept { return static_cast<std::uint32_t>(big_endian<3>()); }
  constexpr std::uint32_t u32() noexcept { return static_cast<std::uint32_t>(big_endian<4>()); }
  constexpr std::uint64_t u48() noexcept { return big_endian<6>(); }
  constexpr std::uint64_t u64() noexcept { return big_endian<8>(); }

  /// The next `count` bytes, viewed in place.
  constexpr const_bytes bytes(std::size_t count) noexcept {
    if (count > rest_.size()) {
      fail();
      return {};
    }
    const const_bytes taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }

  constexpr void skip(std::size_t count) noexcept { bytes(count); }
  constexpr const_bytes rest() const noexcept { return rest_; }
  constexpr bool ok() const noexcept { return ok_; }
  constexpr bool at_end() const noexcept { return rest_.empty(); }

 private:
  constexpr void fail() noexcept {
    ok_ = false;
    rest_ = {};
  }

  const_bytes rest_;
  bool ok_ = true;
};

/// Writes big-endian fields into a caller's buffer and cannot leave it.
///
/// Overflow is sticky, like `byte_reader`'s failure: later writes are dropped
/// and `ok()` stays false.
class byte_writer {
  // Ahead of its callers, as in byte_reader.
  template <std::size_t Width>
  constexpr void big_endian(std::uint64_t v) noexcept {
    if (!reserve(Width)) return;
    for (std::size_t i = Width; i-- > 0;)
      buffer_[size_++] = static_cast<std::uint8_t>(v >> (8 * i));
  }

 public:
  constexpr explicit byte_writer(mutable_bytes buffer) noexcept : buffer_{buffer} {}

  constexpr void u8(std::uint8_t v) noexcept { big_endian<1>(v); }
  constexpr void u16(std::uint16_t v) noexcept { big_endian<2>(v); }
  constexpr void u24(std::uint32_t v) noexcept { big_endian<3>(v); }
  constexpr void u32(std::uint32_t v) noexcept { big_endian<4>(v); }
  constexpr void u48(std::uint64_t v) noexcept { big_endian<6>(v); }
  constexpr void u64(std::uint64_t v) noexcept { big_endian<8>(v); }

  constexpr void bytes(const_bytes source) noexcept {
    if (!reserve(source.size())) return;
    if (std::is_constant_evaluated()) {
      for (const std::uint8_t byte : source) buffer_[size_++] = byte;
    } else if (!source.empty()) {
      std::memcpy(buffer_.data() + size_, source.data(), source.size());
      size_ += source.size();
    }
  }

  constexpr void zeros(std::size_t count) noexcept {
    if (!reserve(count)) return;
    for (; count > 0; --count) buffer_[size_++] = 0;
  }

  /// Overwrites a 16-bit field written earlier, such as a length.
  constexpr void patch_u16(std::size_t offset, std::uint16_t v) noexcept {
    if (!ok_ || offset + 2 > size_) return;
    buffer_[offset] = static_cast<std::uint8_t>(v >> 8);
    buffer_[offset + 1] = static_cast<std::uint8_t>(v);
  }

  constexpr std::size_t size() const noexcept { return size_; }
  constexpr std::size_t room() const noexcept { return ok_ ? buffer_.size() - size_ : 0; }
  constexpr bool ok() const noexcept { return ok_; }
  constexpr mutable_bytes written() const noexcept { return buffer_.first(size_); }

 private:
  constexpr bool reserve(std::size_t count) noexcept {
    ok_ = ok_ && count <= buffer_.size() - size_;
    return ok_;
  }

  mutable_bytes buffer_;
  std::size_t size_ = 0;
  bool ok_ = true;
};

}  // namespace weft

#endif  // WEFT_CORE_BYTES_HPP
