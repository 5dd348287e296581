#include "rto.hpp"

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using weft::sctp::rto_estimator;

namespace {
const rto_estimator::limits limits{1s, 400ms, 60s};
}

TEST_SUITE("sctp/rto") {
  TEST_CASE("RFC 9260 §6.3.1 C1: before any measurement the RTO is RTO.Initial") {
    CHECK(rto_estimator{limits}.rto() == 1s);
  }

  TEST_CASE("RFC 9260 §6.3.1 C2: the first round trip sets the RTO to three times itself") {
    rto_estimator rto{limits};
    rto.add_round_trip(200ms);
    CHECK(rto.rto() == 600ms);
    CHECK(rto.smoothed_round_trip() == weft::duration{200ms});
  }

  TEST_CASE("RFC 9260 §6.3.1 C6: a steady path settles at the floor, never below it") {
    rto_estimator rto{limits};
    for (int i = 0; i < 100; ++i) rto.add_round_trip(10ms);
    CHECK(rto.rto() == 400ms);
  }

  TEST_CASE("RFC 9260 §6.3.3 E2: each timeout doubles the RTO up to RTO.Max") {
    rto_estimator rto{limits};
    for (const auto expected : {2s, 4s, 8s, 16s, 32s, 60s, 60s}) {
      rto.back_off();
      CHECK(rto.rto() == expected);
    }
  }

  TEST_CASE("a clock that jumps by years makes a long round trip, not an overflow") {
    rto_estimator rto{limits};
    rto.add_round_trip(weft::duration::max());
    rto.add_round_trip(weft::duration::max());
    CHECK(rto.rto() == 60s);
    rto.add_round_trip(weft::duration::min());
    CHECK(rto.rto() == 60s);
  }

  TEST_CASE("news from the peer take the doublings back, to what was measured") {
    rto_estimator rto{limits};
    rto.back_off();
    rto.recover();
    CHECK(rto.rto() == 2 * limits.initial);  // Nothing was measured yet.
    rto.add_round_trip(200ms);
    const auto measured = rto.rto();
    rto.back_off();
    rto.back_off();
    CHECK(rto.rto() > measured);
    rto.recover();
    CHECK(rto.rto() == measured);
  }
}
