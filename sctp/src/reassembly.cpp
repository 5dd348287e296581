#include "reassembly.hpp"

#include <algorithm>
#include <bit>

#include <weft/core/serial.hpp>

namespace weft::sctp {

void reassembly::restart() {
  reassembly fresh{*pool_, max_message_size_};
  fresh.delivered_ = std::move(delivered_);
  fresh.held_ = fresh.unread_ = unread_;
  *this = std::move(fresh);
}

bool reassembly::same_message(const run& r, const data_chunk& c) noexcept {
  return r.stream == c.stream && r.unordered == c.unordered && (c.unordered || r.ssn == c.ssn);
}

reassembly::outcome reassembly::add(std::uint64_t tsn, const data_chunk& c,
                                    const data_tracker& tracker) {
  std::uint32_t left = none;
  std::uint32_t right = none;
  if (open_runs_ > 0) {
    left = run_at_edge(tsn - 1);
    right = run_at_edge(tsn + 1);
    // A neighbour that this chunk does not continue, though it should, can never be completed.
    if (left != none && (c.beginning || !same_message(runs_[left], c))) {
      if (!runs_[left].ended) drop(left);
      left = none;
    }
    if (right != none && (c.ending || !same_message(runs_[right], c))) {
      if (!runs_[right].begun) drop(right);
      right = none;
    }
    if (left != none && runs_[left].ended) left = none;
    if (right != none && runs_[right].begun) right = none;
  }
  // Nor can this chunk, when its neighbours are known and are not of its message.
  if ((!c.beginning && left == none && tracker.received(tsn - 1)) ||
      (!c.ending && right == none && tracker.received(tsn + 1))) {
    if (left != none) drop(left);
    if (right != none) drop(right);
    return outcome::misplaced;
  }

  const std::size_t size = c.payload.size() + (left == none ? 0 : runs_[left].payload.size()) +
                           (right == none ? 0 : runs_[right].payload.size());
  if (size > max_message_size_) return outcome::too_large;

  held_ += c.payload.size();
  if (left == none) {
    left = begin_run(tsn, c);
  } else {
    run& r = runs_[left];
    r.payload.insert(r.payload.end(), c.payload.begin(), c.payload.end());
    r.last = tsn;
    r.ended = c.ending;
  }
  if (right != none) join(left, right);
  const run& r = runs_[left];
  if (r.begun && r.ended) {
    --open_runs_;
    return complete(left);
  }
  set_edge(r.first, left, tracker.cumulative());
  set_edge(r.last, left, tracker.cumulative());
  return outcome::taken;
}

std::uint32_t reassembly::begin_run(std::uint64_t tsn, const data_chunk& c) {
  const std::uint32_t index = runs_.acquire();
  run& r = runs_[index];
  r.first = r.last = tsn;
  r.ppid = c.ppid;
  r.stream = c.stream;
  r.ssn = c.ssn;
  r.unordered = c.unordered;
  r.begun = c.beginning;
  r.ended = c.ending;
  r.payload = pool_->take();
  r.payload.assign(c.payload.begin(), c.payload.end());
  held_ += overhead;
  ++open_runs_;
  return index;
}

void reassembly::join(std::uint32_t left, std::uint32_t right) {
  run& l = runs_[left];
  run& r = runs_[right];
  l.payload.insert(l.payload.end(), r.payload.begin(), r.payload.end());
  l.last = r.last;
  l.ended = r.ended;
  pool_->give(std::move(r.payload));
  r.first = r.last = 0;  // As in `drop`.
  runs_.release(right);
  held_ -= overhead;
  --open_runs_;
}

void reassembly::drop(std::uint32_t index) {
  run& r = runs_[index];
  held_ -= r.payload.size() + overhead;
  pool_->give(std::move(r.payload));
  // Edges that still point here must not find it again.
  r.first = r.last = 0;
  runs_.release(index);
  --open_runs_;
}

std::uint32_t reassembly::run_at_edge(std::uint64_t tsn) const noexcept {
  if (edges_.empty()) return none;
  const std::uint32_t index = edges_[tsn & (edges_.size() - 1)];
  if (index == none || (runs_[index].first != tsn && runs_[index].last != tsn)) return none;
  return index;
}

void reassembly::set_edge(std::uint64_t tsn, std::uint32_t index, std::uint64_t cumulative) {
  // A message's first TSN may lie far behind; nothing will ask for that edge.
  if (tsn < cumulative) return;
  if (tsn - cumulative + 2 > edges_.size()) {
    std::vector<std::uint32_t> larger(
        std::max<std::size_t>(64, std::bit_ceil(tsn - cumulative + 2)), none);
    for (const std::uint32_t old : edges_) {
      if (old == none) continue;
      for (const std::uint64_t edge : {runs_[old].first, runs_[old].last})
        if (edge >= cumulative) larger[edge & (larger.size() - 1)] = old;
    }
    edges_ = std::move(larger);
  }
  edges_[tsn & (edges_.size() - 1)] = index;
}

reassembly::outcome reassembly::complete(std::uint32_t index) {
  run& r = runs_[index];
  r.first = r.last = 0;
  if (r.unordered) {
    deliver(index);
    return outcome::taken;
  }
  const std::uint16_t due = next_ssn(r.stream);
  if (r.ssn == due) {
    const std::uint16_t stream = r.stream;
    ++next_ssn_[stream];
    deliver(index);
    if (!waiting_.empty()) deliver_waiting(stream);
    return outcome::taken;
  }
  if (newer_than(r.ssn, due) && waiting_.try_emplace(key(r.stream, r.ssn), index).second)
    return outcome::taken;
  ++open_runs_;  // As `drop` expects.
  drop(index);
  return outcome::misplaced;
}

void reassembly::deliver(std::uint32_t index) {
  run& r = runs_[index];
  unread_ += r.payload.size() + overhead;
  delivered_.push_back({std::move(r.payload), r.ppid, r.stream, r.unordered});
  runs_.release(index);
}

void reassembly::deliver_waiting(std::uint16_t stream) {
  for (;;) {
    const auto next = waiting_.find(key(stream, next_ssn_[stream]));
    if (next == waiting_.end()) return;
    deliver(next->second);
    waiting_.erase(next);
    ++next_ssn_[stream];
  }
}

std::uint16_t& reassembly::next_ssn(std::uint16_t stream) {
  if (stream >= next_ssn_.size()) next_ssn_.resize(std::size_t{stream} + 1);
  return next_ssn_[stream];
}

void reassembly::forward(std::uint64_t previous, std::uint64_t cumulative) {
  if (open_runs_ == 0) return;
  for (std::uint64_t tsn = previous; tsn <= cumulative; ++tsn) {
    const std::uint32_t index = run_at_edge(tsn);
    if (index != none) drop(index);
  }
  // What begins right behind them without a beginning has lost it.
  const std::uint32_t next = run_at_edge(cumulative + 1);
  if (next != none && !runs_[next].begun) drop(next);
}

void reassembly::skip(std::uint16_t stream, std::uint16_t ssn) {
  std::uint16_t& next = next_ssn(stream);
  if (serial_distance(next, ssn) < 0) return;
  // Those that did come are delivered, in the order of the numbers, which may wrap.
  const auto deliver_range = [&](std::uint16_t from, std::uint16_t to) {
    auto at = waiting_.lower_bound(key(stream, from));
    const auto end = waiting_.upper_bound(key(stream, to));
    for (; at != end; at = waiting_.erase(at)) deliver(at->second);
  };
  if (next <= ssn) {
    deliver_range(next, ssn);
  } else {
    deliver_range(next, 0xffff);
    deliver_range(0, ssn);
  }
  next = static_cast<std::uint16_t>(ssn + 1);
  deliver_waiting(stream);
}

void reassembly::reset(std::span<const std::uint16_t> streams) {
  const auto forget = [&](std::map<std::uint32_t, std::uint32_t>::iterator from,
                          std::map<std::uint32_t, std::uint32_t>::iterator to) {
    while (from != to) {
      ++open_runs_;  // As `drop` expects.
      drop(from->second);
      from = waiting_.erase(from);
    }
  };
  if (streams.empty()) {
    std::ranges::fill(next_ssn_, std::uint16_t{0});
    forget(waiting_.begin(), waiting_.end());
  }
  for (const std::uint16_t stream : streams) {
    if (stream < next_ssn_.size()) next_ssn_[stream] = 0;
    forget(waiting_.lower_bound(key(stream, 0)), waiting_.upper_bound(key(stream, 0xffff)));
  }
}

std::optional<reassembly::delivered> reassembly::receive() {
  if (delivered_.empty()) return std::nullopt;
  delivered out = delivered_.pop_front();
  held_ -= out.payload.size() + overhead;
  unread_ -= out.payload.size() + overhead;
  return out;
}

}  // namespace weft::sctp
