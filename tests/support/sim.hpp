#ifndef WEFT_TESTS_SUPPORT_SIM_HPP
#define WEFT_TESTS_SUPPORT_SIM_HPP

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include <weft/core/machine.hpp>
#include <weft/core/random.hpp>

/// Bad networks in virtual time. Everything that happens follows from a seed, with
/// integer arithmetic alone, so a run is the same with every compiler.
namespace weft::sim {

struct conditions {
  duration delay = std::chrono::milliseconds{20};
  duration jitter{};  ///< Each datagram waits up to this much longer; what overtakes is reordered.
  unsigned loss_percent = 0;
  unsigned duplicate_percent = 0;
  std::size_t mtu = max_datagram_size;  ///< Longer datagrams vanish, as with blocked ICMP.
};

struct packet {
  time_point arrives;
  std::uint64_t order;  ///< Breaks ties: what was sent first arrives first.
  endpoint from;
  endpoint to;
  std::vector<std::uint8_t> bytes;
};

/// Datagrams in flight, whoever sent them.
class network {
 public:
  explicit network(std::uint64_t seed) : network{seed, conditions{}} {}
  network(std::uint64_t seed, const conditions& c) : random_{seed}, conditions_{c} {}

  void set_conditions(const conditions& c) { conditions_ = c; }

  void push(time_point now, const endpoint& from, const endpoint& to, const_bytes datagram) {
    record(now, from, to, datagram);
    ++sent_;
    if (datagram.size() > conditions_.mtu || chance(conditions_.loss_percent)) return;
    deliver(now, from, to, datagram);
    if (chance(conditions_.duplicate_percent)) deliver(now, from, to, datagram);
  }
  /// For two machines that know no addresses.
  void push(time_point now, const_bytes datagram) { push(now, {}, {}, datagram); }

  std::optional<time_point> next_arrival() const {
    if (in_flight_.empty()) return std::nullopt;
    return in_flight_.front().arrives;
  }

  std::optional<packet> pop(time_point now) {
    if (in_flight_.empty() || in_flight_.front().arrives > now) return std::nullopt;
    std::ranges::pop_heap(in_flight_, later);
    packet p = std::move(in_flight_.back());
    in_flight_.pop_back();
    return p;
  }

  std::uint64_t sent() const { return sent_; }
  /// A hash over time, addresses and bytes of all that was sent: two runs with one
  /// transcript were the same run.
  std::uint64_t transcript() const { return transcript_; }

 private:
  static bool later(const packet& a, const packet& b) {
    return std::pair{a.arrives, a.order} > std::pair{b.arrives, b.order};
  }

  bool chance(unsigned percent) { return percent > 0 && random_.next() % 100 < percent; }

  void deliver(time_point now, const endpoint& from, const endpoint& to, const_bytes datagram) {
    duration delay = conditions_.delay;
    if (conditions_.jitter > duration{})
      delay += duration{static_cast<duration::rep>(
          random_.next() % static_cast<std::uint64_t>(conditions_.jitter.count()))};
    in_flight_.push_back({now + delay, order_++, from, to, {datagram.begin(), datagram.end()}});
    std::ranges::push_heap(in_flight_, later);
  }

  void record(time_point now, const endpoint& from, const endpoint& to, const_bytes datagram) {
    hash(static_cast<std::uint64_t>(now.time_since_epoch().count()));
    hash(std::uint64_t{from.port} << 16 | to.port);
    for (const std::uint8_t byte : datagram) hash(byte);
  }
  void hash(std::uint64_t value) { transcript_ = (transcript_ ^ value) * 0x100000001b3; }  // FNV-1a

  seeded_random random_;
  conditions conditions_;
  std::vector<packet> in_flight_;
  std::uint64_t order_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t transcript_ = 0xcbf29ce484222325;
};

/// Runs two machines that know no addresses against each other until both fall silent
/// or `limit` passes; calls `step(now)` after every instant, which may poll events and
/// give commands and stops the run by returning false. Returns the virtual time at the end.
template <machine A, machine B, class Step>
time_point run(A& a, B& b, network& a_to_b, network& b_to_a, time_point now, duration limit,
               Step step) {
  std::array<std::uint8_t, max_datagram_size> buffer;
  const time_point end = now + limit;
  for (;;) {
    const bool go_on = step(now);
    while (auto t = a.poll_transmit(now, buffer)) a_to_b.push(now, t->bytes);
    while (auto t = b.poll_transmit(now, buffer)) b_to_a.push(now, t->bytes);
    if (!go_on) return now;

    auto next = earliest(earliest(a.poll_timeout(), b.poll_timeout()),
                         earliest(a_to_b.next_arrival(), b_to_a.next_arrival()));
    if (!next || *next > end) return now;
    now = std::max(now, *next);

    while (auto p = a_to_b.pop(now)) b.handle_input(now, p->bytes);
    while (auto p = b_to_a.pop(now)) a.handle_input(now, p->bytes);
    a.handle_timeout(now);
    b.handle_timeout(now);
  }
}

template <machine A, machine B>
time_point run(A& a, B& b, network& a_to_b, network& b_to_a, time_point now, duration limit) {
  return run(a, b, a_to_b, b_to_a, now, limit, [](time_point) { return true; });
}

}  // namespace weft::sim

#endif  // WEFT_TESTS_SUPPORT_SIM_HPP
