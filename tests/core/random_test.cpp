#include <doctest/doctest.h>

#include <array>

#include <weft/core/random.hpp>

TEST_SUITE("core/random") {
  TEST_CASE("SplitMix64 gives the published first outputs for seed 1234567") {
    // https://rosettacode.org/wiki/Pseudo-random_numbers/Splitmix64
    weft::seeded_random random{1234567};
    CHECK(random.next() == 6457827717110365317u);
    CHECK(random.next() == 3203168211198807973u);
    CHECK(random.next() == 9817491932198370423u);
  }

  TEST_CASE("one seed fills two buffers alike, another seed does not") {
    std::array<std::uint8_t, 32> a{}, b{}, c{};
    weft::seeded_random{7}.fill(a);
    weft::seeded_random{7}.fill(b);
    weft::seeded_random{8}.fill(c);
    CHECK(a == b);
    CHECK(a != c);
  }
}
