#ifndef WEFT_DTLS_RECORD_HPP
#define WEFT_DTLS_RECORD_HPP

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include <weft/core/bytes.hpp>

namespace weft::dtls {

/// RFC 5246 §6.2.1.
enum class content_type : std::uint8_t {
  change_cipher_spec = 20,
  alert = 21,
  handshake = 22,
  application_data = 23,
};

/// A DTLSPlaintext or DTLSCiphertext (RFC 6347 §4.1), viewed in place.
struct record {
  content_type type;
  std::uint16_t epoch;
  std::uint64_t sequence_number;
  const_bytes fragment;
  const_bytes whole;
};

inline constexpr std::size_t record_header_size = 13;

/// The record at the front of a datagram. Nothing where it is not one of DTLS 1.0 or 1.2
/// (a first flight may carry either version, RFC 6347 §4.2.1), or is cut short.
inline std::optional<record> read_record(const_bytes datagram) noexcept {
  byte_reader in{datagram};
  const std::uint8_t type = in.u8();
  const std::uint16_t version = in.u16();
  const std::uint16_t epoch = in.u16();
  const std::uint64_t sequence_number = in.u48();
  const std::size_t size = in.u16();
  const const_bytes fragment = in.bytes(size);
  if (!in.ok() || type < 20 || type > 23 || (version != 0xfeff && version != 0xfefd))
    return std::nullopt;
  return record{content_type{type}, epoch, sequence_number, fragment,
                datagram.first(record_header_size + size)};
}

/// RFC 5246 §7.4: the message types this module must tell apart.
inline constexpr std::uint8_t client_hello_type = 1;
inline constexpr std::uint8_t server_hello_type = 2;

/// One fragment of a handshake message (RFC 6347 §4.2.2).
struct handshake_fragment {
  std::uint8_t type;
  std::size_t length;  ///< Of the whole message.
  std::uint16_t message_seq;
  std::size_t offset;
  const_bytes body;
};

inline constexpr std::size_t handshake_header_size = 12;

/// The first fragment in a plaintext handshake record.
inline std::optional<handshake_fragment> read_handshake(const_bytes fragment) noexcept {
  byte_reader in{fragment};
  handshake_fragment f{};
  f.type = in.u8();
  f.length = in.u24();
  f.message_seq = in.u16();
  f.offset = in.u24();
  const std::size_t size = in.u24();
  f.body = in.bytes(size);
  if (!in.ok() || f.offset + size > f.length) return std::nullopt;
  return f;
}

using hello_random = std::array<std::uint8_t, 32>;

/// The random value of a ClientHello or ServerHello (RFC 5246 §7.4.1.2), behind the version.
/// Nothing where this fragment does not begin the message or is too short.
inline std::optional<hello_random> read_random(const handshake_fragment& hello) noexcept {
  if (hello.offset != 0 || hello.body.size() < 34) return std::nullopt;
  hello_random random;
  std::copy_n(hello.body.begin() + 2, random.size(), random.begin());
  return random;
}

}  // namespace weft::dtls

#endif  // WEFT_DTLS_RECORD_HPP
