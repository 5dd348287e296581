#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <set>
#include <vector>

#include <weft/io/interfaces.hpp>
#include <weft/io/system_random.hpp>

TEST_CASE("the system's random bytes fill any length and never repeat") {
  weft::io::system_random random;
  random.fill({});
  std::set<std::array<std::uint8_t, 16>> seen;
  for (int i = 0; i < 1000; ++i) {
    std::array<std::uint8_t, 16> bytes{};
    random.fill(bytes);
    CHECK(seen.insert(bytes).second);
  }
  std::vector<std::uint8_t> many(100'000);
  random.fill(many);
  std::array<int, 256> counts{};
  for (const std::uint8_t byte : many) ++counts[byte];
  // 390 of each expected; the chance of any beyond ten deviations is below 1e-20.
  CHECK(std::ranges::all_of(counts, [](int n) { return n > 190 && n < 590; }));
}

TEST_CASE("loopback addresses are listed last, and only when asked for (RFC 8445 §5.1.1.1)") {
  const auto without = weft::io::local_addresses();
  for (const auto& address : without) {
    CHECK(!address.is_loopback());
    CHECK(!address.is_link_local());
    CHECK(!address.is_unspecified());
    CHECK(!address.is_multicast());
  }
  const auto with = weft::io::local_addresses({.loopback = true});
  REQUIRE(with.size() > without.size());
  CHECK(std::equal(without.begin(), without.end(), with.begin()));
  CHECK(with.back().is_loopback());
  CHECK(std::set(with.begin(), with.end()).size() == with.size());
}
