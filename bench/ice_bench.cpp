#include <benchmark/benchmark.h>
#include <array>

#include <weft/ice/agent.hpp>

namespace {

using namespace weft;

const endpoint address_a{ip_address{std::array<std::uint8_t, 4>{127, 0, 0, 1}}, 5001};
const endpoint address_b{ip_address{std::array<std::uint8_t, 4>{127, 0, 0, 1}}, 5002};

void carry(ice::agent& from, ice::agent& to, time_point now) {
  std::array<std::uint8_t, max_datagram_size> buffer;
  while (const auto t = from.poll_transmit(now, buffer))
    to.handle_input(now, t->remote, t->local, t->bytes);
}

/// Both take in what the other has gathered.
void signal(ice::agent& from, ice::agent& to, time_point now) {
  (void)to.set_remote_credentials(now, from.local_credentials());
  for (const auto& c : from.local_candidates()) (void)to.add_remote_candidate(now, c);
  to.end_of_remote_candidates(now);
}

struct agents {
  seeded_random random{1};
  ice::agent a{random};
  ice::agent b{random};
  time_point now{};

  bool connect() {
    b.set_role(ice::role::controlled);
    (void)a.add_local_address(now, address_a);
    (void)b.add_local_address(now, address_b);
    a.gather(now);
    b.gather(now);
    signal(a, b, now);
    signal(b, a, now);
    for (int i = 0; i < 10 && !(a.selected_pair() && b.selected_pair()); ++i) {
      carry(a, b, now);
      carry(b, a, now);
    }
    return a.selected_pair() && b.selected_pair();
  }
};

/// Two agents, from nothing to a selected pair on both sides.
void connect(benchmark::State& state) {
  for (auto _ : state) {
    agents pair;
    if (!pair.connect()) state.SkipWithError("not connected");
  }
}
BENCHMARK(connect)->Name("ice/connect/loopback/weft")->Unit(benchmark::kMicrosecond);

/// What every datagram of application data asks.
void is_valid_path(benchmark::State& state) {
  agents pair;
  if (!pair.connect()) state.SkipWithError("not connected");
  for (auto _ : state) benchmark::DoNotOptimize(pair.a.is_valid_path(address_a, address_b));
}
BENCHMARK(is_valid_path)->Name("ice/is_valid_path/selected/weft");

/// What every turn of a driver asks of an agent that has nothing to do.
void idle(benchmark::State& state) {
  agents pair;
  if (!pair.connect()) state.SkipWithError("not connected");
  std::array<std::uint8_t, max_datagram_size> buffer;
  carry(pair.a, pair.b, pair.now);
  carry(pair.b, pair.a, pair.now);
  for (auto _ : state) {
    benchmark::DoNotOptimize(pair.a.poll_transmit(pair.now, buffer));
    benchmark::DoNotOptimize(pair.a.poll_timeout());
  }
}
BENCHMARK(idle)->Name("ice/poll/idle/weft");

}  // namespace
