#include "turn_server_batch.hpp"

#include <algorithm>
#include <cassert>

namespace weft::io {
namespace {

std::size_t hash_of(const turn_server_batch::destination& to) noexcept {
  const std::uint64_t mixed = (std::hash<endpoint>{}(to.remote) ^ to.socket) * 0x9e3779b97f4a7c15;
  return static_cast<std::size_t>(mixed >> 40);
}

}  // namespace

void turn_server_batch::clear() noexcept {
  // A full array to forget a datagram or two would cost more than they do.
  if (group_count_ < 32 && datagrams_ > 0)
    for (std::size_t i = 0; i < group_count_; ++i) latest_[hash_of(groups_[i].to) % buckets] = none;
  else
    latest_.fill(none);
  datagrams_ = group_count_ = part_count_ = 0;
}

turn_server_batch::group& turn_server_batch::group_for(const destination& to,
                                                       std::size_t size) noexcept {
  std::uint16_t& latest = latest_[hash_of(to) % buckets];
  if (latest != none) {
    group& g = groups_[latest];
    if (!g.closed && g.to == to && size <= g.segment_size && size > 0 &&
        g.datagrams < max_segments && g.bytes + size <= max_bytes) {
      g.closed = size < g.segment_size;
      return g;
    }
  }
  // Of two flows with one hash the younger takes the place: the older one begins anew.
  latest = static_cast<std::uint16_t>(group_count_);
  group& g = groups_[group_count_++];
  g = {};
  g.to = to;
  g.segment_size = size;
  return g;
}

void turn_server_batch::append(group& g, piece p) noexcept {
  if (g.last != none) {
    piece& before = parts_[g.last].where;
    if (before.data + before.size == p.data) {
      before.size += p.size;
      return;
    }
  }
  const auto index = static_cast<std::uint16_t>(part_count_++);
  parts_[index] = {p, none};
  (g.last == none ? g.first : parts_[g.last].next) = index;
  g.last = index;
}

void turn_server_batch::add(const destination& to, const_bytes head, const_bytes body,
                            std::size_t zeros) noexcept {
  static constexpr std::uint8_t padding[3] = {};
  assert(!full() && zeros <= std::size(padding));
  const std::size_t size = head.size() + body.size() + zeros;
  group& g = group_for(to, size);
  if (!head.empty()) append(g, {head.data(), head.size()});
  append(g, {body.data(), body.size()});
  if (zeros > 0) append(g, {padding, zeros});
  g.bytes += size;
  ++g.datagrams;
  ++datagrams_;
}

void turn_server_batch::lay_out() noexcept {
  // Those of one socket become neighbours; of one flow, the older go first.
  std::array<std::uint16_t, max_datagrams> order;
  for (std::size_t i = 0; i < group_count_; ++i) order[i] = static_cast<std::uint16_t>(i);
  std::sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(group_count_),
            [&](std::uint16_t a, std::uint16_t b) {
              const std::uint32_t of_a = groups_[a].to.socket, of_b = groups_[b].to.socket;
              return of_a != of_b ? of_a < of_b : a < b;
            });
  std::size_t used = 0;
  for (std::size_t i = 0; i < group_count_; ++i) {
    const group& g = groups_[order[i]];
    const std::size_t first = used;
    for (std::uint16_t at = g.first; at != none; at = parts_[at].next)
      pieces_[used++] = parts_[at].where;
    messages_[i] = {
        g.to, g.segment_size, g.datagrams, g.bytes, {pieces_.data() + first, used - first}};
  }
}

}  // namespace weft::io
