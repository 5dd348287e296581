#include "congestion.hpp"

#include <doctest/doctest.h>

using weft::sctp::congestion_control;

namespace {
constexpr std::size_t chunk = 1000;
}

TEST_SUITE("sctp/congestion") {
  TEST_CASE("it begins with ten packets (RFC 6928 §2)") {
    CHECK(congestion_control{chunk}.window() == 10 * chunk);
  }

  TEST_CASE("RFC 9260 §7.2.1: slow start grows by what is acknowledged, a batch at most") {
    congestion_control c{chunk};
    c.acknowledged({500, 10 * chunk, 1, true});
    CHECK(c.window() == 10 * chunk + 500);
    c.acknowledged({5 * chunk, 11 * chunk, 2, true});
    CHECK(c.window() == 15 * chunk + 500);
    c.acknowledged({1000 * chunk, 1000 * chunk, 3, true});
    CHECK(c.window() == 271 * chunk + 500);
  }

  TEST_CASE("RFC 9260 §7.2.1: SACKs that come in a batch all count for a window that was used") {
    congestion_control c{chunk};
    for (std::uint64_t i = 1; i <= 5; ++i)
      c.acknowledged({2 * chunk, (12 - 2 * i) * chunk, 100 + 2 * i, true, 110});
    CHECK(c.window() == 20 * chunk);
  }

  TEST_CASE("RFC 9260 §7.2.1: a window that is not used, or not acknowledged in line, stays") {
    congestion_control c{chunk};
    c.acknowledged({chunk, 2 * chunk, 1, true});
    CHECK(c.window() == 10 * chunk);
    c.acknowledged({chunk, 10 * chunk, 1, false});
    CHECK(c.window() == 10 * chunk);
  }

  TEST_CASE("RFC 9260 §7.2.3, §7.2.4: a loss halves the window once per recovery") {
    congestion_control c{chunk};
    CHECK(c.lost(100));
    CHECK(c.window() == 5 * chunk);
    CHECK_FALSE(c.lost(110));
    CHECK(c.window() == 5 * chunk);
    c.acknowledged({chunk, 5 * chunk, 99, true});
    CHECK(c.in_fast_recovery());
    c.acknowledged({chunk, 5 * chunk, 100, true});
    CHECK_FALSE(c.in_fast_recovery());
    CHECK(c.window() == 5 * chunk);
  }

  TEST_CASE("RFC 9260 §7.2.2: congestion avoidance adds one packet per window acknowledged") {
    congestion_control c{chunk};
    c.lost(1);
    c.acknowledged({0, 0, 1, true});
    c.acknowledged({chunk, 5 * chunk, 2, true});  // Still slow start: the window is the threshold.
    CHECK(c.window() == 6 * chunk);
    for (int i = 0; i < 5; ++i) c.acknowledged({chunk, 6 * chunk, 3, true});
    CHECK(c.window() == 6 * chunk);
    c.acknowledged({chunk, 6 * chunk, 3, true});
    CHECK(c.window() == 7 * chunk);
  }

  TEST_CASE("RFC 9260 §7.2.3: after a timeout one packet, and slow start to half the window") {
    congestion_control c{chunk};
    c.timed_out();
    CHECK(c.window() == chunk);
    CHECK(c.slow_start_threshold() == 5 * chunk);
    c.timed_out();
    CHECK(c.slow_start_threshold() == 4 * chunk);
  }

  TEST_CASE("RFC 9260 §7.2.1: an idle path halves the window down to the initial one") {
    congestion_control c{chunk};
    for (int i = 0; i < 15; ++i) c.acknowledged({2 * chunk, 60 * chunk, 1, true});
    CHECK(c.window() == 40 * chunk);
    c.idle();
    CHECK(c.window() == 20 * chunk);
    CHECK(c.slow_start_threshold() == 40 * chunk);
    c.idle();
    c.idle();
    CHECK(c.window() == 10 * chunk);
  }
}
