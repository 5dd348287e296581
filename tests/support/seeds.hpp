#ifndef WEFT_TESTS_SUPPORT_SEEDS_HPP
#define WEFT_TESTS_SUPPORT_SEEDS_HPP

#include <algorithm>
#include <cstdint>
#include <cstdlib>

namespace weft::test {

/// How many seeds a simulation shall run that wants `all` of them: as many as the
/// environment variable WEFT_SEEDS allows. Slow builds (sanitizers, debug) set it; the
/// release build runs all.
inline std::uint64_t seeds(std::uint64_t all) {
  const char* const limit = std::getenv("WEFT_SEEDS");
  if (limit == nullptr) return all;
  return std::clamp<std::uint64_t>(std::strtoull(limit, nullptr, 10), 1, all);
}

}  // namespace weft::test

#endif  // WEFT_TESTS_SUPPORT_SEEDS_HPP
