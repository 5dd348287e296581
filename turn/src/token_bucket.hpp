#ifndef WEFT_TURN_SRC_TOKEN_BUCKET_HPP
#define WEFT_TURN_SRC_TOKEN_BUCKET_HPP

#include <algorithm>
#include <chrono>
#include <cstdint>

#include <weft/core/time.hpp>

namespace weft::turn {

/// So much a second, and no more than `burst` at once.
class token_bucket {
 public:
  /// A full one. `rate` 0: no limit.
  token_bucket(std::uint64_t rate, std::uint64_t burst) noexcept
      : rate_{rate}, burst_{std::max<std::uint64_t>(burst, 1)}, level_{burst_} {}

  bool has(time_point now, std::uint64_t amount) noexcept {
    if (rate_ == 0) return true;
    refill(now);
    return level_ >= amount;
  }
  bool take(time_point now, std::uint64_t amount) noexcept {
    if (!has(now, amount)) return false;
    if (rate_ != 0) level_ -= amount;
    return true;
  }

 private:
  void refill(time_point now) noexcept {
    using std::chrono::microseconds;
    if (now <= since_) return;
    // What is over a second counts as one, so that the product cannot overflow: the bucket is
    // full by then unless its burst is more than a second's worth, which nobody wants.
    const auto elapsed = std::min<microseconds>(
        std::chrono::duration_cast<microseconds>(now - since_), std::chrono::seconds{1});
    const std::uint64_t whole = rate_ / 1'000'000, part = rate_ % 1'000'000;
    const auto micros = static_cast<std::uint64_t>(elapsed.count());
    const std::uint64_t millionths = part * micros + remainder_;
    remainder_ = millionths % 1'000'000;
    level_ = std::min(burst_, level_ + whole * micros + millionths / 1'000'000);
    since_ = elapsed < std::chrono::seconds{1} ? since_ + elapsed : now;
  }

  std::uint64_t rate_;
  std::uint64_t burst_;
  std::uint64_t level_;
  std::uint64_t remainder_ = 0;  ///< Millionths of one.
  time_point since_{};
};

}  // namespace weft::turn

#endif  // WEFT_TURN_SRC_TOKEN_BUCKET_HPP
