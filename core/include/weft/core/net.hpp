#ifndef WEFT_CORE_NET_HPP
#define WEFT_CORE_NET_HPP

#include <algorithm>
#include <array>
#include <charconv>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace weft {

enum class transport_protocol : std::uint8_t { udp, tcp };

/// The ECN field of an IP header (RFC 3168 §5), with the values it has on the wire.
enum class ecn : std::uint8_t { not_ect = 0, ect1 = 1, ect0 = 2, ce = 3 };

/// An IPv4 or IPv6 address, held as the bytes that go on the wire. A default one is
/// neither: no address.
class ip_address {
 public:
  constexpr ip_address() = default;
  constexpr explicit ip_address(std::array<std::uint8_t, 4> v4) noexcept : size_{4} {
    for (std::size_t i = 0; i < 4; ++i) octets_[i] = v4[i];
  }
  constexpr explicit ip_address(std::array<std::uint8_t, 16> v6) noexcept
      : octets_{v6}, size_{16} {}

  /// Reads dotted decimals or the text form of RFC 4291 §2.2. No zone, no brackets, no port.
  static std::optional<ip_address> parse(std::string_view text);

  constexpr bool is_v4() const noexcept { return size_ == 4; }
  constexpr bool is_v6() const noexcept { return size_ == 16; }
  constexpr explicit operator bool() const noexcept { return size_ != 0; }
  constexpr std::span<const std::uint8_t> octets() const noexcept {
    return {octets_.data(), size_};
  }

  /// 127.0.0.0/8 or ::1.
  constexpr bool is_loopback() const noexcept;
  /// 0.0.0.0 or ::. False for "no address".
  constexpr bool is_unspecified() const noexcept;
  /// 169.254.0.0/16 or fe80::/10.
  constexpr bool is_link_local() const noexcept;
  /// 224.0.0.0/4 or ff00::/8.
  constexpr bool is_multicast() const noexcept;
  /// ::ffff:0:0/96 (RFC 4291 §2.5.5.2).
  constexpr bool is_v4_mapped() const noexcept;

  friend constexpr auto operator<=>(const ip_address&, const ip_address&) = default;

 private:
  std::array<std::uint8_t, 16> octets_{};
  std::uint8_t size_ = 0;
};

/// An address and a port: where a datagram comes from or goes to.
struct endpoint {
  ip_address address;
  std::uint16_t port = 0;

  friend constexpr auto operator<=>(const endpoint&, const endpoint&) = default;
};

/// The way between two transport addresses, seen from one of its ends: for UDP what tells one
/// flow from another, for TCP a connection (RFC 8656 §2 calls it the 5-tuple).
struct five_tuple {
  endpoint local;
  endpoint remote;
  transport_protocol protocol = transport_protocol::udp;

  friend constexpr auto operator<=>(const five_tuple&, const five_tuple&) = default;
};

/// Dotted decimals, or the canonical form of RFC 5952 §4. Empty for "no address".
std::string to_string(const ip_address& address);
/// `192.0.2.1:80` or `[2001:db8::1]:80` (RFC 5952 §6).
std::string to_string(const endpoint& e);

constexpr bool ip_address::is_loopback() const noexcept {
  if (is_v4()) return octets_[0] == 127;
  return is_v6() && octets_[15] == 1 &&
         std::all_of(octets_.begin(), octets_.end() - 1, [](std::uint8_t b) { return b == 0; });
}

constexpr bool ip_address::is_unspecified() const noexcept {
  return size_ != 0 &&
         std::all_of(octets_.begin(), octets_.end(), [](std::uint8_t b) { return b == 0; });
}

constexpr bool ip_address::is_link_local() const noexcept {
  if (is_v4()) return octets_[0] == 169 && octets_[1] == 254;
  return is_v6() && octets_[0] == 0xfe && (octets_[1] & 0xc0) == 0x80;
}

constexpr bool ip_address::is_multicast() const noexcept {
  return is_v4() ? (octets_[0] & 0xf0) == 0xe0 : is_v6() && octets_[0] == 0xff;
}

constexpr bool ip_address::is_v4_mapped() const noexcept {
  return is_v6() && octets_[10] == 0xff && octets_[11] == 0xff &&
         std::all_of(octets_.begin(), octets_.begin() + 10, [](std::uint8_t b) { return b == 0; });
}

namespace detail {

inline std::optional<ip_address> parse_v4(std::string_view text) {
  std::array<std::uint8_t, 4> octets{};
  const char* at = text.data();
  const char* const end = at + text.size();
  for (std::size_t i = 0; i < 4; ++i) {
    if (i > 0 && (at == end || *at++ != '.')) return std::nullopt;
    // A leading zero reads as octal elsewhere: RFC 6943 §3.1.1 has the trouble it makes.
    if (end - at > 1 && at[0] == '0' && at[1] >= '0' && at[1] <= '9') return std::nullopt;
    const auto [next, error] = std::from_chars(at, end, octets[i]);
    if (error != std::errc{}) return std::nullopt;
    at = next;
  }
  return at == end ? std::optional{ip_address{octets}} : std::nullopt;
}

/// Reads colon-separated groups, the last of which may be dotted decimals, into
/// `out`. Returns the bytes written, or nothing where the text is not that.
inline std::optional<std::size_t> parse_groups(std::string_view text, std::span<std::uint8_t> out) {
  std::size_t size = 0;
  while (!text.empty()) {
    const std::string_view group = text.substr(0, text.find(':'));
    if (group.find('.') != group.npos) {
      const auto v4 = parse_v4(text);
      if (!v4 || size + 4 > out.size()) return std::nullopt;
      std::ranges::copy(v4->octets(), out.begin() + static_cast<std::ptrdiff_t>(size));
      return size + 4;
    }
    std::uint16_t value = 0;
    const char* const end = group.data() + group.size();
    const auto [next, error] = std::from_chars(group.data(), end, value, 16);
    if (error != std::errc{} || next != end || group.size() > 4 || size + 2 > out.size())
      return std::nullopt;
    out[size++] = static_cast<std::uint8_t>(value >> 8);
    out[size++] = static_cast<std::uint8_t>(value);
    text.remove_prefix(group.size());
    if (text.empty()) break;
    text.remove_prefix(1);
    if (text.empty()) return std::nullopt;
  }
  return size;
}

inline std::optional<ip_address> parse_v6(std::string_view text) {
  std::array<std::uint8_t, 16> octets{};
  const std::size_t gap = text.find("::");
  if (gap == text.npos) {
    const auto size = parse_groups(text, octets);
    return size == 16 ? std::optional{ip_address{octets}} : std::nullopt;
  }
  std::array<std::uint8_t, 16> tail{};
  const std::string_view before = text.substr(0, gap);
  const auto front_size = parse_groups(before, octets);
  const auto tail_size = parse_groups(text.substr(gap + 2), tail);
  // Dotted decimals end an address; RFC 4291 §2.2 has `::` stand for at least one group.
  if (!front_size || !tail_size || *front_size + *tail_size > 14 || before.find('.') != before.npos)
    return std::nullopt;
  std::copy_n(tail.begin(), *tail_size, octets.end() - static_cast<std::ptrdiff_t>(*tail_size));
  return ip_address{octets};
}

inline void append_number(std::string& out, unsigned value, int base) {
  std::array<char, 8> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, base).ptr;
  out.append(digits.data(), end);
}

}  // namespace detail

inline std::optional<ip_address> ip_address::parse(std::string_view text) {
  if (text.find(':') == text.npos) return detail::parse_v4(text);
  return detail::parse_v6(text);
}

inline std::string to_string(const ip_address& address) {
  const auto octets = address.octets();
  std::string out;
  const auto append_dotted = [&](std::size_t from) {
    for (std::size_t i = 0; i < 4; ++i) {
      if (i > 0) out += '.';
      detail::append_number(out, octets[from + i], 10);
    }
  };
  if (address.is_v4()) append_dotted(0);
  if (!address.is_v6()) return out;
  if (address.is_v4_mapped()) {  // RFC 5952 §5
    out = "::ffff:";
    append_dotted(12);
    return out;
  }

  const auto group = [&](std::size_t i) {
    return static_cast<unsigned>(octets[2 * i] << 8 | octets[2 * i + 1]);
  };
  // RFC 5952 §4.2: `::` stands for the longest run of two or more zero groups, the
  // first of equals.
  std::size_t run_start = 8, run_length = 1;
  for (std::size_t i = 0; i < 8;) {
    std::size_t end = i;
    while (end < 8 && group(end) == 0) ++end;
    if (end - i > run_length) {
      run_start = i;
      run_length = end - i;
    }
    i = end + 1;
  }
  for (std::size_t i = 0; i < 8;) {
    if (i == run_start) {
      out += "::";
      i += run_length;
      continue;
    }
    if (!out.empty() && out.back() != ':') out += ':';
    detail::append_number(out, group(i), 16);
    ++i;
  }
  return out;
}

inline std::string to_string(const endpoint& e) {
  std::string out = e.address.is_v6() ? '[' + to_string(e.address) + ']' : to_string(e.address);
  out += ':';
  detail::append_number(out, e.port, 10);
  return out;
}

}  // namespace weft

template <>
struct std::hash<weft::endpoint> {
  std::size_t operator()(const weft::endpoint& e) const noexcept {
    std::uint64_t h = 0xcbf29ce484222325 ^ e.port;  // FNV-1a
    for (const std::uint8_t octet : e.address.octets()) h = (h ^ octet) * 0x100000001b3;
    return static_cast<std::size_t>(h ^ h >> 32);
  }
};

template <>
struct std::hash<weft::five_tuple> {
  std::size_t operator()(const weft::five_tuple& path) const noexcept {
    const std::hash<weft::endpoint> of;
    const std::uint64_t local = of(path.local) + static_cast<std::uint64_t>(path.protocol);
    return static_cast<std::size_t>(local * 0x9e3779b97f4a7c15 ^ of(path.remote));
  }
};

#endif  // WEFT_CORE_NET_HPP
