#include <doctest/doctest.h>

#include "scripted_peer.hpp"

namespace weft::ice::test {
namespace {

const agent::server good{at("198.51.100.1", 3478), "stun:good.example"};
const agent::server dead{at("198.51.100.2", 3478), "stun:dead.example"};

agent::options with(std::vector<agent::server> servers) {
  agent::options opts;
  opts.stun_servers = std::move(servers);
  return opts;
}

struct natted_world : world {
  explicit natted_world(const agent::options& opts) : world{1}, a{1, opts} {
    hosts = {&a};
    a.behind = &home;
    servers[good.address] = &server;
    add_socket(a, at("192.168.0.2"));
  }
  nat home{"203.0.113.1", false};
  stun::binding_server server;
  host a;
};

TEST_SUITE("ice gathering") {
  TEST_CASE("a server-reflexive candidate has its base as related address (RFC 8445 §5.1.1.2)") {
    natted_world w{with({good})};
    w.a.ice.gather(w.now);
    w.run(1s);
    const auto found = w.a.all<agent::candidate_gathered>();
    REQUIRE(found.size() == 2);
    const candidate& c = found[1].candidate;
    CHECK(c.type == candidate_type::server_reflexive);
    CHECK(c.address == at("203.0.113.1", 40000));
    CHECK(c.related == at("192.168.0.2"));
    CHECK(c.priority == candidate_priority(candidate_type::server_reflexive, 0xffff));
    CHECK(c.foundation != found[0].candidate.foundation);
    CHECK(w.a.all<agent::gathering_complete>().size() == 1);
    CHECK(w.a.all<agent::gathering_error>().empty());
  }

  TEST_CASE("a dead server is named after its time and holds up nobody") {
    natted_world w{with({dead, good})};
    w.a.ice.gather(w.now);
    w.run(100ms);
    CHECK(w.a.all<agent::candidate_gathered>().size() == 2);
    CHECK(w.a.all<agent::gathering_complete>().empty());
    w.run(9300ms);
    CHECK(w.a.all<agent::gathering_error>().empty());
    w.run(200ms);
    const auto errors = w.a.all<agent::gathering_error>();
    REQUIRE(errors.size() == 1);
    CHECK(errors[0].server == dead);
    CHECK(errors[0].code == 701);
    CHECK(w.a.all<agent::gathering_complete>().size() == 1);
    CHECK(w.sent_to[dead.address] == 5);
  }

  TEST_CASE("a candidate equal to its base is redundant (RFC 8838 §9)") {
    natted_world w{with({good})};
    w.a.behind = nullptr;
    w.a.ice.gather(w.now);
    w.run(1s);
    CHECK(w.a.all<agent::candidate_gathered>().size() == 1);
    CHECK(w.a.all<agent::gathering_error>().empty());
    CHECK(w.a.all<agent::gathering_complete>().size() == 1);
  }

  TEST_CASE("a server that refuses is named with its code, one out of reach at once") {
    stun::binding_server stern{{.credentials = stun::short_term_credentials{"user", "secret"}}};
    natted_world w{with({good, {at("2001:db8::1", 3478), "stun:six.example"}})};
    w.servers[good.address] = &stern;
    w.a.ice.gather(w.now);
    w.run(1s);
    const auto errors = w.a.all<agent::gathering_error>();
    REQUIRE(errors.size() == 2);
    CHECK(errors[0].server.url == "stun:six.example");
    CHECK(errors[1].code == 400);
  }

  TEST_CASE("without servers gathering ends at once") {
    natted_world w{with({})};
    w.a.ice.gather(w.now);
    w.run(0s);
    CHECK(w.a.all<agent::gathering_complete>().size() == 1);
  }

  TEST_CASE("requests to servers are paced by Ta (RFC 8445 §14.2)") {
    scripted_peer p{role::controlling, with({good, dead, {at("198.51.100.3", 3478), "third"}})};
    p.ice.gather(p.now);
    CHECK(p.poll().size() == 1);
    CHECK(p.wait(4ms).empty());
    CHECK(p.wait(1ms).size() == 1);
    CHECK(p.wait(5ms).size() == 1);
  }
}

TEST_SUITE("ice names (draft-ietf-mmusic-mdns-ice-candidates)") {
  candidate named(const std::string& name, std::uint16_t port = 5000) {
    auto c = scripted_peer::host({{}, port});
    c.name = name;
    return c;
  }

  TEST_CASE("a .local name is handed out and its address checked, but not told") {
    scripted_peer p{role::controlling};
    p.meet();
    const candidate c = named("3b9c6c0e-0000-4000-8000-000000000000.local");
    REQUIRE(p.ice.add_remote_candidate(p.now, c));
    const auto asked = p.take<agent::resolve_name>();
    REQUIRE(asked.size() == 1);
    CHECK(asked[0].name == c.name);
    CHECK(p.poll().empty());
    p.ice.resolve(p.now, c.name, std::array{at("10.0.0.2").address});
    CHECK(p.poll_one().remote == at("10.0.0.2"));
    CHECK(p.ice.remote_candidates() == std::vector{c});
  }

  TEST_CASE("no other names are asked for (§3.2.1)") {
    scripted_peer p{role::controlling};
    p.meet();
    for (const char* name : {"example.com", "a.b.local", ".local", "local", "x.local.", "a b.local",
                             "evil.localhost", "a\r\n.local"})
      CHECK(p.ice.add_remote_candidate(p.now, named(name)).error() == error::invalid_candidate);
    CHECK(p.take<agent::resolve_name>().empty());
    CHECK(p.ice.stats().ignored_names == 8);
  }

  TEST_CASE("a name that is not resolved in time is given up") {
    scripted_peer p{role::controlling};
    p.meet();
    REQUIRE(p.ice.add_remote_candidate(p.now, named("slow.local")));
    p.wait(5s);
    CHECK(p.ice.stats().names_failed == 1);
    p.ice.resolve(p.now, "slow.local", std::array{at("10.0.0.2").address});
    CHECK(p.poll().empty());
  }

  TEST_CASE("one name is asked for once, and answers for all its ports in any case") {
    scripted_peer p{role::controlling};
    p.meet();
    REQUIRE(p.ice.add_remote_candidate(p.now, named("one.local", 5000)));
    REQUIRE(p.ice.add_remote_candidate(p.now, named("ONE.local", 5001)));
    CHECK(p.take<agent::resolve_name>().size() == 1);
    p.ice.resolve(p.now, "one.LOCAL", std::array{at("10.0.0.2").address});
    CHECK(p.ice.remote_candidates().size() == 2);
  }

  TEST_CASE("UDP and TCP with one name and port are two candidates") {
    scripted_peer p{role::controlling};
    p.meet();
    candidate tcp = named("one.local");
    tcp.protocol = transport_protocol::tcp;
    tcp.tcp = tcp_type::passive;
    REQUIRE(p.ice.add_remote_candidate(p.now, named("one.local")));
    REQUIRE(p.ice.add_remote_candidate(p.now, tcp));
    REQUIRE(p.ice.add_remote_candidate(p.now, tcp));
    p.ice.resolve(p.now, "one.local", std::array{at("10.0.0.2").address});
    CHECK(p.ice.remote_candidates() == std::vector{named("one.local"), tcp});
  }

  TEST_CASE("a name resolved to nothing, or to what no datagram can reach, has failed") {
    scripted_peer p{role::controlling};
    p.meet();
    REQUIRE(p.ice.add_remote_candidate(p.now, named("one.local")));
    p.ice.resolve(p.now, "one.local", {});
    REQUIRE(p.ice.add_remote_candidate(p.now, named("two.local")));
    p.ice.resolve(p.now, "two.local", std::array{at("224.0.0.251").address});
    CHECK(p.ice.stats().names_failed == 2);
    CHECK(p.poll().empty());
  }

  TEST_CASE("the number of waiting names is bounded") {
    scripted_peer p{role::controlling};
    for (int i = 0; i < 16; ++i)
      REQUIRE(p.ice.add_remote_candidate(p.now, named("n" + std::to_string(i) + ".local")));
    CHECK(p.ice.add_remote_candidate(p.now, named("more.local")).error() == error::too_many);
  }
}

TEST_SUITE("ice patience (RFC 8838 §8, RFC 8863)") {
  TEST_CASE("without pairs the agent goes on checking until the end of candidates") {
    scripted_peer p{role::controlling};
    p.meet();
    p.add(at("2001:db8::2"));  // Nothing to pair it with.
    p.ice.gather(p.now);
    p.wait(10min);
    CHECK(p.ice.current_state() == state::checking);
    p.ice.end_of_remote_candidates(p.now);
    CHECK(p.ice.current_state() == state::failed);
  }

  TEST_CASE("failure waits 39.5 s even where nothing is left to check") {
    scripted_peer p{role::controlling};
    p.meet();
    p.ice.gather(p.now);
    p.ice.end_of_remote_candidates(p.now);
    p.wait(39400ms);
    CHECK(p.ice.current_state() == state::checking);
    p.wait(200ms);
    CHECK(p.ice.current_state() == state::failed);
  }

  TEST_CASE("a check of the other side revives an agent that had given up") {
    scripted_peer p{role::controlled};
    p.meet();
    p.ice.gather(p.now);
    p.ice.end_of_remote_candidates(p.now);
    p.wait(40s);
    REQUIRE(p.ice.current_state() == state::failed);
    p.send_check({.from = at("10.0.0.2"), .use_candidate = true});
    CHECK(p.ice.current_state() == state::checking);
    p.answer(p.poll()[1]);
    CHECK(p.ice.selected_pair());
  }
}

}  // namespace
}  // namespace weft::ice::test
