#ifndef WEFT_STUN_REPLY_LIMITER_HPP
#define WEFT_STUN_REPLY_LIMITER_HPP

#include <cstddef>
#include <cstdint>
#include <vector>

#include <weft/core/net.hpp>
#include <weft/core/random.hpp>
#include <weft/core/time.hpp>

namespace weft::stun {

/// Keeps a server that answers strangers from being of use against others.
///
/// Source addresses are forged to have a server's answers hit somebody. That pays if the answers
/// are larger than the requests, and one answer must be: the 401 with realm and nonce that the
/// long-term mechanism begins with (RFC 8489 §9.2.4) is about 90 bytes to an Allocate request of
/// 28. So an answer may exceed 1.6 times its request for IPv4 and 2.2 times for IPv6, which is
/// what a plain Binding response comes to, only by what is in the source's allowance. To one
/// address go, over any time, at most those multiples of what came from it, and
/// `burst_bytes + bytes_per_second * time` on top, however many requests there are.
///
/// Who proves that the answers arrive, by a request that carries the nonce, gets its allowance
/// back: `confirm`. Allowances live in a table of fixed size that addresses are hashed into
/// with a secret; two may share one, which makes the limit stricter and never weaker.
class reply_limiter {
 public:
  struct options {
    /// About 100 challenges of 90 bytes at once from behind one address: a large network's NAT
    /// after a break.
    std::uint32_t burst_bytes = 4096;
    /// About 12 challenges a second without end.
    std::uint32_t bytes_per_second = 512;
    /// Of 16 bytes each; rounded up to a power of two.
    std::size_t table_size = 4096;
  };

  struct counters {
    std::uint64_t permitted = 0;
    std::uint64_t withheld = 0;
  };

  explicit reply_limiter(random_source& random);
  reply_limiter(random_source& random, const options& opts);

  /// Whether to answer a request from an unproven source with so many bytes; counts them if so.
  bool permit(time_point now, const ip_address& source, std::size_t request_size,
              std::size_t reply_size);
  /// The source has sent something that only who got an answer could send.
  void confirm(const ip_address& source);

  const counters& stats() const noexcept { return stats_; }

 private:
  struct allowance {
    time_point since{};       ///< When `spent` was right.
    std::uint32_t spent = 0;  ///< Bytes on top that are not earned back.
  };

  allowance& of(const ip_address& source);
  void earn_back(time_point now, allowance& a) const;

  options options_;
  std::uint64_t secret_[2];
  std::vector<allowance> table_;
  counters stats_;
};

}  // namespace weft::stun

#endif  // WEFT_STUN_REPLY_LIMITER_HPP
