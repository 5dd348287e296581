// The example of ice/README.md, word for word.
#include <doctest/doctest.h>

#include <array>

#include <weft/ice/agent.hpp>

namespace {

using namespace weft;

const endpoint address_a{*ip_address::parse("192.0.2.1"), 5000};
const endpoint address_b{*ip_address::parse("192.0.2.2"), 5000};

// What signalling would carry: credentials, candidates and their end.
void signal(time_point now, ice::agent& from, ice::agent& to) {
  (void)to.set_remote_credentials(now, from.local_credentials());
  while (const auto e = from.poll_event()) {
    if (const auto* gathered = std::get_if<ice::agent::candidate_gathered>(&*e))
      (void)to.add_remote_candidate(now, gathered->candidate);
    if (std::holds_alternative<ice::agent::gathering_complete>(*e))
      to.end_of_remote_candidates(now);
  }
}

// What sockets would carry.
void carry(time_point now, ice::agent& from, ice::agent& to) {
  std::array<std::uint8_t, max_datagram_size> buffer;
  while (const auto t = from.poll_transmit(now, buffer))
    to.handle_input(now, t->remote, t->local, t->bytes);
}

bool connects(random_source& random) {
  time_point now{};
  ice::agent a{random}, b{random};
  b.set_role(ice::role::controlled);
  (void)a.add_local_address(now, address_a);
  (void)b.add_local_address(now, address_b);
  a.gather(now);
  b.gather(now);
  signal(now, a, b);
  signal(now, b, a);
  while (!a.selected_pair() || !b.selected_pair()) {
    carry(now, a, b);
    carry(now, b, a);
    now += std::chrono::milliseconds{1};  // A driver would sleep until `poll_timeout()`.
    a.handle_timeout(now);
    b.handle_timeout(now);
    if (a.current_state() == ice::state::failed) return false;
  }
  return a.selected_pair()->remote == address_b;
}

}  // namespace

TEST_CASE("the example in ice/README.md connects") {
  seeded_random random{1};
  CHECK(connects(random));
}
