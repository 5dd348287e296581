#ifndef WEFT_TESTS_SCTP_PAIR_HPP
#define WEFT_TESTS_SCTP_PAIR_HPP

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <weft/core/random.hpp>
#include <weft/sctp/association.hpp>
#include <weft/sctp/packet.hpp>

#include "support/sim.hpp"

namespace weft::sctp::test {

using namespace std::chrono_literals;

using bytes = std::vector<std::uint8_t>;

/// A payload that tells which message it is and is checked byte by byte.
inline bytes pattern(std::size_t size, std::uint32_t seed) {
  bytes out(size);
  std::uint32_t state = seed * 2654435761u + 1;
  for (std::uint8_t& byte : out) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<std::uint8_t>(state >> 24);
  }
  return out;
}

struct received {
  std::uint16_t stream;
  std::uint32_t ppid;
  delivery_order order;
  bytes payload;
};

/// Two associations and what came out of them.
struct pair {
  explicit pair(std::uint64_t seed = 1, const association::options& a_options = {},
                const association::options& b_options = {})
      : random{seed},
        a{random, a_options},
        b{random, b_options},
        to_a{seed * 2},
        to_b{seed * 2 + 1} {}

  void set_conditions(const sim::conditions& c) {
    to_a.set_conditions(c);
    to_b.set_conditions(c);
  }

  void collect() {
    while (auto e = a.poll_event()) a_events.push_back(std::move(*e));
    while (auto e = b.poll_event()) b_events.push_back(std::move(*e));
    if (!reads) return;
    while (const auto m = a.receive())
      a_messages.push_back({m->stream, m->ppid, m->order, {m->payload.begin(), m->payload.end()}});
    while (const auto m = b.receive())
      b_messages.push_back({m->stream, m->ppid, m->order, {m->payload.begin(), m->payload.end()}});
  }

  template <class Step>
  void run(duration limit, Step step) {
    now = sim::run(a, b, to_b, to_a, now, limit, [&](time_point t) {
      now = t;
      collect();
      return step();
    });
    collect();
  }
  void run(duration limit) {
    const time_point end = now + limit;
    run(limit, [] { return true; });
    now = std::max(now, end);
  }

  void connect() {
    a.connect(now);
    run(30s, [&] {
      return a.state() != association_state::established ||
             b.state() != association_state::established;
    });
    run(1s);
  }

  template <class Event>
  static std::optional<Event> find(const std::vector<association::event>& events) {
    for (const auto& e : events)
      if (const auto* found = std::get_if<Event>(&e)) return *found;
    return std::nullopt;
  }

  seeded_random random;
  association a;
  association b;
  sim::network to_a;
  sim::network to_b;
  time_point now{};
  bool reads = true;
  std::vector<association::event> a_events;
  std::vector<association::event> b_events;
  std::vector<received> a_messages;
  std::vector<received> b_messages;
};

/// One packet of `from`, if it has one now.
inline std::optional<bytes> poll(association& from, time_point now) {
  std::array<std::uint8_t, max_datagram_size> buffer;
  const auto t = from.poll_transmit(now, buffer);
  if (!t) return std::nullopt;
  return bytes{t->bytes.begin(), t->bytes.end()};
}

/// The chunk types of a packet, in order.
inline std::vector<chunk_type> types(const_bytes packet) {
  std::vector<chunk_type> out;
  const auto view = packet_view::parse(packet);
  if (view)
    view->for_each_chunk([&](const chunk_view& c) {
      out.push_back(c.type);
      return true;
    });
  return out;
}

/// Moves packets both ways, without delay, until neither end has one.
inline void shuttle(association& a, association& b, time_point now) {
  for (bool moved = true; moved;) {
    moved = false;
    while (const auto p = poll(a, now)) moved = true, b.handle_input(now, *p);
    while (const auto p = poll(b, now)) moved = true, a.handle_input(now, *p);
  }
}

}  // namespace weft::sctp::test

#endif  // WEFT_TESTS_SCTP_PAIR_HPP
