#include <doctest/doctest.h>

#include <array>

#include <weft/core/random.hpp>
#include <weft/stun/reply_limiter.hpp>

using namespace std::chrono_literals;
using weft::ip_address;
using weft::stun::reply_limiter;

namespace {

const ip_address v4 = *ip_address::parse("198.51.100.9");
const ip_address v6 = *ip_address::parse("2001:db8::9");
constexpr weft::time_point start{1h};

}  // namespace

TEST_SUITE("stun/reply_limiter") {
  TEST_CASE("answers of up to 1.6 times and 2.2 times their request are never withheld") {
    weft::seeded_random random{1};
    reply_limiter limiter{random, {.burst_bytes = 0}};
    for (int i = 0; i < 100'000; ++i) {
      REQUIRE(limiter.permit(start, v4, 20, 32));
      REQUIRE(limiter.permit(start, v6, 20, 44));
    }
    CHECK_FALSE(limiter.permit(start, v4, 20, 33));
    CHECK_FALSE(limiter.permit(start, v6, 20, 45));
    CHECK(limiter.stats().permitted == 200'000);
    CHECK(limiter.stats().withheld == 2);
  }

  TEST_CASE("to one address goes no more than the ratio and the allowance, at any rate") {
    for (const int micros : {0, 10, 1000, 7000, 100'000, 1'000'000}) {
      const std::chrono::microseconds pause{micros};
      weft::seeded_random random{1};
      reply_limiter limiter{random};
      std::size_t in = 0, out = 0;
      weft::time_point now = start;
      for (int i = 0; i < 100'000; ++i, now += pause) {
        in += 28;
        if (limiter.permit(now, v4, 28, 92)) out += 92;
        const auto elapsed =
            std::chrono::duration_cast<std::chrono::milliseconds>(now - start).count();
        REQUIRE(out <= in * 8 / 5 + 4096 + static_cast<std::size_t>(elapsed) * 512 / 1000 + 1);
      }
      if (pause == 0us) CHECK(limiter.stats().permitted == 4096 / (92 - 28 * 8 / 5));
      if (pause == 100ms) CHECK(limiter.stats().withheld == 0);
    }
  }

  TEST_CASE("frequent questions do not cost what is earned in between") {
    weft::seeded_random random{1};
    reply_limiter limiter{random};
    while (limiter.permit(start, v4, 28, 92)) continue;
    int permitted = 0;
    for (weft::time_point now = start; now < start + 10s; now += 1ms)
      permitted += limiter.permit(now, v4, 28, 92);
    CHECK(permitted >= 5120 / 48 - 1);
    CHECK(permitted <= 5120 / 48 + 1);
  }

  TEST_CASE("who proves that answers arrive has all of the allowance again") {
    weft::seeded_random random{1};
    reply_limiter limiter{random};
    for (int i = 0; i < 10'000; ++i) {
      REQUIRE(limiter.permit(start, v4, 28, 92));
      limiter.confirm(v4);
    }
  }

  TEST_CASE("one address out of allowance does not keep others from theirs; a /64 is one") {
    weft::seeded_random random{1};
    reply_limiter limiter{random};
    while (limiter.permit(start, v6, 28, 92)) continue;
    CHECK_FALSE(limiter.permit(start, *ip_address::parse("2001:db8::ffff"), 28, 92));
    CHECK(limiter.permit(start, *ip_address::parse("2001:db8:0:1::9"), 28, 92));
    CHECK(limiter.permit(start, v4, 28, 92));
  }

  TEST_CASE("a million forged sources take no more than the table's share") {
    weft::seeded_random random{1};
    reply_limiter limiter{random, {.table_size = 100}};  // 128
    std::size_t in = 0, out = 0;
    for (std::uint32_t i = 0; i < 1'000'000; ++i) {
      const ip_address source{
          std::array{static_cast<std::uint8_t>(i >> 24), static_cast<std::uint8_t>(i >> 16),
                     static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i)}};
      in += 28;
      if (limiter.permit(start, source, 28, 92)) out += 92;
    }
    CHECK(out <= in * 8 / 5 + 128 * 4096);
    CHECK(out < in / 2);
  }

  TEST_CASE("a clock that goes back, and a table of one, do no harm") {
    weft::seeded_random random{1};
    reply_limiter limiter{random, {.table_size = 0}};
    CHECK(limiter.permit(start, v4, 28, 92));
    CHECK(limiter.permit(start - 30min, v4, 28, 92));
    CHECK(limiter.permit(start + 100'000h, {}, 0, 92));
    CHECK_FALSE(limiter.permit(start, v4, 0, 1'000'000));
  }
}
