#include <weft/io/mdns.hpp>

#include <algorithm>

namespace weft::io::mdns {
namespace {

constexpr std::uint16_t class_in = 1;
constexpr std::uint16_t response_flag = 0x8000;
constexpr std::uint16_t authoritative_flag = 0x0400;
constexpr std::uint16_t opcode_mask = 0x7800;
constexpr std::uint16_t rcode_mask = 0x000f;
constexpr std::uint16_t type_nsec = 47;
constexpr std::uint16_t type_any = 255;
constexpr std::uint16_t class_any = 255;
/// RFC 6762 §5.4 in questions, §10.2 in records.
constexpr std::uint16_t top_bit = 0x8000;
/// RFC 6762 §6.7.
constexpr std::uint32_t max_legacy_time_to_live = 10;
/// RFC 6762 §17: no message is longer.
constexpr std::size_t max_message_size = 9000;

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same_text(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

bool is_label_character(char c) {
  const char l = lower(c);
  return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

std::string_view without_dot(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  return name;
}

/// Takes the first label off a name.
std::string_view take_label(std::string_view& name) {
  const std::string_view label = name.substr(0, name.find('.'));
  name.remove_prefix(std::min(name.size(), label.size() + 1));
  return label;
}

/// Reads a name as it stands in the message (RFC 1035 §4.1.4), leaves the reader behind it and
/// says whether it is `wanted`. A pointer must lead backwards, so that every name ends.
bool read_name(const_bytes message, byte_reader& in, std::string_view wanted) {
  byte_reader at = in;
  std::size_t limit = message.size() - in.rest().size();
  bool jumped = false;
  bool same = true;
  for (;;) {
    const std::uint8_t length = at.u8();
    if (length >= 0xc0) {
      const std::size_t target = std::size_t{length & 0x3fu} << 8 | at.u8();
      if (!jumped) in = at;
      jumped = true;
      // Where the label differed already, the rest of the name is nobody's business.
      if (!at.ok() || target >= limit || !same) return false;
      limit = target;
      at = byte_reader{message.subspan(target)};
      continue;
    }
    const const_bytes label = at.bytes(length & 0x3f);
    if (!jumped) in = at;
    if (!at.ok() || length > 63) {
      in.skip(message.size() + 1);  // Malformed: nothing after it can be found.
      return false;
    }
    if (length == 0) return same && wanted.empty();
    same = same && !wanted.empty() && same_text(as_text(label), take_label(wanted));
  }
}

void write_name(byte_writer& out, std::string_view name) {
  for (std::string_view rest = without_dot(name); !rest.empty();) {
    const std::string_view label = take_label(rest);
    out.u8(static_cast<std::uint8_t>(label.size()));
    out.bytes(as_bytes(label));
  }
  out.u8(0);
}

/// A pointer to the name that stands behind the header.
constexpr std::uint16_t first_name = 0xc000 | 12;

std::uint16_t type_of(const ip_address& address) {
  return static_cast<std::uint16_t>(address.is_v4() ? record_type::a : record_type::aaaa);
}

/// The name has records of that type and of no other (RFC 6762 §6.1, RFC 4034 §4.1.2).
void write_types(byte_writer& out, std::uint16_t type) {
  const std::size_t last = type / 8;
  out.u16(static_cast<std::uint16_t>(2 + 2 + last + 1));
  out.u16(first_name);
  out.u8(0);
  out.u8(static_cast<std::uint8_t>(last + 1));
  out.zeros(last);
  out.u8(static_cast<std::uint8_t>(0x80 >> type % 8));
}

std::optional<ip_address> usable(const ip_address& address) {
  if (address.is_multicast() || address.is_unspecified() || address.is_loopback())
    return std::nullopt;
  return address;
}

template <std::size_t Size>
ip_address to_address(const_bytes data) {
  std::array<std::uint8_t, Size> octets;
  std::ranges::copy(data, octets.begin());
  return ip_address{octets};
}

std::optional<ip_address> read_address(std::uint16_t type, const_bytes data) {
  if (type == static_cast<std::uint16_t>(record_type::a) && data.size() == 4)
    return usable(to_address<4>(data));
  if (type == static_cast<std::uint16_t>(record_type::aaaa) && data.size() == 16)
    return usable(to_address<16>(data));
  return std::nullopt;
}

}  // namespace

bool is_local_name(std::string_view name) noexcept {
  name = without_dot(name);
  if (name.size() > 253) return false;
  std::size_t labels = 0;
  for (;; ++labels) {
    const bool last = name.find('.') == name.npos;
    const std::string_view label = take_label(name);
    if (label.empty() || label.size() > 63 || !std::ranges::all_of(label, is_label_character))
      return false;
    if (last) return labels > 0 && same_text(label, "local");
  }
}

std::optional<const_bytes> build_query(std::string_view name, record_type type, std::uint16_t id,
                                       mutable_bytes buffer) {
  if (!is_local_name(name)) return std::nullopt;
  byte_writer out{buffer};
  out.u16(id);
  out.u16(0);    // A standard query.
  out.u16(1);    // One question,
  out.zeros(6);  // and no records.
  write_name(out, name);
  out.u16(static_cast<std::uint16_t>(type));
  out.u16(class_in);
  if (!out.ok()) return std::nullopt;
  return out.written();
}

std::vector<ip_address> parse_response(const_bytes message, std::string_view name) {
  std::vector<ip_address> found;
  if (message.size() > max_message_size || !is_local_name(name)) return found;
  name = without_dot(name);

  byte_reader in{message};
  in.u16();  // RFC 6762 §18.1: the id of a multicast response says nothing.
  const std::uint16_t flags = in.u16();
  const std::size_t questions = in.u16();
  std::size_t records = in.u16();
  records += in.u16();
  records += in.u16();
  if ((flags & response_flag) == 0 || (flags & rcode_mask) != 0) return found;

  for (std::size_t i = 0; i < questions && in.ok(); ++i) {
    read_name(message, in, {});
    in.skip(4);
  }
  for (std::size_t i = 0; i < records && found.size() < max_addresses; ++i) {
    const bool ours = read_name(message, in, name);
    const std::uint16_t type = in.u16();
    const std::uint16_t record_class = in.u16() & 0x7fff;  // RFC 6762 §10.2: less cache-flush.
    in.skip(4);                                            // Time to live.
    const const_bytes data = in.bytes(in.u16());
    if (!in.ok()) break;
    if (!ours || record_class != class_in) continue;
    const auto address = read_address(type, data);
    if (address && std::ranges::find(found, *address) == found.end()) found.push_back(*address);
  }
  return found;
}

std::optional<question> parse_query(const const_bytes message, std::string_view name) {
  if (message.size() > max_message_size || !is_local_name(name)) return std::nullopt;
  name = without_dot(name);

  byte_reader in{message};
  question found{.id = in.u16()};
  const std::uint16_t flags = in.u16();
  const std::size_t questions = in.u16();
  in.skip(6);
  if ((flags & (response_flag | opcode_mask | rcode_mask)) != 0) return std::nullopt;

  for (std::size_t i = 0; i < std::min(questions, max_questions); ++i) {
    const bool ours = read_name(message, in, name);
    const std::uint16_t type = in.u16();
    const std::uint16_t asked_class = in.u16();
    if (!in.ok()) break;
    const std::uint16_t plain_class = asked_class & 0x7fff;
    if (!ours || (plain_class != class_in && plain_class != class_any)) continue;
    const bool any = type == type_any;
    found.a = found.a || any || type == static_cast<std::uint16_t>(record_type::a);
    found.aaaa = found.aaaa || any || type == static_cast<std::uint16_t>(record_type::aaaa);
    found.unicast = found.unicast || (asked_class & top_bit) != 0;
  }
  if (!found.a && !found.aaaa) return std::nullopt;
  return found;
}

std::optional<const_bytes> build_response(std::string_view name, const ip_address& address,
                                          std::uint32_t time_to_live, const question& asked,
                                          audience to, mutable_bytes buffer) {
  if (!is_local_name(name) || !address) return std::nullopt;
  const bool legacy = to == audience::legacy;
  const bool has_it = address.is_v4() ? asked.a : asked.aaaa;
  const std::uint16_t type = type_of(address);
  const auto asked_type = static_cast<std::uint16_t>(asked.a ? record_type::a : record_type::aaaa);

  byte_writer out{buffer};
  out.u16(legacy ? asked.id : std::uint16_t{});  // RFC 6762 §18.1.
  out.u16(response_flag | authoritative_flag);
  out.u16(legacy ? 1 : 0);
  out.u16(1);
  out.zeros(4);
  write_name(out, name);
  if (legacy) {
    out.u16(has_it ? type : asked_type);
    out.u16(class_in);
    out.u16(first_name);
  }
  out.u16(has_it ? type : type_nsec);
  // RFC 6762 §6.7: no cache-flush bit for those who do not know it.
  out.u16(legacy ? class_in : class_in | top_bit);
  out.u32(legacy ? std::min(time_to_live, max_legacy_time_to_live) : time_to_live);
  if (has_it) {
    const auto octets = address.octets();
    out.u16(static_cast<std::uint16_t>(octets.size()));
    out.bytes(octets);
  } else {
    write_types(out, type);
  }
  if (!out.ok()) return std::nullopt;
  return out.written();
}

}  // namespace weft::io::mdns
