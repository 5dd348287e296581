#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "scripted_peer.hpp"

namespace weft::ice::test {
namespace {

using gathered = agent::candidate_gathered;

std::vector<std::string> by_priority(const agent& a) {
  auto all = a.local_candidates();
  std::ranges::sort(all, std::greater{}, &candidate::priority);
  std::vector<std::string> out;
  for (const candidate& c : all) out.push_back(to_string(c.address.address));
  return out;
}

local_address on(std::string_view address, network_kind kind, std::string name = "") {
  return {.base = at(address), .network = {.interface_name = std::move(name), .kind = kind}};
}

candidate named(std::string name, std::uint16_t port = 5000) {
  candidate c = scripted_peer::host(at("10.0.0.2", port));
  c.address.address = {};
  c.name = std::move(name);
  return c;
}

TEST_SUITE("ice local addresses: order") {
  TEST_CASE("the two families take turns (RFC 8421 §4)") {
    seeded_random random{1};
    agent a{random};
    for (const char* address :
         {"2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1", "192.0.2.2"})
      CHECK(a.add_local_address({}, at(address)));
    CHECK(by_priority(a) == std::vector<std::string>{"2001:db8::1", "192.0.2.1", "2001:db8::2",
                                                     "192.0.2.2", "2001:db8::3"});
    std::set<std::uint32_t> priorities;
    for (const candidate& c : a.local_candidates()) priorities.insert(c.priority);
    CHECK(priorities.size() == 5);  // RFC 8445 §5.1.2.1
  }

  TEST_CASE("less reliable networks come behind all others (RFC 8421 §3)") {
    seeded_random random{1};
    agent a{random};
    CHECK(a.add_local_address({}, on("10.8.0.1", network_kind::vpn)));
    CHECK(a.add_local_address({}, on("10.64.0.1", network_kind::cellular)));
    CHECK(a.add_local_address({}, on("172.17.0.1", network_kind::virtual_)));
    CHECK(a.add_local_address({}, at("fe80::1")));
    CHECK(a.add_local_address({}, on("192.0.2.1", network_kind::wifi)));
    CHECK(by_priority(a) ==
          std::vector<std::string>{"192.0.2.1", "10.8.0.1", "172.17.0.1", "fe80::1", "10.64.0.1"});
    const auto all = a.local_candidates();
    CHECK(all[0].network_cost == 60);
    CHECK(all[1].network_cost == 900);
    CHECK(all[4].network_cost == 10);
  }

  TEST_CASE("a temporary address is preferred to a stable one beside it (RFC 6724 §5)") {
    seeded_random random{1};
    agent a{random};
    auto temporary = on("2001:db8::aaaa", network_kind::ethernet, "eth0");
    temporary.network.temporary = true;
    CHECK(a.add_local_address({}, temporary));
    CHECK(a.add_local_address({}, on("2001:db8::1", network_kind::ethernet, "eth0")));
    CHECK(a.add_local_address({}, on("192.0.2.1", network_kind::ethernet, "eth0")));
    CHECK(by_priority(a) == std::vector<std::string>{"2001:db8::aaaa", "192.0.2.1", "2001:db8::1"});
  }

  TEST_CASE(
      "UDP comes before TCP, active before passive, relays last and in order (RFC 6544 §4.2)") {
    seeded_random random{1};
    agent a{random};
    const auto tcp = transport_protocol::tcp;
    CHECK(a.add_local_address(
        {}, {.base = at("192.0.2.1", 0), .protocol = tcp, .tcp = tcp_type::active}));
    CHECK(a.add_local_address(
        {}, {.base = at("192.0.2.1"), .protocol = tcp, .tcp = tcp_type::passive}));
    CHECK(a.add_local_address(
        {}, {.base = at("192.0.2.1", 5002), .protocol = tcp, .tcp = tcp_type::simultaneous_open}));
    CHECK(a.add_local_address({}, at("192.0.2.1")));
    for (const auto protocol : {relay_protocol::tls, relay_protocol::tcp, relay_protocol::udp})
      CHECK(a.add_relayed_candidate(
          {}, {.relayed = at("198.51.100.1",
                             static_cast<std::uint16_t>(50000 + static_cast<int>(protocol))),
               .protocol = protocol}));
    auto all = a.local_candidates();
    std::ranges::sort(all, std::greater{}, &candidate::priority);
    REQUIRE(all.size() == 7);
    CHECK(all[0].protocol == transport_protocol::udp);
    CHECK(all[1].tcp == tcp_type::active);
    CHECK(all[1].address.port == 9);  // RFC 6544 §4.5
    CHECK(all[2].tcp == tcp_type::passive);
    CHECK(all[3].tcp == tcp_type::simultaneous_open);
    CHECK(all[4].relay == relay_protocol::udp);
    CHECK(all[5].relay == relay_protocol::tcp);
    CHECK(all[6].relay == relay_protocol::tls);
    // RFC 6544 §4.2: 2^13 times the direction preference, and 8191 for the only address.
    CHECK((all[1].priority >> 8 & 0xffff) == (6 << 13 | 8191));
    CHECK((all[2].priority >> 8 & 0xffff) == (4 << 13 | 8191));
    CHECK((all[3].priority >> 8 & 0xffff) == (2 << 13 | 8191));
  }
}

TEST_SUITE("ice local addresses: choice") {
  TEST_CASE("prefixes are read strictly and match by bits") {
    const auto prefix = address_prefix::parse("10.128.0.0/9");
    REQUIRE(prefix);
    CHECK(prefix->contains(at("10.128.0.1").address));
    CHECK(prefix->contains(at("10.255.255.255").address));
    CHECK_FALSE(prefix->contains(at("10.127.255.255").address));
    CHECK_FALSE(prefix->contains(at("::a80:1").address));
    CHECK(address_prefix::parse("0.0.0.0/0")->contains(at("192.0.2.1").address));
    CHECK(address_prefix::parse("2001:db8::/33")->contains(at("2001:db8:7fff::1").address));
    CHECK_FALSE(address_prefix::parse("2001:db8::/33")->contains(at("2001:db8:8000::1").address));
    CHECK(address_prefix::parse("192.0.2.1")->length == 32);
    CHECK(address_prefix::parse("::1/128")->contains(at("::1").address));
    for (const char* text : {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8 ",
                             "::/129", "10.0.0/8", "10.0.0.0/256"})
      CHECK_FALSE(address_prefix::parse(text));
  }

  TEST_CASE("filters keep interfaces and addresses of both sides out") {
    agent::options opts;
    opts.local_filter.denied_interfaces = {"docker*", "lo"};
    opts.local_filter.denied = {*address_prefix::parse("10.9.0.0/16")};
    opts.remote_filter.allowed = {*address_prefix::parse("10.0.0.0/8")};
    opts.remote_filter.denied = {*address_prefix::parse("10.66.0.0/16")};
    scripted_peer p{opts};
    const auto refused = [&](const local_address& a) {
      const auto r = p.ice.add_local_address(p.now, a);
      return !r && r.error() == error::filtered;
    };
    CHECK(refused(on("172.17.0.1", network_kind::virtual_, "docker0")));
    CHECK(refused(on("127.0.0.1", network_kind::loopback, "lo")));
    CHECK(refused(on("10.9.1.1", network_kind::ethernet, "eth0")));
    CHECK(p.ice.add_local_address(p.now, on("10.0.0.1", network_kind::ethernet, "lo0")));
    CHECK(p.ice.local_candidates().size() == 1);

    p.add(at("10.66.0.2"));
    p.add(at("192.0.2.2"));
    CHECK(p.ice.remote_candidates().empty());
    CHECK(p.ice.stats().ignored_candidates == 2);
    REQUIRE(p.ice.add_remote_candidate(p.now, named("x.local")));
    p.ice.resolve(p.now, "x.local", std::array{at("10.66.0.9").address});
    CHECK(p.ice.stats().names_failed == 1);
    p.add(at("10.0.0.2"));
    CHECK(p.ice.remote_candidates().size() == 1);
  }

  TEST_CASE("a 1:1 NAT is told as host or as server-reflexive candidate, at the same port") {
    using effect = external_address_rule::effect;
    agent::options opts;
    opts.external_addresses = {
        {.local = at("10.0.0.1").address, .external = at("203.0.113.1").address},
        {.local = at("10.0.0.2").address,
         .external = at("203.0.113.2").address,
         .does = effect::add_server_reflexive},
        {.external = at("203.0.113.99").address}};
    scripted_peer p{opts};
    for (const char* address : {"10.0.0.1", "10.0.0.2", "10.0.0.3", "2001:db8::1"})
      REQUIRE(p.ice.add_local_address(p.now, at(address)));
    const auto c = p.ice.local_candidates();
    REQUIRE(c.size() == 5);
    CHECK(c[0].address == at("203.0.113.1"));
    CHECK(c[0].type == candidate_type::host);
    CHECK(c[1].address == at("10.0.0.2"));
    CHECK(c[2].address == at("203.0.113.2"));
    CHECK(c[2].type == candidate_type::server_reflexive);
    CHECK(c[2].related == at("10.0.0.2"));
    CHECK(c[3].address == at("203.0.113.99"));
    CHECK(c[4].address == at("2001:db8::1"));  // The rule is for the other family.
    // Checks leave from the address that the host has.
    p.meet(at("192.0.2.2"));
    CHECK(p.poll_one().local == at("10.0.0.1"));
    // What a server then says is no news.
    REQUIRE(
        p.ice.add_server_reflexive_candidate(p.now, at("10.0.0.1"), at("203.0.113.1"), "stun:x"));
    CHECK(p.ice.local_candidates().size() == 5);
  }

  TEST_CASE("with the policy relay nothing but relayed candidates is told, checked or answered") {
    agent::options opts;
    opts.candidate_policy = candidate_policy::relay;
    opts.stun_servers = {{at("198.51.100.1", 3478), "stun:x"}};
    scripted_peer p{opts};
    REQUIRE(p.ice.add_local_address(p.now, at("10.0.0.1")));
    p.ice.gather(p.now);
    p.meet(at("192.0.2.2"));
    CHECK(p.wait(1s).empty());
    CHECK(p.take<gathered>().empty());
    p.send_check({.from = at("192.0.2.2")});
    CHECK(p.poll().empty());
    // A name that only a relay could write to is not even asked for.
    REQUIRE(p.ice.add_remote_candidate(p.now, named("y.local")));
    CHECK(p.take<agent::resolve_name>().empty());

    REQUIRE(p.ice.add_relayed_candidate(
        p.now, {.relayed = at("198.51.100.1", 50000), .mapped = at("203.0.113.1", 40000)}));
    const auto told = p.take<gathered>();
    REQUIRE(told.size() == 1);
    CHECK(told[0].candidate.type == candidate_type::relayed);
    CHECK(told[0].candidate.related == at("0.0.0.0", 9));  // RFC 8828 §5.2
    CHECK(p.poll_one().local == at("198.51.100.1", 50000));
  }

  TEST_CASE("a new candidate policy counts from the next restart on") {
    scripted_peer p{role::controlling};
    p.meet(at("10.0.0.2"));
    p.ice.gather(p.now);
    p.answer_all();
    REQUIRE(p.ice.selected_pair());
    p.ice.set_candidate_policy(p.now, candidate_policy::relay);
    CHECK(p.ice.local_candidates().size() == 1);
    p.ice.restart(p.now);
    CHECK(p.ice.local_candidates().empty());
    CHECK(p.ice.selected_pair());  // The old session goes on as long as it is needed.
    p.meet(at("10.0.0.2"));
    CHECK(p.wait(1s).empty());
    p.ice.set_candidate_policy(p.now, candidate_policy::all);
    p.ice.restart(p.now);
    CHECK(p.ice.local_candidates().size() == 1);
  }
}

TEST_SUITE("ice local addresses: names") {
  agent::options hiding() {
    agent::options opts;
    opts.host_privacy = host_privacy::hide;
    return opts;
  }

  TEST_CASE("host addresses hide behind fresh names (mmusic-mdns-ice-candidates §3.1)") {
    scripted_peer p{hiding()};
    REQUIRE(p.ice.add_local_address(p.now, at("10.0.0.1", 5000)));
    REQUIRE(p.ice.add_local_address(p.now, at("10.0.0.1", 5001)));
    REQUIRE(p.ice.add_local_address(p.now, at("2001:db8::1")));
    REQUIRE(p.ice.add_server_reflexive_candidate(p.now, at("10.0.0.1"), at("203.0.113.1", 40000),
                                                 "stun:x"));
    std::vector<agent::register_name> names;
    std::vector<candidate> told;
    while (auto e = p.ice.poll_event()) {
      if (const auto* n = std::get_if<agent::register_name>(&*e)) names.push_back(*n);
      if (const auto* g = std::get_if<gathered>(&*e)) {
        told.push_back(g->candidate);
        // The responder knows the name before anybody can ask for it.
        if (!g->candidate.name.empty())
          CHECK(std::ranges::find(names, g->candidate.name, &agent::register_name::name) !=
                names.end());
      }
    }
    REQUIRE(names.size() == 2);  // One an IP address.
    CHECK(names[0].address == at("10.0.0.1").address);
    CHECK(names[0].name != names[1].name);
    for (const auto& n : names) {  // A version 4 UUID.
      REQUIRE(n.name.size() == 36 + 6);
      CHECK(n.name.substr(36) == ".local");
      CHECK(n.name[8] == '-');
      CHECK(n.name[14] == '4');
      CHECK(std::string_view{"89ab"}.find(n.name[19]) != std::string_view::npos);
    }
    REQUIRE(told.size() == 4);
    CHECK(told[0].name == told[1].name);
    CHECK(told[0].address == endpoint{{}, 5000});
    // §3.1.2.2: no base behind a server-reflexive candidate.
    CHECK(told[3].address == at("203.0.113.1", 40000));
    CHECK(told[3].related == at("0.0.0.0", 9));
  }

  TEST_CASE("a hidden address that a server sees is told by the server-reflexive candidate") {
    scripted_peer p{hiding()};
    REQUIRE(p.ice.add_local_address(p.now, at("192.0.2.1")));
    for (int i = 0; i < 3; ++i)
      REQUIRE(
          p.ice.add_server_reflexive_candidate(p.now, at("192.0.2.1"), at("192.0.2.1"), "stun:x"));
    CHECK(p.take<gathered>().size() == 2);
  }

  TEST_CASE("names are given up with their addresses and with the agent") {
    scripted_peer p{hiding()};
    REQUIRE(p.ice.add_local_address(p.now, at("10.0.0.1", 5000)));
    REQUIRE(p.ice.add_local_address(p.now, at("10.0.0.1", 5001)));
    REQUIRE(p.ice.add_local_address(p.now, at("10.0.0.2")));
    const auto names = p.take<agent::register_name>();
    REQUIRE(names.size() == 2);
    p.ice.remove_local_address(p.now, at("10.0.0.1", 5000));
    CHECK(p.take<agent::release_name>().empty());
    p.ice.remove_local_address(p.now, at("10.0.0.1", 5001));
    auto released = p.take<agent::release_name>();
    REQUIRE(released.size() == 1);
    CHECK(released[0].name == names[0].name);
    // Who comes back is somebody else.
    REQUIRE(p.ice.add_local_address(p.now, at("10.0.0.1")));
    CHECK(p.take<agent::register_name>()[0].name != names[0].name);
    p.ice.close(p.now);
    CHECK(p.take<agent::release_name>().size() == 2);
  }

  TEST_CASE("a relay is not told what a name of the other side hides (§3.3.2)") {
    scripted_peer p{role::controlling};
    REQUIRE(p.ice.add_relayed_candidate(p.now, {.relayed = at("198.51.100.1", 50000)}));
    p.meet();
    REQUIRE(p.ice.add_remote_candidate(p.now, named("x.local")));
    p.ice.resolve(p.now, "x.local", std::array{at("10.0.0.2").address});
    for (const sent& s : p.wait(30s)) CHECK(s.local == at("10.0.0.1"));
  }
}

TEST_SUITE("ice local addresses: coming and going") {
  TEST_CASE("mapped addresses that change without end leave a bounded number of candidates") {
    agent::options opts;
    opts.stun_servers = {{at("198.51.100.1", 3478), "stun:x"}};
    scripted_peer p{role::controlling, opts};
    std::size_t most = 0;
    std::uint32_t host = 1;
    for (int round = 0; round < 200; ++round) {
      p.ice.gather(p.now);
      for (const sent& s : p.wait(5ms)) {
        std::array<std::uint8_t, 200> buffer;
        const auto answer =
            stun::message_builder{buffer, stun::message_class::success, stun::method::binding,
                                  s.message().id()}
                .add_xor_mapped_address(at("203.0.113.1", static_cast<std::uint16_t>(++host)))
                .finish();
        p.ice.handle_input(p.now, s.path(), answer);
      }
      if (round % 3 == 0) p.ice.restart(p.now);
      REQUIRE(p.ice.add_server_reflexive_candidate(
          p.now, at("10.0.0.1"), at("203.0.113.2", static_cast<std::uint16_t>(++host)), "turn:y"));
      REQUIRE(p.ice.add_server_reflexive_candidate(
          p.now, at("10.0.0.1"), at("203.0.113.3", static_cast<std::uint16_t>(++host)),
          "turn:" + std::to_string(round)));
      most = std::max(most, p.ice.local_candidates().size());
    }
    CHECK(host > 500);
    CHECK(most <= 1 + 17);
    // The latest is there, and what it took the place of was said to be gone.
    CHECK(std::ranges::any_of(p.ice.local_candidates(),
                              [&](const auto& c) { return c.address.port == host; }));
    CHECK(p.take<agent::candidate_removed>().size() > 0);
  }

  TEST_CASE("peer-reflexive addresses that change without end are bounded too") {
    scripted_peer p{role::controlling};
    p.meet();
    for (int i = 0; i < 90; ++i) {
      p.mapped = at("203.0.113.1", static_cast<std::uint16_t>(1000 + i));
      p.add(at("10.0.1.1", static_cast<std::uint16_t>(1000 + i)),
            static_cast<std::uint16_t>(1 + i));
      p.answer_for(20ms);
    }
    CHECK(p.ice.local_candidates().size() <= 1 + 4);
  }

  TEST_CASE("interfaces that come and go without end leave nothing behind") {
    scripted_peer p{role::controlling};
    p.meet(at("10.0.0.2"));
    for (int i = 0; i < 1000; ++i) {
      const endpoint base =
          at("10.1." + std::to_string(i / 250) + '.' + std::to_string(i % 250 + 1));
      REQUIRE(p.ice.add_local_address(p.now, base));
      REQUIRE(p.ice.add_server_reflexive_candidate(p.now, base, at("203.0.113.1"), "stun:x"));
      p.wait(10ms);
      p.ice.remove_local_address(p.now, base);
      p.ice.remove_local_address(p.now, base);
    }
    CHECK(p.ice.local_candidates().size() == 1);
    CHECK(p.ice.pair_stats().size() == 1);
    for (const auto& c : p.take<agent::candidate_removed>())
      CHECK(c.candidate.address != at("10.0.0.1"));
  }

  TEST_CASE("servers and addresses that come late are asked at once, independently") {
    scripted_peer p{role::controlling};
    p.ice.hold_gathering(p.now);
    p.ice.gather(p.now);
    CHECK(p.take<agent::gathering_complete>().empty());
    REQUIRE(p.ice.add_stun_server(p.now, {at("198.51.100.1", 3478), "stun:dead"}));
    REQUIRE(p.ice.add_stun_server(p.now, {at("198.51.100.2", 3478), "stun:good"}));
    REQUIRE(p.ice.add_stun_server(p.now, {at("198.51.100.2", 3478), "stun:good"}));
    auto asked = p.wait(20ms);
    REQUIRE(asked.size() == 2);
    std::array<std::uint8_t, 200> buffer;
    const auto answer = [&](const sent& s, const endpoint& mapped) {
      return stun::message_builder{buffer, stun::message_class::success, stun::method::binding,
                                   s.message().id()}
          .add_xor_mapped_address(mapped)
          .finish();
    };
    p.ice.handle_input(p.now, asked[1].path(), answer(asked[1], at("203.0.113.1")));
    const auto told = p.take<gathered>();
    REQUIRE(told.size() == 1);
    CHECK(told[0].candidate.server_url == "stun:good");
    p.wait(20s);
    CHECK(p.take<agent::gathering_complete>().empty());  // The other one still gathers.
    p.ice.release_gathering(p.now);
    CHECK(p.take<agent::gathering_complete>().size() == 1);

    REQUIRE(p.ice.add_local_address(p.now, at("10.0.0.9")));
    CHECK(p.take<gathered>().size() == 1);
    asked = p.wait(20ms);
    CHECK(std::ranges::count(asked, at("10.0.0.9"), &sent::local) == 2);
    p.wait(20s);
    CHECK(p.take<agent::gathering_complete>().size() == 1);
  }

  TEST_CASE("an agent that nobody has answered yet keeps its mappings alive (RFC 8445 §5.1.1.4)") {
    agent::options opts;
    opts.stun_servers = {{at("198.51.100.1", 3478), "stun:x"}};
    scripted_peer p{role::controlling, opts};
    p.ice.gather(p.now);
    std::array<std::uint8_t, 200> buffer;
    std::uint16_t port = 40000;
    const auto answer_server = [&](duration d) {
      std::size_t asked = 0;
      for (const sent& s : p.wait(d)) {
        if (s.remote != opts.stun_servers[0].address) continue;
        ++asked;
        p.ice.handle_input(p.now, s.path(),
                           stun::message_builder{buffer, stun::message_class::success,
                                                 stun::method::binding, s.message().id()}
                               .add_xor_mapped_address(at("203.0.113.1", port))
                               .finish());
      }
      return asked;
    };
    CHECK(answer_server(10ms) == 1);
    CHECK(answer_server(14s) == 0);
    CHECK(answer_server(1200ms) == 1);
    p.take<gathered>();
    port = 40001;  // The NAT was rebooted.
    CHECK(answer_server(15200ms) == 1);
    CHECK(p.take<gathered>().size() == 1);
    CHECK(p.ice.local_candidates().size() == 2);
    // Once a pair is selected, that one keeps the NAT open.
    p.meet(at("10.0.0.2"));
    p.answer_for(100ms, [&](const sent& s) { return s.remote == at("10.0.0.2"); });
    REQUIRE(p.ice.selected_pair());
    for (const sent& s : p.wait(20s)) CHECK(s.remote == at("10.0.0.2"));
  }

  TEST_CASE("a relayed address is a base of its own, and goes with its allocation") {
    scripted_peer p{role::controlling};
    const endpoint relayed = at("198.51.100.1", 50000);
    REQUIRE(p.ice.add_relayed_candidate(
        p.now, {.relayed = relayed, .mapped = at("203.0.113.1", 40000), .server_url = "turn:x"}));
    const auto told = p.take<gathered>();
    REQUIRE(told.size() == 2);
    CHECK(told[1].candidate.address == relayed);
    CHECK(told[1].candidate.related == at("203.0.113.1", 40000));
    CHECK(told[1].candidate.server_url == "turn:x");
    p.meet(at("192.0.2.2"));
    // Only what the relay sends is answered.
    p.answer_for(2s, [&](const sent& s) { return s.local == relayed; });
    CHECK(p.ice.selected_pair() == five_tuple{relayed, at("192.0.2.2")});
    p.ice.remove_local_address(p.now, relayed);
    CHECK_FALSE(p.ice.selected_pair());
    CHECK(p.ice.current_state() == state::disconnected);
    CHECK(p.take<agent::candidate_removed>().size() == 1);
    // The direct path is tried again.
    p.answer_for(1s);
    CHECK(p.ice.selected_pair() == five_tuple{at("10.0.0.1"), at("192.0.2.2")});
    CHECK(p.ice.current_state() == state::connected);
  }

  TEST_CASE("addresses that nothing can be done with are refused") {
    scripted_peer p{role::controlling};
    CHECK(p.ice.add_relayed_candidate(p.now, {}).error() == error::invalid_address);
    CHECK(p.ice.add_local_address(p.now, {.base = at("10.0.0.3"), .component = 2}).error() ==
          error::invalid_address);
    CHECK(p.ice
              .add_local_address(p.now, {.base = at("10.0.0.3", 0),
                                         .protocol = transport_protocol::tcp,
                                         .tcp = tcp_type::passive})
              .error() == error::invalid_address);
    CHECK(p.ice.add_server_reflexive_candidate(p.now, at("10.0.0.9"), at("203.0.113.1"), "x")
              .error() == error::invalid_address);
    for (std::uint16_t i = 0; i < 8; ++i)
      CHECK(p.ice.add_relayed_candidate(
          p.now, {.relayed = at("198.51.100.1", static_cast<std::uint16_t>(50000 + i))}));
    CHECK(p.ice.add_relayed_candidate(p.now, {.relayed = at("198.51.100.1", 60000)}).error() ==
          error::too_many);
    for (std::uint16_t i = 0; i < 8; ++i)
      CHECK(p.ice.add_stun_server(p.now, {at("198.51.100.9", i), "x"}));
    CHECK(p.ice.add_stun_server(p.now, {at("198.51.100.9", 99), "x"}).error() == error::too_many);
  }
}

}  // namespace
}  // namespace weft::ice::test
