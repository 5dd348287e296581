#include "outstanding.hpp"

#include <algorithm>
#include <cassert>

#include <weft/core/serial.hpp>

namespace weft::sctp {
namespace {

constexpr std::uint8_t misses_for_loss = 3;  // RFC 9260 §7.2.4
constexpr std::size_t first_capacity = 64;

}  // namespace

void outstanding_chunks::start(std::uint32_t initial_tsn) {
  *this = outstanding_chunks{*messages_};
  base_ = next_ = first_lost_ = (std::uint64_t{1} << 32) + initial_tsn;
}

void outstanding_chunks::reserve_one() {
  if (size() < chunks_.size()) return;
  const std::size_t capacity = chunks_.empty() ? first_capacity : 2 * chunks_.size();
  std::vector<chunk> larger(capacity);
  for (std::uint64_t tsn = base_; tsn != next_; ++tsn)
    larger[tsn & (capacity - 1)] = chunks_[slot(tsn)];
  chunks_ = std::move(larger);
  const std::uint64_t last = next_ - 1;
  in_flight_.grow(capacity, base_, last);
  lost_.grow(capacity, base_, last);
  acknowledged_.grow(capacity, base_, last);
}

std::uint64_t outstanding_chunks::add(std::uint32_t message, std::size_t offset,
                                      std::size_t length) {
  reserve_one();
  outgoing_message& m = (*messages_)[message];
  const std::uint64_t tsn = next_++;
  if (offset == 0) m.first_tsn = tsn;
  ++m.live_chunks;
  chunk& c = chunks_[slot(tsn)];
  c.message = message;
  c.offset = static_cast<std::uint32_t>(offset);
  c.length = static_cast<std::uint16_t>(length);
  c.stream = m.stream;
  c.ssn = m.ssn;
  c.transmissions = 1;
  c.sending = ++sending_;
  c.misses = 0;
  c.unordered = m.unordered;
  c.abandoned = false;
  in_flight_.set(tsn);
  in_flight_bytes_ += length;
  return tsn;
}

outstanding_chunks::sack_outcome outstanding_chunks::acknowledge(std::uint32_t cumulative_tsn_ack,
                                                                 const const_bytes& gap_blocks) {
  sack_outcome out;
  const std::int32_t step =
      serial_distance(static_cast<std::uint32_t>(cumulative_ack()), cumulative_tsn_ack);
  const std::uint64_t cumulative =
      cumulative_ack() + static_cast<std::uint64_t>(static_cast<std::int64_t>(step));
  if (step < 0 || cumulative >= next_) return out;  // Old, or of what was never sent.
  const auto block = [&](std::size_t at) {
    return gap_block{detail::load_u16(gap_blocks.data() + at),
                     detail::load_u16(gap_blocks.data() + at + 2)};
  };
  for (std::size_t at = 0; at < gap_blocks.size(); at += 4) {
    const gap_block b = block(at);
    if (b.start == 0 || b.start > b.end || cumulative + b.end >= next_) return out;
  }

  out.valid = true;
  out.cumulative_advanced = step > 0;
  newest_acknowledged_.reset();
  if (step > 0) acknowledge_cumulatively(cumulative, out);
  std::uint64_t reported = cumulative;
  for (std::size_t at = 0; at < gap_blocks.size(); at += 4) {
    const gap_block b = block(at);
    const std::uint64_t first = cumulative + b.start;
    if (first > reported + 1) revoke(reported + 1, first - 1);
    acknowledge_block(first, cumulative + b.end, out);
    reported = std::max(reported, cumulative + b.end);
  }
  // The peer took back what it stands right before: or it would have gone past it.
  if (!empty() && acknowledged_.test(base_)) revoke(base_, next_ - 1);
  if (newest_acknowledged_ && reported > cumulative) count_misses(reported, out);
  return out;
}

void outstanding_chunks::note_acknowledged(const chunk& c) {
  if (!newest_acknowledged_ || newer_than(c.sending, *newest_acknowledged_))
    newest_acknowledged_ = c.sending;
}

void outstanding_chunks::acknowledge_cumulatively(std::uint64_t to, sack_outcome& out) {
  for (; base_ <= to; ++base_) {
    const chunk& c = chunks_[slot(base_)];
    if (in_flight_.test(base_)) {
      in_flight_.reset(base_);
      in_flight_bytes_ -= c.length;
      out.bytes_acknowledged += c.length;
      note_acknowledged(c);
    } else if (lost_.test(base_)) {
      lost_.reset(base_);
      --lost_count_;
      out.bytes_acknowledged += c.length;
    } else {
      acknowledged_.reset(base_);
    }
    if (c.abandoned) continue;
    outgoing_message& m = (*messages_)[c.message];
    if (--m.live_chunks == 0 && m.fully_cut()) finished_.push_back(c.message);
  }
  first_lost_ = std::max(first_lost_, base_);
}

void outstanding_chunks::acknowledge_block(std::uint64_t first, std::uint64_t last,
                                           sack_outcome& out) {
  in_flight_.for_each(first, last, [&](std::uint64_t tsn) {
    const chunk& c = chunks_[slot(tsn)];
    in_flight_.reset(tsn);
    acknowledged_.set(tsn);
    in_flight_bytes_ -= c.length;
    out.bytes_acknowledged += c.length;
    note_acknowledged(c);
  });
  if (lost_count_ == 0) return;
  lost_.for_each(first, last, [&](std::uint64_t tsn) {
    lost_.reset(tsn);
    acknowledged_.set(tsn);
    --lost_count_;
    out.bytes_acknowledged += chunks_[slot(tsn)].length;
  });
}

/// RFC 9260 §6.2.1, D iv: a chunk once reported and now not is in flight again.
void outstanding_chunks::revoke(std::uint64_t first, std::uint64_t last) {
  acknowledged_.for_each(first, last, [&](std::uint64_t tsn) {
    acknowledged_.reset(tsn);
    in_flight_.set(tsn);
    in_flight_bytes_ += chunks_[slot(tsn)].length;
  });
}

/// RFC 9260 §7.2.4. Deviation: what counts as missing is what was *sent* before something that
/// is now acknowledged, where the RFC compares TSNs. For chunks sent once it is the same; but a
/// retransmission that is lost too is then found by what was sent after it, not by T3-rtx.
void outstanding_chunks::count_misses(std::uint64_t last, sack_outcome& out) {
  in_flight_.for_each(base_, last, [&](std::uint64_t tsn) {
    chunk& c = chunks_[slot(tsn)];
    if (!newer_than(*newest_acknowledged_, c.sending) || ++c.misses < misses_for_loss) return;
    lose(tsn);
    out.losses = true;
  });
}

void outstanding_chunks::lose(std::uint64_t tsn) {
  const chunk& c = chunks_[slot(tsn)];
  in_flight_.reset(tsn);
  in_flight_bytes_ -= c.length;
  lost_.set(tsn);
  ++lost_count_;
  first_lost_ = std::min(first_lost_, tsn);
  // RFC 7496 §3.1: transmissions - 1 are retransmissions, and the next one would be too many.
  if (c.transmissions > (*messages_)[c.message].max_retransmissions)
    exhausted_.push_back(c.message);
}

void outstanding_chunks::time_out() {
  if (empty()) return;
  in_flight_.for_each(base_, next_ - 1, [&](std::uint64_t tsn) { lose(tsn); });
}

std::optional<std::uint64_t> outstanding_chunks::next_lost() const noexcept {
  if (lost_count_ == 0) return std::nullopt;
  return lost_.find<true>(first_lost_, next_ - 1);
}

void outstanding_chunks::retransmitted(std::uint64_t tsn) {
  assert(lost_.test(tsn));
  chunk& c = chunks_[slot(tsn)];
  lost_.reset(tsn);
  --lost_count_;
  first_lost_ = tsn + 1;
  in_flight_.set(tsn);
  in_flight_bytes_ += c.length;
  c.transmissions = static_cast<std::uint16_t>(std::min(c.transmissions + 1, 0xffff));
  c.sending = ++sending_;
  c.misses = 0;
}

void outstanding_chunks::abandon(std::uint32_t message, bool unfinished) {
  const outgoing_message& m = (*messages_)[message];
  for (std::uint64_t tsn = std::max(m.first_tsn, base_); tsn != next_; ++tsn) {
    chunk& c = chunks_[slot(tsn)];
    if (c.abandoned || c.message != message) break;
    c.abandoned = true;
    acknowledged_.reset(tsn);
    if (in_flight_.test(tsn)) {
      in_flight_.reset(tsn);
      in_flight_bytes_ -= c.length;
    } else if (lost_.test(tsn)) {
      lost_.reset(tsn);
      --lost_count_;
    }
  }
  if (!unfinished) return;
  const std::uint64_t tsn = add(message, m.cut, 0);
  in_flight_.reset(tsn);
  chunks_[slot(tsn)].abandoned = true;
}

std::uint64_t outstanding_chunks::advanced_ack_point() const noexcept {
  std::uint64_t point = base_;
  while (point != next_ && chunks_[slot(point)].abandoned) ++point;
  return point - 1;
}

std::uint64_t outstanding_chunks::forward(std::vector<forward_tsn_chunk::skipped>& streams,
                                          std::size_t max) const {
  streams.clear();
  std::uint64_t tsn = base_;
  for (; tsn != next_; ++tsn) {
    const chunk& c = chunks_[slot(tsn)];
    if (!c.abandoned) break;
    if (c.unordered) continue;
    const auto known = std::ranges::find(streams, c.stream, &forward_tsn_chunk::skipped::stream);
    if (known != streams.end()) {
      known->ssn = c.ssn;
    } else if (streams.size() < max) {
      streams.push_back({c.stream, c.ssn});
    } else {
      break;  // RFC 3758 §3.5 C4: what one packet cannot name waits for the next.
    }
  }
  return tsn - 1;
}

std::optional<std::uint32_t> outstanding_chunks::poll_finished() {
  if (finished_.empty()) return std::nullopt;
  return finished_.pop_front();
}

std::optional<std::uint32_t> outstanding_chunks::poll_exhausted() {
  if (exhausted_.empty()) return std::nullopt;
  return exhausted_.pop_front();
}

}  // namespace weft::sctp
