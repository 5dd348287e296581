#include <doctest/doctest.h>

#include <algorithm>

#include "pair.hpp"

using namespace weft::sctp;
using namespace weft::sctp::test;
using enum association_state;

TEST_SUITE("sctp/data") {
  TEST_CASE("messages of 1 byte to 256 KiB arrive whole, ordered and unordered") {
    pair p;
    p.connect();
    std::uint32_t number = 0;
    for (const std::size_t size : {1u, 2u, 3u, 1131u, 1132u, 1133u, 1200u, 16384u, 65536u, 262144u})
      for (const auto order : {delivery_order::ordered, delivery_order::unordered}) {
        REQUIRE(p.a.send(p.now, 3, number, pattern(size, number), {.order = order}));
        ++number;
        p.run(10s);
        REQUIRE(p.b_messages.size() == number);
        CHECK(p.b_messages.back().stream == 3);
        CHECK(p.b_messages.back().ppid == number - 1);
        CHECK(p.b_messages.back().order == order);
        CHECK(p.b_messages.back().payload == pattern(size, number - 1));
      }
  }

  TEST_CASE("a payload that was handed over can be kept by the receiver") {
    pair p;
    p.connect();
    p.reads = false;
    REQUIRE(p.a.send(p.now, 0, 1, pattern(5000, 1), {}));
    p.run(1s);
    REQUIRE(p.b.receive());
    CHECK(p.b.take_payload() == pattern(5000, 1));
    CHECK(p.b.take_payload().empty());
    CHECK_FALSE(p.b.receive());
  }

  TEST_CASE("full packets are equal in length") {
    pair p;
    p.connect();
    REQUIRE(p.a.send(p.now, 0, 1, pattern(20000, 1), {}));
    std::vector<std::size_t> sizes;
    while (const auto packet = poll(p.a, p.now)) sizes.push_back(packet->size());
    REQUIRE(sizes.size() > 5);
    CHECK(std::ranges::all_of(sizes, [](std::size_t s) { return s == 1160; }));
  }

  TEST_CASE("RFC 9260 §6.10: small messages share a packet") {
    pair p;
    p.connect();
    for (std::uint32_t i = 0; i < 20; ++i) REQUIRE(p.a.send(p.now, 0, i, pattern(30, i), {}));
    const auto packet = poll(p.a, p.now);
    REQUIRE(packet);
    CHECK(types(*packet) == std::vector(20, chunk_type::data));
    CHECK_FALSE(poll(p.a, p.now));
  }

  TEST_CASE("what send refuses") {
    pair p{1, {.remote_max_message_size = 1000, .send_buffer = 2500, .max_queued_messages = 4}};
    p.connect();
    p.run(1s);
    CHECK(p.a.send(p.now, 0, 1, bytes{}, {}).error() == send_error::empty_payload);
    CHECK(p.a.send(p.now, 0, 1, bytes(1001), {}).error() == send_error::message_too_large);
    CHECK(p.a.send(p.now, 65535, 1, bytes(1), {}).error() == send_error::no_such_stream);
    CHECK(p.a.send(p.now, 0, 1, bytes(1000), {}));
    CHECK(p.a.send(p.now, 0, 1, bytes(1000), {}));
    CHECK(p.a.send(p.now, 0, 1, bytes(501), {}).error() == send_error::buffer_full);
    CHECK(p.a.send(p.now, 0, 1, bytes(1), {}));
    CHECK(p.a.send(p.now, 0, 1, bytes(1), {}));
    CHECK(p.a.send(p.now, 0, 1, bytes(1), {}).error() == send_error::buffer_full);
    CHECK_FALSE(pair::find<association::send_ready>(p.a_events));
    p.run(1s);
    CHECK(pair::find<association::send_ready>(p.a_events));
    CHECK(p.a.send(p.now, 0, 1, bytes(1000), {}));
    p.a.abort(p.now, "");
    CHECK(p.a.send(p.now, 0, 1, bytes(1), {}).error() == send_error::closed);
    CHECK(to_string(send_error::buffer_full) == "buffer full");
  }

  TEST_CASE("W3C WebRTC §6.2: the buffered amount falls as packets are built and tells when low") {
    pair p;
    p.connect();
    p.a.set_buffered_amount_low_threshold(2, 5000);
    REQUIRE(p.a.send(p.now, 2, 1, bytes(30000), {}));
    CHECK(p.a.buffered_amount(2) == 30000);
    CHECK(p.a.buffered_amount() == 30000);
    REQUIRE(poll(p.a, p.now));
    CHECK(p.a.buffered_amount(2) == 30000 - 1132);
    CHECK_FALSE(p.a.poll_event());
    p.run(1s);
    CHECK(p.a.buffered_amount(2) == 0);
    CHECK(p.a_events.back() == association::event{association::buffered_amount_low{2}});
  }

  TEST_CASE("RFC 9260 §6.2: the first DATA is acknowledged at once, then every second packet") {
    pair p;
    p.connect();
    std::vector<bool> answered;
    for (std::uint32_t i = 0; i < 5; ++i) {
      REQUIRE(p.a.send(p.now, 0, i, bytes(1100), {}));
      p.b.handle_input(p.now, *poll(p.a, p.now));
      answered.push_back(poll(p.b, p.now).has_value());
    }
    CHECK(answered == std::vector{true, false, true, false, true});
  }

  TEST_CASE("RFC 9260 §6.2: a single packet is acknowledged after 200 ms") {
    pair p;
    p.connect();
    REQUIRE(p.a.send(p.now, 0, 1, bytes(10), {}));
    p.run(1s);
    REQUIRE(p.a.send(p.now, 0, 1, bytes(10), {}));
    p.b.handle_input(p.now, *poll(p.a, p.now));
    CHECK_FALSE(poll(p.b, p.now));
    CHECK(p.b.poll_timeout() == p.now + 200ms);
    p.b.handle_timeout(p.now + 200ms);
    const auto sack = poll(p.b, p.now + 200ms);
    REQUIRE(sack);
    CHECK(types(*sack) == std::vector{chunk_type::sack});
  }

  TEST_CASE("RFC 9260 §6.2: a delayed SACK goes along with DATA") {
    pair p;
    p.connect();
    REQUIRE(p.a.send(p.now, 0, 1, bytes(10), {}));
    p.run(1s);
    REQUIRE(p.a.send(p.now, 0, 1, bytes(10), {}));
    p.b.handle_input(p.now, *poll(p.a, p.now));
    REQUIRE(p.b.send(p.now, 0, 1, bytes(10), {}));
    CHECK(types(*poll(p.b, p.now)) == std::vector{chunk_type::sack, chunk_type::data});
  }

  TEST_CASE("RFC 7053 §4.2: the I bit has its SACK at once; §4.1: who cannot go on sets it") {
    pair p;
    p.connect();
    REQUIRE(p.a.send(p.now, 0, 1, bytes(10), {}));
    p.run(1s);
    // More than the window: the last chunk that fits asks for an answer.
    REQUIRE(p.a.send(p.now, 0, 1, bytes(100000), {}));
    std::optional<data_chunk> last;
    bytes packet;
    while (auto next = poll(p.a, p.now)) {
      packet = std::move(*next);
      last = data_chunk::parse(*packet_view::parse(packet)->first_chunk());
      if (!last->immediate) CHECK(p.a.path().bytes_in_flight < p.a.path().congestion_window);
    }
    REQUIRE(last);
    CHECK(last->immediate);
  }

  TEST_CASE("RFC 9260 §6.2: a gap is reported at once, with its blocks and duplicates") {
    pair p;
    p.connect();
    std::vector<bytes> packets;
    for (std::uint32_t i = 0; i < 4; ++i) {
      REQUIRE(p.a.send(p.now, 0, i, bytes(1100), {}));
      packets.push_back(*poll(p.a, p.now));
    }
    p.b.handle_input(p.now, packets[0]);
    REQUIRE(poll(p.b, p.now));
    p.b.handle_input(p.now, packets[2]);
    auto answer = poll(p.b, p.now);
    REQUIRE(answer);
    auto sack = sack_chunk::parse(*packet_view::parse(*answer)->first_chunk());
    REQUIRE(sack->gap_block_count() == 1);
    CHECK(sack->block(0) == gap_block{2, 2});
    p.b.handle_input(p.now, packets[2]);
    answer = poll(p.b, p.now);
    REQUIRE(answer);
    sack = sack_chunk::parse(*packet_view::parse(*answer)->first_chunk());
    CHECK(sack->duplicate_count() == 1);
    CHECK(p.b.stats().duplicates_received == 1);
    p.b.handle_input(p.now, packets[1]);
    answer = poll(p.b, p.now);
    REQUIRE(answer);
    sack = sack_chunk::parse(*packet_view::parse(*answer)->first_chunk());
    CHECK(sack->gap_block_count() == 0);
    CHECK(sack->duplicate_count() == 0);
  }

  TEST_CASE("RFC 9260 §7.2.4: one lost packet is sent again without a timeout") {
    pair p;
    p.connect();
    for (std::uint32_t i = 0; i < 8; ++i) {
      REQUIRE(p.a.send(p.now, 0, i, bytes(1100), {}));
      const auto packet = poll(p.a, p.now);
      REQUIRE(packet);
      if (i != 2) p.b.handle_input(p.now, *packet);
      while (const auto answer = poll(p.b, p.now)) p.a.handle_input(p.now, *answer);
      while (const auto more = poll(p.a, p.now)) p.b.handle_input(p.now, *more);
    }
    p.collect();
    CHECK(p.b_messages.size() == 8);
    CHECK(p.a.stats().fast_retransmits == 1);
    CHECK(p.a.stats().timeouts == 0);
    CHECK(p.a.stats().chunks_retransmitted == 1);
  }

  TEST_CASE("RFC 9260 §6.3.3: the last packet of a burst is sent again by T3-rtx") {
    pair p;
    p.connect();
    REQUIRE(p.a.send(p.now, 0, 1, bytes(10), {}));
    REQUIRE(poll(p.a, p.now));
    CHECK(p.a.poll_timeout() == p.now + 1s);
    p.run(3s);
    CHECK(p.b_messages.size() == 1);
    CHECK(p.a.stats().timeouts == 1);
  }

  TEST_CASE(
      "RFC 9260 §8.1: without answers the association is given up after ten retransmissions") {
    pair p;
    p.connect();
    REQUIRE(p.a.send(p.now, 0, 1, bytes(10), {}));
    p.set_conditions({.loss_percent = 100});
    p.run(std::chrono::minutes{10});
    const auto event = pair::find<association::closed>(p.a_events);
    REQUIRE(event);
    CHECK(event->reason == close_reason::peer_unreachable);
    CHECK(p.a.stats().timeouts == 11);
  }

  TEST_CASE("RFC 9260 §8.3: an idle path is probed, and one that does not answer given up") {
    pair p;
    p.connect();
    const auto before = p.a.stats().packets_sent + p.b.stats().packets_sent;
    p.run(std::chrono::minutes{5});
    CHECK(p.a.state() == established);
    CHECK(p.a.stats().packets_sent + p.b.stats().packets_sent >= before + 18);
    CHECK(p.a.stats().packets_sent + p.b.stats().packets_sent < before + 50);
    p.set_conditions({.loss_percent = 100});
    p.run(std::chrono::minutes{5});
    CHECK(p.a.state() == closed);
    CHECK(p.b.state() == closed);
  }

  TEST_CASE("RFC 9260 §6.2.1: unread messages close the window, reading opens it") {
    pair p{1, {}, {.receive_window = 100000}};
    p.connect();
    p.reads = false;
    for (std::uint32_t i = 0; i < 300; ++i) REQUIRE(p.a.send(p.now, 0, i, pattern(1000, i), {}));
    p.run(20s);
    CHECK(p.a.path().peer_window < 2000);
    CHECK(p.a.buffered_amount() > 190000);
    CHECK(p.a.state() == established);
    // An hour of a closed window breaks nothing (RFC 9260 §6.1 A).
    p.run(std::chrono::hours{1});
    CHECK(p.a.state() == established);
    p.reads = true;
    p.run(20s);
    REQUIRE(p.b_messages.size() == 300);
    for (std::uint32_t i = 0; i < 300; ++i) CHECK(p.b_messages[i].payload == pattern(1000, i));
  }

  TEST_CASE("a message above max_message_size ends the association and says so") {
    pair p{1, {.remote_max_message_size = 100000}, {.max_message_size = 50000}};
    p.connect();
    REQUIRE(p.a.send(p.now, 0, 1, bytes(50000), {}));
    p.run(5s);
    CHECK(p.b_messages.size() == 1);
    REQUIRE(p.a.send(p.now, 0, 1, bytes(50001), {}));
    p.run(5s);
    const auto b = pair::find<association::closed>(p.b_events);
    REQUIRE(b);
    CHECK(b->reason == close_reason::message_too_large);
    const auto a = pair::find<association::closed>(p.a_events);
    REQUIRE(a);
    CHECK(a->reason == close_reason::aborted_by_peer);
    CHECK(a->cause == 13);
    CHECK(a->text == "message exceeds max-message-size");
  }

  TEST_CASE("a window full of parts still takes what completes them") {
    pair p{1, {}, {.receive_window = 20000, .max_message_size = 15000}};
    p.connect();
    p.reads = false;
    for (std::uint32_t i = 0; i < 4; ++i) REQUIRE(p.a.send(p.now, 0, i, pattern(4000, i), {}));
    std::vector<bytes> packets;
    while (auto packet = poll(p.a, p.now)) packets.push_back(std::move(*packet));
    for (std::size_t i = packets.size(); i-- > 0;) p.b.handle_input(p.now, packets[i]);
    int whole = 0;
    while (p.b.receive()) ++whole;
    CHECK(whole >= 2);
    p.reads = true;
    p.run(20s);
    CHECK(p.b_messages.size() + static_cast<std::size_t>(whole) == 4);
  }

  TEST_CASE("a clock that stands still, goes back or jumps by a day loses nothing") {
    pair p;
    p.connect();
    weft::seeded_random random{3};
    for (std::uint32_t i = 0; i < 200; ++i) {
      REQUIRE(p.a.send(p.now, 0, i, pattern(3000, i), {}));
      const auto shape = random.next() % 4;
      if (shape == 0) p.now += std::chrono::hours{24};
      if (shape == 1) p.now -= std::chrono::hours{1};
      if (shape == 2) p.now += 1ms;
      p.a.handle_timeout(p.now);
      p.b.handle_timeout(p.now);
      shuttle(p.a, p.b, p.now);
    }
    p.now += std::chrono::hours{2};
    for (int i = 0; i < 20; ++i) {
      p.now += 10s;
      p.a.handle_timeout(p.now);
      p.b.handle_timeout(p.now);
      shuttle(p.a, p.b, p.now);
    }
    p.collect();
    CHECK(p.b_messages.size() == 200);
    CHECK(p.a.state() == established);
  }

  TEST_CASE("TSNs and SSNs wrap") {
    // Initial TSNs are random; 70,000 small messages wrap the SSN and, for some seed, the TSN.
    pair p{1, {.max_queued_messages = 100000}};
    p.set_conditions({.delay = 1ms});
    p.connect();
    for (std::uint32_t i = 0; i < 70000; ++i) REQUIRE(p.a.send(p.now, 0, i, bytes(1), {}));
    p.run(60s);
    REQUIRE(p.b_messages.size() == 70000);
    bool in_order = true;
    for (std::uint32_t i = 0; i < 70000; ++i) in_order = in_order && p.b_messages[i].ppid == i;
    CHECK(in_order);
  }

  TEST_CASE("a buffer smaller than a packet yields nothing") {
    pair p;
    p.a.connect(p.now);
    std::array<std::uint8_t, 1159> buffer;
    CHECK_FALSE(p.a.poll_transmit(p.now, buffer));
    CHECK(poll(p.a, p.now));
  }

  TEST_CASE("RFC 9260 §7.2.1: slow start doubles the window although a batch has one SACK") {
    pair p{1, {.send_buffer = 30000000}};
    p.set_conditions({.delay = 10ms});
    p.connect();
    const auto start = p.now;
    for (std::uint32_t i = 0; i < 80; ++i) REQUIRE(p.a.send(p.now, 0, i, bytes(250000), {}));
    p.run(60s, [&] { return p.b_messages.size() < 80; });
    CHECK(p.b_messages.size() == 80);
    CHECK(p.now - start < 400ms);
  }

  TEST_CASE("recovery from a burst of losses does not crawl") {
    // A queue of 200 packets overflows in slow start: hundreds are lost at once.
    pair p{1, {.send_buffer = 8000000}};
    p.set_conditions({.delay = 10ms});
    p.connect();
    REQUIRE(p.a.send(p.now, 0, 1, bytes(250000), {}));
    p.run(1s);
    const auto start = p.now;
    for (std::uint32_t i = 0; i < 20; ++i) REQUIRE(p.a.send(p.now, 0, i, bytes(250000), {}));
    p.run(60ms);
    p.set_conditions({.delay = 10ms, .loss_percent = 70});
    p.run(20ms);
    p.set_conditions({.delay = 10ms});
    p.run(60s, [&] { return p.b_messages.size() < 21; });
    CHECK(p.b_messages.size() == 21);
    CHECK(p.now - start < 3s);
    CHECK(p.a.stats().timeouts <= 1);
  }
}
