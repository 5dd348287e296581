#include <weft/stun/reply_limiter.hpp>

#include <algorithm>
#include <array>
#include <bit>

#include <weft/stun/crypto.hpp>

namespace weft::stun {

reply_limiter::reply_limiter(random_source& random) : reply_limiter{random, options{}} {}

reply_limiter::reply_limiter(random_source& random, const options& opts)
    : options_{opts}, table_(std::bit_ceil(std::max<std::size_t>(opts.table_size, 1))) {
  std::array<std::uint8_t, 16> bytes;
  random.fill(bytes);
  byte_reader in{bytes};
  for (std::uint64_t& word : secret_) word = in.u64();
}

// A keyed hash that nobody sees the values of: it has only to be hard to aim at one slot.
reply_limiter::allowance& reply_limiter::of(const ip_address& source) {
  const auto mix = [](std::uint64_t h) {
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93;
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93;
    return h ^ h >> 32;
  };
  std::uint64_t prefix = 0;
  const auto octets = source.octets();
  for (const std::uint8_t octet : octets.first(std::min<std::size_t>(octets.size(), 8)))
    prefix = prefix << 8 | octet;
  const std::uint64_t h = mix(mix(prefix ^ secret_[0]) + octets.size() + secret_[1]);
  return table_[h & (table_.size() - 1)];
}

void reply_limiter::earn_back(time_point now, allowance& a) const {
  using std::chrono::microseconds;
  if (now < a.since) return;
  constexpr std::uint64_t second = 1'000'000;
  const auto elapsed = std::chrono::duration_cast<microseconds>(
      std::min<duration>(now - a.since, std::chrono::hours{1}));
  const std::uint64_t back =
      static_cast<std::uint64_t>(elapsed.count()) * options_.bytes_per_second / second;
  if (back >= a.spent) {
    a = {now, 0};
  } else if (back > 0) {
    a.spent -= static_cast<std::uint32_t>(back);
    // Not `now`, lest frequent questions lose what is less than a byte.
    a.since += microseconds{back * second / options_.bytes_per_second + 1};
  }
}

bool reply_limiter::permit(time_point now, const ip_address& source, std::size_t request_size,
                           std::size_t reply_size) {
  const std::size_t fifths = source.is_v6() ? 11 : 8;  // 2.2 and 1.6
  const std::size_t earned = request_size * fifths / 5;
  const auto excess = static_cast<std::uint32_t>(
      reply_size > earned ? std::min<std::size_t>(reply_size - earned, 0xffff) : 0);
  if (excess > 0) {
    allowance& a = of(source);
    earn_back(now, a);
    if (a.spent + excess > options_.burst_bytes) {
      ++stats_.withheld;
      return false;
    }
    a.spent += excess;
  }
  ++stats_.permitted;
  return true;
}

void reply_limiter::confirm(const ip_address& source) {
  of(source).spent = 0;
}

}  // namespace weft::stun
