#include <algorithm>
#include <array>
#include <optional>
#include <weft/sdp/attributes.hpp>
#include <weft/sdp/candidate.hpp>
#include <weft/sdp/description.hpp>

#include "text.hpp"

namespace weft::sdp {
namespace {

using value_check = std::optional<error_code> (*)(std::string_view);

template <class T>
std::optional<error_code> check(std::string_view value) {
  const auto read = T::parse(value);
  return read ? std::nullopt : std::optional{read.error()};
}

struct known_attribute {
  std::string_view name;
  value_check check;
};

template <class... T>
constexpr std::array<known_attribute, sizeof...(T)> known{{{T::name, check<T>}...}};

constexpr auto& attributes =
    known<candidate, fingerprint, fmtp, group, ice_options, ice_pacing, ice_pwd, ice_ufrag,
          max_message_size, mid, rtpmap, sctp_port, sctpmap, setup, tls_id>;
static_assert(std::ranges::is_sorted(attributes, {}, &known_attribute::name));

/// Well-formed, and to be passed over: RFC 8839 §5.1.
bool is_ignorable(error_code code) noexcept {
  return code == error_code::unknown_transport || code == error_code::unknown_type;
}

result<void, parse_error> check_section(const section& s) {
  for (std::size_t i = 0; i < s.size(); ++i) {
    const auto a = s.attribute_at(i);
    if (!a) continue;
    const auto entry = std::ranges::lower_bound(attributes, a->name, {}, &known_attribute::name);
    if (entry == attributes.end() || entry->name != a->name) continue;
    const auto error = entry->check(a->value);
    if (error && !is_ignorable(*error)) return fail(parse_error{*error, s.line_number(i)});
  }
  return {};
}

/// RTP's formats are payload types, of seven bits (RFC 3550 §5.1).
result<void, parse_error> check_payload_types(const media_section& m) {
  if (m.protocol().find("RTP/") == std::string_view::npos) return {};
  std::optional<error_code> error;
  for_each_item(m.formats(), [&](std::string_view format) {
    const auto type = detail::parse_number<std::uint8_t>(format, 0, 127);
    if (!type && !error) error = type.error();
  });
  if (error) return fail(parse_error{*error, m.line_number(0)});
  return {};
}

}  // namespace

result<void, parse_error> check_values(const session_description& d) {
  if (const auto checked = check_section(d.session()); !checked) return checked;
  for (std::size_t i = 0; i < d.media_count(); ++i) {
    const media_section m = d.media(i);
    if (const auto types = check_payload_types(m); !types) return types;
    if (const auto checked = check_section(m); !checked) return checked;
  }
  return {};
}

}  // namespace weft::sdp
