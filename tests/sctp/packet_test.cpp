#include <weft/sctp/packet.hpp>

#include <doctest/doctest.h>

#include <array>
#include <vector>

using namespace weft::sctp;

namespace {

std::vector<std::uint8_t> packet_with_all() {
  std::array<std::uint8_t, 1400> buffer;
  packet_builder b{buffer, 5000, 5001, 0x01020304};
  const std::uint8_t payload[] = {1, 2, 3, 4, 5};
  const gap_block gaps[] = {{2, 3}, {5, 9}};
  const std::uint32_t duplicates[] = {7, 8, 9};
  const forward_tsn_chunk::skipped skipped[] = {{1, 2}, {3, 4}};
  init_chunk init;
  init.initiate_tag = 1;
  init.a_rwnd = 2;
  init.outgoing_streams = 3;
  init.incoming_streams = 4;
  init.initial_tsn = 5;
  b.add_sack(10, 20, gaps, duplicates)
      .add_forward_tsn(30, skipped)
      .add(chunk_type::init_ack, init)
      .add_shutdown(40)
      .add(chunk_type::heartbeat, 0, payload)
      .add(data_chunk{50, 51, 52, 53, true, false, true, true, payload});
  REQUIRE(b.ok());
  const auto bytes = b.finish();
  return {bytes.begin(), bytes.end()};
}

}  // namespace

TEST_SUITE("sctp/packet") {
  TEST_CASE("what was built is read back") {
    const auto bytes = packet_with_all();
    const auto packet = packet_view::parse(bytes);
    REQUIRE(packet);
    CHECK(packet->source_port() == 5000);
    CHECK(packet->destination_port() == 5001);
    CHECK(packet->verification_tag() == 0x01020304);
    CHECK(packet->has_valid_checksum());
    std::vector<chunk_view> chunks;
    packet->for_each_chunk([&](const chunk_view& c) {
      chunks.push_back(c);
      return true;
    });
    REQUIRE(chunks.size() == 6);

    const auto sack = sack_chunk::parse(chunks[0]);
    REQUIRE(sack);
    CHECK(sack->cumulative_tsn_ack == 10);
    CHECK(sack->a_rwnd == 20);
    REQUIRE(sack->gap_block_count() == 2);
    CHECK(sack->block(1) == gap_block{5, 9});
    REQUIRE(sack->duplicate_count() == 3);
    CHECK(sack->duplicate(2) == 9);

    const auto forward = forward_tsn_chunk::parse(chunks[1]);
    REQUIRE(forward);
    CHECK(forward->new_cumulative_tsn == 30);
    REQUIRE(forward->stream_count() == 2);
    CHECK(forward->stream(1) == forward_tsn_chunk::skipped{3, 4});

    const auto init = init_chunk::parse(chunks[2]);
    REQUIRE(init);
    CHECK(init->initiate_tag == 1);
    CHECK(init->a_rwnd == 2);
    CHECK(init->outgoing_streams == 3);
    CHECK(init->incoming_streams == 4);
    CHECK(init->initial_tsn == 5);
    CHECK(init->parameters.empty());

    CHECK(parse_shutdown(chunks[3]) == 40u);
    CHECK(chunks[4].value().size() == 5);

    const auto data = data_chunk::parse(chunks[5]);
    REQUIRE(data);
    CHECK(data->tsn == 50);
    CHECK(data->stream == 51);
    CHECK(data->ssn == 52);
    CHECK(data->ppid == 53);
    CHECK(data->unordered);
    CHECK_FALSE(data->beginning);
    CHECK(data->ending);
    CHECK(data->immediate);
    CHECK(data->payload.size() == 5);
  }

  TEST_CASE("RFC 9260 §3.2: a packet cut anywhere is either whole chunks or refused") {
    const auto bytes = packet_with_all();
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const auto packet = packet_view::parse(weft::const_bytes{bytes}.first(size));
      if (!packet) {
        CHECK(packet.error() ==
              (size < 12 ? parse_error::truncated : parse_error::bad_chunk_length));
        continue;
      }
      std::size_t at = 12;
      packet->for_each_chunk([&](const chunk_view& c) {
        at += padded(c.bytes.size());
        return true;
      });
      CHECK(at >= size);
      CHECK(at < size + 4);
    }
  }

  TEST_CASE("RFC 9260 §3.2: a chunk length of 0 to 3 is refused and does not loop") {
    std::array<std::uint8_t, 20> bytes{};
    for (std::uint8_t length = 0; length < 4; ++length) {
      bytes[15] = length;
      const auto packet = packet_view::parse(bytes);
      REQUIRE_FALSE(packet);
      CHECK(packet.error() == parse_error::bad_chunk_length);
    }
  }

  TEST_CASE("RFC 9260 §3.3: every chunk shorter than its fields is refused") {
    const std::array<std::uint8_t, 64> bytes{};
    const auto chunk = [&](std::size_t size) {
      return chunk_view{{}, 0, weft::const_bytes{bytes}.first(size)};
    };
    for (std::size_t size = 4; size < 64; ++size) {
      CHECK(data_chunk::parse(chunk(size)).has_value() == (size >= 16));
      CHECK(init_chunk::parse(chunk(size)).has_value() == (size >= 20));
      CHECK(sack_chunk::parse(chunk(size)).has_value() == (size == 16));
      CHECK(parse_shutdown(chunk(size)).has_value() == (size == 8));
      CHECK(forward_tsn_chunk::parse(chunk(size)).has_value() == (size >= 8 && size % 4 == 0));
      const tlv_view tlv{0, weft::const_bytes{bytes}.first(size)};
      CHECK(outgoing_reset_request::parse(tlv).has_value() == (size >= 16 && size % 2 == 0));
      CHECK(incoming_reset_request::parse(tlv).has_value() == (size >= 8 && size % 2 == 0));
      CHECK(reset_response::parse(tlv).has_value() == (size >= 12));
    }
  }

  TEST_CASE("RFC 9260 §3.3.4: a SACK whose counts do not match its length is refused") {
    std::array<std::uint8_t, 24> bytes{};
    const chunk_view chunk{chunk_type::sack, 0, bytes};
    CHECK_FALSE(sack_chunk::parse(chunk));
    bytes[13] = 1;
    bytes[15] = 1;
    CHECK(sack_chunk::parse(chunk));
    bytes[13] = 2;
    CHECK_FALSE(sack_chunk::parse(chunk));
    bytes[12] = 0xff;
    CHECK_FALSE(sack_chunk::parse(chunk));
  }

  TEST_CASE("RFC 9260 §3.2.1: parameters are taken until one does not fit") {
    const std::uint8_t bytes[] = {0, 7, 0, 5, 9, 0, 0, 0, 0xc0, 0, 0, 4, 0, 1, 0, 9, 0, 0, 0, 0};
    weft::const_bytes rest = bytes;
    const auto first = take_tlv(rest);
    REQUIRE(first);
    CHECK(first->is(parameter_type::state_cookie));
    CHECK(first->value().size() == 1);
    const auto second = take_tlv(rest);
    REQUIRE(second);
    CHECK(second->is(parameter_type::forward_tsn_supported));
    CHECK_FALSE(take_tlv(rest));
    CHECK(rest.size() == 8);
    weft::const_bytes short_length = weft::const_bytes{bytes}.last(4);
    CHECK_FALSE(take_tlv(short_length));
  }

  TEST_CASE("RFC 9260 §3.2: the two high bits say what to do with an unknown chunk") {
    CHECK(unknown_chunk_stops_packet(static_cast<chunk_type>(0x3f)));
    CHECK_FALSE(unknown_chunk_is_reported(static_cast<chunk_type>(0x3f)));
    CHECK(unknown_chunk_is_reported(static_cast<chunk_type>(0x7f)));
    CHECK_FALSE(unknown_chunk_stops_packet(static_cast<chunk_type>(0xbf)));
    CHECK(unknown_chunk_is_reported(static_cast<chunk_type>(0xff)));
    CHECK(unknown_parameter_stops_chunk(static_cast<parameter_type>(0x7fff)));
    CHECK(unknown_parameter_is_reported(static_cast<parameter_type>(0xc123)));
  }

  TEST_CASE("a buffer that is too small loses the chunk, not memory") {
    std::array<std::uint8_t, 40> buffer{};
    const std::array<std::uint8_t, 30> payload{};
    packet_builder b{weft::mutable_bytes{buffer}.first(30), 1, 2, 3};
    b.add(data_chunk{1, 2, 3, 4, false, true, true, false, payload});
    CHECK_FALSE(b.ok());
    CHECK(b.finish().size() == 12);
    CHECK(buffer[30] == 0);
    packet_builder none{weft::mutable_bytes{buffer}.first(11), 1, 2, 3};
    CHECK_FALSE(none.ok());
    CHECK(none.finish().empty());
  }

  TEST_CASE("RFC 9260 Appendix A: one changed bit is noticed wherever it is") {
    auto bytes = packet_with_all();
    std::size_t unnoticed = 0;
    for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
      bytes[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
      const auto packet = packet_view::parse(bytes);
      if (packet && packet->has_valid_checksum()) ++unnoticed;
      bytes[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    }
    CHECK(unnoticed == 0);
  }
}
