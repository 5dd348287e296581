#ifndef WEFT_SDP_SRC_TEXT_HPP
#define WEFT_SDP_SRC_TEXT_HPP

#include <algorithm>
#include <array>
#include <charconv>
#include <concepts>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <system_error>
#include <weft/core/result.hpp>
#include <weft/sdp/error.hpp>

/// The terminal symbols of SDP's grammars, shared by all parsers here.
namespace weft::sdp::detail {

constexpr bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}
constexpr bool is_alpha(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
/// RFC 8839 §5.1.
constexpr bool is_ice_char(char c) noexcept {
  return is_alpha(c) || is_digit(c) || c == '+' || c == '/';
}
/// RFC 8866 §9, token-char.
constexpr bool is_token_char(char c) noexcept {
  return c > ' ' && c < 0x7f &&
         std::string_view{"\"(),/:;<=>?@[\\]"}.find(c) == std::string_view::npos;
}
/// RFC 5234, VCHAR.
constexpr bool is_visible(char c) noexcept {
  return c > ' ' && c < 0x7f;
}

template <class Predicate>
constexpr bool all(std::string_view text, Predicate predicate) noexcept {
  return std::all_of(text.begin(), text.end(), predicate);
}

constexpr bool is_token(std::string_view text) noexcept {
  return !text.empty() && all(text, is_token_char);
}

constexpr char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

/// Without regard to ASCII case, as ABNF's strings are meant (RFC 5234 §2.3).
constexpr bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

/// Takes the text up to the next space off the front of `rest`, and that space.
constexpr std::string_view next_field(std::string_view& rest) noexcept {
  const std::size_t end = std::min(rest.find(' '), rest.size());
  const std::string_view field = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return field;
}

/// Digits and nothing else: no sign, no blank, no exponent.
template <std::unsigned_integral T>
result<T, error_code> parse_number(std::string_view text, T min = 0,
                                   T max = std::numeric_limits<T>::max()) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [next, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc::invalid_argument || next != end) return fail(error_code::bad_number);
  if (error != std::errc{} || value < min || value > max) return fail(error_code::out_of_range);
  return static_cast<T>(value);
}

inline void append_number(std::string& out, std::uint64_t value) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out.append(digits.data(), end);
}

}  // namespace weft::sdp::detail

#endif  // WEFT_SDP_SRC_TEXT_HPP
