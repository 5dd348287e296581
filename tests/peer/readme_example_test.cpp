#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include <weft/peer/connection.hpp>

#include "call.hpp"

namespace {

// From here to the mark: the example in the module's README, word for word.
namespace peer = weft::peer;

struct datagram {
  weft::endpoint from, to;
  std::vector<std::uint8_t> bytes;
};

// Hands what one connection has to say to the network. A socket would take it just so.
void flush(peer::connection& c, weft::time_point now, std::deque<datagram>& network) {
  std::array<std::uint8_t, weft::max_datagram_size> buffer;
  while (const auto t = c.poll_transmit(now, buffer))
    network.push_back({t->local, t->remote, {t->bytes.begin(), t->bytes.end()}});
}

// Alice opens a channel and says hello; returns what Bob reads.
std::string hello(peer::connection& alice, const weft::endpoint& alice_address,
                  peer::connection& bob, const weft::endpoint& bob_address, weft::time_point now) {
  if (!alice.add_local_address(now, alice_address)) return "refused";
  if (!bob.add_local_address(now, bob_address)) return "refused";
  const auto chat = alice.create_data_channel(now, "chat");

  // Signalling is yours: two texts have to get across, whatever the way.
  if (!chat || !alice.set_local_description(now)) return "refused";
  if (!bob.set_remote_description(now, *alice.local_description())) return "refused";
  if (!bob.set_local_description(now)) return "refused";
  if (!alice.set_remote_description(now, *bob.local_description())) return "refused";

  for (std::deque<datagram> network;;) {
    flush(alice, now, network);
    flush(bob, now, network);
    for (; !network.empty(); network.pop_front()) {
      const auto& d = network.front();
      (d.to == alice_address ? alice : bob).handle_input(now, d.to, d.from, d.bytes);
    }
    while (const auto e = alice.poll_event())
      if (std::holds_alternative<peer::connection::data_channel_opened>(*e))
        if (!alice.send(now, *chat, "hello")) return "refused";
    while (const auto e = bob.poll_event())
      if (const auto* c = std::get_if<peer::connection::connection_state_changed>(&*e))
        if (c->state == peer::connection_state::failed) return c->reason;
    if (const auto m = bob.receive(now)) return std::string{weft::as_text(m->payload)};

    const auto next = weft::earliest(alice.poll_timeout(), bob.poll_timeout());
    now = std::max(now, next.value_or(now));  // A driver would sleep until then.
    alice.handle_timeout(now);
    bob.handle_timeout(now);
  }
}
// The mark.

}  // namespace

TEST_CASE("the README's example says hello") {
  using weft::peer::test::address;
  using weft::peer::test::make_certificate;
  weft::test::set_virtual_time({});
  weft::seeded_random random{1};
  peer::connection alice{random, make_certificate()}, bob{random, make_certificate()};
  CHECK(hello(alice, address(1), bob, address(2), {}) == "hello");
}
