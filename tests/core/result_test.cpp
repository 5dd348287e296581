#include <doctest/doctest.h>

#include <memory>
#include <string>

#include <weft/core/result.hpp>

namespace {

enum class error { odd };

weft::result<int, error> half(int n) {
  if (n % 2 != 0) return weft::fail(error::odd);
  return n / 2;
}

weft::result<void, error> check_even(int n) {
  if (n % 2 != 0) return weft::fail(error::odd);
  return {};
}

}  // namespace

TEST_SUITE("core/result") {
  TEST_CASE("a result holds a value or the reason there is none") {
    CHECK(*half(4) == 2);
    CHECK(half(3).error() == error::odd);
    CHECK(half(3).value_or(-1) == -1);
    CHECK(half(8).value_or(-1) == 4);
    CHECK(check_even(2));
    CHECK(check_even(1).error() == error::odd);
  }

  TEST_CASE("a value that can only be moved moves out") {
    weft::result<std::unique_ptr<int>, error> made = std::make_unique<int>(5);
    const auto taken = *std::move(made);
    CHECK(*taken == 5);
  }

  TEST_CASE("value and error may be of one type") {
    const weft::result<std::string, std::string> good = std::string{"good"};
    const weft::result<std::string, std::string> bad = weft::fail(std::string{"bad"});
    CHECK(*good == "good");
    CHECK(bad.error() == "bad");
  }
}
