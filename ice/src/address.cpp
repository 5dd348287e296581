#include <weft/ice/address.hpp>

#include <algorithm>
#include <charconv>

namespace weft::ice {
namespace {

bool matches(std::string_view pattern, std::string_view name) noexcept {
  if (!pattern.ends_with('*')) return pattern == name;
  return name.starts_with(pattern.substr(0, pattern.size() - 1));
}

bool matches_any(const std::vector<std::string>& patterns, std::string_view name) noexcept {
  return std::ranges::any_of(patterns, [&](const auto& p) { return matches(p, name); });
}

bool contained(const std::vector<address_prefix>& prefixes, const ip_address& a) noexcept {
  return std::ranges::any_of(prefixes, [&](const auto& p) { return p.contains(a); });
}

}  // namespace

std::optional<address_prefix> address_prefix::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto address = ip_address::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  const auto bits = static_cast<std::uint8_t>(address->octets().size() * 8);
  if (slash == text.npos) return address_prefix{*address, bits};
  const std::string_view digits = text.substr(slash + 1);
  std::uint8_t length = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (error != std::errc{} || end != digits.data() + digits.size() || length > bits)
    return std::nullopt;
  return address_prefix{*address, length};
}

bool address_prefix::contains(const ip_address& a) const noexcept {
  const auto mine = address.octets();
  const auto others = a.octets();
  if (mine.empty() || mine.size() != others.size() || length > mine.size() * 8) return false;
  const std::size_t whole = length / 8;
  if (!std::equal(mine.begin(), mine.begin() + static_cast<std::ptrdiff_t>(whole), others.begin()))
    return false;
  const unsigned rest = length % 8;
  return rest == 0 || (mine[whole] ^ others[whole]) >> (8 - rest) == 0;
}

bool address_filter::allows(const ip_address& a) const noexcept {
  return !contained(denied, a) && (allowed.empty() || contained(allowed, a));
}

bool address_filter::allows(const local_address& a) const noexcept {
  const std::string_view name = a.network.interface_name;
  return allows(a.base.address) && !matches_any(denied_interfaces, name) &&
         (allowed_interfaces.empty() || matches_any(allowed_interfaces, name));
}

}  // namespace weft::ice
