// RAND_set_rand_method is deprecated in favour of providers, which cannot be had in a page.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "support/seeded_openssl.hpp"

#include <openssl/rand.h>

#include <cstddef>
#include <mutex>

#include <weft/core/random.hpp>

namespace {

std::mutex guard;
weft::seeded_random generator{0};

int fill(unsigned char* out, int size) {
  const std::lock_guard lock{guard};
  generator.fill({out, static_cast<std::size_t>(size)});
  return 1;
}
int seed(const void*, int) {
  return 1;
}
int add(const void*, int, double) {
  return 1;
}
int ready() {
  return 1;
}

const RAND_METHOD seeded_method{seed, fill, nullptr, add, fill, ready};

}  // namespace

weft::test::seeded_openssl::seeded_openssl(std::uint64_t seed_value) noexcept {
  generator = weft::seeded_random{seed_value};
  RAND_set_rand_method(&seeded_method);
}

weft::test::seeded_openssl::~seeded_openssl() {
  RAND_set_rand_method(nullptr);
}
