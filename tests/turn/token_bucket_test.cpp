#include <doctest/doctest.h>

#include "../../turn/src/token_bucket.hpp"

using namespace std::chrono_literals;
using weft::time_point;
using weft::turn::token_bucket;

TEST_SUITE("turn/token_bucket") {
  TEST_CASE("what it lets through is its rate, however often it is asked") {
    for (const std::uint64_t rate : {3ull, 20'000ull, 1'999'999ull, 3'000'000'000ull})
      for (const weft::duration interval :
           {weft::duration{900ns}, weft::duration{99us}, weft::duration{7ms}}) {
        CAPTURE(rate);
        CAPTURE(interval.count());
        token_bucket bucket{rate, rate};
        time_point now{1h};
        while (bucket.take(now, 1 + rate / 1000)) {
        }
        std::uint64_t taken = 0;
        const time_point end = now + 3s;
        for (int asked = 0; now < end && asked < 400'000; ++asked, now += interval)
          while (bucket.take(now, 1 + rate / 1000)) taken += 1 + rate / 1000;
        const double seconds = std::chrono::duration<double>(now - time_point{1h}).count();
        const double due = static_cast<double>(rate) * seconds;
        CHECK(static_cast<double>(taken) <= due + 1 + static_cast<double>(rate) / 1000);
        CHECK(static_cast<double>(taken) >= due * 0.995 - 2.0 - static_cast<double>(rate) / 500);
      }
  }

  TEST_CASE("a long pause fills it, and no more") {
    token_bucket bucket{1000, 50};
    CHECK(bucket.take(time_point{1h}, 50));
    CHECK_FALSE(bucket.take(time_point{1h}, 1));
    CHECK(bucket.take(time_point{10h}, 50));
    CHECK_FALSE(bucket.take(time_point{10h}, 1));
  }

  TEST_CASE("without a rate there is no limit") {
    token_bucket bucket{0, 1};
    CHECK(bucket.take(time_point{}, 1'000'000'000));
  }
}
