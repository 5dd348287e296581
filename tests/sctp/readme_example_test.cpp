// The example of sctp/README.md.
#include <doctest/doctest.h>

#include <array>
#include <cstdio>

#include <weft/sctp/association.hpp>

namespace {

/// Hands every packet of `from` to `to`. Yours sends it through DTLS.
void deliver(weft::time_point now, weft::sctp::association& from, weft::sctp::association& to) {
  std::array<std::uint8_t, weft::max_datagram_size> buffer;
  while (const auto packet = from.poll_transmit(now, buffer)) to.handle_input(now, packet->bytes);
}

std::string chat() {
  weft::seeded_random random{1};  // Yours comes from the operating system.
  weft::sctp::association alice{random};
  weft::sctp::association bob{random};
  weft::time_point now{};  // And yours from a steady clock.

  alice.connect(now);
  (void)alice.send(now, 0, 51, weft::as_bytes("hello, bob"), {});

  std::string heard;
  while (heard.empty()) {
    deliver(now, alice, bob);
    deliver(now, bob, alice);
    while (const auto event = bob.poll_event())
      if (std::holds_alternative<weft::sctp::association::connected>(*event))
        std::puts("bob is connected");
    while (const auto message = bob.receive()) heard = weft::as_text(message->payload);

    // Sleep until the earlier of these, or until a packet comes; here nothing is ever late.
    if (const auto deadline = weft::earliest(alice.poll_timeout(), bob.poll_timeout()))
      now = *deadline;
    alice.handle_timeout(now);
    bob.handle_timeout(now);
  }
  return heard;
}

}  // namespace

TEST_CASE("sctp/README.md: its example") {
  CHECK(chat() == "hello, bob");
}
