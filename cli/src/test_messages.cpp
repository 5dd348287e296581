#include "test_messages.hpp"

#include <algorithm>

#include <weft/core/random.hpp>

namespace weft::cli {
namespace {

peer::message_kind kind_of(std::size_t index) {
  return index % 2 == 0 ? peer::message_kind::binary : peer::message_kind::text;
}

/// Letters, digits and a little more: valid as text, and different in every message.
template <class Take>
void for_each_byte(std::size_t index, std::size_t size, Take take) {
  seeded_random random{index};
  for (std::size_t at = 0; at < size;) {
    std::uint64_t word = random.next();
    for (std::size_t i = 0; i < 8 && at < size; ++i, ++at, word >>= 8)
      if (!take(at, static_cast<std::uint8_t>('0' + (word & 63)))) return;
  }
}

}  // namespace

test_messages::test_messages(const plan& p) : plan_{p} {
  round_trips_.reserve(p.count);
}

std::size_t test_messages::size_of(std::size_t index) const {
  return plan_.sizes[index % plan_.sizes.size()];
}

test_messages::message test_messages::make(std::size_t index) const {
  message m{kind_of(index), std::vector<std::uint8_t>(size_of(index))};
  for_each_byte(index, m.payload.size(), [&](std::size_t at, std::uint8_t byte) {
    m.payload[at] = byte;
    return true;
  });
  return m;
}

bool test_messages::is(std::size_t index, peer::message_kind kind, const_bytes payload) const {
  if (kind != kind_of(index) || payload.size() != size_of(index)) return false;
  bool same = true;
  for_each_byte(index, payload.size(), [&](std::size_t at, std::uint8_t byte) {
    same = payload[at] == byte;
    return same;
  });
  return same;
}

bool test_messages::may_send() const noexcept {
  return counts_.sent < plan_.count && under_way_.size() < plan_.window;
}

test_messages::message test_messages::next() const {
  return make(counts_.sent);
}

void test_messages::sent(time_point now) {
  under_way_.push_back({counts_.sent++, now});
}

void test_messages::received(time_point now, peer::message_kind kind, const_bytes payload) {
  const auto matches = [&](const entry& e) { return is(e.index, kind, payload); };
  const bool only_first = plan_.ordered && plan_.reliable;
  const auto end = only_first && !under_way_.empty() ? under_way_.begin() + 1 : under_way_.end();
  const auto found = std::find_if(under_way_.begin(), end, matches);
  if (found == end) {
    ++counts_.changed;
    if (only_first && !under_way_.empty()) under_way_.pop_front();
    return;
  }
  ++counts_.intact;
  counts_.bytes += payload.size();
  round_trips_.push_back(now - found->sent);
  if (plan_.ordered && !plan_.reliable) {  // What it overtook was given up.
    counts_.lost += static_cast<std::size_t>(found - under_way_.begin());
    under_way_.erase(under_way_.begin(), found + 1);
  } else {
    under_way_.erase(found);
  }
}

void test_messages::expire(time_point now, duration patience) {
  if (plan_.reliable) return;
  counts_.lost +=
      std::erase_if(under_way_, [&](const entry& e) { return e.sent + patience <= now; });
}

}  // namespace weft::cli
