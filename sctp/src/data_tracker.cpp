#include "data_tracker.hpp"

#include <algorithm>
#include <bit>

#include <weft/core/serial.hpp>

namespace weft::sctp {

void data_tracker::start(std::uint32_t peer_initial_tsn) {
  *this = data_tracker{window_};
  cumulative_ = highest_ = (std::uint64_t{1} << 32) + peer_initial_tsn - 1;
}

std::uint64_t data_tracker::unwrap(std::uint32_t tsn) const noexcept {
  const std::int64_t step = serial_distance(static_cast<std::uint32_t>(cumulative_), tsn);
  return cumulative_ + static_cast<std::uint64_t>(step);
}

bool data_tracker::received(std::uint64_t tsn) const noexcept {
  return tsn <= cumulative_ || (tsn <= highest_ && above_.test(tsn));
}

void data_tracker::insert(std::uint64_t tsn) {
  if (tsn == cumulative_ + 1 && !has_gaps()) {
    cumulative_ = highest_ = tsn;
    return;
  }
  if (tsn - cumulative_ >= above_.capacity())
    above_.grow(std::max<std::size_t>(64, std::bit_ceil(tsn - cumulative_ + 1)), cumulative_ + 1,
                highest_);
  above_.set(tsn);
  highest_ = std::max(highest_, tsn);
  advance();
}

void data_tracker::advance() {
  if (!has_gaps()) return;
  const std::uint64_t reached = above_.find<false>(cumulative_ + 1, highest_) - 1;
  for (; cumulative_ < reached; above_.reset(cumulative_)) ++cumulative_;
}

void data_tracker::note_duplicate(std::uint32_t tsn) noexcept {
  if (duplicate_count_ < duplicates_.size()) duplicates_[duplicate_count_++] = tsn;
}

void data_tracker::forward(std::uint64_t tsn) {
  if (tsn <= cumulative_) return;
  const std::uint64_t last = std::min(tsn, highest_);
  if (has_gaps())
    for (std::uint64_t t = cumulative_ + 1; t <= last; ++t) above_.reset(t);
  cumulative_ = tsn;
  highest_ = std::max(highest_, tsn);
  advance();
}

std::size_t data_tracker::gap_blocks(std::span<gap_block> out) const noexcept {
  std::size_t count = 0;
  for (std::uint64_t at = cumulative_ + 1; at <= highest_ && count < out.size();) {
    const std::uint64_t first = above_.find<true>(at, highest_);
    if (first > highest_) break;
    at = above_.find<false>(first, highest_);
    out[count++] = {static_cast<std::uint16_t>(first - cumulative_),
                    static_cast<std::uint16_t>(at - 1 - cumulative_)};
  }
  return count;
}

}  // namespace weft::sctp
