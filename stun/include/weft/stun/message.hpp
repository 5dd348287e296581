#ifndef WEFT_STUN_MESSAGE_HPP
#define WEFT_STUN_MESSAGE_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <span>
#include <string_view>

#include <weft/core/bytes.hpp>
#include <weft/core/net.hpp>
#include <weft/core/result.hpp>
#include <weft/stun/registry.hpp>

/// STUN messages on the wire (RFC 8489 §5, §14): a view that reads one where it lies
/// and a builder that writes one into a caller's buffer.
///
/// Header-only but for the builder's three `add_` functions that compute something over
/// the message: MESSAGE-INTEGRITY, MESSAGE-INTEGRITY-SHA256 and FINGERPRINT. Nothing
/// here allocates, or knows what a transaction is. TURN and ICE put their own methods
/// and attributes on the same open enumerations.
namespace weft::stun {

class integrity_key;

inline constexpr std::size_t header_size = 20;
inline constexpr std::uint32_t magic_cookie = 0x2112a442;

using transaction_id = std::array<std::uint8_t, 12>;
using userhash = std::array<std::uint8_t, 32>;

constexpr std::size_t padded(std::size_t length) noexcept {
  return (length + 3) & ~std::size_t{3};
}

/// RFC 8489 §5: 14 bits in which two class bits split the method in three.
constexpr std::uint16_t encode_type(message_class c, method m) noexcept {
  const auto bits = static_cast<unsigned>(m);
  const auto klass = static_cast<unsigned>(c);
  return static_cast<std::uint16_t>((bits & 0x000f) | (klass & 1) << 4 | (bits & 0x0070) << 1 |
                                    (klass & 2) << 7 | (bits & 0x0f80) << 2);
}

/// Why a datagram is not a STUN message. Offer `not_stun` to whoever else shares the
/// socket; count and drop the others.
enum class parse_error : std::uint8_t {
  not_stun,       ///< No whole header, or its fixed bits are someone else's.
  truncated,      ///< The datagram is shorter than its length field claims.
  trailing_data,  ///< The datagram is longer than its length field claims.
  bad_attribute,  ///< An attribute runs past the end of the message.
};

constexpr std::string_view to_string(parse_error e) noexcept {
  switch (e) {
    case parse_error::not_stun:
      return "not a STUN message";
    case parse_error::truncated:
      return "shorter than its length field";
    case parse_error::trailing_data:
      return "longer than its length field";
    case parse_error::bad_attribute:
      return "an attribute runs past the end";
  }
  return "";
}

namespace detail {

constexpr std::uint16_t load_u16(const std::uint8_t* p) noexcept {
  return static_cast<std::uint16_t>(p[0] << 8 | p[1]);
}
constexpr std::uint32_t load_u32(const std::uint8_t* p) noexcept {
  return std::uint32_t{p[0]} << 24 | std::uint32_t{p[1]} << 16 | std::uint32_t{p[2]} << 8 | p[3];
}

// The cookie followed by the transaction ID: what addresses are XORed with.
constexpr std::array<std::uint8_t, 16> xor_mask(const transaction_id& id) noexcept {
  std::array<std::uint8_t, 16> mask{0x21, 0x12, 0xa4, 0x42};
  for (std::size_t i = 0; i < id.size(); ++i) mask[4 + i] = id[i];
  return mask;
}

inline constexpr std::uint8_t family_ipv4 = 0x01;  // RFC 8489 §14.1
inline constexpr std::uint8_t family_ipv6 = 0x02;

constexpr std::optional<endpoint> decode_address(
    const_bytes value, const std::array<std::uint8_t, 16>& mask) noexcept {
  if (value.size() != 8 && value.size() != 20) return std::nullopt;
  const auto port = static_cast<std::uint16_t>(load_u16(value.data() + 2) ^ load_u16(mask.data()));
  const auto octet = [&](std::size_t i) {
    return static_cast<std::uint8_t>(value[4 + i] ^ mask[i]);
  };
  if (value[1] == family_ipv4 && value.size() == 8)
    return endpoint{ip_address{std::array{octet(0), octet(1), octet(2), octet(3)}}, port};
  if (value[1] != family_ipv6 || value.size() != 20) return std::nullopt;
  std::array<std::uint8_t, 16> octets{};
  for (std::size_t i = 0; i < octets.size(); ++i) octets[i] = octet(i);
  return endpoint{ip_address{octets}, port};
}

// RFC 8489 §14.3 ff: what a receiver must be able to take; writers keep to less.
inline constexpr std::size_t max_received_text = 763;
inline constexpr std::size_t max_sent_text = 509;

// RFC 8489 §14.8 ff: fewer than 128 characters of UTF-8, as long as 509 bytes.
constexpr bool is_sendable_text(std::string_view text) noexcept {
  std::size_t characters = 0;
  for (const char c : text) characters += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return text.size() <= max_sent_text && characters < 128;
}

}  // namespace detail

/// Whether the bytes look like the start of a STUN message: the two zero bits, the magic
/// cookie and a length of whole words (RFC 8489 §5). Enough to tell STUN from what else
/// WebRTC puts on one socket (RFC 7983 §7); only `message_view::parse` tells whether it is well
/// formed.
constexpr bool is_stun(const_bytes datagram) noexcept {
  return datagram.size() >= header_size && (datagram[0] & 0xc0) == 0 && (datagram[3] & 3) == 0 &&
         detail::load_u32(datagram.data() + 4) == magic_cookie;
}

/// One attribute where it lies in its message.
struct attribute_view {
  attribute_type type;
  const_bytes value;   ///< Without padding.
  std::size_t offset;  ///< Of the attribute's header, from the start of the message.

  /// The value as a number, when it has exactly that size.
  constexpr std::optional<std::uint32_t> u32() const noexcept {
    if (value.size() != 4) return std::nullopt;
    return detail::load_u32(value.data());
  }
  constexpr std::optional<std::uint64_t> u64() const noexcept {
    if (value.size() != 8) return std::nullopt;
    return std::uint64_t{detail::load_u32(value.data())} << 32 | detail::load_u32(value.data() + 4);
  }
};

/// Attributes one after the other, for a range-based `for`.
class attribute_range {
 public:
  class iterator {
   public:
    using value_type = attribute_view;
    using difference_type = std::ptrdiff_t;

    constexpr iterator() = default;
    constexpr iterator(const std::uint8_t* message, std::size_t offset) noexcept
        : message_{message}, offset_{offset} {}

    constexpr attribute_view operator*() const noexcept {
      const std::uint8_t* const p = message_ + offset_;
      return {static_cast<attribute_type>(detail::load_u16(p)),
              {p + 4, detail::load_u16(p + 2)},
              offset_};
    }
    constexpr iterator& operator++() noexcept {
      offset_ += 4 + padded(detail::load_u16(message_ + offset_ + 2));
      return *this;
    }
    constexpr iterator operator++(int) noexcept {
      const iterator before = *this;
      ++*this;
      return before;
    }
    friend constexpr bool operator==(const iterator&, const iterator&) = default;

   private:
    const std::uint8_t* message_ = nullptr;
    std::size_t offset_ = 0;
  };

  constexpr attribute_range(const std::uint8_t* message, std::size_t first,
                            std::size_t last) noexcept
      : message_{message}, first_{first}, last_{last} {}

  constexpr iterator begin() const noexcept { return {message_, first_}; }
  constexpr iterator end() const noexcept { return {message_, last_}; }

 private:
  const std::uint8_t* message_;
  std::size_t first_;
  std::size_t last_;
};

/// What ERROR-CODE says (RFC 8489 §14.8). The reason is whatever bytes the sender chose:
/// it need not be UTF-8.
struct error_view {
  error_code code;
  std::string_view reason;
};

/// The list in UNKNOWN-ATTRIBUTES (RFC 8489 §14.13).
class unknown_attributes_view {
 public:
  constexpr explicit unknown_attributes_view(const_bytes value) noexcept : value_{value} {}
  constexpr std::size_t size() const noexcept { return value_.size() / 2; }
  constexpr attribute_type operator[](std::size_t i) const noexcept {
    return static_cast<attribute_type>(detail::load_u16(value_.data() + 2 * i));
  }

 private:
  const_bytes value_;
};

/// One algorithm with its parameters (RFC 8489 §14.11, §14.12).
struct password_algorithm_view {
  password_algorithm algorithm;
  const_bytes parameters;
};

/// The list in PASSWORD-ALGORITHMS (RFC 8489 §14.11).
class password_algorithms_view {
 public:
  /// Nothing unless the value is a list of one or more whole entries. The padding of the
  /// last entry may be missing: the RFC leaves open whether the attribute's length counts it.
  static constexpr std::optional<password_algorithms_view> parse(const_bytes value) noexcept {
    if (value.empty()) return std::nullopt;
    for (const_bytes rest = value; !rest.empty(); rest = after_first(rest))
      if (rest.size() < 4 || rest.size() - 4 < detail::load_u16(rest.data() + 2))
        return std::nullopt;
    return password_algorithms_view{value};
  }

  /// Calls `visit` with each `password_algorithm_view`, in the sender's order.
  template <class Visitor>
  constexpr void for_each(Visitor&& visit) const {
    for (const_bytes rest = value_; !rest.empty(); rest = after_first(rest)) visit(first(rest));
  }

  constexpr password_algorithm_view front() const noexcept { return first(value_); }
  constexpr bool has_one() const noexcept { return after_first(value_).empty(); }

 private:
  constexpr explicit password_algorithms_view(const_bytes value) noexcept : value_{value} {}

  static constexpr password_algorithm_view first(const_bytes list) noexcept {
    return {static_cast<password_algorithm>(detail::load_u16(list.data())),
            list.subspan(4, detail::load_u16(list.data() + 2))};
  }
  static constexpr const_bytes after_first(const_bytes list) noexcept {
    const std::size_t size = 4 + padded(detail::load_u16(list.data() + 2));
    return size < list.size() ? list.subspan(size) : const_bytes{};
  }

  const_bytes value_;
};

/// A well-formed STUN message, looked at where it lies.
///
/// The only way to get one is `parse`, which has walked every attribute and noted which
/// are there; so the accessors cannot run over an edge, and asking for an absent one is
/// a bit test. The view is as valid as its bytes.
///
/// Of attributes with the same type the first one counts (RFC 8489 §14), and of those
/// that stand behind MESSAGE-INTEGRITY only MESSAGE-INTEGRITY-SHA256 and FINGERPRINT
/// (RFC 5389 §15.4, RFC 8489 §14.5): anyone could have put the others there. Every
/// accessor but `all_attributes` keeps both rules. A typed accessor yields nothing both
/// when the attribute is absent and when its value cannot be that attribute; `has` tells
/// which.
class message_view {
 public:
  static constexpr result<message_view, parse_error> parse(const_bytes datagram) noexcept;

  constexpr message_class type_class() const noexcept {
    const unsigned type = raw_type();
    return static_cast<message_class>((type >> 4 & 1) | (type >> 7 & 2));
  }
  constexpr method type_method() const noexcept {
    const unsigned type = raw_type();
    return static_cast<method>((type & 0x000f) | (type >> 1 & 0x0070) | (type >> 2 & 0x0f80));
  }
  constexpr transaction_id id() const noexcept {
    transaction_id id{};
    for (std::size_t i = 0; i < id.size(); ++i) id[i] = bytes_[8 + i];
    return id;
  }
  constexpr const_bytes bytes() const noexcept { return bytes_; }

  // Attributes of any type

  /// The attributes before the integrity attributes and FINGERPRINT, in order, for
  /// reading a message in one pass. Of several with one type take the first.
  constexpr attribute_range attributes() const noexcept {
    return {bytes_.data(), header_size, trailer_ == 0 ? bytes_.size() : std::size_t{trailer_} * 4};
  }
  /// Everything in the message, also what must be ignored: for those who print it.
  constexpr attribute_range all_attributes() const noexcept {
    return {bytes_.data(), header_size, bytes_.size()};
  }

  constexpr bool has(attribute_type type) const noexcept { return find(type).has_value(); }
  constexpr std::optional<attribute_view> find(attribute_type type) const noexcept;

  constexpr std::optional<std::uint32_t> find_u32(attribute_type type) const noexcept {
    const auto attribute = find(type);
    return attribute ? attribute->u32() : std::nullopt;
  }
  constexpr std::optional<std::uint64_t> find_u64(attribute_type type) const noexcept {
    const auto attribute = find(type);
    return attribute ? attribute->u64() : std::nullopt;
  }
  /// The value as text, up to 763 bytes (RFC 8489 §14.3). It need not be UTF-8.
  std::optional<std::string_view> find_text(attribute_type type) const noexcept {
    const auto attribute = find(type);
    if (!attribute || attribute->value.size() > detail::max_received_text) return std::nullopt;
    return as_text(attribute->value);
  }
  /// An address in the clear, as in MAPPED-ADDRESS (RFC 8489 §14.1).
  constexpr std::optional<endpoint> find_address(attribute_type type) const noexcept {
    const auto attribute = find(type);
    return attribute ? detail::decode_address(attribute->value, {}) : std::nullopt;
  }
  /// An address XORed with cookie and transaction ID, as in XOR-MAPPED-ADDRESS (RFC 8489 §14.2).
  constexpr std::optional<endpoint> find_xor_address(attribute_type type) const noexcept {
    const auto attribute = find(type);
    return attribute ? detail::decode_address(attribute->value, detail::xor_mask(id()))
                     : std::nullopt;
  }

  /// Whether an attribute that must be understood is not in `understood` (RFC 8489 §6.3).
  constexpr bool has_unknown(const attribute_set& understood) const noexcept {
    return other_required_ || (present_[0] & ~understood.bits()) != 0;
  }
  /// Which ones those are, each once, as many as `out` holds: the part of `out` written.
  constexpr std::span<attribute_type> unknown_to(const attribute_set& understood,
                                                 std::span<attribute_type> out) const noexcept;

  // The attributes of RFC 8489 §14

  constexpr std::optional<endpoint> mapped_address() const noexcept {
    return find_address(attribute_type::mapped_address);
  }
  constexpr std::optional<endpoint> xor_mapped_address() const noexcept {
    return find_xor_address(attribute_type::xor_mapped_address);
  }
  std::optional<std::string_view> username() const noexcept {
    return find_text(attribute_type::username);
  }
  constexpr std::optional<stun::userhash> userhash() const noexcept {
    const auto attribute = find(attribute_type::userhash);
    stun::userhash hash{};
    if (!attribute || attribute->value.size() != hash.size()) return std::nullopt;
    for (std::size_t i = 0; i < hash.size(); ++i) hash[i] = attribute->value[i];
    return hash;
  }
  /// To know whether it is right, see integrity.hpp.
  constexpr std::optional<attribute_view> message_integrity() const noexcept {
    return at(integrity_);
  }
  /// To know whether it is right, see integrity.hpp.
  constexpr std::optional<attribute_view> message_integrity_sha256() const noexcept {
    return at(integrity_sha256_);
  }
  /// To know whether it is right, see fingerprint.hpp.
  constexpr std::optional<attribute_view> fingerprint() const noexcept { return at(fingerprint_); }
  std::optional<error_view> error() const noexcept;
  std::optional<std::string_view> realm() const noexcept {
    return find_text(attribute_type::realm);
  }
  std::optional<std::string_view> nonce() const noexcept {
    return find_text(attribute_type::nonce);
  }
  constexpr std::optional<password_algorithms_view> password_algorithms() const noexcept {
    const auto attribute = find(attribute_type::password_algorithms);
    return attribute ? password_algorithms_view::parse(attribute->value) : std::nullopt;
  }
  constexpr std::optional<password_algorithm_view> password_algorithm() const noexcept {
    const auto attribute = find(attribute_type::password_algorithm);
    const auto list = attribute ? password_algorithms_view::parse(attribute->value) : std::nullopt;
    if (!list || !list->has_one()) return std::nullopt;
    return list->front();
  }
  constexpr std::optional<unknown_attributes_view> unknown_attributes() const noexcept {
    const auto attribute = find(attribute_type::unknown_attributes);
    if (!attribute || attribute->value.size() % 2 != 0) return std::nullopt;
    return unknown_attributes_view{attribute->value};
  }
  std::optional<std::string_view> software() const noexcept {
    return find_text(attribute_type::software);
  }
  /// The ALTERNATE-SERVER to go to from `server`: the first of its family that can be one (RFC
  /// 8489 §10).
  constexpr std::optional<endpoint> alternate_to(const endpoint& server) const noexcept {
    for (const attribute_view& attribute : attributes()) {
      if (attribute.type != attribute_type::alternate_server) continue;
      const auto address = detail::decode_address(attribute.value, {});
      if (address && address->address.is_v4() == server.address.is_v4() && address->port != 0 &&
          !address->address.is_unspecified() && !address->address.is_multicast())
        return address;
    }
    return std::nullopt;
  }
  constexpr std::optional<endpoint> alternate_server() const noexcept {
    return find_address(attribute_type::alternate_server);
  }
  /// At most 255 bytes (RFC 8489 §14.16). Whether it is a DNS name is not checked.
  std::optional<std::string_view> alternate_domain() const noexcept {
    const auto name = find_text(attribute_type::alternate_domain);
    return name && name->size() <= 255 ? name : std::nullopt;
  }

  // The attributes of RFC 8445 §16.1

  constexpr std::optional<std::uint32_t> priority() const noexcept {
    return find_u32(attribute_type::priority);
  }
  constexpr bool use_candidate() const noexcept { return has(attribute_type::use_candidate); }
  constexpr std::optional<std::uint64_t> ice_controlled() const noexcept {
    return find_u64(attribute_type::ice_controlled);
  }
  constexpr std::optional<std::uint64_t> ice_controlling() const noexcept {
    return find_u64(attribute_type::ice_controlling);
  }

 private:
  constexpr explicit message_view(const_bytes bytes) noexcept : bytes_{bytes} {}

  constexpr unsigned raw_type() const noexcept { return detail::load_u16(bytes_.data()); }

  constexpr std::optional<attribute_view> at(std::uint16_t words) const noexcept {
    if (words == 0) return std::nullopt;
    return *attribute_range::iterator{bytes_.data(), std::size_t{words} * 4};
  }

  // Types 0x0000-0x003f and 0x8000-0x803f, where every registered one that we know
  // stands, have a bit in `present_` each; the rest share a flag a range.
  static constexpr bool is_indexed(unsigned type) noexcept { return (type & 0x7fc0) == 0; }

  constexpr void note(unsigned type) noexcept {
    if (is_indexed(type)) {
      present_[type >> 15] |= std::uint64_t{1} << (type & 63);
    } else {
      (type < 0x8000 ? other_required_ : other_optional_) = true;
    }
  }
  constexpr bool may_have(unsigned type) const noexcept {
    if (is_indexed(type)) return (present_[type >> 15] >> (type & 63) & 1) != 0;
    return type < 0x8000 ? other_required_ : other_optional_;
  }

  const_bytes bytes_;
  std::array<std::uint64_t, 2> present_{};
  // Offsets in words of four bytes, so that the longest message fits; 0 for none.
  std::uint16_t trailer_ = 0;  ///< The first of the next three.
  std::uint16_t integrity_ = 0;
  std::uint16_t integrity_sha256_ = 0;
  std::uint16_t fingerprint_ = 0;
  bool other_required_ = false;
  bool other_optional_ = false;
};

constexpr result<message_view, parse_error> message_view::parse(const_bytes datagram) noexcept {
  if (!is_stun(datagram)) return fail(parse_error::not_stun);
  const std::uint8_t* const p = datagram.data();
  const std::size_t end = datagram.size();
  const std::size_t length = detail::load_u16(p + 2);
  if (length > end - header_size) return fail(parse_error::truncated);
  if (length < end - header_size) return fail(parse_error::trailing_data);

  constexpr auto integrity = static_cast<unsigned>(attribute_type::message_integrity);
  constexpr auto integrity_sha256 = static_cast<unsigned>(attribute_type::message_integrity_sha256);
  constexpr auto fingerprint = static_cast<unsigned>(attribute_type::fingerprint);

  message_view view{datagram};
  // The length counts whole words and so does every step: an attribute's four-byte
  // header is always there.
  for (std::size_t at = header_size, next = 0; at < end; at = next) {
    const unsigned type = detail::load_u16(p + at);
    next = at + 4 + padded(detail::load_u16(p + at + 2));
    if (next > end) return fail(parse_error::bad_attribute);

    const auto words = static_cast<std::uint16_t>(at / 4);
    if (type == fingerprint) {
      if (view.fingerprint_ == 0) view.fingerprint_ = words;
    } else if (type == integrity) {
      if (view.trailer_ == 0) view.integrity_ = words;
    } else if (type == integrity_sha256) {
      if (view.integrity_sha256_ == 0 && view.fingerprint_ == 0) view.integrity_sha256_ = words;
    } else {
      if (view.trailer_ == 0) view.note(type);
      continue;
    }
    if (view.trailer_ == 0) view.trailer_ = words;
  }
  return view;
}

constexpr std::optional<attribute_view> message_view::find(attribute_type type) const noexcept {
  switch (type) {
    case attribute_type::message_integrity:
      return message_integrity();
    case attribute_type::message_integrity_sha256:
      return message_integrity_sha256();
    case attribute_type::fingerprint:
      return fingerprint();
    default:
      break;
  }
  if (!may_have(static_cast<unsigned>(type))) return std::nullopt;
  for (const attribute_view& attribute : attributes())
    if (attribute.type == type) return attribute;
  return std::nullopt;
}

constexpr std::span<attribute_type> message_view::unknown_to(
    const attribute_set& understood, std::span<attribute_type> out) const noexcept {
  std::size_t count = 0;
  if (!has_unknown(understood)) return out.first(count);
  for (const attribute_view& attribute : attributes()) {
    if (count == out.size()) break;
    if (!is_comprehension_required(attribute.type) || understood.contains(attribute.type)) continue;
    bool listed = false;
    for (const attribute_type type : out.first(count)) listed = listed || type == attribute.type;
    if (!listed) out[count++] = attribute.type;
  }
  return out.first(count);
}

inline std::optional<error_view> message_view::error() const noexcept {
  const auto attribute = find(attribute_type::error_code);
  if (!attribute || attribute->value.size() < 4 ||
      attribute->value.size() > 4 + detail::max_received_text)
    return std::nullopt;
  const unsigned hundreds = attribute->value[2] & 0x07;
  const unsigned rest = attribute->value[3];
  if (hundreds < 3 || hundreds > 6 || rest > 99) return std::nullopt;
  return error_view{static_cast<error_code>(hundreds * 100 + rest),
                    as_text(attribute->value.subspan(4))};
}

/// Builds one message in a caller's buffer, attribute by attribute.
///
/// What cannot be sent (a full buffer, a text over its limit, an attribute after the
/// integrity attributes, a message over 65,535 bytes) shows once, as an empty result from
/// `finish()`. The integrity attributes and FINGERPRINT go last, in that order.
class message_builder {
 public:
  constexpr message_builder(mutable_bytes buffer, message_class c, method m,
                            const transaction_id& id) noexcept
      : out_{buffer}, id_{id} {
    out_.u16(encode_type(c, m));
    out_.u16(0);
    out_.u32(magic_cookie);
    out_.bytes(id);
    ok_ = static_cast<unsigned>(m) <= 0xfff;
  }

  // Attributes of any type

  constexpr message_builder& add(attribute_type type, const_bytes value) noexcept {
    if (!begin(type, value.size())) return *this;
    out_.bytes(value);
    out_.zeros(padded(value.size()) - value.size());
    return *this;
  }
  constexpr message_builder& add_text(attribute_type type, std::string_view text) noexcept {
    if (!begin(type, text.size())) return *this;
    for (const char c : text) out_.u8(static_cast<std::uint8_t>(c));
    out_.zeros(padded(text.size()) - text.size());
    return *this;
  }
  /// An attribute whose presence is all it says.
  constexpr message_builder& add_flag(attribute_type type) noexcept { return add(type, {}); }
  /// So many zeros, for what is only there to take up room (RFC 5780 §7.6).
  constexpr message_builder& add_zeros(attribute_type type, std::size_t size) noexcept {
    if (begin(type, size)) out_.zeros(padded(size));
    return *this;
  }
  constexpr message_builder& add_u32(attribute_type type, std::uint32_t value) noexcept {
    if (begin(type, 4)) out_.u32(value);
    return *this;
  }
  constexpr message_builder& add_u64(attribute_type type, std::uint64_t value) noexcept {
    if (begin(type, 8)) out_.u64(value);
    return *this;
  }
  /// An address in the clear (RFC 8489 §14.1).
  constexpr message_builder& add_address(attribute_type type, const endpoint& address) noexcept {
    return put_address(type, address, {});
  }
  /// An address XORed with cookie and transaction ID (RFC 8489 §14.2).
  constexpr message_builder& add_xor_address(attribute_type type,
                                             const endpoint& address) noexcept {
    return put_address(type, address, detail::xor_mask(id_));
  }

  // The attributes of RFC 8489 §14

  constexpr message_builder& add_mapped_address(const endpoint& address) noexcept {
    return add_address(attribute_type::mapped_address, address);
  }
  constexpr message_builder& add_xor_mapped_address(const endpoint& address) noexcept {
    return add_xor_address(attribute_type::xor_mapped_address, address);
  }
  /// At most 508 bytes (RFC 8489 §14.3).
  constexpr message_builder& add_username(std::string_view name) noexcept {
    return require(name.size() < 509).add_text(attribute_type::username, name);
  }
  constexpr message_builder& add_userhash(const stun::userhash& hash) noexcept {
    return add(attribute_type::userhash, hash);
  }
  /// An error from 300 to 699 (RFC 8489 §14.8). The reason is for people: at most 127 characters.
  constexpr message_builder& add_error(error_code code, std::string_view reason) noexcept;
  constexpr message_builder& add_realm(std::string_view realm) noexcept {
    return add_limited_text(attribute_type::realm, realm);
  }
  constexpr message_builder& add_nonce(std::string_view nonce) noexcept {
    return add_limited_text(attribute_type::nonce, nonce);
  }
  constexpr message_builder& add_password_algorithms(
      std::span<const password_algorithm_view> algorithms) noexcept {
    return require(!algorithms.empty())
        .put_algorithms(attribute_type::password_algorithms, algorithms);
  }
  constexpr message_builder& add_password_algorithm(const password_algorithm_view& a) noexcept {
    return put_algorithms(attribute_type::password_algorithm, {&a, 1});
  }
  constexpr message_builder& add_unknown_attributes(
      std::span<const attribute_type> types) noexcept {
    if (!begin(attribute_type::unknown_attributes, types.size() * 2)) return *this;
    for (const attribute_type type : types) out_.u16(static_cast<std::uint16_t>(type));
    out_.zeros(types.size() % 2 * 2);
    return *this;
  }
  constexpr message_builder& add_software(std::string_view description) noexcept {
    return add_limited_text(attribute_type::software, description);
  }
  constexpr message_builder& add_alternate_server(const endpoint& server) noexcept {
    return add_address(attribute_type::alternate_server, server);
  }
  /// At most 255 bytes (RFC 8489 §14.16).
  constexpr message_builder& add_alternate_domain(std::string_view name) noexcept {
    return require(name.size() <= 255).add_text(attribute_type::alternate_domain, name);
  }

  // The attributes of RFC 8445 §16.1

  constexpr message_builder& add_priority(std::uint32_t priority) noexcept {
    return add_u32(attribute_type::priority, priority);
  }
  constexpr message_builder& add_use_candidate() noexcept {
    return add_flag(attribute_type::use_candidate);
  }
  constexpr message_builder& add_ice_controlled(std::uint64_t tie_breaker) noexcept {
    return add_u64(attribute_type::ice_controlled, tie_breaker);
  }
  constexpr message_builder& add_ice_controlling(std::uint64_t tie_breaker) noexcept {
    return add_u64(attribute_type::ice_controlling, tie_breaker);
  }

  // The end of a message: these are in the library, and cover all that was added before

  /// RFC 8489 §14.5.
  message_builder& add_message_integrity(const integrity_key& key) noexcept;
  /// RFC 8489 §14.6, whole; or cut to `size` bytes, a multiple of 4 from 16 to 32, where
  /// the usage allows that.
  message_builder& add_message_integrity_sha256(const integrity_key& key,
                                                std::size_t size = 32) noexcept;
  /// RFC 8489 §14.7. Goes last.
  message_builder& add_fingerprint() noexcept;

  constexpr bool ok() const noexcept { return ok_ && out_.ok(); }

  /// The message, at the front of the buffer; empty if anything could not be added.
  constexpr const_bytes finish() noexcept {
    if (!ok()) return {};
    set_length(0);
    return out_.written();
  }

 private:
  static constexpr int rank(attribute_type type) noexcept {
    switch (type) {
      case attribute_type::message_integrity:
        return 1;
      case attribute_type::message_integrity_sha256:
        return 2;
      case attribute_type::fingerprint:
        return 3;
      default:
        return 0;
    }
  }

  constexpr message_builder& require(bool condition) noexcept {
    ok_ = ok_ && condition;
    return *this;
  }

  // Writes an attribute's header if the whole attribute has room and may stand here.
  constexpr bool begin(attribute_type type, std::size_t size) noexcept {
    const int place = rank(type);
    require(place > stage_ || (place == 0 && stage_ == 0));
    require(size <= 0xffff && out_.size() - header_size + 4 + padded(size) <= 0xffff &&
            4 + padded(size) <= out_.room());
    if (!ok()) return false;
    stage_ = place;
    out_.u16(static_cast<std::uint16_t>(type));
    out_.u16(static_cast<std::uint16_t>(size));
    return true;
  }

  // The length field as it stands when `coming` more bytes have been added.
  constexpr void set_length(std::size_t coming) noexcept {
    out_.patch_u16(2, static_cast<std::uint16_t>(out_.size() + coming - header_size));
  }

  constexpr message_builder& add_limited_text(attribute_type type, std::string_view text) noexcept {
    return require(detail::is_sendable_text(text)).add_text(type, text);
  }
  constexpr message_builder& put_address(attribute_type type, const endpoint& address,
                                         const std::array<std::uint8_t, 16>& mask) noexcept;
  constexpr message_builder& put_algorithms(
      attribute_type type, std::span<const password_algorithm_view> algorithms) noexcept;

  byte_writer out_;
  transaction_id id_;
  int stage_ = 0;  ///< The rank of the last attribute.
  bool ok_ = true;
};

constexpr message_builder& message_builder::add_error(error_code code,
                                                      std::string_view reason) noexcept {
  const auto number = static_cast<unsigned>(code);
  require(number >= 300 && number < 700 && detail::is_sendable_text(reason));
  if (!begin(attribute_type::error_code, 4 + reason.size())) return *this;
  out_.u16(0);
  out_.u8(static_cast<std::uint8_t>(number / 100));
  out_.u8(static_cast<std::uint8_t>(number % 100));
  for (const char c : reason) out_.u8(static_cast<std::uint8_t>(c));
  out_.zeros(padded(reason.size()) - reason.size());
  return *this;
}

constexpr message_builder& message_builder::put_address(
    attribute_type type, const endpoint& address,
    const std::array<std::uint8_t, 16>& mask) noexcept {
  const auto octets = address.address.octets();
  if (!require(!octets.empty()).begin(type, 4 + octets.size())) return *this;
  out_.u8(0);
  out_.u8(address.address.is_v4() ? detail::family_ipv4 : detail::family_ipv6);
  out_.u16(static_cast<std::uint16_t>(address.port ^ detail::load_u16(mask.data())));
  for (std::size_t i = 0; i < octets.size(); ++i)
    out_.u8(static_cast<std::uint8_t>(octets[i] ^ mask[i]));
  return *this;
}

constexpr message_builder& message_builder::put_algorithms(
    attribute_type type, std::span<const password_algorithm_view> algorithms) noexcept {
  std::size_t size = 0;
  for (const password_algorithm_view& a : algorithms) {
    require(a.parameters.size() <= 0xffff);
    size += 4 + padded(a.parameters.size());
  }
  if (!begin(type, size)) return *this;
  for (const password_algorithm_view& a : algorithms) {
    out_.u16(static_cast<std::uint16_t>(a.algorithm));
    out_.u16(static_cast<std::uint16_t>(a.parameters.size()));
    out_.bytes(a.parameters);
    out_.zeros(padded(a.parameters.size()) - a.parameters.size());
  }
  return *this;
}

}  // namespace weft::stun

#endif  // WEFT_STUN_MESSAGE_HPP
