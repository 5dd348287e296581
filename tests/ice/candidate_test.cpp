#include <doctest/doctest.h>

#include <weft/ice/agent.hpp>

#include "scripted_peer.hpp"

namespace weft::ice::test {
namespace {

TEST_SUITE("ice candidates") {
  TEST_CASE("candidate priorities follow RFC 8445 §5.1.2.1") {
    // The candidate lines that browsers write for their first host address.
    CHECK(candidate_priority(candidate_type::host, 65535) == 2130706431);
    CHECK(candidate_priority(candidate_type::server_reflexive, 65535) == 1694498815);
    CHECK(candidate_priority(candidate_type::peer_reflexive, 65535) == 1862270975);
    CHECK(candidate_priority(candidate_type::relayed, 65535) == 16777215);
    CHECK(candidate_priority(candidate_type::host, 65535, 2) == 2130706430);
    CHECK(candidate_priority(candidate_type::relayed, 0, 256) == 0);
  }

  TEST_CASE("pair priorities follow RFC 8445 §6.1.2.3 and are the same on both sides") {
    CHECK(pair_priority(1, 2) == (std::uint64_t{1} << 32) + 4);
    CHECK(pair_priority(2, 1) == (std::uint64_t{1} << 32) + 5);
    CHECK(pair_priority(7, 7) == (std::uint64_t{7} << 32) + 14);
    CHECK(pair_priority(2130706431, 2130706431) == 9151314442783293438u);
  }

  TEST_CASE("credentials are of the characters and lengths of RFC 8839 §5.4") {
    const std::string password(22, 'p');
    CHECK(is_valid({"abcd", password}));
    CHECK(is_valid({"a+/9", std::string(256, '+')}));
    CHECK_FALSE(is_valid({"abc", password}));
    CHECK_FALSE(is_valid({"abcd", std::string(21, 'p')}));
    CHECK_FALSE(is_valid({std::string(257, 'u'), password}));
    CHECK_FALSE(is_valid({"abcd", std::string(257, 'p')}));
    CHECK_FALSE(is_valid({"ab:d", password}));
    CHECK_FALSE(is_valid({"abc\n", password}));
  }

  TEST_CASE("an agent's own credentials are valid and differ from agent to agent") {
    seeded_random random{1};
    const agent a{random}, b{random};
    CHECK(is_valid(a.local_credentials()));
    CHECK(a.local_credentials().ufrag != b.local_credentials().ufrag);
    CHECK(a.local_credentials().password != b.local_credentials().password);
  }

  TEST_CASE("host candidates have distinct priorities, the first the highest (RFC 8445 §5.1.2.2)") {
    seeded_random random{1};
    agent a{random};
    CHECK(a.add_local_address({}, at("10.0.0.1")));
    CHECK(a.add_local_address({}, at("10.0.0.1", 5001)));
    CHECK(a.add_local_address({}, at("2001:db8::1")));
    CHECK(a.add_local_address({}, at("10.0.0.1")));  // Known already.
    const auto c = a.local_candidates();
    REQUIRE(c.size() == 3);
    CHECK(c[0].priority == candidate_priority(candidate_type::host, 0xffff));
    // RFC 8421 §4: the other family takes its turn after the first.
    CHECK(c[0].priority > c[2].priority);
    CHECK(c[2].priority > c[1].priority);
    // RFC 8445 §5.1.1.3: one type and one base IP address make one foundation.
    CHECK(c[0].foundation == c[1].foundation);
    CHECK(c[0].foundation != c[2].foundation);
  }

  TEST_CASE("addresses and candidates that can carry nothing are refused") {
    seeded_random random{1};
    agent a{random};
    CHECK(a.add_local_address({}, at("0.0.0.0")).error() == error::invalid_address);
    CHECK(a.add_local_address({}, at("10.0.0.1", 0)).error() == error::invalid_address);
    CHECK(a.add_local_address({}, endpoint{}).error() == error::invalid_address);
    for (const char* text :
         {"0.0.0.0", "224.0.0.1", "255.255.255.255", "ff02::1", "::", "::ffff:10.0.0.1"})
      CHECK(a.add_remote_candidate({}, scripted_peer::host(at(text))).error() ==
            error::invalid_candidate);
    CHECK(a.add_remote_candidate({}, scripted_peer::host(at("10.0.0.1", 0))).error() ==
          error::invalid_candidate);
    for (const std::uint32_t priority : {0u, 0x8000'0000u, ~0u}) {  // RFC 8445 §5.1.2
      auto c = scripted_peer::host(at("10.0.0.1"));
      c.priority = priority;
      CHECK(a.add_remote_candidate({}, c).error() == error::invalid_candidate);
    }
    CHECK(a.remote_candidates().empty());
  }

  TEST_CASE("candidates of component 2 and after the end are ignored and counted") {
    seeded_random random{1};
    agent a{random};
    auto rtcp = scripted_peer::host(at("10.0.0.2"));
    rtcp.component = 2;
    CHECK(a.add_remote_candidate({}, rtcp));
    CHECK(a.remote_candidates().empty());
    CHECK(a.add_remote_candidate({}, scripted_peer::host(at("10.0.0.2"))));
    CHECK(a.add_remote_candidate({}, scripted_peer::host(at("10.0.0.2"))));  // A double.
    a.end_of_remote_candidates({});
    CHECK(a.add_remote_candidate({}, scripted_peer::host(at("10.0.0.3"))));  // RFC 8838 §14
    CHECK(a.remote_candidates().size() == 1);
    CHECK(a.stats().ignored_candidates == 3);
  }

  TEST_CASE("a closed agent says so to every command and is silent") {
    scripted_peer p{role::controlling};
    p.meet(at("10.0.0.2"));
    p.ice.close(p.now);
    CHECK(p.ice.current_state() == state::closed);
    CHECK(p.poll().empty());
    CHECK_FALSE(p.ice.poll_timeout());
    CHECK(p.ice.add_local_address(p.now, at("10.0.0.9")).error() == error::closed);
    CHECK(p.ice.set_remote_credentials(p.now, p.theirs).error() == error::closed);
    CHECK(p.ice.add_remote_candidate(p.now, scripted_peer::host(at("10.0.0.3"))).error() ==
          error::closed);
    p.send_check({.from = at("10.0.0.2")});
    CHECK(p.poll().empty());
  }
}

}  // namespace
}  // namespace weft::ice::test
