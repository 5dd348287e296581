#ifndef WEFT_TESTS_DTLS_WIRE_HPP
#define WEFT_TESTS_DTLS_WIRE_HPP

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include <weft/core/bytes.hpp>
#include <weft/core/random.hpp>

/// Records and messages as a stranger would write them.
namespace weft::dtls::test {

using bytes = std::vector<std::uint8_t>;

inline void append(bytes& out, std::uint64_t value, std::size_t width) {
  while (width-- > 0) out.push_back(static_cast<std::uint8_t>(value >> (8 * width)));
}
inline void append(bytes& out, const bytes& more) {
  for (const std::uint8_t byte : more) out.push_back(byte);
}

/// RFC 6347 §4.1.
inline bytes record_of(std::uint8_t type, std::uint16_t key_epoch, std::uint64_t sequence_number,
                       const bytes& fragment) {
  bytes out{type, 0xfe, 0xfd};
  append(out, key_epoch, 2);
  append(out, sequence_number, 6);
  append(out, fragment.size(), 2);
  append(out, fragment);
  return out;
}

/// RFC 6347 §4.2.2: bytes [offset, offset + size) of a message.
inline bytes fragment_of(std::uint8_t type, std::uint16_t message_seq, const bytes& body,
                         std::size_t offset, std::size_t size) {
  bytes out{type};
  append(out, body.size(), 3);
  append(out, message_seq, 2);
  append(out, offset, 3);
  append(out, size, 3);
  for (std::size_t i = offset; i < offset + size; ++i) out.push_back(body[i]);
  return out;
}

inline bytes whole_message(std::uint8_t type, std::uint16_t message_seq, const bytes& body) {
  return fragment_of(type, message_seq, body, 0, body.size());
}

/// An alert in the clear: fatal handshake_failure.
inline bytes plaintext_alert(std::uint64_t sequence_number) {
  return record_of(21, 0, sequence_number, {2, 40});
}

inline bytes extension(std::uint16_t type, const bytes& body) {
  bytes out;
  append(out, type, 2);
  append(out, body.size(), 2);
  append(out, body);
  return out;
}

/// The body of a ClientHello as Chromium 156 writes it: DTLS 1.3 and 1.2, X25519MLKEM768 and
/// X25519 key shares, extensions in any order.
inline bytes browser_client_hello(std::uint64_t seed) {
  seeded_random random{seed};
  const auto noise = [&](std::size_t size) {
    bytes b(size);
    random.fill(b);
    return b;
  };

  bytes groups;
  append(groups, 8, 2);
  for (const unsigned group : {0x11ecu, 0x001du, 0x0017u, 0x0018u}) append(groups, group, 2);

  bytes shares;
  append(shares, 1216 + 4 + 32 + 4, 2);
  append(shares, 0x11ec, 2);
  append(shares, 1216, 2);
  append(shares, noise(1216));
  append(shares, 0x001d, 2);
  append(shares, 32, 2);
  append(shares, noise(32));

  bytes algorithms;
  append(algorithms, 16, 2);
  for (const unsigned algorithm :
       {0x0403u, 0x0804u, 0x0401u, 0x0503u, 0x0805u, 0x0501u, 0x0806u, 0x0601u})
    append(algorithms, algorithm, 2);

  std::vector<bytes> extensions{
      extension(0x002b, {4, 0xfe, 0xfc, 0xfe, 0xfd}),  // supported_versions
      extension(0x0033, shares),                       // key_share
      extension(0x000a, groups),                       // supported_groups
      extension(0x000d, algorithms),                   // signature_algorithms
      extension(0x000b, {1, 0}),                       // ec_point_formats
      extension(0x002d, {1, 1}),                       // psk_key_exchange_modes
      extension(0x000e, {0, 6, 0, 1, 0, 8, 0, 7, 0}),  // use_srtp
      extension(0x0017, {}),                           // extended_master_secret
      extension(0xff01, {0}),                          // renegotiation_info
  };
  for (std::size_t i = extensions.size(); i > 1; --i)
    std::swap(extensions[i - 1], extensions[random.next() % i]);

  bytes body{0xfe, 0xfd};
  append(body, noise(32));
  append(body, 0, 1);  // session_id
  append(body, 0, 1);  // cookie
  append(body, 26, 2);
  for (const unsigned suite : {0x1301u, 0x1302u, 0x1303u, 0xc02bu, 0xc02fu, 0xcca9u, 0xcca8u,
                               0xc009u, 0xc013u, 0xc00au, 0xc014u, 0x009cu, 0x002fu})
    append(body, suite, 2);
  append(body, {1, 0});  // compression_methods
  bytes all;
  for (const bytes& e : extensions) append(all, e);
  append(body, all.size(), 2);
  append(body, all);
  return body;
}

/// The records of a datagram: type, epoch and where they lie.
struct seen_record {
  std::uint8_t type;
  std::uint16_t epoch;
  std::size_t offset;
  std::size_t size;
};

inline std::vector<seen_record> records_in(const bytes& datagram) {
  std::vector<seen_record> records;
  byte_reader in{datagram};
  while (!in.at_end() && in.ok()) {
    const std::size_t offset = datagram.size() - in.rest().size();
    const std::uint8_t type = in.u8();
    in.skip(2);
    const std::uint16_t key_epoch = in.u16();
    in.skip(6);
    const std::size_t size = in.u16();
    in.skip(size);
    if (in.ok()) records.push_back({type, key_epoch, offset, size + 13});
  }
  return records;
}

}  // namespace weft::dtls::test

#endif  // WEFT_TESTS_DTLS_WIRE_HPP
