#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include <weft/stun/message.hpp>

#include "stun/raw_message.hpp"

using namespace weft::stun;
using namespace weft::test;

namespace {

const weft::endpoint v4{*weft::ip_address::parse("192.0.2.1"), 32853};
const weft::endpoint v6{*weft::ip_address::parse("2001:db8::1:2"), 65535};

// Builds a message with what `add` adds; empty if the builder refused it.
template <class Add>
raw_bytes built(Add add) {
  std::vector<std::uint8_t> buffer(2048);
  message_builder builder{buffer, message_class::request, method::binding, raw_id};
  add(builder);
  const auto bytes = builder.finish();
  return {bytes.begin(), bytes.end()};
}

message_view view(const raw_bytes& bytes) {
  const auto message = message_view::parse(bytes);
  REQUIRE(message);
  return *message;
}

}  // namespace

TEST_SUITE("stun/attribute") {
  TEST_CASE("RFC 8489 §14.1, §14.2, §14.15: addresses of both families come back") {
    for (const weft::endpoint& address : {v4, v6}) {
      const auto bytes = built([&](message_builder& b) {
        b.add_mapped_address(address).add_xor_mapped_address(address).add_alternate_server(address);
      });
      CHECK(view(bytes).mapped_address() == address);
      CHECK(view(bytes).xor_mapped_address() == address);
      CHECK(view(bytes).alternate_server() == address);
    }
    CHECK(built([](message_builder& b) { b.add_xor_mapped_address({}); }).empty());
  }

  TEST_CASE("RFC 8489 §14.1: MAPPED-ADDRESS stands in the clear") {
    const auto bytes = built([&](message_builder& b) { b.add_mapped_address(v4); });
    const raw_bytes expected{0, 1, 0, 8, 0, 1, 0x80, 0x55, 192, 0, 2, 1};
    CHECK(std::equal(bytes.begin() + 20, bytes.end(), expected.begin(), expected.end()));
  }

  TEST_CASE("RFC 8489 §14.1: the first byte of an address is ignored, family and size must agree") {
    const auto mapped = [](const raw_bytes& value) {
      return view(raw_message(message_class::success, {{attribute_type::mapped_address, value}}))
          .mapped_address();
    };
    CHECK(mapped({0xff, 1, 0x80, 0x55, 192, 0, 2, 1}) == v4);
    CHECK_FALSE(mapped({0, 0, 0x80, 0x55, 192, 0, 2, 1}));
    CHECK_FALSE(mapped({0, 2, 0x80, 0x55, 192, 0, 2, 1}));
    CHECK_FALSE(mapped({0, 3, 0x80, 0x55, 192, 0, 2, 1}));
    raw_bytes sixteen(20);
    sixteen[1] = 1;
    CHECK_FALSE(mapped(sixteen));
    sixteen[1] = 2;
    CHECK(mapped(sixteen));
  }

  TEST_CASE("RFC 8489 §14.3: a USERNAME is sent up to 508 bytes and taken up to 763") {
    CHECK(built([](message_builder& b) { b.add_username(std::string(509, 'u')); }).empty());
    const std::string longest(508, 'u');
    const auto bytes = built([&](message_builder& b) { b.add_username(longest); });
    CHECK(view(bytes).username() == longest);
    const auto sized = [](std::size_t size) {
      return raw_message(message_class::request,
                         {{attribute_type::username, raw_bytes(size, 'u')}});
    };
    const raw_bytes taken = sized(763), refused = sized(764);
    CHECK(view(taken).username() == std::string(763, 'u'));
    CHECK_FALSE(view(refused).username());
    CHECK(view(refused).has(attribute_type::username));
  }

  TEST_CASE("RFC 8489 §14.8 to §14.14: texts are sent with fewer than 128 characters") {
    std::string wide;
    for (int i = 0; i < 127; ++i) wide += "\xf0\x9f\xa7\xb5";
    const auto sendable = [](const std::string& text) {
      const std::array accepted{
          !built([&](message_builder& b) { b.add_realm(text); }).empty(),
          !built([&](message_builder& b) { b.add_nonce(text); }).empty(),
          !built([&](message_builder& b) { b.add_software(text); }).empty(),
          !built([&](message_builder& b) { b.add_error(error_code::bad_request, text); }).empty()};
      CHECK(std::ranges::count(accepted, accepted[0]) == 4);
      return accepted[0];
    };
    CHECK(sendable(""));
    CHECK(sendable(std::string(127, 'x')));
    CHECK_FALSE(sendable(std::string(128, 'x')));
    CHECK(sendable(wide));
    CHECK_FALSE(sendable(wide + "x"));
    CHECK(sendable(std::string(509, '\x80')));
    CHECK_FALSE(sendable(std::string(510, '\x80')));
  }

  TEST_CASE("texts come back, whatever their bytes") {
    const std::string text = std::string{"r\0\xff\x80", 4} + "\u00e9";
    const auto bytes = built([&](message_builder& b) {
      b.add_realm(text).add_nonce("n").add_software("").add_error(error_code::stale_nonce, text);
    });
    CHECK(view(bytes).realm() == text);
    CHECK(view(bytes).nonce() == "n");
    CHECK(view(bytes).software() == "");
    REQUIRE(view(bytes).error());
    CHECK(view(bytes).error()->code == error_code::stale_nonce);
    CHECK(view(bytes).error()->reason == text);
  }

  TEST_CASE("RFC 8489 §14.8: an error code has a class from 3 to 6 and a number to 99") {
    for (unsigned number = 0; number < 1000; ++number) {
      const auto bytes =
          built([&](message_builder& b) { b.add_error(static_cast<error_code>(number), "r"); });
      CAPTURE(number);
      REQUIRE(bytes.empty() == (number < 300 || number > 699));
      if (!bytes.empty()) REQUIRE(view(bytes).error()->code == static_cast<error_code>(number));
    }
    for (unsigned third = 0; third < 256; ++third) {
      for (unsigned fourth = 0; fourth < 256; ++fourth) {
        const auto bytes = raw_message(
            message_class::error,
            {{attribute_type::error_code,
              {0xff, 0xff, static_cast<std::uint8_t>(third), static_cast<std::uint8_t>(fourth)}}});
        const unsigned hundreds = third & 7;  // the bits above are reserved and ignored
        const bool good = hundreds >= 3 && hundreds <= 6 && fourth <= 99;
        REQUIRE(view(bytes).error().has_value() == good);
      }
    }
  }

  TEST_CASE("RFC 8489 §14.4: USERHASH has 32 bytes") {
    userhash hash{};
    hash[31] = 9;
    const auto bytes = built([&](message_builder& b) { b.add_userhash(hash); });
    CHECK(view(bytes).userhash() == hash);
  }

  TEST_CASE("RFC 8489 §14.11: PASSWORD-ALGORITHMS lists algorithms with padded parameters") {
    const std::array<std::uint8_t, 5> parameters{1, 2, 3, 4, 5};
    const std::array list{password_algorithm_view{password_algorithm::sha256, parameters},
                          password_algorithm_view{password_algorithm::md5, {}}};
    const auto bytes = built([&](message_builder& b) { b.add_password_algorithms(list); });
    CHECK(bytes.size() == 20 + 4 + 4 + 8 + 4);
    const auto read = view(bytes).password_algorithms();
    REQUIRE(read);
    std::vector<password_algorithm_view> seen;
    read->for_each([&](const password_algorithm_view& a) { seen.push_back(a); });
    REQUIRE(seen.size() == 2);
    CHECK(seen[0].algorithm == password_algorithm::sha256);
    CHECK(std::ranges::equal(seen[0].parameters, parameters));
    CHECK(seen[1].algorithm == password_algorithm::md5);
    CHECK(seen[1].parameters.empty());
    CHECK_FALSE(view(bytes).password_algorithm());
    CHECK(built([](message_builder& b) { b.add_password_algorithms({}); }).empty());
  }

  TEST_CASE("RFC 8489 §14.11: a list that ends inside an entry is none") {
    const auto readable = [](const raw_bytes& value) {
      const auto bytes =
          raw_message(message_class::request, {{attribute_type::password_algorithms, value},
                                               {attribute_type::password_algorithm, value}});
      CHECK(view(bytes).password_algorithm().has_value() ==
            (view(bytes).password_algorithms() && view(bytes).password_algorithms()->has_one()));
      return view(bytes).password_algorithms().has_value();
    };
    CHECK_FALSE(readable({}));
    CHECK_FALSE(readable({0, 1, 0}));
    CHECK_FALSE(readable({0, 1, 0, 1}));
    CHECK(readable({0, 1, 0, 1, 7}));
    CHECK(readable({0, 1, 0, 1, 7, 0, 0, 0}));
    CHECK_FALSE(readable({0, 1, 0, 1, 7, 0, 0, 0, 0}));
    CHECK_FALSE(readable({0, 1, 0xff, 0xff, 7, 0, 0, 0}));
    CHECK(readable({0, 1, 0, 1, 7, 0, 0, 0, 0, 2, 0, 0}));
  }

  TEST_CASE("RFC 8489 §14.13: UNKNOWN-ATTRIBUTES lists types, padded with zeros") {
    const std::array types{attribute_type::priority, static_cast<attribute_type>(0x7fff),
                           attribute_type::use_candidate};
    const auto bytes = built([&](message_builder& b) { b.add_unknown_attributes(types); });
    CHECK(bytes.size() == 20 + 4 + 8);
    const auto read = view(bytes).unknown_attributes();
    REQUIRE(read);
    REQUIRE(read->size() == 3);
    for (std::size_t i = 0; i < 3; ++i) CHECK((*read)[i] == types[i]);
    const auto odd =
        raw_message(message_class::error, {{attribute_type::unknown_attributes, {0, 1, 0}}});
    CHECK_FALSE(view(odd).unknown_attributes());
  }

  TEST_CASE("RFC 8489 §14.16: ALTERNATE-DOMAIN has at most 255 bytes") {
    const std::string longest(255, 'd');
    const auto bytes = built([&](message_builder& b) { b.add_alternate_domain(longest); });
    CHECK(view(bytes).alternate_domain() == longest);
    CHECK(built([&](message_builder& b) { b.add_alternate_domain(longest + "d"); }).empty());
    const auto over = raw_message(message_class::error,
                                  {{attribute_type::alternate_domain, raw_bytes(256, 'd')}});
    CHECK_FALSE(view(over).alternate_domain());
  }

  TEST_CASE("RFC 8445 §16.1: what an ICE check carries comes back") {
    const auto bytes = built([](message_builder& b) {
      b.add_priority(0x6e0001ff).add_use_candidate().add_ice_controlling(0x932ff9b151263b36);
    });
    CHECK(view(bytes).priority() == 0x6e0001ff);
    CHECK(view(bytes).use_candidate());
    CHECK(view(bytes).ice_controlling() == 0x932ff9b151263b36);
    CHECK_FALSE(view(bytes).ice_controlled());
    const auto other = built([](message_builder& b) { b.add_ice_controlled(1); });
    CHECK(view(other).ice_controlled() == 1);
    CHECK_FALSE(view(other).use_candidate());
  }
}
