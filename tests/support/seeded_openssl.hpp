#ifndef WEFT_TESTS_SUPPORT_SEEDED_OPENSSL_HPP
#define WEFT_TESTS_SUPPORT_SEEDED_OPENSSL_HPP

#include <cstdint>

namespace weft::test {

/// Makes every key, nonce and random value that OpenSSL draws in this program, in all its
/// threads, follow from `seed`, until it goes away. For one test case at a time.
class seeded_openssl {
 public:
  explicit seeded_openssl(std::uint64_t seed) noexcept;
  ~seeded_openssl();
  seeded_openssl(const seeded_openssl&) = delete;
  seeded_openssl& operator=(const seeded_openssl&) = delete;
};

}  // namespace weft::test

#endif  // WEFT_TESTS_SUPPORT_SEEDED_OPENSSL_HPP
