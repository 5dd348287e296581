#include <doctest/doctest.h>

#include "pair.hpp"
#include "support/allocation_counter.hpp"

using namespace weft::sctp;
using namespace weft::sctp::test;

TEST_SUITE("sctp/allocation") {
  TEST_CASE("in the steady state, sending and receiving allocate nothing") {
    for (const std::size_t size : {std::size_t{100}, std::size_t{1024}, std::size_t{65536}}) {
      CAPTURE(size);
      weft::seeded_random random{1};
      association a{random};
      association b{random};
      weft::time_point now{};
      std::array<std::uint8_t, weft::max_datagram_size> buffer;
      const bytes payload(size);
      std::size_t received = 0;
      const auto exchange = [&](int messages) {
        for (int i = 0; i < messages; ++i) {
          (void)a.send(now, static_cast<std::uint16_t>(i % 3), 53, weft::const_bytes{payload}, {});
          (void)b.send(now, 1, 53, weft::const_bytes{payload}, {});
          for (bool moved = true; moved;) {
            moved = false;
            while (const auto t = a.poll_transmit(now, buffer)) {
              b.handle_input(now, t->bytes);
              moved = true;
            }
            while (const auto t = b.poll_transmit(now, buffer)) {
              a.handle_input(now, t->bytes);
              moved = true;
            }
          }
          while (a.receive()) ++received;
          while (b.receive()) ++received;
          while (a.poll_event()) {
          }
          while (b.poll_event()) {
          }
          now += 1ms;
          a.handle_timeout(now);
          b.handle_timeout(now);
        }
      };
      a.connect(now);
      exchange(300);
      received = 0;
      const auto before = weft::test::allocations();
      exchange(300);
      CHECK(weft::test::allocations() - before == 0);
      CHECK(received == 600);
    }
  }
}
