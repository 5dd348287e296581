#include <doctest/doctest.h>

#include <deque>
#include <map>

#include "scripted_peer.hpp"

namespace weft::ice::test {
namespace {

constexpr auto tcp = transport_protocol::tcp;

candidate remote_tcp(tcp_type type, const endpoint& address, std::uint16_t preference = 6 << 13) {
  candidate c = scripted_peer::host(address, preference);
  c.priority = make_priority(type_preference(candidate_type::host, tcp), preference, 1);
  c.protocol = tcp;
  c.tcp = type;
  return c;
}

struct tcp_peer : scripted_peer {
  explicit tcp_peer(role r, tcp_type type = tcp_type::active, agent::options opts = {})
      : scripted_peer{[&] {
          opts.role = r;
          return opts;
        }()} {
    REQUIRE(ice.add_local_address(now, {.base = local, .protocol = tcp, .tcp = type}));
  }
  endpoint local = at("10.0.0.1");
};

const endpoint active = at("10.0.0.1", 9);
const endpoint passive = at("10.0.0.2", 7000);

TEST_SUITE("ice over TCP") {
  TEST_CASE("active is checked with passive, so with so, passive with nobody (RFC 6544 §6.2)") {
    for (const tcp_type mine : {tcp_type::active, tcp_type::passive, tcp_type::simultaneous_open}) {
      tcp_peer p{role::controlling, mine};
      p.meet();
      REQUIRE(p.ice.add_remote_candidate(p.now, remote_tcp(tcp_type::active, at("10.0.0.2", 9))));
      REQUIRE(p.ice.add_remote_candidate(p.now, remote_tcp(tcp_type::passive, passive)));
      REQUIRE(p.ice.add_remote_candidate(
          p.now, remote_tcp(tcp_type::simultaneous_open, at("10.0.0.2", 7001))));
      p.add(at("10.0.0.2"));  // Over UDP.
      const auto out = p.wait(1s);
      CHECK(p.ice.remote_candidates().size() == 4);
      if (mine == tcp_type::passive) {
        CHECK(out.empty());
        continue;
      }
      REQUIRE(out.size() == 1);
      CHECK(out[0].path() == (mine == tcp_type::active
                                  ? five_tuple{active, passive, tcp}
                                  : five_tuple{at("10.0.0.1"), at("10.0.0.2", 7001), tcp}));
    }
  }

  TEST_CASE("a candidate over TCP without its type, or over UDP with one, is invalid") {
    tcp_peer p{role::controlling};
    candidate c = remote_tcp(tcp_type::passive, passive);
    c.tcp.reset();
    CHECK(p.ice.add_remote_candidate(p.now, c).error() == error::invalid_candidate);
    c.tcp = tcp_type::passive;
    c.protocol = transport_protocol::udp;
    CHECK(p.ice.add_remote_candidate(p.now, c).error() == error::invalid_candidate);
  }

  TEST_CASE("a check goes once, and again when the connection is there (RFC 6544 §7.1)") {
    tcp_peer p{role::controlling};
    p.meet();
    REQUIRE(p.ice.add_remote_candidate(p.now, remote_tcp(tcp_type::passive, passive)));
    const sent first = p.poll_one();
    // RFC 6544 §4.2: 4 for a reflexive active candidate where a host has 6.
    const std::uint32_t place = p.ice.local_candidates()[0].priority & 0x1fffff;
    CHECK(first.message().priority() == (80u << 24 | 4u << 21 | place));
    CHECK(p.wait(5s).empty());  // TCP repeats by itself.
    p.ice.handle_connected(p.now, first.path());
    const sent second = p.poll_one();
    CHECK(second.datagram == first.datagram);
    p.now += 30ms;
    p.mapped = at("10.0.0.1", 51000);  // The port that the connection got.
    p.answer(second);
    CHECK(p.ice.is_valid_path(first.path()));
    CHECK_FALSE(p.ice.is_valid_path(active, passive));  // That would be over UDP.
    const sent nomination = p.poll_one();
    CHECK(nomination.message().use_candidate());
    p.answer(nomination);
    CHECK(p.ice.selected_pair() == first.path());
    // The round trip is not the time that connecting took.
    CHECK(p.ice.pair_stats()[0].total_round_trip == duration{30ms});
    const auto mine = p.ice.local_candidates();
    CHECK(mine.back().type == candidate_type::peer_reflexive);
    CHECK(mine.back().address == at("10.0.0.1", 51000));
  }

  TEST_CASE("a connection that cannot be made fails its pair, at once or after 10 s") {
    tcp_peer p{role::controlling};
    p.meet();
    REQUIRE(p.ice.add_remote_candidate(p.now, remote_tcp(tcp_type::passive, passive)));
    p.ice.handle_disconnected(p.now, p.poll_one().path());
    CHECK(p.ice.stats().pairs_failed == 1);
    CHECK(p.take<agent::path_released>().empty());  // The owner knows.
    REQUIRE(p.ice.add_remote_candidate(
        p.now, remote_tcp(tcp_type::passive, at("10.0.0.2", 7002), (6 << 13) - 1)));
    CHECK(p.wait(9s).size() == 1);
    CHECK(p.ice.stats().pairs_failed == 1);
    CHECK(p.wait(2s).empty());
    CHECK(p.ice.stats().pairs_failed == 2);
    const auto released = p.take<agent::path_released>();
    REQUIRE(released.size() == 1);
    CHECK(released[0].path == five_tuple{active, at("10.0.0.2", 7002), tcp});
  }

  TEST_CASE(
      "a check on an accepted connection is answered there, and followed up (RFC 6544 §7.2)") {
    tcp_peer p{role::controlled, tcp_type::passive};
    p.meet();
    const endpoint from = at("10.0.0.2", 51000);
    p.send_check({.from = from, .use_candidate = true, .protocol = tcp});
    const auto out = p.poll();
    REQUIRE(out.size() == 2);
    for (const sent& s : out) CHECK(s.path() == five_tuple{p.local, from, tcp});
    CHECK_FALSE(out[0].is_request());
    p.answer(out[1]);
    CHECK(p.ice.selected_pair() == five_tuple{p.local, from, tcp});
    // Nothing of it is the same over UDP.
    p.send_check({.from = from, .use_candidate = true});
    CHECK(p.poll().empty());
  }

  TEST_CASE("not more than five connections are attempted to one address (RFC 6544 §12)") {
    tcp_peer p{role::controlling};
    p.meet();
    for (std::uint16_t i = 0; i < 20; ++i) {
      auto c = remote_tcp(tcp_type::passive, at("10.0.0.2", static_cast<std::uint16_t>(7000 + i)),
                          static_cast<std::uint16_t>((6 << 13) - i));
      c.foundation = std::to_string(i);
      REQUIRE(p.ice.add_remote_candidate(p.now, c));
    }
    REQUIRE(p.ice.add_remote_candidate(p.now,
                                       remote_tcp(tcp_type::passive, at("10.0.0.3", 7000), 5000)));
    auto out = p.wait(5s);
    CHECK(std::ranges::count(out, at("10.0.0.2").address,
                             [](const sent& s) { return s.remote.address; }) == 5);
    CHECK(out.size() == 6);
    p.ice.handle_disconnected(p.now, out[0].path());
    CHECK(p.poll().size() == 1);
    CHECK(p.wait(60s).size() == 14);
    CHECK_FALSE(p.ice.poll_timeout());  // It does not look around in vain.
  }

  TEST_CASE("after a pair is selected the other connections are closed (RFC 6544 §8)") {
    tcp_peer p{role::controlling};
    p.meet();
    REQUIRE(p.ice.add_remote_candidate(p.now, remote_tcp(tcp_type::passive, passive)));
    REQUIRE(p.ice.add_remote_candidate(p.now,
                                       remote_tcp(tcp_type::passive, at("10.0.0.3", 7000), 5000)));
    const auto out = p.wait(10ms);
    REQUIRE(out.size() == 2);
    p.answer(out[0]);
    p.answer(p.poll_one());
    CHECK(p.ice.selected_pair() == out[0].path());
    const auto released = p.take<agent::path_released>();
    REQUIRE(released.size() == 1);
    CHECK(released[0].path == out[1].path());
    p.ice.close(p.now);
    CHECK(p.take<agent::path_released>().size() == 1);
  }

  TEST_CASE("the side that opened the selected connection opens it once more (RFC 6544 §11.1)") {
    tcp_peer p{role::controlling};
    p.meet(passive);  // Over UDP, where nothing answers from an active address.
    REQUIRE(p.ice.add_remote_candidate(p.now, remote_tcp(tcp_type::passive, passive)));
    p.answer(p.poll_one());
    p.answer(p.poll_one());
    const auto path = p.ice.selected_pair();
    REQUIRE(path);
    p.ice.handle_disconnected(p.now, *path);
    CHECK_FALSE(p.ice.selected_pair());
    CHECK(p.ice.current_state() == state::disconnected);
    sent again = p.poll_one();
    CHECK(again.path() == *path);
    p.ice.handle_connected(p.now, again.path());
    again = p.poll_one();
    p.answer(again);
    p.answer(p.poll_one());
    CHECK(p.ice.selected_pair() == path);
    CHECK(p.ice.current_state() == state::connected);

    // What does not come back has failed, in the end.
    p.ice.handle_disconnected(p.now, *path);
    p.ice.handle_disconnected(p.now, p.poll_one().path());
    CHECK(p.wait(1s).empty());
    CHECK(p.ice.current_state() == state::disconnected);
    p.wait(40s);
    CHECK(p.ice.current_state() == state::failed);
    CHECK_FALSE(p.ice.poll_timeout());
  }

  TEST_CASE("a selected connection that ends gives way to another path") {
    tcp_peer p{role::controlling};
    REQUIRE(p.ice.add_local_address(p.now, at("10.0.0.1")));
    p.meet();
    REQUIRE(p.ice.add_remote_candidate(p.now, remote_tcp(tcp_type::passive, passive)));
    p.answer_for(200ms);
    REQUIRE(p.ice.selected_pair()->protocol == tcp);
    // The other side comes over UDP as well.
    p.send_check({.from = at("10.0.0.2")});
    p.answer_for(100ms);
    CHECK(p.ice.selected_pair()->protocol == tcp);
    p.ice.handle_disconnected(p.now, *p.ice.selected_pair());
    CHECK(p.ice.selected_pair() == five_tuple{at("10.0.0.1"), at("10.0.0.2")});
    CHECK(p.ice.current_state() != state::disconnected);
    CHECK(p.poll().front().message().use_candidate());
  }

  /// Two agents, and TCP between them: connections take a round trip, and what is sent before
  /// they are there is lost.
  struct tcp_world {
    struct delivery {
      time_point at;
      agent* to;
      five_tuple path;
      bytes message;  ///< Empty: the connection is there.
    };

    void send(agent& from, agent& to, const addressed_transmit& t) {
      const five_tuple path{t.local, t.remote, t.protocol};
      REQUIRE(t.protocol == tcp);
      const auto known = other.find({&from, path});
      if (known != other.end()) {
        in_flight.push_back({now + delay, &to, known->second, {t.bytes.begin(), t.bytes.end()}});
        return;
      }
      // Simultaneous-open ends meet at both real addresses; an active one has a port of its own.
      const endpoint real =
          t.local.port == active_port ? endpoint{t.local.address, next_port++} : t.local;
      const five_tuple back{t.remote, real, tcp};
      other[{&from, path}] = back;
      other[{&to, back}] = path;
      ++connections;
      in_flight.push_back({now + 2 * delay, &from, path, {}});
    }
    void settle(agent& from, agent& to) {
      std::array<std::uint8_t, 600> buffer;
      while (const auto t = from.poll_transmit(now, buffer)) send(from, to, *t);
      while (const auto e = from.poll_event())
        if (const auto* c = std::get_if<agent::candidate_gathered>(&*e))
          REQUIRE(to.add_remote_candidate(now, c->candidate));
    }
    bool connect(duration limit) {
      for (const time_point end = now + limit; now < end; now += 1ms) {
        a.handle_timeout(now);
        b.handle_timeout(now);
        settle(a, b);
        settle(b, a);
        for (std::size_t i = 0; i < in_flight.size();) {
          if (in_flight[i].at > now) {
            ++i;
            continue;
          }
          const delivery d = in_flight[i];
          in_flight.erase(in_flight.begin() + static_cast<std::ptrdiff_t>(i));
          if (d.message.empty()) {
            d.to->handle_connected(now, d.path);
          } else {
            d.to->handle_input(now, d.path, d.message);
          }
        }
        if (a.selected_pair() && b.selected_pair()) return true;
      }
      return false;
    }

    time_point now{};
    duration delay = 10ms;
    seeded_random random{5};
    agent a{random};
    agent b{random, [] {
              agent::options o;
              o.role = role::controlled;
              return o;
            }()};
    std::map<std::pair<agent*, five_tuple>, five_tuple> other;
    std::deque<delivery> in_flight;
    std::uint16_t next_port = 51000;
    int connections = 0;
  };

  TEST_CASE("two agents connect over TCP, whoever opens, also both at once") {
    for (const auto& types :
         {std::pair{tcp_type::active, tcp_type::passive},
          std::pair{tcp_type::passive, tcp_type::active},
          std::pair{tcp_type::simultaneous_open, tcp_type::simultaneous_open}}) {
      CAPTURE(static_cast<int>(types.first));
      tcp_world w;
      REQUIRE(w.a.add_local_address(
          w.now, {.base = at("10.0.0.1", 7001), .protocol = tcp, .tcp = types.first}));
      REQUIRE(w.b.add_local_address(
          w.now, {.base = at("10.0.0.2", 7002), .protocol = tcp, .tcp = types.second}));
      REQUIRE(w.a.set_remote_credentials(w.now, w.b.local_credentials()));
      REQUIRE(w.b.set_remote_credentials(w.now, w.a.local_credentials()));
      REQUIRE(w.connect(2s));
      CHECK(w.now - time_point{} <= 100ms);
      CHECK(w.connections == 1);
      CHECK(w.other[{&w.a, *w.a.selected_pair()}] == *w.b.selected_pair());
    }
  }

  TEST_CASE("an active and a passive address of each side make two connections, one of them used") {
    tcp_world w;
    for (auto [ice, host] : {std::pair{&w.a, "10.0.0.1"}, std::pair{&w.b, "10.0.0.2"}}) {
      REQUIRE(ice->add_local_address(w.now, {.base = at(host, 0), .protocol = tcp}));
      REQUIRE(ice->add_local_address(
          w.now, {.base = at(host, 7000), .protocol = tcp, .tcp = tcp_type::passive}));
    }
    REQUIRE(w.a.set_remote_credentials(w.now, w.b.local_credentials()));
    REQUIRE(w.b.set_remote_credentials(w.now, w.a.local_credentials()));
    REQUIRE(w.connect(2s));
    CHECK(w.connections == 2);
    CHECK(w.other[{&w.a, *w.a.selected_pair()}] == *w.b.selected_pair());
  }
}

}  // namespace
}  // namespace weft::ice::test
