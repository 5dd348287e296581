#ifndef WEFT_TESTS_PEER_ATTACKER_HPP
#define WEFT_TESTS_PEER_ATTACKER_HPP

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <vector>

#include <weft/core/random.hpp>

namespace weft::peer::test {

/// Somebody who sees neither signalling nor the path, and sends what hurts most elsewhere.
class attacker {
  using bytes = std::vector<std::uint8_t>;

 public:
  explicit attacker(std::uint64_t seed) : random_{seed} {}

  bytes next() {
    switch (random_.next() % 6) {
      case 0:
        return noise(1 + random_.next() % 200);
      case 1:
        return stun(0x0001);  // Binding request
      case 2:
        return stun(0x0101);  // Success response
      case 3:
        return client_hello();
      case 4:
        return {21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40};  // Fatal handshake_failure.
      default:
        return sctp_abort();
    }
  }

 private:
  bytes noise(std::size_t size) {
    bytes out(size);
    random_.fill(out);
    return out;
  }

  bytes stun(std::uint16_t type) {
    bytes out = noise(20);
    const std::uint8_t head[] = {static_cast<std::uint8_t>(type >> 8),
                                 static_cast<std::uint8_t>(type),
                                 0,
                                 0,
                                 0x21,
                                 0x12,
                                 0xa4,
                                 0x42};
    std::ranges::copy(head, out.begin());
    return out;
  }

  bytes client_hello() {
    bytes out{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0,  0,    54,  1,
              0,  0,    42,   0, 0, 0, 0, 0, 0, 0, 42, 0xfe, 0xfd};
    const bytes random = noise(32);
    out.insert(out.end(), random.begin(), random.end());
    // No session, no cookie, one suite (NULL with SHA), no compression.
    const std::uint8_t tail[] = {0, 0, 0, 2, 0, 2, 1, 0};
    out.insert(out.end(), std::begin(tail), std::end(tail));
    return out;
  }

  static bytes sctp_abort() { return {0x13, 0x88, 0x13, 0x88, 0, 0, 0, 0, 0, 0, 0, 0, 6, 1, 0, 4}; }

  seeded_random random_;
};

}  // namespace weft::peer::test

#endif  // WEFT_TESTS_PEER_ATTACKER_HPP
