// The numbers and names of IANA's "Session Traversal Utilities for NAT (STUN) Parameters",
// as RFC 8489 §18, RFC 8445 §20.2, RFC 5780 §9.1, RFC 7635 §12 and RFC 7982 §4 entered them.
#include <doctest/doctest.h>

#include <array>
#include <string_view>

#include <weft/stun/message.hpp>
#include <weft/stun/registry.hpp>

using namespace weft::stun;

namespace {

struct entry {
  unsigned number;
  std::string_view name;
};

constexpr std::array<entry, 1> methods{{{0x001, "Binding"}}};

constexpr std::array<entry, 28> attributes{{
    {0x0001, "MAPPED-ADDRESS"},
    {0x0003, "CHANGE-REQUEST"},
    {0x0006, "USERNAME"},
    {0x0008, "MESSAGE-INTEGRITY"},
    {0x0009, "ERROR-CODE"},
    {0x000a, "UNKNOWN-ATTRIBUTES"},
    {0x0014, "REALM"},
    {0x0015, "NONCE"},
    {0x001b, "ACCESS-TOKEN"},
    {0x001c, "MESSAGE-INTEGRITY-SHA256"},
    {0x001d, "PASSWORD-ALGORITHM"},
    {0x001e, "USERHASH"},
    {0x0020, "XOR-MAPPED-ADDRESS"},
    {0x0024, "PRIORITY"},
    {0x0025, "USE-CANDIDATE"},
    {0x0026, "PADDING"},
    {0x0027, "RESPONSE-PORT"},
    {0x8002, "PASSWORD-ALGORITHMS"},
    {0x8003, "ALTERNATE-DOMAIN"},
    {0x8022, "SOFTWARE"},
    {0x8023, "ALTERNATE-SERVER"},
    {0x8025, "TRANSACTION_TRANSMIT_COUNTER"},
    {0x8028, "FINGERPRINT"},
    {0x8029, "ICE-CONTROLLED"},
    {0x802a, "ICE-CONTROLLING"},
    {0x802b, "RESPONSE-ORIGIN"},
    {0x802c, "OTHER-ADDRESS"},
    {0x802e, "THIRD-PARTY-AUTHORIZATION"},
}};

constexpr std::array<entry, 7> errors{{
    {300, "Try Alternate"},
    {400, "Bad Request"},
    {401, "Unauthenticated"},
    {420, "Unknown Attribute"},
    {438, "Stale Nonce"},
    {487, "Role Conflict"},
    {500, "Server Error"},
}};

// Every number of the range is named as the table says, which for most is not at all.
template <class Enum, std::size_t Size>
void check_names(const std::array<entry, Size>& table, unsigned end) {
  for (unsigned number = 0; number < end; ++number) {
    std::string_view expected;
    for (const entry& e : table)
      if (e.number == number) expected = e.name;
    if (to_string(static_cast<Enum>(number)) != expected) {
      CAPTURE(number);
      CHECK(to_string(static_cast<Enum>(number)) == expected);
    }
  }
}

}  // namespace

TEST_SUITE("stun/registry") {
  TEST_CASE("RFC 8489 §18.2: methods are numbered and named as at IANA") {
    check_names<method>(methods, 0x1000);
    CHECK(static_cast<unsigned>(method::binding) == 0x001);
  }

  TEST_CASE("RFC 8489 §18.3 and its extensions: attributes are numbered and named as at IANA") {
    check_names<attribute_type>(attributes, 0x10000);
    CHECK(static_cast<unsigned>(attribute_type::xor_mapped_address) == 0x0020);
  }

  TEST_CASE("RFC 8489 §18.4, RFC 8445 §20.3: error codes are numbered and named as at IANA") {
    check_names<error_code>(errors, 700);
    CHECK(static_cast<unsigned>(error_code::role_conflict) == 487);
  }

  TEST_CASE("RFC 8489 §18.5: password algorithms are numbered as at IANA") {
    CHECK(static_cast<unsigned>(password_algorithm::md5) == 0x0001);
    CHECK(static_cast<unsigned>(password_algorithm::sha256) == 0x0002);
  }

  TEST_CASE("RFC 8489 §14: attributes from 0x0000 to 0x7fff must be understood") {
    CHECK(is_comprehension_required(static_cast<attribute_type>(0x0000)));
    CHECK(is_comprehension_required(static_cast<attribute_type>(0x7fff)));
    CHECK_FALSE(is_comprehension_required(static_cast<attribute_type>(0x8000)));
    CHECK_FALSE(is_comprehension_required(static_cast<attribute_type>(0xffff)));
  }

  TEST_CASE("a set of attributes holds what it was given, and the integrity attributes") {
    constexpr attribute_set set{attribute_type::username, attribute_type::priority,
                                static_cast<attribute_type>(0x4000)};
    CHECK(set.contains(attribute_type::username));
    CHECK(set.contains(attribute_type::priority));
    CHECK(set.contains(attribute_type::message_integrity));
    CHECK(set.contains(attribute_type::message_integrity_sha256));
    CHECK_FALSE(set.contains(attribute_type::use_candidate));
    CHECK_FALSE(set.contains(static_cast<attribute_type>(0x4000)));
  }

  TEST_CASE("RFC 8489 §5: class and method share 14 bits, and come back out of them") {
    CHECK(encode_type(message_class::request, method::binding) == 0x0001);
    CHECK(encode_type(message_class::indication, method::binding) == 0x0011);
    CHECK(encode_type(message_class::success, method::binding) == 0x0101);
    CHECK(encode_type(message_class::error, method::binding) == 0x0111);
    for (unsigned m = 0; m <= 0xfff; ++m) {
      for (unsigned c = 0; c < 4; ++c) {
        std::array<std::uint8_t, header_size> buffer{};
        const auto bytes = message_builder{
            buffer, static_cast<message_class>(c), static_cast<method>(m),
            transaction_id{}}.finish();
        const auto message = message_view::parse(bytes);
        REQUIRE(message);
        REQUIRE(message->type_class() == static_cast<message_class>(c));
        REQUIRE(message->type_method() == static_cast<method>(m));
      }
    }
    std::array<std::uint8_t, header_size> buffer{};
    CHECK(message_builder{buffer, message_class::request, static_cast<method>(0x1000), {}}
              .finish()
              .empty());
  }
}
