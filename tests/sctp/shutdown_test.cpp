#include <doctest/doctest.h>

#include "pair.hpp"

using namespace weft::sctp;
using namespace weft::sctp::test;
using enum association_state;

namespace {
std::optional<close_reason> reason(const std::vector<association::event>& events) {
  const auto e = pair::find<association::closed>(events);
  return e ? std::optional{e->reason} : std::nullopt;
}
}  // namespace

TEST_SUITE("sctp/shutdown") {
  TEST_CASE("RFC 9260 §9.2: everything queued on both sides arrives first") {
    pair p;
    p.connect();
    for (std::uint32_t i = 0; i < 20; ++i) {
      REQUIRE(p.a.send(p.now, 0, i, pattern(9000, i), {}));
      REQUIRE(p.b.send(p.now, 0, i, pattern(9000, i), {}));
    }
    p.a.shutdown(p.now);
    CHECK(p.a.state() == shutdown_pending);
    CHECK(p.a.send(p.now, 0, 1, bytes(1), {}).error() == send_error::closed);
    p.run(20s);
    CHECK(p.a_messages.size() == 20);
    CHECK(p.b_messages.size() == 20);
    CHECK(reason(p.a_events) == close_reason::shutdown);
    CHECK(reason(p.b_events) == close_reason::shutdown);
    CHECK_FALSE(p.a.poll_timeout());
    CHECK_FALSE(p.b.poll_timeout());
  }

  TEST_CASE("RFC 9260 §9.2: both sides at once") {
    pair p;
    p.connect();
    p.a.shutdown(p.now);
    p.b.shutdown(p.now);
    p.run(5s);
    CHECK(reason(p.a_events) == close_reason::shutdown);
    CHECK(reason(p.b_events) == close_reason::shutdown);
  }

  TEST_CASE("200 bad networks: a shutdown delivers everything and ends on both sides") {
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
      CAPTURE(seed);
      association::options o;
      o.max_retransmissions = o.max_init_retransmissions = 1000;
      o.shutdown_guard = std::chrono::hours{1};
      pair p{seed, o, o};
      p.connect();
      p.set_conditions(
          {.delay = 20ms, .jitter = 10ms, .loss_percent = static_cast<unsigned>(seed % 31)});
      for (std::uint32_t i = 0; i < 20; ++i) REQUIRE(p.a.send(p.now, 0, i, pattern(2000, i), {}));
      p.run(100ms);
      p.a.shutdown(p.now);
      if (seed % 3 == 0) p.b.shutdown(p.now);
      p.run(std::chrono::hours{2});
      CHECK(p.b_messages.size() == 20);
      CHECK(p.a.state() == closed);
      CHECK(p.b.state() == closed);
      CHECK(reason(p.a_events) == close_reason::shutdown);
    }
  }

  TEST_CASE("RFC 9260 §9.2 T5: a peer that never finishes is left") {
    pair p{1, {.max_retransmissions = 1000}};
    p.connect();
    p.set_conditions({.loss_percent = 100});
    p.a.shutdown(p.now);
    p.run(59s);
    CHECK(p.a.state() == shutdown_sent);
    p.run(2s);
    CHECK(reason(p.a_events) == close_reason::shutdown_timeout);
  }

  TEST_CASE("RFC 9260 §9.1: ABORT goes out with its reason after the association has ended") {
    pair p;
    p.connect();
    p.a.abort(p.now, "enough");
    CHECK(p.a.state() == closed);
    p.run(1s);
    CHECK(reason(p.a_events) == close_reason::aborted_locally);
    const auto b = pair::find<association::closed>(p.b_events);
    REQUIRE(b);
    CHECK(*b == association::closed{close_reason::aborted_by_peer, 12, "enough"});
  }

  TEST_CASE("what was received can be read after the end") {
    pair p;
    p.connect();
    p.reads = false;
    REQUIRE(p.a.send(p.now, 0, 1, pattern(100, 1), {}));
    p.run(1s);
    p.a.abort(p.now, "");
    p.run(1s);
    CHECK(p.b.state() == closed);
    REQUIRE(p.b.receive());
    CHECK(p.b.take_payload() == pattern(100, 1));
  }

  TEST_CASE("an association that has ended can be connected again") {
    pair p;
    p.connect();
    p.a.shutdown(p.now);
    p.run(5s);
    p.a.connect(p.now);
    p.b.connect(p.now);
    p.run(5s);
    CHECK(p.a.state() == established);
    REQUIRE(p.a.send(p.now, 0, 1, bytes(10), {}));
    p.run(1s);
    CHECK(p.b_messages.size() == 1);
  }
}
