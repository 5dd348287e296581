#ifndef WEFT_TESTS_SUPPORT_ALLOCATION_COUNTER_HPP
#define WEFT_TESTS_SUPPORT_ALLOCATION_COUNTER_HPP

#include <cstdint>

namespace weft::test {

/// How often this program has called `operator new`, in all its forms. The program must
/// be built with `support/allocation_counter.cpp`.
std::uint64_t allocations() noexcept;

}  // namespace weft::test

#endif  // WEFT_TESTS_SUPPORT_ALLOCATION_COUNTER_HPP
