#include <weft/sdp/attributes.hpp>

#include "text.hpp"

namespace weft::sdp {

using namespace detail;

namespace {

result<std::string_view, error_code> parse_ice_text(std::string_view value, std::size_t min) {
  if (value.empty()) return fail(error_code::missing_value);
  if (value.size() < min || value.size() > 256) return fail(error_code::bad_length);
  if (!all(value, is_ice_char)) return fail(error_code::bad_character);
  return value;
}

bool list_contains(std::string_view list, std::string_view wanted) noexcept {
  bool found = false;
  for_each_item(list, [&](std::string_view item) { found = found || item == wanted; });
  return found;
}

bool is_list_of_tokens(std::string_view list) noexcept {
  bool sound = true;
  for_each_item(list, [&](std::string_view item) { sound = sound && is_token(item); });
  return sound;
}

int hex_digit(char c) noexcept {
  if (is_digit(c)) return c - '0';
  const char l = lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

}  // namespace

result<mid, error_code> mid::parse(std::string_view value) {
  if (value.empty()) return fail(error_code::missing_value);
  if (!is_token(value)) return fail(error_code::bad_character);
  return mid{value};
}

void mid::write(std::string& out) const {
  out += tag;
}

bool group::contains(std::string_view tag) const noexcept {
  return list_contains(mids, tag);
}

result<group, error_code> group::parse(std::string_view value) {
  if (value.empty()) return fail(error_code::missing_value);
  group g;
  g.semantics = next_field(value);
  g.mids = value;
  if (!is_token(g.semantics) || !is_list_of_tokens(g.mids)) return fail(error_code::bad_character);
  return g;
}

void group::write(std::string& out) const {
  out += semantics;
  for_each_item(mids, [&](std::string_view tag) { (out += ' ') += tag; });
}

result<ice_ufrag, error_code> ice_ufrag::parse(std::string_view value) {
  const auto text = parse_ice_text(value, 4);
  if (!text) return fail(text.error());
  return ice_ufrag{*text};
}

void ice_ufrag::write(std::string& out) const {
  out += text;
}

result<ice_pwd, error_code> ice_pwd::parse(std::string_view value) {
  const auto text = parse_ice_text(value, 22);
  if (!text) return fail(text.error());
  return ice_pwd{*text};
}

void ice_pwd::write(std::string& out) const {
  out += text;
}

bool ice_options::contains(std::string_view tag) const noexcept {
  return list_contains(tags, tag);
}

result<ice_options, error_code> ice_options::parse(std::string_view value) {
  if (value.empty()) return fail(error_code::missing_value);
  if (!is_list_of_tokens(value)) return fail(error_code::bad_character);
  return ice_options{value};
}

void ice_options::write(std::string& out) const {
  out += tags;
}

result<ice_pacing, error_code> ice_pacing::parse(std::string_view value) {
  if (value.empty()) return fail(error_code::missing_value);
  const auto number = parse_number<std::uint64_t>(value, 0, 9'999'999'999);
  if (!number) return fail(number.error());
  return ice_pacing{*number};
}

void ice_pacing::write(std::string& out) const {
  append_number(out, milliseconds);
}

bool fingerprint::is(std::string_view lower_case_name) const noexcept {
  return equal_ignoring_case(algorithm, lower_case_name);
}

result<fingerprint, error_code> fingerprint::parse(std::string_view value) {
  if (value.empty()) return fail(error_code::missing_value);
  fingerprint f;
  f.algorithm = next_field(value);
  if (!is_token(f.algorithm)) return fail(error_code::bad_syntax);
  // Two digits an octet, and a colon between two of them.
  if (value.size() % 3 != 2) return fail(error_code::bad_syntax);
  if ((value.size() + 1) / 3 > max_size) return fail(error_code::bad_length);
  for (std::size_t i = 0; i < value.size(); i += 3) {
    const int high = hex_digit(value[i]), low = hex_digit(value[i + 1]);
    if (high < 0 || low < 0) return fail(error_code::bad_character);
    if (i + 2 < value.size() && value[i + 2] != ':') return fail(error_code::bad_syntax);
    f.octets[f.size++] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return f;
}

void fingerprint::write(std::string& out) const {
  constexpr std::string_view digits = "0123456789ABCDEF";
  out += algorithm;
  char separator = ' ';
  for (const std::uint8_t octet : value()) {
    const std::array<char, 3> text{separator, digits[octet >> 4], digits[octet & 15]};
    out.append(text.data(), text.size());
    separator = ':';
  }
}

fingerprint fingerprint::of(std::string_view algorithm, const_bytes value) {
  fingerprint f;
  f.algorithm = algorithm;
  f.size = std::min(value.size(), max_size);
  std::copy_n(value.begin(), f.size, f.octets.begin());
  return f;
}

std::string_view to_string(setup_role role) {
  switch (role) {
    case setup_role::actpass:
      return "actpass";
    case setup_role::active:
      return "active";
    case setup_role::passive:
      return "passive";
    case setup_role::holdconn:
      return "holdconn";
  }
  return {};
}

result<setup, error_code> setup::parse(std::string_view value) {
  using enum setup_role;
  if (value.empty()) return fail(error_code::missing_value);
  for (const setup_role role : {actpass, active, passive, holdconn})
    if (equal_ignoring_case(value, to_string(role))) return setup{role};
  return fail(error_code::bad_syntax);
}

void setup::write(std::string& out) const {
  out += to_string(role);
}

result<tls_id, error_code> tls_id::parse(std::string_view value) {
  if (value.empty()) return fail(error_code::missing_value);
  if (value.size() < 20 || value.size() > 255) return fail(error_code::bad_length);
  if (!all(value, [](char c) { return is_ice_char(c) || c == '-' || c == '_'; }))
    return fail(error_code::bad_character);
  return tls_id{value};
}

void tls_id::write(std::string& out) const {
  out += text;
}

result<sctp_port, error_code> sctp_port::parse(std::string_view value) {
  if (value.empty()) return fail(error_code::missing_value);
  const auto port = parse_number<std::uint16_t>(value);
  if (!port) return fail(port.error());
  return sctp_port{*port};
}

void sctp_port::write(std::string& out) const {
  append_number(out, port);
}

result<max_message_size, error_code> max_message_size::parse(std::string_view value) {
  if (value.empty()) return fail(error_code::missing_value);
  const auto bytes = parse_number<std::uint64_t>(value);
  if (!bytes) return fail(bytes.error());
  return max_message_size{*bytes};
}

void max_message_size::write(std::string& out) const {
  append_number(out, bytes);
}

result<sctpmap, error_code> sctpmap::parse(std::string_view value) {
  if (value.empty()) return fail(error_code::missing_value);
  sctpmap map;
  const auto port = parse_number<std::uint16_t>(next_field(value));
  if (!port) return fail(port.error());
  map.port = *port;
  map.application = next_field(value);
  if (!is_token(map.application)) return fail(error_code::bad_syntax);
  if (value.empty()) return map;
  const auto streams = parse_number<std::uint32_t>(next_field(value));
  if (!streams) return fail(streams.error());
  map.streams = *streams;
  return map;
}

void sctpmap::write(std::string& out) const {
  append_number(out, port);
  (out += ' ') += application;
  if (!streams) return;
  out += ' ';
  append_number(out, *streams);
}

result<rtpmap, error_code> rtpmap::parse(std::string_view value) {
  if (value.empty()) return fail(error_code::missing_value);
  rtpmap map;
  const auto payload_type = parse_number<std::uint8_t>(next_field(value), 0, 127);
  if (!payload_type) return fail(payload_type.error());
  map.payload_type = *payload_type;
  const std::size_t slash = value.find('/');
  if (slash == value.npos) return fail(error_code::bad_syntax);
  map.encoding = value.substr(0, slash);
  if (!is_token(map.encoding)) return fail(error_code::bad_syntax);
  value.remove_prefix(slash + 1);
  const std::size_t end = std::min(value.find('/'), value.size());
  const auto clock_rate = parse_number<std::uint32_t>(value.substr(0, end), 1);
  if (!clock_rate) return fail(clock_rate.error());
  map.clock_rate = *clock_rate;
  if (end == value.size()) return map;
  map.parameters = value.substr(end + 1);
  if (!is_token(map.parameters)) return fail(error_code::bad_syntax);
  return map;
}

void rtpmap::write(std::string& out) const {
  append_number(out, payload_type);
  (out += ' ') += encoding;
  out += '/';
  append_number(out, clock_rate);
  if (!parameters.empty()) (out += '/') += parameters;
}

result<fmtp, error_code> fmtp::parse(std::string_view value) {
  if (value.empty()) return fail(error_code::missing_value);
  fmtp f;
  f.format = next_field(value);
  f.parameters = value;
  if (!is_token(f.format) || f.parameters.empty()) return fail(error_code::bad_syntax);
  return f;
}

void fmtp::write(std::string& out) const {
  out += format;
  (out += ' ') += parameters;
}

std::string_view to_string(media_direction direction) {
  switch (direction) {
    case media_direction::sendrecv:
      return "sendrecv";
    case media_direction::sendonly:
      return "sendonly";
    case media_direction::recvonly:
      return "recvonly";
    case media_direction::inactive:
      return "inactive";
  }
  return {};
}

std::optional<media_direction> parse_direction(std::string_view attribute_name) {
  using enum media_direction;
  for (const media_direction direction : {sendrecv, sendonly, recvonly, inactive})
    if (attribute_name == to_string(direction)) return direction;
  return std::nullopt;
}

media_direction reversed(media_direction direction) {
  switch (direction) {
    case media_direction::sendonly:
      return media_direction::recvonly;
    case media_direction::recvonly:
      return media_direction::sendonly;
    case media_direction::sendrecv:
    case media_direction::inactive:
      break;
  }
  return direction;
}

result<origin, error_code> origin::parse(std::string_view value) {
  origin o;
  o.username = next_field(value);
  const auto id = parse_number<std::uint64_t>(next_field(value));
  const auto version = parse_number<std::uint64_t>(next_field(value));
  o.network_type = next_field(value);
  o.address_type = next_field(value);
  o.address = value;
  if (o.username.empty() || !is_token(o.network_type) || !is_token(o.address_type) ||
      o.address.empty() || o.address.find(' ') != o.address.npos)
    return fail(error_code::bad_origin);
  if (!id) return fail(id.error());
  if (!version) return fail(version.error());
  o.session_id = *id;
  o.session_version = *version;
  return o;
}

void origin::write(std::string& out) const {
  (out += username) += ' ';
  append_number(out, session_id);
  out += ' ';
  append_number(out, session_version);
  (out += ' ') += network_type;
  (out += ' ') += address_type;
  (out += ' ') += address;
}

result<connection, error_code> connection::parse(std::string_view value) {
  connection c;
  c.network_type = next_field(value);
  c.address_type = next_field(value);
  c.address = value;
  if (!is_token(c.network_type) || !is_token(c.address_type) || c.address.empty() ||
      c.address.find(' ') != c.address.npos)
    return fail(error_code::bad_connection);
  return c;
}

void connection::write(std::string& out) const {
  (out += network_type) += ' ';
  (out += address_type) += ' ';
  out += address;
}

result<timing, error_code> timing::parse(std::string_view value) {
  const auto start = parse_number<std::uint64_t>(next_field(value));
  const auto stop = parse_number<std::uint64_t>(value);
  if (!start || !stop) return fail(error_code::bad_timing);
  return timing{*start, *stop};
}

void timing::write(std::string& out) const {
  append_number(out, start);
  out += ' ';
  append_number(out, stop);
}

result<bandwidth, error_code> bandwidth::parse(std::string_view value) {
  const std::size_t colon = value.find(':');
  if (colon == value.npos || !is_token(value.substr(0, colon)))
    return fail(error_code::bad_bandwidth);
  const auto number = parse_number<std::uint64_t>(value.substr(colon + 1));
  if (!number) return fail(number.error());
  return bandwidth{value.substr(0, colon), *number};
}

void bandwidth::write(std::string& out) const {
  (out += type) += ':';
  append_number(out, value);
}

}  // namespace weft::sdp
