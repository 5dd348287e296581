// What the field's parsers have fallen over: cut messages, wrong lengths, attributes of
// every size, odd addresses in memory.
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include <weft/stun/behaviour.hpp>
#include <weft/stun/fingerprint.hpp>
#include <weft/stun/integrity.hpp>
#include <weft/stun/message.hpp>
#include <weft/stun/transmit_counter.hpp>

#include "stun/raw_message.hpp"
#include "stun/vectors.hpp"

using namespace weft::stun;
using namespace weft::test;

namespace {

const auto key = integrity_key::short_term(sample_password);

volatile std::uint8_t sink;

void touch(weft::const_bytes bytes) {
  for (const std::uint8_t byte : bytes) sink = byte;
}

// Asks a message everything there is to ask and reads all of every value; the sanitizers
// watch. Returns how many typed answers there were.
int read_everything(const message_view& m) {
  for (const attribute_view& a : m.all_attributes()) touch(a.value);
  int answers = 0;
  for (const auto text : {m.username(), m.realm(), m.nonce(), m.software(), m.alternate_domain()}) {
    answers += text.has_value();
    if (text) touch(weft::as_bytes(*text));
  }
  answers += m.mapped_address().has_value() + m.xor_mapped_address().has_value() +
             m.alternate_server().has_value() + m.userhash().has_value() +
             m.priority().has_value() + m.ice_controlled().has_value() +
             m.ice_controlling().has_value() + find_change_request(m).has_value() +
             find_response_port(m).has_value() + find_transmit_counter(m).has_value() +
             m.find_address(attribute_type::response_origin).has_value() +
             m.find_address(attribute_type::other_address).has_value();
  if (const auto error = m.error()) {
    touch(weft::as_bytes(error->reason));
    ++answers;
  }
  if (const auto algorithm = m.password_algorithm()) {
    touch(algorithm->parameters);
    ++answers;
  }
  if (const auto list = m.password_algorithms()) {
    list->for_each([](const password_algorithm_view& a) { touch(a.parameters); });
    ++answers;
  }
  if (const auto list = m.unknown_attributes()) {
    for (std::size_t i = 0; i < list->size(); ++i) sink = static_cast<std::uint8_t>((*list)[i]);
    ++answers;
  }
  return answers + has_valid_fingerprint(m) + verify_message_integrity(m, key) +
         verify_message_integrity_sha256(m, key, 16);
}

// In memory of its own, so that a step beyond the end is seen.
auto parse_alone(weft::const_bytes bytes) {
  const std::vector<std::uint8_t> alone{bytes.begin(), bytes.end()};
  const auto message = message_view::parse(alone);
  if (message) read_everything(*message);
  return message ? std::optional<parse_error>{} : message.error();
}

// How long each attribute's value is when it is right, and how many lengths to try.
struct expected_size {
  attribute_type type;
  std::vector<std::size_t> right;  ///< None: any length is.
  std::size_t limit;
};

}  // namespace

TEST_SUITE("stun/malformed") {
  TEST_CASE("every prefix of every sample is refused, and says why") {
    for (const auto sample : sample_messages) {
      for (std::size_t size = 0; size < sample.size(); ++size) {
        CAPTURE(size);
        CHECK(parse_alone(sample.first(size)) ==
              (size < header_size ? parse_error::not_stun : parse_error::truncated));
      }
      CHECK_FALSE(parse_alone(sample));
      std::vector<std::uint8_t> longer{sample.begin(), sample.end()};
      longer.resize(sample.size() + 4);
      CHECK(parse_alone(longer) == parse_error::trailing_data);
    }
  }

  TEST_CASE("the header's length field says the one length that is right") {
    for (const auto sample : sample_messages) {
      std::vector<std::uint8_t> bytes{sample.begin(), sample.end()};
      const std::size_t right = sample.size() - header_size;
      for (std::size_t length = 0; length <= 0xffff; ++length) {
        bytes[2] = static_cast<std::uint8_t>(length >> 8);
        bytes[3] = static_cast<std::uint8_t>(length);
        const auto error = parse_alone(bytes);
        if (length == right) {
          REQUIRE_FALSE(error);
        } else if (length % 4 != 0) {
          REQUIRE(error == parse_error::not_stun);
        } else {
          REQUIRE(error == (length < right ? parse_error::trailing_data : parse_error::truncated));
        }
      }
    }
  }

  TEST_CASE("every attribute's length field one less, one more, 0 and 65,535") {
    for (const auto sample : sample_messages) {
      const auto message = message_view::parse(sample);
      REQUIRE(message);
      for (const attribute_view& attribute : message->all_attributes()) {
        const std::size_t size = attribute.value.size();
        for (const std::size_t length : {size - 1, size + 1, std::size_t{0}, std::size_t{0xffff}}) {
          std::vector<std::uint8_t> bytes{sample.begin(), sample.end()};
          bytes[attribute.offset + 2] = static_cast<std::uint8_t>(length >> 8);
          bytes[attribute.offset + 3] = static_cast<std::uint8_t>(length);
          const auto error = parse_alone(bytes);
          CHECK((!error || error == parse_error::bad_attribute));
          if (length == 0xffff) CHECK(error == parse_error::bad_attribute);
          const std::size_t end = attribute.offset + 4 + padded(length & 0xffff);
          if (end > sample.size()) CHECK(error == parse_error::bad_attribute);
          if (padded(length) == padded(size)) CHECK_FALSE(error);
        }
      }
    }
  }

  TEST_CASE("every typed attribute at every length, alone and before another") {
    const std::vector<expected_size> table{
        {attribute_type::mapped_address, {8, 20}, 40},
        {attribute_type::xor_mapped_address, {8, 20}, 40},
        {attribute_type::alternate_server, {8, 20}, 40},
        {attribute_type::response_origin, {8, 20}, 40},
        {attribute_type::other_address, {8, 20}, 40},
        {attribute_type::change_request, {4}, 8},
        {attribute_type::response_port, {2, 4}, 8},
        {attribute_type::transaction_transmit_counter, {4}, 8},
        {attribute_type::userhash, {32}, 64},
        {attribute_type::priority, {4}, 8},
        {attribute_type::ice_controlled, {8}, 16},
        {attribute_type::ice_controlling, {8}, 16},
        {attribute_type::username, {}, 32},
        {attribute_type::realm, {}, 32},
        {attribute_type::nonce, {}, 32},
        {attribute_type::software, {}, 32},
        {attribute_type::alternate_domain, {}, 32},
        {attribute_type::unknown_attributes, {0, 2, 4, 6, 8}, 8},
        // All zeros: a list of four-byte entries, or one entry.
        {attribute_type::password_algorithms, {4, 8, 12, 16}, 16},
        {attribute_type::password_algorithm, {4}, 16},
        // All zeros is no error code, of no length.
        {attribute_type::error_code, {0x10000}, 16},
        {attribute_type::message_integrity, {0x10000}, 40},
        {attribute_type::message_integrity_sha256, {0x10000}, 64},
        {attribute_type::fingerprint, {0x10000}, 8},
    };
    for (const message_class c : {message_class::request, message_class::indication,
                                  message_class::success, message_class::error}) {
      for (const expected_size& expected : table) {
        const attribute_type type = expected.type;
        const auto& right = expected.right;
        for (std::size_t size = 0; size <= expected.limit; ++size) {
          CAPTURE(to_string(type));
          CAPTURE(size);
          raw_bytes value(size);
          const bool is_address = std::ranges::count(right, 20u) != 0;
          if (is_address && size > 1) value[1] = size < 20 ? 1 : 2;
          const auto alone = raw_message(c, {{type, value}});
          const auto followed = raw_message(c, {{type, value}, {attribute_type::nonce, {}}});
          const bool counts = right.empty() || std::ranges::count(right, size) != 0;
          const auto message = message_view::parse(alone);
          REQUIRE(message);
          CHECK(read_everything(*message) == (counts ? 1 : 0));
          const auto second = message_view::parse(followed);
          REQUIRE(second);
          const bool hidden = type == attribute_type::message_integrity ||
                              type == attribute_type::message_integrity_sha256 ||
                              type == attribute_type::fingerprint || type == attribute_type::nonce;
          CHECK(read_everything(*second) == (counts ? 1 : 0) + (hidden ? 0 : 1));
        }
      }
    }
  }

  TEST_CASE("messages are read wherever they lie in memory") {
    for (const auto sample : sample_messages) {
      const auto aligned = message_view::parse(sample);
      REQUIRE(aligned);
      const int answers = read_everything(*aligned);
      for (std::size_t offset = 0; offset < 8; ++offset) {
        alignas(8) std::array<std::uint8_t, 256> memory{};
        std::ranges::copy(sample, memory.begin() + offset);
        const auto message =
            message_view::parse(weft::const_bytes{memory}.subspan(offset, sample.size()));
        REQUIRE(message);
        CHECK(read_everything(*message) == answers);
        CHECK(message->id() == aligned->id());
      }
    }
  }

  TEST_CASE("any one bit changed in a signed message is noticed") {
    const auto good = message_view::parse(sample_request);
    REQUIRE(good);
    const std::size_t covered = good->message_integrity()->offset;
    for (std::size_t bit = 0; bit < covered * 8; ++bit) {
      auto bytes = sample_request;
      bytes[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
      const auto message = message_view::parse(bytes);
      if (!message) continue;
      CAPTURE(bit);
      CHECK_FALSE(verify_integrity(*message, key));
      CHECK_FALSE(has_valid_fingerprint(*message));
    }
  }
}
