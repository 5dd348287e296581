#ifndef WEFT_TESTS_SUPPORT_ALLOCATION_COUNTER_HPP
#define WEFT_TESTS_SUPPORT_ALLOCATION_COUNTER_HPP

#include <cstdint>

namespace weft::test {

/// How often this program has called `operator new`, in all its forms. The program must
/// be built with `support/allocation_counter.cpp`.
std::uint64_t allocations() noexcept;

/// How many bytes of what `operator new` gave out are in use, as the system's malloc rounds them.
std::int64_t heap_bytes() noexcept;

}  // namespace weft::test

#endif  // WEFT_TESTS_SUPPORT_ALLOCATION_COUNTER_HPP
