#include <doctest/doctest.h>

#include <weft/core/time.hpp>

using namespace std::chrono_literals;

TEST_SUITE("core/time") {
  TEST_CASE("the earlier of two deadlines; none means never") {
    const weft::time_point t{5s};
    CHECK(weft::earliest(t, t + 1s) == t);
    CHECK(weft::earliest(t + 1s, t) == t);
    CHECK(weft::earliest(std::nullopt, t) == t);
    CHECK(weft::earliest(t, std::nullopt) == t);
    CHECK_FALSE(weft::earliest(std::nullopt, std::nullopt));
  }
}
