// Two whole peers in one process, over UDP sockets on loopback: what a user gets.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <utility>
#include <variant>
#include <vector>

#include <asio/io_context.hpp>

#include <weft/io/peer_runner.hpp>
#include <weft/io/system_random.hpp>

namespace {

using weft::io::peer_runner;
using weft::peer::connection;
using weft::peer::data_channel_message;

/// The value, or the end: there is nothing to measure then.
template <class T, class E>
T must(weft::result<T, E> r) {
  if (!r) std::abort();
  if constexpr (!std::is_void_v<T>) return *std::move(r);
}

struct two_peers {
  explicit two_peers(asio::io_context& c) : context{c}, alice{make()}, bob{make()} {}

  /// From nothing said to an open channel at both ends.
  void connect() {
    channel = must(alice.with(
        [](connection& c, weft::time_point now) { return c.create_data_channel(now, "bench"); }));
    int open = 0;
    const auto count = [&](const connection::event& e) {
      open += std::holds_alternative<connection::data_channel_opened>(e);
    };
    alice.on_event(count);
    bob.on_event(count);
    describe(alice, bob);
    describe(bob, alice);
    while (open < 2) context.run_one();
    alice.on_event(nullptr);
    bob.on_event(nullptr);
  }

  asio::io_context& context;
  weft::io::system_random random;
  peer_runner alice, bob;
  weft::peer::channel_handle channel{};

 private:
  peer_runner make() {
    auto certificate =
        must(weft::dtls::certificate::generate({.now = std::chrono::system_clock::now()}));
    return must(peer_runner::create(context.get_executor(), random, std::move(certificate),
                                    {.local = {{*weft::ip_address::parse("127.0.0.1"), 0}}}));
  }

  static void describe(peer_runner& from, peer_runner& to) {
    must(from.with(
        [](connection& c, weft::time_point now) { return c.set_local_description(now); }));
    must(to.with([&](connection& c, weft::time_point now) {
      return c.set_remote_description(now, *from.connection().local_description());
    }));
  }
};

/// Both certificates made, both peers made, offer and answer, until the channel is open at both
/// ends. The counters are of wall time in milliseconds, over all calls.
void connect(benchmark::State& state) {
  asio::io_context context{1};
  std::vector<double> wall;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    two_peers peers{context};
    peers.connect();
    wall.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
            .count());
  }
  std::ranges::sort(wall);
  state.counters["wall_median_ms"] = wall[wall.size() / 2];
  state.counters["wall_max_ms"] = wall.back();
}
BENCHMARK(connect)->Name("peer/connect/loopback/weft")->Unit(benchmark::kMillisecond);

/// One iteration is one message across; the sender is kept busy.
void throughput(benchmark::State& state, std::size_t size) {
  asio::io_context context{1};
  two_peers peers{context};
  peers.connect();
  constexpr std::size_t low = 1024 * 1024;
  std::uint64_t received = 0;
  bool full = false;
  peers.alice.with([&](connection& c, weft::time_point) {
    c.set_buffered_amount_low_threshold(peers.channel, low);
  });
  peers.alice.on_event([&](const connection::event& e) {
    if (std::holds_alternative<connection::buffered_amount_low>(e)) full = false;
  });
  peers.bob.on_message(
      [&](const data_channel_message& m) { received += m.payload.size() == size; });

  const std::vector<std::uint8_t> payload(size, 7);
  std::uint64_t sent = 0;
  const auto fill = [&] {
    peers.alice.with([&](connection& c, weft::time_point now) {
      while (!full) {
        must(c.send(now, peers.channel, weft::const_bytes{payload}));
        ++sent;
        // Asked now and then: it is a look-up of all that a channel is.
        if (sent % 16 == 0) full = c.channel(peers.channel)->buffered_amount > 2 * low;
      }
    });
  };
  std::uint64_t wanted = 0;
  for (auto _ : state) {
    ++wanted;
    while (received < wanted) {
      if (!full) fill();
      context.run_one();
    }
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) *
                          static_cast<std::int64_t>(size));
}
BENCHMARK_CAPTURE(throughput, large, 65536)->Name("peer/throughput/65536/weft");
BENCHMARK_CAPTURE(throughput, small, 1024)->Name("peer/throughput/1024/weft");

}  // namespace
