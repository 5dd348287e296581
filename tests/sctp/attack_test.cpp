#include <doctest/doctest.h>

#include <algorithm>

#include "pair.hpp"

using namespace weft::sctp;
using namespace weft::sctp::test;
using enum association_state;

namespace {

struct fixture : pair {
  std::uint32_t tag_of_b = 0;
  std::uint32_t tag_of_a = 0;
  std::uint32_t tsn_of_a = 0;

  fixture() {
    connect();
    REQUIRE(a.send(now, 1, 1, bytes(10), {}));
    const auto data = *poll(a, now);
    tag_of_b = detail::load_u32(data.data() + 4);
    tsn_of_a = data_chunk::parse(*packet_view::parse(data)->first_chunk())->tsn;
    b.handle_input(now, data);
    const auto sack = *poll(b, now);
    tag_of_a = detail::load_u32(sack.data() + 4);
    a.handle_input(now, sack);
    collect();
    b_messages.clear();
  }

  /// To b, as from a.
  void inject(std::uint32_t tag, chunk_type type, std::uint8_t flags, weft::const_bytes value) {
    bytes buffer(1400);
    packet_builder p{buffer, 5000, 5000, tag};
    b.handle_input(now, p.add(type, flags, value).finish());
  }

  bool still_works() {
    const std::size_t before = b_messages.size();
    if (!a.send(now, 1, 2, pattern(3000, 2), {})) return false;
    run(30s);
    return a.state() == established && b.state() == established &&
           b_messages.size() == before + 1 && b_messages.back().payload == pattern(3000, 2);
  }
};

bytes u32s(std::initializer_list<std::uint32_t> values) {
  bytes out(4 * values.size());
  weft::byte_writer w{out};
  for (const auto v : values) w.u32(v);
  return out;
}

}  // namespace

TEST_SUITE("sctp/attack") {
  TEST_CASE_FIXTURE(fixture,
                    "RFC 9260 §8.5: every chunk type with a wrong or zero tag changes nothing") {
    for (unsigned type = 0; type < 256; ++type)
      for (const std::uint32_t tag : {0u, tag_of_b ^ 1, tag_of_a})
        for (const std::uint8_t flags : {std::uint8_t{0}, reflected_tag_flag}) {
          const auto t = static_cast<chunk_type>(type);
          const bool reflected = tag == tag_of_a && flags == reflected_tag_flag &&
                                 (t == chunk_type::abort || t == chunk_type::shutdown_complete);
          if (!reflected) inject(tag, t, flags, bytes(16));
        }
    CHECK(b.state() == established);
    CHECK(b.stats().bad_tag > 1000);
    while (poll(b, now)) {
    }
    CHECK(still_works());
  }

  TEST_CASE_FIXTURE(fixture,
                    "RFC 9260 §8.5.1 B: an ABORT with T bit and the peer's own tag ends it") {
    inject(tag_of_a, chunk_type::abort, reflected_tag_flag, {});
    CHECK(b.state() == closed);
  }

  TEST_CASE_FIXTURE(fixture, "RFC 9260 §8.5.1 C: a SHUTDOWN COMPLETE out of place is dropped") {
    inject(tag_of_b, chunk_type::shutdown_complete, 0, {});
    inject(tag_of_a, chunk_type::shutdown_complete, reflected_tag_flag, {});
    CHECK(still_works());
  }

  TEST_CASE_FIXTURE(fixture, "packets for other ports are not ours; short ones neither") {
    bytes buffer(100);
    packet_builder p{buffer, 5001, 5000, tag_of_b};
    CHECK_FALSE(b.handle_input(now, p.add(chunk_type::abort, 0, {}).finish()));
    packet_builder q{buffer, 5000, 5001, tag_of_b};
    CHECK_FALSE(b.handle_input(now, q.add(chunk_type::abort, 0, {}).finish()));
    for (std::size_t size = 0; size < 12; ++size)
      CHECK_FALSE(b.handle_input(now, weft::const_bytes{buffer}.first(size)));
    CHECK(still_works());
  }

  TEST_CASE_FIXTURE(fixture, "a hundred thousand random packets cost counters") {
    weft::seeded_random dice{1};
    for (int i = 0; i < 100000; ++i) {
      bytes packet(12 + dice.next() % 60);
      dice.fill(packet);
      weft::byte_writer{packet}.u32(5000u << 16 | 5000u);
      b.handle_input(now, packet);
    }
    CHECK(b.stats().malformed + b.stats().bad_checksum == 100000);
    CHECK(still_works());
  }

  TEST_CASE_FIXTURE(fixture,
                    "random chunks with the right tag and checksum do no harm but what they say") {
    weft::seeded_random dice{2};
    for (int i = 0; i < 20000; ++i) {
      bytes value(dice.next() % 40);
      dice.fill(value);
      auto type = static_cast<chunk_type>(dice.next() % 16);
      if (dice.next() % 8 == 0) type = chunk_type::re_config;
      if (dice.next() % 8 == 0) type = chunk_type::forward_tsn;
      if (type == chunk_type::abort || type == chunk_type::shutdown) continue;
      inject(tag_of_b, type, static_cast<std::uint8_t>(dice.next() % 16), value);
      while (const auto e = b.poll_event()) {
      }
      while (b.receive()) {
      }
      while (poll(b, now)) {
      }
    }
    CHECK(b.state() == established);
  }

  TEST_CASE_FIXTURE(fixture,
                    "RFC 9260 §6.2.1: a SACK of what was never sent is counted, not believed") {
    REQUIRE(b.send(now, 1, 1, bytes(5000), {}));
    const auto data = *poll(b, now);
    const std::uint32_t tsn = data_chunk::parse(*packet_view::parse(data)->first_chunk())->tsn;
    const auto in_flight = b.path().bytes_in_flight;
    inject(tag_of_b, chunk_type::sack, 0, u32s({tsn + 100, 1000, 0}));
    inject(tag_of_b, chunk_type::sack, 0, u32s({tsn - 1, 1000, 1u << 16, 2u << 16 | 0xffff}));
    inject(tag_of_b, chunk_type::sack, 0, u32s({tsn - 1, 1000, 1u << 16, 3u << 16 | 2}));
    CHECK(b.path().bytes_in_flight == in_flight);
    CHECK(b.stats().unexpected == 3);
    CHECK(still_works());
  }

  TEST_CASE_FIXTURE(fixture,
                    "RFC 3758 §3.6: a FORWARD TSN further than any sender can be is not followed") {
    inject(tag_of_b, chunk_type::forward_tsn, 0, u32s({tsn_of_a + 0x110000}));
    inject(tag_of_b, chunk_type::forward_tsn, 0, u32s({tsn_of_a + 0x7fffffff}));
    inject(tag_of_b, chunk_type::forward_tsn, 0, u32s({tsn_of_a - 5}));
    CHECK(b.stats().unexpected == 2);
    CHECK(still_works());
  }

  TEST_CASE_FIXTURE(fixture, "what a peer fills is bounded: fragments, gaps, streams, messages") {
    for (std::uint32_t i = 2; i < 60000; ++i) {
      bytes value(12 + 1000);
      weft::byte_writer w{value};
      w.u32(tsn_of_a + 2 * i);  // Every second one: no two ever meet.
      w.u16(static_cast<std::uint16_t>(i));
      w.u16(5);
      w.u32(0);
      inject(tag_of_b, chunk_type::data, static_cast<std::uint8_t>(i % 4), value);
      if (i % 100 == 0)
        while (poll(b, now)) {
        }
    }
    CHECK(b.stats().chunks_refused > 50000);
    CHECK(b.stats().chunks_received - b.stats().chunks_refused < 5 * 1024 * 1024 / 1000 + 2);
    CHECK(b.state() == established);
  }

  TEST_CASE_FIXTURE(fixture, "answers to forged heartbeats, errors and resets do not pile up") {
    const auto sent = b.stats().packets_sent;
    for (int i = 0; i < 10000; ++i) {
      inject(tag_of_b, chunk_type::heartbeat, 0, bytes(200));
      inject(tag_of_b, static_cast<chunk_type>(0xff), 0, bytes(100));
      inject(tag_of_b, chunk_type::re_config, 0, u32s({13u << 16 | 16, 1, 2, 3}));
      inject(tag_of_b ^ 1, chunk_type::shutdown_ack, 0, {});
    }
    while (poll(b, now)) {
    }
    CHECK(b.stats().packets_sent - sent < 10);
    CHECK(still_works());
  }

  TEST_CASE("RFC 9260 §8.4: what comes out of the blue is answered once, with the T bit") {
    weft::seeded_random random{1};
    association lone{random};
    bytes buffer(100);
    const auto answer = [&](chunk_type type) -> std::optional<chunk_type> {
      packet_builder p{buffer, 5000, 5000, 77};
      lone.handle_input({}, p.add(type, 0, bytes(12)).finish());
      const auto packet = poll(lone, {});
      if (!packet) return std::nullopt;
      CHECK(packet_view::parse(*packet)->verification_tag() == 77);
      CHECK(packet_view::parse(*packet)->first_chunk()->flags == reflected_tag_flag);
      return packet_view::parse(*packet)->first_chunk()->type;
    };
    CHECK(answer(chunk_type::data) == chunk_type::abort);
    CHECK(answer(chunk_type::sack) == chunk_type::abort);
    CHECK(answer(chunk_type::shutdown_ack) == chunk_type::shutdown_complete);
    CHECK_FALSE(answer(chunk_type::abort));
    CHECK_FALSE(answer(chunk_type::shutdown_complete));
    CHECK_FALSE(answer(chunk_type::error));
    CHECK_FALSE(answer(chunk_type::cookie_ack));
    CHECK_FALSE(answer(chunk_type::cookie_echo));
    CHECK(lone.state() == closed);
  }
}
