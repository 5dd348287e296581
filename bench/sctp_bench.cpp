// Messages from one end to the other in memory, both ends on one core: weft beside usrsctp with
// equal packets, windows and message sizes. An iteration moves one message; CPU time is that of
// both ends together.
#include <benchmark/benchmark.h>

#include <array>
#include <cstdlib>
#include <vector>

#include <weft/core/random.hpp>
#include <weft/sctp/association.hpp>
#include <weft/sctp/crc32c.hpp>

#ifdef WEFT_BENCH_USRSCTP
#  include "sctp_bench_usrsctp.hpp"
#endif

namespace {

constexpr std::size_t packet_size = 1188;
constexpr std::size_t window = 2 * 1024 * 1024;

class weft_pair {
 public:
  explicit weft_pair(bool zero_checksum)
      : a_{random_, options(zero_checksum)}, b_{random_, options(zero_checksum)} {
    a_.connect(now_);
    while (a_.state() != weft::sctp::association_state::established) pump();
  }

  bool send(weft::const_bytes payload) { return bool{a_.send(now_, 1, 53, payload, {})}; }

  /// Moves what there is to move; returns the bytes of messages that came out.
  std::size_t pump() {
    std::size_t received = 0;
    now_ += std::chrono::microseconds{10};
    for (int i = 0; i < 16; ++i) {
      const auto t = a_.poll_transmit(now_, buffer_);
      if (!t) break;
      b_.handle_input(now_, t->bytes);
    }
    while (const auto message = b_.receive()) received += message->payload.size();
    while (const auto t = b_.poll_transmit(now_, buffer_)) a_.handle_input(now_, t->bytes);
    a_.handle_timeout(now_);
    b_.handle_timeout(now_);
    return received;
  }

 private:
  static weft::sctp::association::options options(bool zero_checksum) {
    weft::sctp::association::options o;
    o.max_packet_size = packet_size;
    o.receive_window = window;
    o.send_buffer = window;
    o.zero_checksum = zero_checksum;
    return o;
  }

  weft::seeded_random random_{1};
  weft::sctp::association a_;
  weft::sctp::association b_;
  weft::time_point now_{};
  std::array<std::uint8_t, weft::max_datagram_size> buffer_{};
};

template <class Pair, class... Args>
void throughput(benchmark::State& state, std::size_t size, Args... args) {
  Pair pair{args...};
  const std::vector<std::uint8_t> payload(size, 0x5a);
  std::size_t sent = 0;
  std::size_t received = 0;
  for (auto _ : state) {
    while (!pair.send(payload)) received += pair.pump();
    sent += size;
    received += pair.pump();
  }
  for (int idle = 0; received < sent && idle < 10000; ++idle) received += pair.pump();
  if (received != sent) state.SkipWithError("messages were lost");
  state.SetBytesProcessed(static_cast<std::int64_t>(sent));
  state.SetItemsProcessed(state.iterations());
}

void crc32c(benchmark::State& state) {
  std::vector<std::uint8_t> data(1200, 0x5a);
  for (auto _ : state) {
    benchmark::DoNotOptimize(data.data());
    benchmark::DoNotOptimize(weft::sctp::crc32c(data));
  }
  state.SetBytesProcessed(state.iterations() * 1200);
}

template <std::size_t Size>
void weft_messages(benchmark::State& state) {
  throughput<weft_pair>(state, Size, false);
}
template <std::size_t Size>
void weft_zero_checksum_messages(benchmark::State& state) {
  throughput<weft_pair>(state, Size, true);
}
BENCHMARK(weft_messages<1024>)->Name("sctp/throughput/1024/weft");
BENCHMARK(weft_messages<65536>)->Name("sctp/throughput/65536/weft");
#ifdef WEFT_BENCH_USRSCTP
template <std::size_t Size>
void usrsctp_messages(benchmark::State& state) {
  throughput<usrsctp_pair>(state, Size, packet_size, window);
}
BENCHMARK(usrsctp_messages<1024>)->Name("sctp/throughput/1024/usrsctp");
BENCHMARK(usrsctp_messages<65536>)->Name("sctp/throughput/65536/usrsctp");
#endif
BENCHMARK(weft_zero_checksum_messages<1024>)->Name("sctp/throughput/1024/weft_zero_checksum");
BENCHMARK(weft_zero_checksum_messages<65536>)->Name("sctp/throughput/65536/weft_zero_checksum");
BENCHMARK(crc32c)->Name("sctp/crc32c/1200/weft");

}  // namespace
