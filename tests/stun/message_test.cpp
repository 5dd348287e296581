#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include <weft/stun/fingerprint.hpp>
#include <weft/stun/integrity.hpp>
#include <weft/stun/message.hpp>

#include "stun/raw_message.hpp"
#include "stun/vectors.hpp"

using namespace weft::stun;
using namespace weft::test;

namespace {

constexpr auto ours = static_cast<attribute_type>(0xc057);
constexpr auto another = static_cast<attribute_type>(0x4001);
constexpr transaction_id id = raw_id;

// What a program can do while it is compiled: build a message and read it.
constexpr bool builds_in_a_constant() {
  std::array<std::uint8_t, 64> buffer{};
  message_builder builder{buffer, message_class::request, method::binding, id};
  builder.add_username("a:b").add_priority(7).add_use_candidate();
  const auto message = message_view::parse(builder.finish());
  return message && message->priority() == 7 && message->use_candidate() && message->id() == id;
}
static_assert(builds_in_a_constant());

std::vector<attribute_type> types_of(const attribute_range& range) {
  std::vector<attribute_type> types;
  for (const attribute_view& attribute : range) types.push_back(attribute.type);
  return types;
}

}  // namespace

TEST_SUITE("stun/message") {
  TEST_CASE("RFC 8489 §5: a message without attributes is 20 bytes") {
    std::array<std::uint8_t, 20> buffer{};
    const auto bytes =
        message_builder{buffer, message_class::indication, method::binding, id}.finish();
    const std::array<std::uint8_t, 20> expected{0x00, 0x11, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1,  2,
                                                3,    4,    5, 6, 7,    8,    9,    10,   11, 12};
    CHECK(std::ranges::equal(bytes, expected));
    const auto message = message_view::parse(bytes);
    REQUIRE(message);
    CHECK(message->type_class() == message_class::indication);
    CHECK(message->attributes().begin() == message->attributes().end());
  }

  TEST_CASE("RFC 8489 §14: values are padded with zeros to whole words, which lengths leave out") {
    std::array<std::uint8_t, 64> buffer;
    buffer.fill(0xee);
    const auto bytes = message_builder{buffer, message_class::request, method::binding, id}
                           .add_text(ours, "abcde")
                           .finish();
    const std::array<std::uint8_t, 12> expected{0xc0, 0x57, 0, 5, 'a', 'b', 'c', 'd', 'e', 0, 0, 0};
    CHECK(std::ranges::equal(bytes.subspan(header_size), expected));
  }

  TEST_CASE("attributes of other modules' numbers are written and read as any") {
    std::array<std::uint8_t, 128> buffer{};
    const auto bytes = message_builder{buffer, message_class::request, method::binding, id}
                           .add_u32(ours, 0x0001000a)
                           .add_u64(another, 0x0123456789abcdef)
                           .add_flag(static_cast<attribute_type>(0xc001))
                           .finish();
    const auto message = message_view::parse(bytes);
    REQUIRE(message);
    CHECK(message->find_u32(ours) == 0x0001000a);
    CHECK(message->find_u64(another) == 0x0123456789abcdef);
    CHECK_FALSE(message->find_u64(ours));
    CHECK_FALSE(message->find_u32(another));
    CHECK(message->has(static_cast<attribute_type>(0xc001)));
    CHECK_FALSE(message->has(static_cast<attribute_type>(0xc002)));
    CHECK_FALSE(message->has(static_cast<attribute_type>(0x4002)));
  }

  TEST_CASE("RFC 8489 §14: the first attribute of a type counts") {
    const auto bytes = raw_message(message_class::request, {{attribute_type::username, {'a'}},
                                                            {attribute_type::username, {'b'}}});
    const auto message = message_view::parse(bytes);
    REQUIRE(message);
    CHECK(message->username() == "a");
    CHECK(types_of(message->attributes()).size() == 2);
  }

  TEST_CASE("RFC 8489 §14.5: behind MESSAGE-INTEGRITY only SHA256 and FINGERPRINT count") {
    const raw_bytes sha1(20), sha256(32), crc(4);
    const auto bytes =
        raw_message(message_class::request, {{attribute_type::username, {'a'}},
                                             {attribute_type::message_integrity, sha1},
                                             {attribute_type::use_candidate, {}},
                                             {attribute_type::message_integrity_sha256, sha256},
                                             {attribute_type::priority, {0, 0, 0, 1}},
                                             {attribute_type::message_integrity, {1}},
                                             {another, {}},
                                             {attribute_type::fingerprint, crc}});
    const auto message = message_view::parse(bytes);
    REQUIRE(message);
    CHECK(message->username() == "a");
    CHECK_FALSE(message->use_candidate());
    CHECK_FALSE(message->priority());
    CHECK_FALSE(message->has_unknown({attribute_type::username}));
    CHECK(message->message_integrity()->value.size() == 20);
    CHECK(message->message_integrity_sha256()->value.size() == 32);
    CHECK(message->fingerprint()->offset + 8 == bytes.size());
    CHECK(types_of(message->attributes()) == std::vector{attribute_type::username});
    CHECK(types_of(message->all_attributes()).size() == 8);
  }

  TEST_CASE(
      "RFC 8489 §14.6: behind MESSAGE-INTEGRITY-SHA256 even MESSAGE-INTEGRITY does not count") {
    const auto bytes = raw_message(message_class::request,
                                   {{attribute_type::message_integrity_sha256, raw_bytes(32)},
                                    {attribute_type::message_integrity, raw_bytes(20)},
                                    {attribute_type::username, {'a'}}});
    const auto message = message_view::parse(bytes);
    REQUIRE(message);
    CHECK(message->message_integrity_sha256());
    CHECK_FALSE(message->message_integrity());
    CHECK_FALSE(message->username());
  }

  TEST_CASE("RFC 8489 §14.7: nothing counts behind FINGERPRINT, which is then not valid") {
    std::array<std::uint8_t, 64> buffer{};
    const auto built = message_builder{buffer, message_class::request, method::binding, id}
                           .add_fingerprint()
                           .finish();
    raw_bytes bytes{built.begin(), built.end()};
    REQUIRE(has_valid_fingerprint(*message_view::parse(bytes)));
    bytes.insert(bytes.end(), {0x00, 0x25, 0, 0});
    bytes[3] = static_cast<std::uint8_t>(bytes.size() - header_size);
    const auto message = message_view::parse(bytes);
    REQUIRE(message);
    CHECK_FALSE(message->use_candidate());
    CHECK_FALSE(has_valid_fingerprint(*message));
    // Not even with the CRC that the longer length asks for.
    const std::uint32_t crc = crc32(weft::const_bytes{bytes}.first(20)) ^ fingerprint_xor;
    weft::byte_writer{weft::mutable_bytes{bytes}.subspan(24, 4)}.u32(crc);
    CHECK_FALSE(has_valid_fingerprint(*message));
  }

  TEST_CASE(
      "RFC 8489 §14.7: integrity attributes behind FINGERPRINT do not count, nor do second ones") {
    const auto behind = raw_message(message_class::request,
                                    {{attribute_type::fingerprint, raw_bytes(4)},
                                     {attribute_type::message_integrity_sha256, raw_bytes(32)},
                                     {attribute_type::message_integrity, raw_bytes(20)}});
    CHECK_FALSE(has_integrity(*message_view::parse(behind)));
    const auto twice = raw_message(message_class::request,
                                   {{attribute_type::message_integrity, raw_bytes(20)},
                                    {attribute_type::message_integrity, raw_bytes(16)},
                                    {attribute_type::message_integrity_sha256, raw_bytes(32)},
                                    {attribute_type::message_integrity_sha256, raw_bytes(16)},
                                    {attribute_type::fingerprint, raw_bytes(4)},
                                    {attribute_type::fingerprint, raw_bytes(3)}});
    const auto message = message_view::parse(twice);
    REQUIRE(message);
    CHECK(message->message_integrity()->value.size() == 20);
    CHECK(message->message_integrity_sha256()->value.size() == 32);
    CHECK(message->fingerprint()->value.size() == 4);
  }

  TEST_CASE("RFC 8489 §6.3: unknown attributes that must be understood are listed once each") {
    const auto a = static_cast<attribute_type>(0x0003);
    const auto bytes =
        raw_message(message_class::request,
                    {{a, {}}, {attribute_type::username, {}}, {another, {}}, {a, {}}, {ours, {}}});
    const auto message = message_view::parse(bytes);
    REQUIRE(message);
    const attribute_set understood{attribute_type::username};
    CHECK(message->has_unknown(understood));
    std::array<attribute_type, 4> room{};
    CHECK(std::ranges::equal(message->unknown_to(understood, room), std::array{a, another}));
    CHECK(message->unknown_to(understood, std::span{room}.first(1)).size() == 1);
    CHECK(message->unknown_to(understood, {}).empty());
    CHECK(std::ranges::equal(message->unknown_to({attribute_type::username, a}, room),
                             std::array{another}));
  }

  TEST_CASE("the builder yields nothing in a buffer that is one byte short, and never overruns") {
    std::array<std::uint8_t, sample_request.size() + 1> memory{};
    const auto build = [&](std::size_t size) {
      memory.fill(0xa5);
      return message_builder{weft::mutable_bytes{memory}.first(size), message_class::request,
                             method::binding, id}
          .add_software("STUN test client")
          .add_priority(1)
          .add_ice_controlled(2)
          .add_username("evtj:h6vY")
          .add_message_integrity(integrity_key::short_term("password"))
          .add_fingerprint()
          .finish()
          .size();
    };
    for (std::size_t size = 0; size < sample_request.size(); ++size) {
      CAPTURE(size);
      REQUIRE(build(size) == 0);
      REQUIRE(std::all_of(memory.begin() + static_cast<std::ptrdiff_t>(size), memory.end(),
                          [](std::uint8_t b) { return b == 0xa5; }));
    }
    CHECK(build(sample_request.size()) == sample_request.size());
  }

  TEST_CASE("the builder refuses a message whose length does not fit the header") {
    std::vector<std::uint8_t> buffer(80'000);
    const std::vector<std::uint8_t> value(70'000);
    const auto size_with = [&](std::size_t first, std::size_t second) {
      return message_builder{buffer, message_class::request, method::binding, id}
          .add(ours, weft::const_bytes{value}.first(first))
          .add(ours, weft::const_bytes{value}.first(second))
          .finish()
          .size();
    };
    // 65,532 is the longest length of whole words.
    CHECK(size_with(32'760, 32'764) == header_size + 65'532);
    CHECK(size_with(32'760, 32'765) == 0);
    CHECK(size_with(0, 65'535) == 0);
    CHECK(size_with(0, 65'536) == 0);
    CHECK(size_with(65'536, 0) == 0);
    const auto longest =
        message_view::parse(message_builder{buffer, message_class::request, method::binding, id}
                                .add(ours, weft::const_bytes{value}.first(65'516))
                                .add_priority(9)
                                .finish());
    REQUIRE(longest);
    CHECK(longest->priority() == 9);
  }

  TEST_CASE("the longest message is signed and found whole") {
    std::vector<std::uint8_t> buffer(65'552);
    const std::vector<std::uint8_t> value(65'532 - 4 - 24 - 36 - 8);
    const auto key = integrity_key::short_term("password");
    const auto bytes = message_builder{buffer, message_class::request, method::binding, id}
                           .add(ours, value)
                           .add_message_integrity(key)
                           .add_message_integrity_sha256(key)
                           .add_fingerprint()
                           .finish();
    REQUIRE(bytes.size() == 65'552);
    const auto message = message_view::parse(bytes);
    REQUIRE(message);
    CHECK(verify_message_integrity(*message, key));
    CHECK(verify_message_integrity_sha256(*message, key));
    CHECK(has_valid_fingerprint(*message));
  }

  TEST_CASE("the builder keeps the order that RFC 8489 §14.5 to §14.7 prescribe") {
    const auto key = integrity_key::short_term("password");
    std::array<std::uint8_t, 256> buffer{};
    const auto fresh = [&] {
      return message_builder{buffer, message_class::request, method::binding, id};
    };
    CHECK(fresh()
              .add_message_integrity(key)
              .add_message_integrity_sha256(key)
              .add_fingerprint()
              .ok());
    CHECK_FALSE(fresh().add_message_integrity(key).add_priority(1).ok());
    CHECK_FALSE(fresh().add_message_integrity(key).add_message_integrity(key).ok());
    CHECK_FALSE(fresh().add_message_integrity_sha256(key).add_message_integrity(key).ok());
    CHECK_FALSE(fresh().add_fingerprint().add_message_integrity(key).ok());
    CHECK_FALSE(fresh().add_fingerprint().add_fingerprint().ok());
    CHECK_FALSE(fresh().add_fingerprint().add_use_candidate().ok());
  }

  TEST_CASE("two encodings in different buffers are equal: no byte is left as it was") {
    const auto build = [](std::uint8_t poison) {
      std::array<std::uint8_t, 256> buffer;
      buffer.fill(poison);
      const std::array unknown{attribute_type::priority};
      const std::array<std::uint8_t, 1> parameters{1};
      const auto bytes = message_builder{buffer, message_class::error, method::binding, id}
                             .add_username("a")
                             .add_error(error_code::unknown_attribute, "why")
                             .add_unknown_attributes(unknown)
                             .add_password_algorithm({password_algorithm::md5, parameters})
                             .add_xor_mapped_address({*weft::ip_address::parse("::1"), 1})
                             .add(ours, parameters)
                             .finish();
      return raw_bytes{bytes.begin(), bytes.end()};
    };
    CHECK(build(0x00) == build(0xff));
    CHECK(!build(0x00).empty());
  }

  TEST_CASE("RFC 7983 §7: what else WebRTC puts on the socket does not look like STUN") {
    for (unsigned first = 0; first < 256; ++first) {
      auto bytes = sample_request;
      bytes[0] = static_cast<std::uint8_t>(first);
      CAPTURE(first);
      CHECK(is_stun(bytes) == (first < 64));
    }
    auto bytes = sample_request;
    bytes[5] ^= 1;
    CHECK_FALSE(is_stun(bytes));
    CHECK(is_stun(weft::const_bytes{sample_request}.first(20)));
    CHECK_FALSE(is_stun(weft::const_bytes{sample_request}.first(19)));
    CHECK_FALSE(is_stun({}));
  }
}
