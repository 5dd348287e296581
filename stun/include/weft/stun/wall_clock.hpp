#ifndef WEFT_STUN_WALL_CLOCK_HPP
#define WEFT_STUN_WALL_CLOCK_HPP

#include <chrono>

#include <weft/core/time.hpp>

namespace weft::stun {

/// What the calendar says at a `time_point`: credentials and tokens that expire name a date,
/// and no machine reads a clock. Whoever reads both clocks makes one of these, and a fresh one
/// after the calendar has been set.
struct wall_clock {
  using date = std::chrono::system_clock::time_point;

  time_point now{};  ///< When the calendar was read ...
  date today{};      ///< ... and what it said.

  constexpr date at(time_point t) const noexcept {
    return today + std::chrono::duration_cast<date::duration>(t - now);
  }
  constexpr time_point when(date d) const noexcept {
    return now + std::chrono::duration_cast<duration>(d - today);
  }
};

}  // namespace weft::stun

#endif  // WEFT_STUN_WALL_CLOCK_HPP
