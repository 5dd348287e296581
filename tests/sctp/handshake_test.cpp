#include <doctest/doctest.h>

#include <algorithm>

#include "pair.hpp"

using namespace weft::sctp;
using namespace weft::sctp::test;
using enum association_state;

namespace {

bytes alter(bytes packet, std::size_t at, std::uint8_t value) {
  packet[at] = value;
  const std::uint32_t crc = packet_crc32c(packet);
  for (std::size_t i = 0; i < 4; ++i) packet[8 + i] = static_cast<std::uint8_t>(crc >> (8 * i));
  return packet;
}

}  // namespace

TEST_SUITE("sctp/handshake") {
  TEST_CASE("RFC 9260 §5.1: INIT, INIT ACK, COOKIE ECHO, COOKIE ACK") {
    pair p;
    p.a.connect(p.now);
    const auto init = poll(p.a, p.now);
    REQUIRE(init);
    CHECK(types(*init) == std::vector{chunk_type::init});
    CHECK(packet_view::parse(*init)->verification_tag() == 0);
    CHECK(p.a.state() == cookie_wait);

    p.b.handle_input(p.now, *init);
    CHECK(p.b.state() == closed);  // RFC 9260 §5.1.3: nothing is kept.
    CHECK_FALSE(p.b.poll_timeout());
    const auto init_ack = poll(p.b, p.now);
    REQUIRE(init_ack);
    CHECK(types(*init_ack) == std::vector{chunk_type::init_ack});

    p.a.handle_input(p.now, *init_ack);
    CHECK(p.a.state() == cookie_echoed);
    const auto echo = poll(p.a, p.now);
    REQUIRE(echo);
    CHECK(types(*echo) == std::vector{chunk_type::cookie_echo});

    p.b.handle_input(p.now, *echo);
    CHECK(p.b.state() == established);
    const auto ack = poll(p.b, p.now);
    REQUIRE(ack);
    CHECK(types(*ack) == std::vector{chunk_type::cookie_ack});

    p.a.handle_input(p.now, *ack);
    CHECK(p.a.state() == established);
    p.collect();
    const association::event expected = association::connected{65535, 65535, true, true, false};
    CHECK(p.a_events == std::vector{expected});
    CHECK(p.b_events == std::vector{expected});
  }

  TEST_CASE("RFC 9260 §5.1.1: each direction has the lesser number of streams") {
    pair p{1,
           {.outgoing_streams = 10, .incoming_streams = 20},
           {.outgoing_streams = 30, .incoming_streams = 5}};
    p.connect();
    const auto a = pair::find<association::connected>(p.a_events);
    const auto b = pair::find<association::connected>(p.b_events);
    REQUIRE(a);
    REQUIRE(b);
    CHECK(a->outgoing_streams == 5);
    CHECK(a->incoming_streams == 20);
    CHECK(b->outgoing_streams == 20);
    CHECK(b->incoming_streams == 5);
    CHECK(p.a.send(p.now, 5, 1, pattern(9, 1), {}).error() == send_error::no_such_stream);
    CHECK(p.a.send(p.now, 4, 1, pattern(9, 1), {}));
  }

  TEST_CASE("RFC 9260 §5.1: DATA rides with COOKIE ECHO and is there with the association") {
    pair p;
    REQUIRE(p.a.send(p.now, 1, 51, pattern(100, 1), {}));
    p.a.connect(p.now);
    p.b.handle_input(p.now, *poll(p.a, p.now));
    p.a.handle_input(p.now, *poll(p.b, p.now));
    const auto echo = poll(p.a, p.now);
    CHECK(types(*echo) == std::vector{chunk_type::cookie_echo, chunk_type::data});
    CHECK_FALSE(poll(p.a, p.now));
    p.b.handle_input(p.now, *echo);
    const auto m = p.b.receive();
    REQUIRE(m);
    CHECK(std::ranges::equal(m->payload, pattern(100, 1)));
  }

  TEST_CASE("RFC 9260 §5.2.1, §5.2.4 D: both ends open at once and have one association") {
    pair p;
    p.set_conditions({.delay = 30ms});
    p.a.connect(p.now);
    p.b.connect(p.now);
    p.run(1s);
    CHECK(p.a.state() == established);
    CHECK(p.b.state() == established);
    CHECK(p.a_events.size() == 1);
    CHECK(p.b_events.size() == 1);
    REQUIRE(p.a.send(p.now, 1, 1, pattern(5000, 1), {}));
    REQUIRE(p.b.send(p.now, 1, 1, pattern(5000, 2), {}));
    p.run(1s);
    CHECK(p.b_messages.size() == 1);
    CHECK(p.a_messages.size() == 1);
  }

  TEST_CASE("RFC 9260 §5.2.4 B: an end that opens gets a cookie for its own tag") {
    // b answers a's INIT while it waits for its own INIT ACK, which never comes.
    pair p;
    p.a.connect(p.now);
    p.b.connect(p.now);
    const auto init = poll(p.a, p.now);
    REQUIRE(poll(p.b, p.now));
    p.b.handle_input(p.now, *init);
    p.a.handle_input(p.now, *poll(p.b, p.now));
    const auto echo = poll(p.a, p.now);
    CHECK(p.b.state() == cookie_wait);
    p.b.handle_input(p.now, *echo);
    CHECK(p.b.state() == established);
    p.a.handle_input(p.now, *poll(p.b, p.now));
    CHECK(p.a.state() == established);
  }

  TEST_CASE("RFC 9260 §5.2.4 A: a peer that lost its state restarts the association") {
    pair p;
    p.connect();
    REQUIRE(p.a.send(p.now, 1, 1, pattern(100, 1), {}));
    p.run(1s);
    CHECK(p.b_messages.size() == 1);
    // What b has under way when a is replaced is gone; what it had not begun is not.
    REQUIRE(p.b.send(p.now, 2, 1, pattern(100, 2), {}));
    REQUIRE(poll(p.b, p.now));
    REQUIRE(p.b.send(p.now, 2, 2, pattern(100, 3), {}));
    p.b_events.clear();
    p.a = association{p.random};
    p.a.connect(p.now);
    for (int i = 0; i < 2; ++i) {
      p.b.handle_input(p.now, *poll(p.a, p.now));
      p.a.handle_input(p.now, *poll(p.b, p.now));
    }
    p.run(1s);
    CHECK(p.a.state() == established);
    CHECK(p.b.state() == established);
    CHECK(pair::find<association::restarted>(p.b_events) == association::restarted{1});
    REQUIRE(p.a_messages.size() == 1);
    CHECK(p.a_messages[0].ppid == 2);
    REQUIRE(p.a.send(p.now, 1, 9, pattern(100, 4), {}));
    p.run(1s);
    CHECK(p.b_messages.size() == 2);
  }

  TEST_CASE("a peer that restarts a hundred times is one event to who does not look") {
    pair p;
    p.connect();
    for (int i = 0; i < 100; ++i) {
      p.a = association{p.random};
      p.a.connect(p.now);
      shuttle(p.a, p.b, p.now);
    }
    p.b_events.clear();
    p.collect();
    CHECK(p.b_events == std::vector<association::event>{association::restarted{0}});
    CHECK(p.b.state() == established);
  }

  TEST_CASE("RFC 9260 §5.2.2: an INIT to an association that stands changes nothing") {
    pair p;
    p.connect();
    weft::seeded_random random{99};
    association stranger{random};
    stranger.connect(p.now);
    const auto init = poll(stranger, p.now);
    for (int i = 0; i < 1000; ++i) p.b.handle_input(p.now, *init);
    int answers = 0;
    while (poll(p.b, p.now)) ++answers;
    CHECK(answers <= 4);
    CHECK(p.b.state() == established);
    REQUIRE(p.a.send(p.now, 1, 1, pattern(10, 1), {}));
    p.run(1s);
    CHECK(p.b_messages.size() == 1);
  }

  TEST_CASE("RFC 9260 §5.1.5: a cookie with any bit changed opens nothing") {
    pair p;
    p.a.connect(p.now);
    p.b.handle_input(p.now, *poll(p.a, p.now));
    p.a.handle_input(p.now, *poll(p.b, p.now));
    const auto echo = *poll(p.a, p.now);
    for (std::size_t at = 16; at < 16 + 57; ++at)
      p.b.handle_input(p.now, alter(echo, at, static_cast<std::uint8_t>(echo[at] ^ 1)));
    CHECK(p.b.state() == closed);
    CHECK(p.b.stats().bad_cookie == 57);
    p.b.handle_input(p.now, alter(echo, 7, static_cast<std::uint8_t>(echo[7] ^ 1)));  // The tag.
    CHECK(p.b.state() == closed);
    p.b.handle_input(p.now, echo);
    CHECK(p.b.state() == established);
  }

  TEST_CASE("RFC 9260 §5.1.5, §5.2.6: a stale cookie is refused, and another one asked for") {
    pair p;
    p.a.connect(p.now);
    p.b.handle_input(p.now, *poll(p.a, p.now));
    p.a.handle_input(p.now, *poll(p.b, p.now));
    const auto echo = *poll(p.a, p.now);
    p.now += 61s;
    p.b.handle_input(p.now, echo);
    CHECK(p.b.state() == closed);
    const auto error = poll(p.b, p.now);
    REQUIRE(error);
    CHECK(types(*error) == std::vector{chunk_type::error});
    p.a.handle_input(p.now, *error);
    CHECK(p.a.state() == cookie_wait);
    shuttle(p.a, p.b, p.now);
    CHECK(p.a.state() == established);
    CHECK(p.b.state() == established);
  }

  TEST_CASE("a cookie does not outlive its association") {
    pair p;
    p.a.connect(p.now);
    p.b.handle_input(p.now, *poll(p.a, p.now));
    p.a.handle_input(p.now, *poll(p.b, p.now));
    const auto echo = *poll(p.a, p.now);
    p.b.handle_input(p.now, echo);
    p.b.abort(p.now, "");
    while (poll(p.b, p.now)) {
    }
    p.b.handle_input(p.now, echo);
    CHECK(p.b.state() == closed);
  }

  TEST_CASE("RFC 9260 §5.1.6: INIT is sent nine times, then the handshake has timed out") {
    pair p;
    p.a.connect(p.now);
    int sent = 0;
    for (;;) {
      while (poll(p.a, p.now)) ++sent;
      const auto deadline = p.a.poll_timeout();
      if (!deadline) break;
      p.now = *deadline;
      p.a.handle_timeout(p.now);
    }
    p.collect();
    CHECK(sent == 9);
    const auto closed_event = pair::find<association::closed>(p.a_events);
    REQUIRE(closed_event);
    CHECK(closed_event->reason == close_reason::handshake_timeout);
    p.a.connect(p.now);
    shuttle(p.a, p.b, p.now);
    CHECK(p.a.state() == established);
  }

  TEST_CASE("RFC 9260 §5.1: each packet of the handshake may be lost once") {
    for (int lost = 0; lost < 4; ++lost) {
      CAPTURE(lost);
      pair p;
      int count = 0;
      p.a.connect(p.now);
      for (int i = 0; i < 20 && (p.a.state() != established || p.b.state() != established); ++i) {
        for (bool moved = true; moved;) {
          moved = false;
          while (const auto t = poll(p.a, p.now))
            if (moved = true; count++ != lost) p.b.handle_input(p.now, *t);
          while (const auto t = poll(p.b, p.now))
            if (moved = true; count++ != lost) p.a.handle_input(p.now, *t);
        }
        if (const auto deadline = p.a.poll_timeout()) p.now = *deadline;
        p.a.handle_timeout(p.now);
        p.b.handle_timeout(p.now);
      }
      CHECK(p.a.state() == established);
      CHECK(p.b.state() == established);
    }
  }

  TEST_CASE("RFC 9260 §3.3.3: an INIT ACK that cannot be used ends the attempt") {
    for (const int broken : {0, 1, 2, 3}) {
      pair p;
      p.a.connect(p.now);
      const auto init = *poll(p.a, p.now);
      const std::uint32_t tag = detail::load_u32(init.data() + 16);
      init_chunk answer;
      answer.initiate_tag = broken == 0 ? 0 : 7;
      answer.a_rwnd = broken == 1 ? 1499 : 100000;
      answer.outgoing_streams = broken == 2 ? 0 : 10;
      answer.incoming_streams = 10;  // And without a cookie in any case.
      bytes buffer(200);
      packet_builder b{buffer, 5000, 5000, tag};
      p.a.handle_input(p.now, b.add(chunk_type::init_ack, answer).finish());
      p.collect();
      const auto closed_event = pair::find<association::closed>(p.a_events);
      REQUIRE(closed_event);
      CHECK(closed_event->reason == close_reason::refused);
      CHECK(poll(p.a, p.now).has_value() == (broken != 0));  // ABORT, where there is a tag for it.
    }
  }

  TEST_CASE(
      "RFC 9260 §3.2.1: unknown parameters of an INIT are passed over, stop it, or are reported") {
    const std::uint8_t parameters[] = {0xc1, 0x23, 0, 6, 1,   2, 0, 0,   // Report and go on.
                                       0x81, 0x23, 0, 4,                 // Go on.
                                       0xc0, 0x00, 0, 4,                 // FORWARD TSN.
                                       0x01, 0x23, 0, 4,                 // Stop.
                                       0x80, 0x08, 0, 5, 130, 0, 0, 0};  // Never seen.
    init_chunk init;
    init.initiate_tag = 7;
    init.a_rwnd = 100000;
    init.outgoing_streams = init.incoming_streams = 10;
    init.parameters = parameters;
    bytes buffer(200);
    packet_builder b{buffer, 5000, 5000, 0};
    pair p;
    p.b.handle_input(p.now, b.add(chunk_type::init, init).finish());
    const auto answer = poll(p.b, p.now);
    REQUIRE(answer);
    const auto init_ack = init_chunk::parse(*packet_view::parse(*answer)->first_chunk());
    REQUIRE(init_ack);
    std::size_t reported = 0;
    for (weft::const_bytes rest = init_ack->parameters; const auto t = take_tlv(rest);)
      if (t->is(parameter_type::unrecognized_parameter)) {
        ++reported;
        CHECK(std::ranges::equal(t->value(), weft::const_bytes{parameters}.first(6)));
      }
    CHECK(reported == 1);
    bytes echo(200);
    weft::const_bytes cookie;
    for (weft::const_bytes rest = init_ack->parameters; const auto t = take_tlv(rest);)
      if (t->is(parameter_type::state_cookie)) cookie = t->value();
    packet_builder e{echo, 5000, 5000, init_ack->initiate_tag};
    p.b.handle_input(p.now, e.add(chunk_type::cookie_echo, 0, cookie).finish());
    p.collect();
    const auto event = pair::find<association::connected>(p.b_events);
    REQUIRE(event);
    CHECK(event->partial_reliability);
    CHECK_FALSE(event->stream_reset);
  }

  TEST_CASE("RFC 9653 §5: no checksum only towards who offered it, and never to open") {
    for (const bool a_offers : {false, true})
      for (const bool b_offers : {false, true}) {
        pair p{1, {.zero_checksum = a_offers}, {.zero_checksum = b_offers}};
        p.a.connect(p.now);
        p.b.handle_input(p.now, *poll(p.a, p.now));
        p.a.handle_input(p.now, *poll(p.b, p.now));
        const auto echo = *poll(p.a, p.now);
        CHECK(packet_view::parse(echo)->checksum() != 0);
        p.b.handle_input(p.now, echo);
        shuttle(p.a, p.b, p.now);
        REQUIRE(p.a.send(p.now, 0, 1, pattern(10, 1), {}));
        auto data = *poll(p.a, p.now);
        CHECK((packet_view::parse(data)->checksum() == 0) == (a_offers && b_offers));
        std::fill_n(data.begin() + 8, 4, std::uint8_t{0});
        p.b.handle_input(p.now, data);
        CHECK(p.b.receive().has_value() == b_offers);
        CHECK(p.b.stats().bad_checksum == (b_offers ? 0 : 1));
      }
  }

  TEST_CASE("RFC 9653 §5.3: what opens an association needs its checksum whatever was offered") {
    pair p{1, {}, {.zero_checksum = true}};
    p.a.connect(p.now);
    auto init = *poll(p.a, p.now);
    std::fill_n(init.begin() + 8, 4, std::uint8_t{0});
    p.b.handle_input(p.now, init);
    CHECK_FALSE(poll(p.b, p.now));
    CHECK(p.b.stats().bad_checksum == 1);
  }
}
