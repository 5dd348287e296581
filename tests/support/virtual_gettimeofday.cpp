#include "support/virtual_gettimeofday.hpp"

#include <sys/time.h>

#include <atomic>
#include <chrono>

namespace {
// libssl takes zero for "no timer", so time begins on some day in 2001.
constexpr std::chrono::microseconds first_day = std::chrono::seconds{1'000'000'000};
std::atomic<std::int64_t> microseconds{first_day.count()};
std::atomic<std::uint64_t> reads{0};
}  // namespace

void weft::test::set_virtual_time(time_point now) noexcept {
  const auto since = std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch());
  microseconds.store((first_day + since).count(), std::memory_order_relaxed);
}

std::uint64_t weft::test::virtual_time_reads() noexcept {
  return reads.load(std::memory_order_relaxed);
}

extern "C" __attribute__((visibility("default"))) int gettimeofday(timeval* now, void*) noexcept {
  reads.fetch_add(1, std::memory_order_relaxed);
  const std::int64_t at = microseconds.load(std::memory_order_relaxed);
  now->tv_sec = static_cast<decltype(now->tv_sec)>(at / 1'000'000);
  now->tv_usec = static_cast<decltype(now->tv_usec)>(at % 1'000'000);
  return 0;
}
