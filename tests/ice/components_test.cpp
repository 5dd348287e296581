#include <doctest/doctest.h>

#include <map>

#include "scripted_peer.hpp"

namespace weft::ice::test {
namespace {

agent::options with_components(std::uint16_t n, role r = role::controlling) {
  agent::options opts;
  opts.components = n;
  opts.role = r;
  return opts;
}

candidate of_component(std::uint16_t component, const endpoint& address) {
  candidate c = scripted_peer::host(address);
  c.component = component;
  c.priority = candidate_priority(candidate_type::host, 0xffff, component);
  return c;
}

struct rtp_and_rtcp : scripted_peer {
  explicit rtp_and_rtcp(role r = role::controlling) : scripted_peer{with_components(2, r)} {
    REQUIRE(ice.add_local_address(now, {.base = at("10.0.0.1", 5000)}));
    REQUIRE(ice.add_local_address(now, {.base = at("10.0.0.1", 5001), .component = 2}));
    meet();
    REQUIRE(ice.add_remote_candidate(now, of_component(1, at("10.0.0.2", 6000))));
    REQUIRE(ice.add_remote_candidate(now, of_component(2, at("10.0.0.2", 6001))));
  }
};

TEST_SUITE("ice components") {
  TEST_CASE("candidates pair within their component, and the first goes first (RFC 8445 §6.1.2)") {
    rtp_and_rtcp p;
    // One foundation: the second waits for the first (RFC 8445 §6.1.2.6).
    const sent first = p.poll_one();
    CHECK(first.path() == five_tuple{at("10.0.0.1", 5000), at("10.0.0.2", 6000)});
    CHECK(p.wait(100ms).empty());
    p.answer(first);
    const auto second = p.wait(10ms);
    REQUIRE(second.size() == 2);
    CHECK(second[0].message().use_candidate());
    CHECK(second[1].path() == five_tuple{at("10.0.0.1", 5001), at("10.0.0.2", 6001)});
    CHECK((second[1].message().priority().value() & 0xff) == 254);
    for (const candidate& c : p.ice.local_candidates())
      CHECK((c.priority & 0xff) == 256u - c.component);
  }

  TEST_CASE("the agent is connected when every component is, each on its own pair") {
    rtp_and_rtcp p;
    const auto is_rtp = [](const sent& s) { return s.local.port == 5000; };
    p.answer_for(1s, is_rtp);
    CHECK(p.ice.selected_pair(1) == five_tuple{at("10.0.0.1", 5000), at("10.0.0.2", 6000)});
    CHECK_FALSE(p.ice.selected_pair(2));
    CHECK(p.ice.current_state() == state::checking);
    p.answer_for(1s);
    CHECK(p.ice.selected_pair(2) == five_tuple{at("10.0.0.1", 5001), at("10.0.0.2", 6001)});
    CHECK(p.ice.current_state() == state::connected);
    const auto changes = p.take<agent::selected_pair_changed>();
    REQUIRE(changes.size() == 2);
    CHECK(changes[0].component == 1);
    CHECK(changes[1].component == 2);
    CHECK_FALSE(p.ice.selected_pair(0));
    CHECK_FALSE(p.ice.selected_pair(3));
    CHECK_FALSE(p.ice.round_trip(3));

    // Consent is each path's own (RFC 7675 §5.1): what is lost in one is lost there.
    p.answer_for(40s, is_rtp);
    CHECK(p.ice.selected_pair(1));
    CHECK_FALSE(p.ice.selected_pair(2));
    CHECK(p.ice.current_state() == state::failed);
  }

  TEST_CASE("one component that fails fails them all") {
    rtp_and_rtcp p;
    p.ice.gather(p.now);
    p.ice.end_of_remote_candidates(p.now);
    p.answer_for(45s, [](const sent& s) { return s.local.port == 5000; });
    CHECK(p.ice.current_state() == state::failed);
  }

  TEST_CASE("a controlled agent takes a nomination for each") {
    rtp_and_rtcp p{role::controlled};
    p.answer_for(1s);
    p.send_check({.from = at("10.0.0.2", 6001), .to = at("10.0.0.1", 5001), .use_candidate = true});
    CHECK_FALSE(p.ice.selected_pair(1));
    CHECK(p.ice.selected_pair(2));
    p.send_check({.from = at("10.0.0.2", 6000), .to = at("10.0.0.1", 5000), .use_candidate = true});
    CHECK(p.ice.selected_pair(1));
    CHECK(p.ice.current_state() == state::connected);
  }

  TEST_CASE("a restart keeps both paths until each has a new one") {
    rtp_and_rtcp p;
    p.answer_for(1s);
    const auto rtp = p.ice.selected_pair(1);
    const auto rtcp = p.ice.selected_pair(2);
    const credentials before = p.ice.local_credentials();
    p.ice.restart(p.now);
    CHECK(p.ice.selected_pair(1) == rtp);
    CHECK(p.ice.selected_pair(2) == rtcp);
    p.theirs = {"NEWU", "anotherpasswordanotherpas"};
    p.meet();
    REQUIRE(p.ice.add_remote_candidate(p.now, of_component(1, at("10.0.0.2", 7000))));
    p.answer_for(200ms, [](const sent& s) { return s.remote.port == 7000; });
    CHECK(p.ice.selected_pair(1)->remote.port == 7000);
    CHECK(p.ice.selected_pair(2) == rtcp);  // The old session lives on for this one.
    REQUIRE(p.ice.add_remote_candidate(p.now, of_component(2, at("10.0.0.2", 7001))));
    p.answer_for(200ms, [](const sent& s) { return s.remote.port >= 7000; });
    CHECK(p.ice.selected_pair(2)->remote.port == 7001);
    p.poll();
    p.send_check({.from = at("10.0.0.2", 6001),
                  .to = at("10.0.0.1", 5001),
                  .password = before.password,
                  .username = before.ufrag + ":RUFR"});
    CHECK(p.poll().empty());
  }
}

TEST_SUITE("ice lite") {
  agent::options lite() {
    agent::options opts;
    opts.kind = implementation_kind::lite;
    opts.stun_servers = {{at("198.51.100.1", 3478), "stun:x"}};
    return opts;
  }
  struct lite_peer : scripted_peer {
    lite_peer() : scripted_peer{lite()} {
      REQUIRE(ice.add_local_address(now, at("10.0.0.1")));
      ice.gather(now);
    }
  };

  TEST_CASE("a lite agent has host candidates only and asks nobody (RFC 8445 §5.2)") {
    lite_peer p;
    CHECK(p.ice.current_role() == role::controlled);
    p.ice.set_role(role::controlling);
    CHECK(p.ice.current_role() == role::controlled);
    CHECK(p.ice.add_relayed_candidate(p.now, {.relayed = at("198.51.100.1", 50000)}));
    CHECK(p.ice.add_local_address(
        p.now, {.base = at("10.0.0.1", 0), .protocol = transport_protocol::tcp}));
    CHECK(p.take<agent::candidate_gathered>().size() == 1);
    p.meet(at("10.0.0.2"));
    CHECK(p.wait(60s).empty());
  }

  TEST_CASE("it selects what is nominated, and answers all that is authentic (RFC 8445 §7.3.2)") {
    lite_peer p;
    p.meet();
    p.send_check({.from = at("10.0.0.2")});
    CHECK_FALSE(p.poll_one().is_request());
    CHECK_FALSE(p.ice.selected_pair());
    CHECK_FALSE(p.ice.is_valid_path(at("10.0.0.1"), at("10.0.0.2")));
    p.send_check({.from = at("10.0.0.2"), .use_candidate = true, .id = 2});
    CHECK_FALSE(p.poll_one().is_request());
    CHECK(p.ice.selected_pair() == five_tuple{at("10.0.0.1"), at("10.0.0.2")});
    p.send_check({.from = at("10.0.0.3"), .use_candidate = true, .id = 3});
    CHECK(p.poll().size() == 1);
    // A full agent that nominates with every check means the best of them.
    p.send_check({.from = at("10.0.0.4"), .use_candidate = true, .password = "x", .id = 4});
    CHECK(p.poll().empty());
    CHECK_FALSE(p.ice.is_valid_path(at("10.0.0.1"), at("10.0.0.4")));
  }

  TEST_CASE("the other side's checks are the consent it has, for 30 s") {
    lite_peer p;
    p.meet();
    for (std::uint8_t i = 1; i < 20; ++i) {
      p.send_check({.from = at("10.0.0.2"), .use_candidate = i == 1, .id = i});
      for (const sent& s : p.wait(5s)) CHECK_FALSE(s.is_request());
      CHECK(p.ice.current_state() == state::connected);
    }
    p.wait(6s);
    CHECK(p.ice.current_state() == state::disconnected);
    CHECK(p.ice.selected_pair());
    p.wait(20s);
    CHECK_FALSE(p.ice.selected_pair());
    CHECK(p.ice.current_state() == state::failed);
    CHECK_FALSE(p.ice.poll_timeout());
  }

  TEST_CASE("checks of before a restart keep the path until there is another") {
    lite_peer p;
    p.meet();
    p.send_check({.from = at("10.0.0.2"), .use_candidate = true});
    REQUIRE(p.ice.selected_pair());
    const credentials before = p.ice.local_credentials();
    p.ice.restart(p.now);
    for (std::uint8_t i = 2; i < 20; ++i) {
      p.wait(5s);
      p.send_check({.from = at("10.0.0.2"),
                    .password = before.password,
                    .username = before.ufrag + ':' + p.theirs.ufrag,
                    .id = i});
      CHECK_FALSE(p.poll_one().is_request());
      CHECK(p.ice.selected_pair());
    }
    p.wait(31s);
    CHECK_FALSE(p.ice.selected_pair());
  }

  TEST_CASE("a full agent that thinks it is controlled is told to control") {
    lite_peer p;
    p.meet();
    p.send_check({.from = at("10.0.0.2"), .controlled = 1});
    const auto e = p.poll_one().message().error();
    REQUIRE(e);
    CHECK(e->code == stun::error_code::role_conflict);
    CHECK(p.ice.current_role() == role::controlled);
  }
}

}  // namespace
}  // namespace weft::ice::test
