#include "state_cookie.hpp"

#include <doctest/doctest.h>

using namespace weft::sctp;

namespace {
const siphash_key key{1, 2, 3};
const state_cookie cookie{.created = weft::time_point{std::chrono::seconds{5}},
                          .state = {1, 2, 3, 4, 5, 6, 7, true, false, true},
                          .local_tie_tag = 8,
                          .peer_tie_tag = 9};
}  // namespace

TEST_SUITE("sctp/state_cookie") {
  TEST_CASE("what was sealed comes back") {
    CHECK(unseal(key, seal(key, cookie)) == cookie);
  }

  TEST_CASE("RFC 9260 §5.1.3: a cookie with any one bit changed is refused") {
    auto bytes = seal(key, cookie);
    std::size_t accepted = 0;
    for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
      bytes[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
      if (unseal(key, bytes)) ++accepted;
      bytes[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    }
    CHECK(accepted == 0);
  }

  TEST_CASE("a cookie of another key or length is refused") {
    const auto bytes = seal(key, cookie);
    CHECK_FALSE(unseal(siphash_key{3, 2, 1}, bytes));
    for (std::size_t size = 0; size < bytes.size(); ++size)
      CHECK_FALSE(unseal(key, weft::const_bytes{bytes}.first(size)));
  }
}
