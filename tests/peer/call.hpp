#ifndef WEFT_TESTS_PEER_CALL_HPP
#define WEFT_TESTS_PEER_CALL_HPP

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <weft/peer/connection.hpp>

#include "support/sim.hpp"
#include "support/virtual_gettimeofday.hpp"

namespace weft::peer::test {

inline dtls::certificate make_certificate() {
  auto made = dtls::certificate::generate(
      {.now = std::chrono::system_clock::time_point{std::chrono::hours{24 * 365 * 56}}});
  REQUIRE(made);
  return *std::move(made);
}

inline endpoint address(std::uint8_t host, std::uint16_t port = 5000) {
  return {ip_address{std::array<std::uint8_t, 4>{10, 0, 0, host}}, port};
}

/// A message as an application keeps it.
struct kept_message {
  message_kind kind;
  std::string payload;
  bool operator==(const kept_message&) const = default;
};

/// One side of a call and all that it has told its application.
struct side {
  side(std::uint64_t seed, std::uint8_t host, const connection::options& opts)
      : random{seed}, peer{random, make_certificate(), opts}, local{address(host)} {
    REQUIRE(peer.add_local_address({}, local));
  }

  seeded_random random;
  connection peer;
  endpoint local;

  std::vector<connection::event> events;
  std::map<channel_handle, std::vector<kept_message>> messages;
  std::vector<channel_handle> added;             ///< Channels the other side opened.
  std::vector<channel_handle> opened;            ///< Ours and theirs, in the order of opening.
  std::map<channel_handle, std::string> closed;  ///< With the error.
  std::vector<ice_candidate> candidates;         ///< Not yet signalled.
  bool reading = true;                           ///< Takes messages as they come.

  template <class Event>
  std::size_t count() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        events, [](const auto& e) { return std::holds_alternative<Event>(e); }));
  }
};

/// Two connections and the network between them, in virtual time.
class call {
 public:
  explicit call(std::uint64_t seed) : call{seed, {}, {}, {}} {}
  call(std::uint64_t seed, const sim::conditions& conditions) : call{seed, conditions, {}, {}} {}
  call(std::uint64_t seed, const sim::conditions& conditions, const connection::options& a_options,
       const connection::options& b_options)
      : a{seed * 2 + 1, 1, a_options}, b{seed * 2 + 2, 2, b_options}, net{seed, conditions} {
    weft::test::set_virtual_time(now);
  }

  /// Offer and answer, carried over at once.
  void negotiate(side& offerer, side& answerer) {
    const auto offer = offerer.peer.create_offer(now);
    REQUIRE(offer);
    REQUIRE(offerer.peer.set_local_description(now, *offer));
    REQUIRE(answerer.peer.set_remote_description(now, *offer));
    const auto answer = answerer.peer.create_answer(now);
    REQUIRE(answer);
    REQUIRE(answerer.peer.set_local_description(now, *answer));
    REQUIRE(offerer.peer.set_remote_description(now, *answer));
  }
  void negotiate() { negotiate(a, b); }

  /// Lets time pass until `done()`, or for `limit`. Returns whether it was done.
  template <class Predicate>
  bool run(duration limit, Predicate done) {
    const time_point end = now + limit;
    for (;;) {
      settle(a, b);
      settle(b, a);
      if (done()) return true;
      auto next =
          earliest(earliest(a.peer.poll_timeout(), b.peer.poll_timeout()), net.next_arrival());
      if (!next || *next > end) {
        now = end;
        weft::test::set_virtual_time(now);
        return false;
      }
      now = std::max(now, *next);
      weft::test::set_virtual_time(now);
      while (auto p = net.pop(now)) deliver(*p);
      a.peer.handle_timeout(now);
      b.peer.handle_timeout(now);
    }
  }
  void run(duration limit) {
    run(limit, [] { return false; });
  }

  /// Runs until both sides are connected and `channels` channels are open on each.
  bool connect(std::size_t channels = 1, duration limit = std::chrono::seconds{60}) {
    return run(limit, [&] {
      return a.peer.state() == connection_state::connected &&
             b.peer.state() == connection_state::connected && a.opened.size() >= channels &&
             b.opened.size() >= channels;
    });
  }

  time_point now{};
  side a;
  side b;
  sim::network net;
  std::function<void(const side&, const_bytes)> on_sent;  ///< For whoever wants to look.

  static void note(side& s, const connection::event& e) {
    if (const auto* gathered = std::get_if<connection::candidate_gathered>(&e))
      s.candidates.push_back(gathered->candidate);
    if (const auto* added = std::get_if<connection::data_channel_added>(&e))
      s.added.push_back(added->channel);
    if (const auto* opened = std::get_if<connection::data_channel_opened>(&e))
      s.opened.push_back(opened->channel);
    if (const auto* closed = std::get_if<connection::data_channel_closed>(&e))
      s.closed[closed->channel] = closed->error;
    s.events.push_back(e);
  }

 private:
  void deliver(const sim::packet& p) {
    for (side* s : {&a, &b})
      if (p.to == s->local) s->peer.handle_input(now, p.to, p.from, p.bytes);
  }

  /// Takes all that one side has to say, and carries its candidates to the other.
  void settle(side& s, side& other) {
    std::array<std::uint8_t, max_datagram_size> buffer;
    for (bool busy = true; busy;) {
      busy = false;
      while (auto e = s.peer.poll_event()) {
        busy = true;
        note(s, *e);
      }
      while (s.reading) {
        const auto m = s.peer.receive(now);
        if (!m) break;
        busy = true;
        s.messages[m->channel].push_back({m->kind, std::string{as_text(m->payload)}});
      }
      while (auto t = s.peer.poll_transmit(now, buffer)) {
        busy = true;
        if (on_sent) on_sent(s, t->bytes);
        net.push(now, t->local, t->remote, t->bytes);
      }
    }
    if (!other.peer.remote_description()) return;
    for (auto& candidate : std::exchange(s.candidates, {}))
      (void)other.peer.add_ice_candidate(now, candidate);
  }
};

}  // namespace weft::peer::test

#endif  // WEFT_TESTS_PEER_CALL_HPP
