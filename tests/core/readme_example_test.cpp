#include <array>
#include <cstdint>

#include <doctest/doctest.h>

#include <weft/core/bytes.hpp>
#include <weft/core/result.hpp>

namespace {

enum class parse_error : std::uint8_t { truncated, unknown_version };

struct header {
  std::uint16_t stream;
  weft::const_bytes payload;
};

weft::result<header, parse_error> parse(weft::const_bytes packet) {
  weft::byte_reader in{packet};
  const auto version = in.u8();
  const auto stream = in.u16();
  const auto payload = in.bytes(in.u16());
  if (!in.ok()) return weft::fail(parse_error::truncated);
  if (version != 1) return weft::fail(parse_error::unknown_version);
  return header{stream, payload};
}

}  // namespace

TEST_CASE("the example in the README reads a packet and says why it cannot") {
  const std::array<std::uint8_t, 7> packet{1, 0, 9, 0, 2, 0xab, 0xcd};
  const auto read = parse(packet);
  REQUIRE(read);
  CHECK(read->stream == 9);
  CHECK(read->payload.size() == 2);
  CHECK(parse(weft::const_bytes{packet}.first(6)).error() == parse_error::truncated);
  const std::array<std::uint8_t, 5> newer{2, 0, 0, 0, 0};
  CHECK(parse(newer).error() == parse_error::unknown_version);
}
