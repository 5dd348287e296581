#include <doctest/doctest.h>

#include <set>

#include "pair.hpp"

using namespace weft::sctp;
using namespace weft::sctp::test;
using enum association_state;

TEST_SUITE("sctp/partial_reliability") {
  TEST_CASE(
      "RFC 7496 §3.1: with no retransmissions a lost message is skipped, the next ones come") {
    pair p;
    p.connect();
    for (std::uint32_t i = 0; i < 6; ++i) {
      REQUIRE(p.a.send(p.now, 1, i, pattern(1000, i), {.max_retransmissions = 0}));
      const auto packet = poll(p.a, p.now);
      if (i != 2) p.b.handle_input(p.now, *packet);
    }
    p.run(2s);
    REQUIRE(p.b_messages.size() == 5);
    for (const auto& m : p.b_messages) CHECK(m.ppid != 2);
    CHECK(p.a.stats().messages_abandoned_sent == 1);
    CHECK(p.a.stats().chunks_retransmitted == 0);
    CHECK(p.a.path().bytes_in_flight == 0);
  }

  TEST_CASE("RFC 3758 §4.1: what is still unsent when its lifetime is over is never sent") {
    pair p;
    p.connect();
    p.a.set_buffered_amount_low_threshold(1, 0);
    REQUIRE(p.a.send(p.now, 1, 1, bytes(10), {.lifetime = 100ms}));
    p.now += 100ms;
    CHECK_FALSE(poll(p.a, p.now));
    CHECK(p.a.buffered_amount(1) == 0);
    CHECK(p.a.stats().messages_abandoned_unsent == 1);
    REQUIRE(p.a.send(p.now, 1, 2, bytes(10), {}));
    p.run(1s);
    REQUIRE(p.b_messages.size() == 1);
    CHECK(p.b_messages[0].ppid == 2);
  }

  TEST_CASE("RFC 3758 §3.5: a message half sent when its lifetime ends is forgotten by both") {
    pair p;
    p.connect();
    REQUIRE(p.a.send(p.now, 1, 1, bytes(60000), {.lifetime = 15ms}));
    REQUIRE(p.a.send(p.now, 1, 2, bytes(10), {}));
    p.run(5s);
    REQUIRE(p.b_messages.size() == 1);
    CHECK(p.b_messages[0].ppid == 2);
    CHECK(p.a.stats().messages_abandoned_sent == 1);
    CHECK(p.a.path().bytes_in_flight == 0);
    CHECK(p.a.state() == established);
    p.a.shutdown(p.now);
    p.run(5s);
    CHECK(p.a.state() == closed);  // Nothing of it is still thought to be under way.
  }

  TEST_CASE("RFC 3758 §3.5 C5: a lost FORWARD TSN is sent again") {
    pair p;
    p.connect();
    REQUIRE(p.a.send(p.now, 1, 1, bytes(1000), {.max_retransmissions = 0}));
    REQUIRE(poll(p.a, p.now));  // Lost, as all is for five seconds.
    p.set_conditions({.loss_percent = 100});
    p.run(5s);
    p.set_conditions({});
    REQUIRE(p.a.send(p.now, 1, 2, bytes(10), {}));
    p.run(30s);
    CHECK(p.b_messages.size() == 1);
  }

  TEST_CASE("RFC 3758 §3.6: more can be given up at once than the receiver's window holds") {
    association::options narrow;
    narrow.max_tsn_window = 16;
    pair p{1, {}, narrow};
    p.connect();
    for (std::uint32_t i = 0; i < 20; ++i)
      REQUIRE(p.a.send(p.now, 1, i, bytes(10), {.max_retransmissions = 0}));
    while (poll(p.a, p.now)) {  // All of it is lost, and what is sent in its place.
    }
    p.now += 2s;
    p.a.handle_timeout(p.now);
    REQUIRE(p.a.send(p.now, 1, 100, bytes(10), {}));
    p.run(10s);
    REQUIRE(p.b_messages.size() == 1);
    CHECK(p.b_messages[0].ppid == 100);
    CHECK(p.a.path().bytes_in_flight == 0);
  }

  TEST_CASE("RFC 3758 §3.3.1: towards a peer without FORWARD TSN every message is reliable") {
    // Hand-made peer: an INIT without parameters.
    init_chunk init;
    init.initiate_tag = 7;
    init.a_rwnd = 100000;
    init.outgoing_streams = init.incoming_streams = 10;
    bytes buffer(300);
    packet_builder b{buffer, 5000, 5000, 0};
    pair p;
    p.b.handle_input(p.now, b.add(chunk_type::init, init).finish());
    const auto answer = *poll(p.b, p.now);
    const auto init_ack = init_chunk::parse(*packet_view::parse(answer)->first_chunk());
    weft::const_bytes cookie;
    for (weft::const_bytes rest = init_ack->parameters; const auto t = take_tlv(rest);)
      if (t->is(parameter_type::state_cookie)) cookie = t->value();
    packet_builder echo{buffer, 5000, 5000, init_ack->initiate_tag};
    p.b.handle_input(p.now, echo.add(chunk_type::cookie_echo, 0, cookie).finish());
    REQUIRE(p.b.state() == established);
    REQUIRE(p.b.send(p.now, 1, 1, bytes(10), {.max_retransmissions = 0}));
    int sent = 0;
    for (int i = 0; i < 4; ++i) {
      while (const auto packet = poll(p.b, p.now))
        for (const auto type : types(*packet)) {
          CHECK(type != chunk_type::forward_tsn);
          sent += type == chunk_type::data ? 1 : 0;
        }
      p.now = p.b.poll_timeout().value_or(p.now);
      p.b.handle_timeout(p.now);
    }
    CHECK(sent == 4);
  }

  TEST_CASE("200 bad networks: reliable messages all come, others at most once, all in order") {
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
      CAPTURE(seed);
      weft::seeded_random random{seed};
      association::options o;
      o.max_retransmissions = o.max_init_retransmissions = 1000;
      pair p{seed, o, o};
      p.set_conditions({.delay = 20ms,
                        .jitter = std::chrono::milliseconds{random.next() % 30},
                        .loss_percent = static_cast<unsigned>(random.next() % 31)});
      p.connect();
      std::set<std::uint32_t> reliable;
      std::uint32_t number = 0;
      p.run(std::chrono::minutes{30}, [&] {
        for (int i = 0; i < 4 && number < 200; ++i) {
          send_options how;
          const auto kind = random.next() % 4;
          if (kind == 0) how.max_retransmissions = random.next() % 3;
          if (kind == 1) how.lifetime = std::chrono::milliseconds{random.next() % 200};
          if (random.next() % 3 == 0) how.order = delivery_order::unordered;
          const std::size_t size = 1 + random.next() % (random.next() % 8 == 0 ? 20000 : 800);
          REQUIRE(p.a.send(p.now, static_cast<std::uint16_t>(number % 3), number,
                           pattern(size, number), how));
          if (kind > 1) reliable.insert(number);
          ++number;
        }
        return true;
      });
      std::set<std::uint32_t> seen;
      std::array<std::int64_t, 3> last{-1, -1, -1};
      std::size_t wrong = 0;
      for (const auto& m : p.b_messages) {
        if (!seen.insert(m.ppid).second || m.payload != pattern(m.payload.size(), m.ppid)) ++wrong;
        reliable.erase(m.ppid);
        if (m.order == delivery_order::unordered) continue;
        if (m.ppid < last[m.stream]) ++wrong;
        last[m.stream] = m.ppid;
      }
      CHECK(wrong == 0);
      CHECK(reliable.empty());
      CHECK(p.a.path().bytes_in_flight == 0);
      const auto& s = p.a.stats();
      // RFC 7496 §4.5. A message that did arrive may be given up all the same: its SACK was lost.
      CHECK(seen.size() + s.messages_abandoned_sent + s.messages_abandoned_unsent >= 200);
    }
  }
}
