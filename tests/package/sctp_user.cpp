// Someone's program that took weft::sctp: two associations and a wire without delay.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <vector>

#include <weft/core/random.hpp>
#include <weft/sctp/association.hpp>

int main() {
  using namespace weft;
  seeded_random random{1};
  sctp::association alice{random};
  sctp::association bob{random};
  const std::vector<std::uint8_t> payload(100'000, 0x5a);
  time_point now{std::chrono::seconds{1}};
  alice.connect(now);
  if (!alice.send(now, 0, 51, payload, {})) return 1;

  std::array<std::uint8_t, 1500> buffer;
  for (int step = 0; step < 10'000; ++step) {
    while (const auto packet = alice.poll_transmit(now, buffer))
      bob.handle_input(now, packet->bytes);
    while (const auto packet = bob.poll_transmit(now, buffer))
      alice.handle_input(now, packet->bytes);
    if (const auto message = bob.receive()) {
      if (!std::ranges::equal(message->payload, payload)) return 2;
      std::puts("sctp: 100,000 bytes arrived");
      return 0;
    }
    const auto next = earliest(alice.poll_timeout(), bob.poll_timeout());
    if (!next) return 3;
    now = std::max(now, *next);
    alice.handle_timeout(now);
    bob.handle_timeout(now);
  }
  return 4;
}
