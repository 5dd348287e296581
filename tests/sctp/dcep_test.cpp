#include <weft/dcep/message.hpp>

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

using namespace weft::dcep;

namespace {

std::vector<std::uint8_t> build(const open& message) {
  std::vector<std::uint8_t> buffer(open_size(message));
  const auto bytes = build_open(buffer, message);
  REQUIRE(bytes);
  REQUIRE(bytes->size() == buffer.size());
  return buffer;
}

}  // namespace

TEST_SUITE("sctp/dcep") {
  TEST_CASE("RFC 8832 §5.1: an OPEN byte by byte") {
    open message;
    message.kind = reliability::limited_lifetime;
    message.ordered = false;
    message.priority = 512;
    message.reliability_parameter = 3000;
    message.label = "ab";
    message.protocol = "c";
    CHECK(build(message) == std::vector<std::uint8_t>{0x03, 0x82, 0x02, 0x00, 0x00, 0x00, 0x0b,
                                                      0xb8, 0x00, 0x02, 0x00, 0x01, 'a', 'b', 'c'});
  }

  TEST_CASE("RFC 8832 §5.1: every channel type there and back") {
    for (const auto kind : {reliability::reliable, reliability::limited_retransmissions,
                            reliability::limited_lifetime})
      for (const bool ordered : {true, false}) {
        open message;
        message.kind = kind;
        message.ordered = ordered;
        message.reliability_parameter = kind == reliability::reliable ? 0 : 77;
        message.label = "label";
        const auto bytes = build(message);
        const auto back = parse_open(bytes);
        REQUIRE(back);
        CHECK(*back == message);
      }
  }

  TEST_CASE("RFC 8832 §5.1: the reliability parameter of a reliable channel is ignored") {
    const std::uint8_t bytes[] = {3, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0};
    const auto message = parse_open(bytes);
    REQUIRE(message);
    CHECK(message->reliability_parameter == 0);
    CHECK(message->label.empty());
  }

  TEST_CASE("an OPEN cut anywhere is refused, and so is one that goes on") {
    open message;
    message.label = "some label";
    message.protocol = "proto";
    auto bytes = build(message);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const auto cut = parse_open(weft::const_bytes{bytes}.first(size));
      REQUIRE_FALSE(cut);
      CHECK(cut.error() == (size == 0 ? parse_error::empty : parse_error::truncated));
    }
    bytes.push_back(0);
    CHECK(parse_open(bytes).error() == parse_error::trailing_bytes);
  }

  TEST_CASE("RFC 8832 §8.2.2: channel types that are not assigned are refused") {
    auto bytes = build({});
    for (unsigned type = 0; type < 256; ++type) {
      bytes[1] = static_cast<std::uint8_t>(type);
      const auto message = parse_open(bytes);
      CHECK(message.has_value() == ((type & 0x7f) <= 2));
      if (!message) CHECK(message.error() == parse_error::unknown_channel_type);
    }
  }

  TEST_CASE("RFC 8832 §8.2.1: message types") {
    CHECK(parse_type(ack_message).value_or(message_type::open) == message_type::ack);
    CHECK(parse_type({}).error() == parse_error::empty);
    for (unsigned type = 0; type < 256; ++type) {
      const std::uint8_t byte[] = {static_cast<std::uint8_t>(type)};
      CHECK(parse_type(byte).has_value() == (type == 2 || type == 3));
    }
  }

  TEST_CASE("a label that does not fit its length field, or a buffer, is not written") {
    const std::string label(65536, 'x');
    std::vector<std::uint8_t> buffer(70000);
    open message;
    message.label = label;
    CHECK_FALSE(build_open(buffer, message));
    message.label = std::string_view{label}.substr(1);
    CHECK(build_open(buffer, message));
    CHECK_FALSE(build_open(weft::mutable_bytes{buffer}.first(100), message));
  }

  TEST_CASE("RFC 8832 §6: the DTLS client has the even streams, the server the odd ones") {
    CHECK(may_open(role::dtls_client, 0));
    CHECK_FALSE(may_open(role::dtls_client, 1));
    CHECK(may_open(role::dtls_server, 65533));
    CHECK(may_open(role::dtls_client, 65534));
    CHECK_FALSE(may_open(role::dtls_server, 65535));
    CHECK(may_open(role::dtls_client, first_stream(role::dtls_client)));
    CHECK(may_open(role::dtls_server, first_stream(role::dtls_server)));
  }

  TEST_CASE("RFC 8831 §6.6, §8: the identifiers of empty messages") {
    CHECK(is_empty_message(ppid::text_empty));
    CHECK(is_empty_message(ppid::binary_empty));
    CHECK_FALSE(is_empty_message(ppid::text));
    CHECK_FALSE(is_empty_message(ppid::binary));
    CHECK(sizeof(empty_payload) == 1);
  }
}
