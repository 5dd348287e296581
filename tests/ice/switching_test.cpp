#include <doctest/doctest.h>

#include "scripted_peer.hpp"

namespace weft::ice::test {
namespace {

const endpoint here = at("10.0.0.1");
const endpoint there = at("10.0.0.2");
const endpoint relayed = at("198.51.100.1", 50000);

/// A controlling agent with a relay beside its own address; what the other side answers is
/// for the test to say.
struct caller : scripted_peer {
  explicit caller(agent::options opts = {}) : scripted_peer{role::controlling, opts} {
    REQUIRE(ice.add_relayed_candidate(now, {.relayed = relayed}));
    meet(there);
  }
  static bool is_relayed(const sent& s) { return s.local == relayed; }
  static bool is_direct(const sent& s) { return s.local == here; }
};

std::optional<std::uint32_t> nomination_in(const sent& s) {
  return s.message().find_u32(stun::attribute_type{0xc001});
}

TEST_SUITE("ice pairs: fail-over") {
  TEST_CASE("a pair that falls silent is left for one that answers") {
    caller p;
    p.answer_for(200ms);
    REQUIRE(p.ice.selected_pair()->local == here);
    p.send_check({.from = there, .to = relayed});
    p.answer_for(100ms);
    CHECK(p.ice.selected_pair()->local == here);
    const time_point silent = p.now;
    p.answer_for(9s, caller::is_relayed);
    REQUIRE(p.ice.selected_pair());
    CHECK(p.ice.selected_pair()->local == relayed);
    CHECK(p.ice.stats().switches == 1);
    CHECK(p.take<agent::selected_pair_changed>().back().pair.local == relayed);
    CHECK(p.now - silent < 10s);
    // RFC 8445 §8.1.1 nominates once; among pairs that answer nothing moves without the extension.
    p.answer_for(60s);
    CHECK(p.ice.selected_pair()->local == relayed);
    CHECK(p.ice.stats().switches == 1);
  }

  TEST_CASE("valid pairs beside the selected one are checked every 15 s (RFC 8445 §11)") {
    caller p;
    p.answer_for(200ms);
    p.send_check({.from = there, .to = relayed});
    p.answer_for(100ms);
    std::size_t checks = 0;
    p.answer_for(60s, [&](const sent& s) {
      if (caller::is_relayed(s)) {
        ++checks;
        CHECK_FALSE(s.message().use_candidate());
      }
      return true;
    });
    CHECK(checks == 4);
    CHECK(p.ice.is_valid_path(relayed, there));
    // One that no longer answers is dropped, and harms nobody.
    p.answer_for(60s, caller::is_direct);
    CHECK_FALSE(p.ice.is_valid_path(relayed, there));
    CHECK(p.ice.selected_pair()->local == here);
  }

  TEST_CASE("no more than three others are kept alive") {
    scripted_peer p{role::controlling};
    p.meet(there);
    p.answer_for(200ms);
    for (int i = 1; i <= 10; ++i) p.send_check({.from = at("10.0.3." + std::to_string(i))});
    p.answer_for(200ms);
    CHECK(std::ranges::count(p.ice.pair_stats(), candidate_pair_state::succeeded,
                             &candidate_pair_statistics::state) == 11);
    std::map<endpoint, int> asked;
    p.answer_for(40s, [&](const sent& s) {
      ++asked[s.remote];
      return true;
    });
    CHECK(asked.size() == 4);
  }

  TEST_CASE("an interface that goes away takes its pairs with it, and data moves at once") {
    scripted_peer p{role::controlling};
    REQUIRE(p.ice.add_local_address(p.now, at("10.0.7.1")));
    p.add(there);
    p.meet();
    p.answer_for(3s);
    REQUIRE(p.ice.selected_pair()->local == here);
    p.send_check({.from = there, .to = at("10.0.7.1")});
    p.answer_for(100ms);
    p.take<agent::state_changed>();
    p.ice.remove_local_address(p.now, here);
    CHECK(p.ice.selected_pair() == five_tuple{at("10.0.7.1"), there});
    const sent nomination = p.poll_one();
    CHECK(nomination.local == at("10.0.7.1"));
    CHECK(nomination.message().use_candidate());
    p.answer(nomination);
    CHECK(p.take<agent::state_changed>().empty());
    for (const auto& s : p.ice.pair_stats()) CHECK(s.local_candidate_id == "L2");
    p.send_check({.from = there, .to = here});
    CHECK(p.poll().empty());  // Nobody is there any more.
  }

  TEST_CASE("with no other pair the agent is disconnected, and a new interface connects it again") {
    scripted_peer p{role::controlling};
    p.meet(there);
    p.answer_for(1s);
    REQUIRE(p.ice.selected_pair());
    p.ice.remove_local_address(p.now, here);
    CHECK_FALSE(p.ice.selected_pair());
    CHECK(p.ice.current_state() == state::disconnected);
    CHECK(p.wait(20s).empty());
    REQUIRE(p.ice.add_local_address(p.now, at("10.0.7.1")));
    p.answer_for(100ms);
    CHECK(p.ice.selected_pair() == five_tuple{at("10.0.7.1"), there});
    CHECK(p.ice.current_state() == state::connected);
    // And where none comes, it has failed after its time.
    p.ice.remove_local_address(p.now, at("10.0.7.1"));
    p.wait(41s);
    CHECK(p.ice.current_state() == state::failed);
    CHECK_FALSE(p.ice.poll_timeout());
    // But even then a new interface is tried.
    REQUIRE(p.ice.add_local_address(p.now, at("10.0.8.1")));
    p.answer_for(100ms);
    CHECK(p.ice.current_state() == state::connected);
  }

  TEST_CASE("a controlled agent that moves is followed as soon as it is heard") {
    scripted_peer p{role::controlling};
    p.meet(there);
    p.answer_for(1s);
    // It checks from its new address, and is silent at the old one.
    const endpoint moved = at("10.0.9.2");
    const time_point at_move = p.now;
    p.send_check({.from = moved});
    p.answer_for(3s, [&](const sent& s) { return s.remote == moved; });
    CHECK(p.ice.selected_pair() == five_tuple{here, moved});
    CHECK(p.now - at_move <= 3s);
  }
}

TEST_SUITE("ice pairs: renomination") {
  TEST_CASE("with the extension a better pair is taken, with a number that grows") {
    caller p;
    p.ice.set_renomination();
    std::optional<std::uint32_t> first, second;
    const auto note = [&](const sent& s) {
      if (!s.message().use_candidate()) return;
      (caller::is_relayed(s) ? first : second) = nomination_in(s);
    };
    p.answer_for(2s, [&](const sent& s) {
      note(s);
      return caller::is_relayed(s);
    });
    REQUIRE(p.ice.selected_pair()->local == relayed);
    // The direct pair is still tried, and answers in the end.
    p.answer_for(6s, [&](const sent& s) {
      note(s);
      return true;
    });
    CHECK(p.ice.selected_pair()->local == here);
    REQUIRE(first);
    REQUIRE(second);
    CHECK(*second > *first);
    p.answer_for(60s);
    CHECK(p.ice.stats().switches == 1);  // And there it stays.
  }

  TEST_CASE("without it a check has no such number, and a working pair is kept") {
    caller p;
    p.answer_for(2s, [&](const sent& s) {
      CHECK_FALSE(nomination_in(s));
      return caller::is_relayed(s);
    });
    REQUIRE(p.ice.selected_pair()->local == relayed);
    p.send_check({.from = there});
    p.answer_for(60s);
    CHECK(p.ice.is_valid_path(here, there));
    CHECK(p.ice.selected_pair()->local == relayed);
  }

  TEST_CASE("the greatest number counts on the other side, by either attribute") {
    for (const std::uint16_t attribute : {std::uint16_t{0xc001}, std::uint16_t{0x0030}}) {
      scripted_peer p{role::controlled};
      p.add(there, 200);
      p.add(at("10.0.0.3"), 100);
      p.meet();
      p.answer_for(100ms);
      const auto nominate = [&](const endpoint& from, std::uint32_t value, std::uint8_t id) {
        p.send_check({.from = from,
                      .use_candidate = true,
                      .id = id,
                      .nomination = value,
                      .nomination_attribute = attribute});
        p.poll();
        return p.ice.selected_pair()->remote;
      };
      CHECK(nominate(there, 1, 1) == there);
      CHECK(nominate(at("10.0.0.3"), 2, 2) == at("10.0.0.3"));
      CHECK(nominate(there, 1, 3) == at("10.0.0.3"));  // Late, and old.
      CHECK(nominate(there, 3, 4) == there);
      // 24 bits; what stands above them is reserved.
      CHECK(nominate(at("10.0.0.3"), 0x01000002, 5) == there);
    }
  }

  TEST_CASE("a cheaper network is taken after two seconds, not before, and not a dearer one") {
    agent::options opts;
    scripted_peer p{[&] {
      opts.role = role::controlling;
      return opts;
    }()};
    REQUIRE(p.ice.add_local_address(
        p.now, {.base = here, .network = {.kind = network_kind::cellular, .id = 2}}));
    p.ice.set_renomination();
    p.meet(there);
    p.answer_for(1s);
    REQUIRE(p.ice.selected_pair()->local == here);
    const endpoint wifi = at("10.0.7.1");
    REQUIRE(p.ice.add_local_address(
        p.now, {.base = wifi, .network = {.kind = network_kind::wifi, .id = 3}}));
    p.answer_for(1900ms);
    CHECK(p.ice.selected_pair()->local == here);
    p.answer_for(300ms);
    CHECK(p.ice.selected_pair()->local == wifi);
    REQUIRE(p.ice.add_local_address(
        p.now, {.base = at("10.0.8.1"), .network = {.kind = network_kind::cellular, .id = 4}}));
    p.answer_for(60s);
    CHECK(p.ice.selected_pair()->local == wifi);
    CHECK(p.ice.stats().switches == 1);
  }

  TEST_CASE("the cost of a network goes with every check and is heard (0xc057)") {
    scripted_peer p{agent::options{}};
    REQUIRE(p.ice.add_local_address(
        p.now, {.base = here, .network = {.kind = network_kind::wifi, .id = 7}}));
    p.ice.set_renomination();
    p.meet(there);
    const sent check = p.poll_one();
    CHECK(check.message().find_u32(stun::attribute_type{0xc057}) == (7u << 16 | 10));
    p.answer(check);
    p.answer(p.poll_one());
    REQUIRE(p.ice.selected_pair()->remote == there);
    // The other side is on a dear network now, and has another that is not.
    p.send_check({.from = there, .network = 1u << 16 | 900});
    p.send_check({.from = at("10.0.0.3"), .network = 2u << 16 | 0});
    p.answer_for(3s);
    CHECK(p.ice.selected_pair()->remote == at("10.0.0.3"));
  }
}

TEST_SUITE("ice pairs: policy") {
  /// Likes what others do not: relays, and the pair that comes last.
  struct contrarian : pair_policy {
    std::uint64_t check_order(const pair_view& p) const noexcept override { return ~p.priority; }
    bool is_better(const pair_view& a, const pair_view& b) const noexcept override {
      return a.is_relayed() != b.is_relayed() ? a.is_relayed() : a.priority < b.priority;
    }
    duration wait_for_better(const pair_view&) const noexcept override { return 1s; }
    bool should_switch(const pair_view& selected, const pair_view& other,
                       duration) const noexcept override {
      return is_better(other, selected);
    }
  };

  TEST_CASE("a policy of one's own decides order, nomination and switches") {
    const contrarian policy;
    agent::options opts;
    opts.policy = &policy;
    caller p{opts};
    p.ice.set_renomination();
    CHECK(p.poll_one().local == relayed);  // The lesser priority first.
    p.answer_for(900ms, caller::is_direct);
    CHECK_FALSE(p.ice.selected_pair());  // It hopes for the relay, for one second.
    p.answer_for(300ms, caller::is_direct);
    CHECK(p.ice.selected_pair()->local == here);
    p.answer_for(10s);
    CHECK(p.ice.selected_pair()->local == relayed);
  }

  TEST_CASE("the default waits two round trips, and longer with a relayed pair in hand") {
    const pair_policy policy;
    pair_view direct;
    direct.round_trip = 10ms;
    CHECK(policy.wait_for_better(direct) == duration{20ms});
    direct.round_trip = 1s;
    CHECK(policy.wait_for_better(direct) == duration{200ms});
    direct.round_trip.reset();
    CHECK(policy.wait_for_better(direct) == duration{200ms});
    pair_view relay;
    relay.local = candidate_type::relayed;
    relay.round_trip = 10ms;
    CHECK(policy.wait_for_better(relay) == duration{300ms});
  }
}

}  // namespace
}  // namespace weft::ice::test
