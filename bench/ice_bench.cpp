#include <benchmark/benchmark.h>
#include <algorithm>
#include <array>
#include <chrono>

#include <weft/ice/agent.hpp>

namespace {

using namespace weft;

const endpoint address_a{ip_address{std::array<std::uint8_t, 4>{127, 0, 0, 1}}, 5001};
const endpoint address_b{ip_address{std::array<std::uint8_t, 4>{127, 0, 0, 1}}, 5002};

void carry(ice::agent& from, ice::agent& to, time_point now) {
  std::array<std::uint8_t, max_datagram_size> buffer;
  while (const auto t = from.poll_transmit(now, buffer))
    to.handle_input(now, {t->remote, t->local, t->protocol}, t->bytes);
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
    (void)a.add_local_address(now, address_a);
    (void)b.add_local_address(now, address_b);
    return meet();
  }
  /// Hosts with five interfaces, and TCP on each of them: 25 pairs over UDP and 50 over TCP.
  bool connect_multihomed() {
    for (std::uint8_t i = 1; i <= 5; ++i) {
      add_all(a, {10, 0, i, 1});
      add_all(b, {10, 0, i, 2});
    }
    return meet();
  }

 private:
  void add_all(ice::agent& to, std::array<std::uint8_t, 4> address) {
    const ip_address host{address};
    constexpr auto tcp = transport_protocol::tcp;
    (void)to.add_local_address(now, endpoint{host, 5000});
    (void)to.add_local_address(now,
                               {.base = {host, 9}, .protocol = tcp, .tcp = ice::tcp_type::active});
    (void)to.add_local_address(
        now, {.base = {host, 5000}, .protocol = tcp, .tcp = ice::tcp_type::passive});
  }
  bool meet() {
    b.set_role(ice::role::controlled);
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

/// Two agents, from nothing to a selected pair on both sides. `worst` is the longest of all.
void connect(benchmark::State& state) {
  using clock = std::chrono::steady_clock;
  clock::duration worst{};
  for (auto _ : state) {
    const auto begin = clock::now();
    agents pair;
    if (!pair.connect()) state.SkipWithError("not connected");
    worst = std::max(worst, clock::now() - begin);
  }
  state.counters["worst_us"] =
      static_cast<double>(std::chrono::duration_cast<std::chrono::nanoseconds>(worst).count()) /
      1e3;
}
BENCHMARK(connect)->Name("ice/connect/loopback/weft")->Unit(benchmark::kMicrosecond);

void connect_multihomed(benchmark::State& state) {
  for (auto _ : state) {
    agents pair;
    if (!pair.connect_multihomed()) state.SkipWithError("not connected");
  }
}
BENCHMARK(connect_multihomed)
    ->Name("ice/connect/five_interfaces/weft")
    ->Unit(benchmark::kMicrosecond);

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
