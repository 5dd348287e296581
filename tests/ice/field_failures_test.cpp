// What has gone wrong in the field, each as a test: attacks and faults that were published about
// other implementations.
#include <doctest/doctest.h>

#include "scripted_peer.hpp"

namespace weft::ice::test {
namespace {

const endpoint there = at("10.0.0.2");
const endpoint stranger = at("10.0.0.66");

bytes from_text(std::initializer_list<int> values) {
  bytes out;
  for (const int v : values) out.push_back(static_cast<std::uint8_t>(v));
  out.resize(64);
  return out;
}

TEST_SUITE("ice: failures of the field") {
  TEST_CASE("data or DTLS before a valid pair, or to who was not authenticated") {
    for (const bool selected_first : {false, true}) {
      scripted_peer p{role::controlled};
      p.meet(there);
      std::vector<sent> asked{p.poll_one()};
      if (selected_first) {
        p.answer(asked.front());
        p.send_check({.from = there, .use_candidate = true});
        p.poll();
      }
      const auto before = p.ice.selected_pair();
      REQUIRE(before.has_value() == selected_first);
      bytes guessed = p.make_answer(asked.front(), {}, "notthepasswordnotthepass");
      for (const endpoint& from : {stranger, there}) {
        p.ice.handle_input(p.now, {at("10.0.0.1"), from}, guessed);
        guessed[10] ^= 1;  // Another transaction.
        p.ice.handle_input(p.now, {at("10.0.0.1"), from}, guessed);
        p.send_check({.from = from, .use_candidate = true, .integrity = false});
        p.send_check({.from = from, .use_candidate = true, .password = "notthepasswordnotthepass"});
        // DTLS, RTP and RTCP are not the agent's, and make nobody a peer.
        for (const auto& data :
             {from_text({22, 254, 253}), from_text({128, 96}), from_text({128, 200})})
          CHECK_FALSE(p.ice.handle_input(p.now, {at("10.0.0.1"), from}, data));
      }
      CHECK_FALSE(p.ice.is_valid_path(at("10.0.0.1"), stranger));
      CHECK(p.ice.is_valid_path(at("10.0.0.1"), there) == selected_first);
      CHECK(p.ice.selected_pair() == before);
      for (const sent& s : p.wait(60s)) CHECK(s.remote != stranger);
    }
  }

  TEST_CASE("a response from another address fails the pair (RFC 8445 §7.2.5.2.1)") {
    scripted_peer p{role::controlling};
    p.meet(there);
    const sent s = p.poll_one();
    p.ice.handle_input(p.now, {s.local, stranger}, p.make_answer(s));
    CHECK(p.ice.stats().not_symmetric == 1);
    CHECK(p.ice.stats().pairs_failed == 1);
    CHECK_FALSE(p.ice.is_valid_path(s.local, s.remote));
    CHECK_FALSE(p.ice.is_valid_path(s.local, stranger));
  }

  TEST_CASE("consent is renewed by authentic responses alone, and over in 30 s (RFC 7675)") {
    scripted_peer p{role::controlling};
    p.meet(there);
    p.answer(p.poll_one());
    p.answer(p.poll_one());
    REQUIRE(p.ice.selected_pair());
    const time_point selected = p.now;
    while (p.ice.selected_pair() && p.now < selected + 60s) {
      for (const sent& s : p.wait(500ms)) {
        bytes forged = p.make_answer(s, {}, "notthepasswordnotthepass");
        p.ice.handle_input(p.now, s.path(), forged);
      }
      p.send_check({.from = there});  // Authentic, but no response.
      CHECK_FALSE(p.ice.handle_input(p.now, {at("10.0.0.1"), there}, from_text({128, 96})));
      p.poll();
    }
    CHECK(p.now <= selected + 31s);
    CHECK(p.now >= selected + 29s);
  }

  TEST_CASE("nothing is sent or selected before both sides have said their credentials") {
    scripted_peer p{role::controlled};
    p.add(there);
    p.ice.gather(p.now);
    for (std::uint8_t i = 0; i < 10; ++i)
      p.send_check({.from = there, .use_candidate = true, .id = i});
    for (const sent& s : p.wait(10s)) CHECK_FALSE(s.is_request());
    CHECK_FALSE(p.ice.selected_pair());
    CHECK_FALSE(p.ice.is_valid_path(at("10.0.0.1"), there));
    CHECK(p.ice.current_state() == state::new_);
    p.meet();
    p.answer(p.poll_one());
    CHECK(p.ice.selected_pair());
  }

  TEST_CASE("two agents in one role with equal tie-breakers come to terms") {
    for (const role both : {role::controlling, role::controlled}) {
      CAPTURE(to_string(both));
      agent::options opts;
      opts.role = both;
      // One seed: the same credentials and the same tie-breaker.
      seeded_random random_a{9}, random_b{9};
      agent a{random_a, opts}, b{random_b, opts};
      time_point now{};
      REQUIRE(a.add_local_address(now, at("10.0.0.1")));
      REQUIRE(b.add_local_address(now, there));
      REQUIRE(a.set_remote_credentials(now, b.local_credentials()));
      REQUIRE(b.set_remote_credentials(now, a.local_credentials()));
      REQUIRE(a.add_remote_candidate(now, scripted_peer::host(there)));
      REQUIRE(b.add_remote_candidate(now, scripted_peer::host(at("10.0.0.1"))));
      std::array<std::uint8_t, 600> buffer;
      std::size_t packets = 0;
      for (int ms = 0; ms < 5000; ++ms, now += 1ms) {
        a.handle_timeout(now);
        b.handle_timeout(now);
        while (const auto t = a.poll_transmit(now, buffer)) {
          b.handle_input(now, t->remote, t->local, t->bytes);
          ++packets;
        }
        while (const auto t = b.poll_transmit(now, buffer)) {
          a.handle_input(now, t->remote, t->local, t->bytes);
          ++packets;
        }
      }
      CHECK(a.selected_pair());
      CHECK(b.selected_pair());
      CHECK(a.current_role() != b.current_role());
      CHECK(packets < 50);
    }
  }

  TEST_CASE("candidates in floods make no storm of checks: one every Ta (RFC 8445 §19.5.1)") {
    agent::options opts;
    opts.initial_checks = 0;
    scripted_peer p{role::controlling, opts};
    REQUIRE(p.ice.add_relayed_candidate(p.now, {.relayed = at("198.51.100.1", 50000)}));
    for (std::uint16_t i = 0; i < 1000; ++i) {
      auto c = scripted_peer::host(at("192.0.2.1", static_cast<std::uint16_t>(1000 + i)),
                                   static_cast<std::uint16_t>(i + 1));
      c.foundation = std::to_string(i);
      (void)p.ice.add_remote_candidate(p.now, c);
    }
    p.meet();
    const auto out = p.wait(400ms);
    CHECK(out.size() <= 21);
    CHECK(out.size() >= 20);
    p.wait(10min);
    CHECK(p.ice.stats().checks_sent <= 256);
    CHECK(p.ice.pair_stats().size() <= 100);
  }

  TEST_CASE("no candidate, statistic or related address tells what signalling did not (Prflxion)") {
    agent::options opts;
    opts.host_privacy = host_privacy::hide;
    opts.role = role::controlled;
    scripted_peer p{opts};
    const endpoint secret_here = at("192.168.77.1");
    const endpoint secret_there = at("192.168.77.2");
    REQUIRE(p.ice.add_local_address(p.now, secret_here));
    p.meet();
    candidate c = scripted_peer::host(at("0.0.0.1"));
    c.address.address = {};
    c.name = "there.local";
    REQUIRE(p.ice.add_remote_candidate(p.now, c));
    p.ice.resolve(p.now, "there.local", std::array{secret_there.address});
    // One more that nobody has named, and mapped addresses from inside the house.
    p.mapped = at("192.168.77.9", 1234);
    p.send_check({.from = at("192.168.77.3"), .to = secret_here, .use_candidate = true});
    p.answer_for(2s);
    REQUIRE(p.ice.selected_pair());

    const auto is_silent = [](const candidate& shown) {
      const auto tells = [](const endpoint& e) {
        return to_string(e.address).starts_with("192.168.77.");
      };
      return !tells(shown.address) && !(shown.related && tells(*shown.related));
    };
    for (const candidate& shown : p.ice.local_candidates()) CHECK(is_silent(shown));
    for (const candidate& shown : p.ice.remote_candidates()) CHECK(is_silent(shown));
    const auto stats = p.ice.candidate_stats();
    CHECK(stats.size() >= 4);
    for (const auto& s : stats) CHECK(is_silent(s.info));
    for (const auto& e : p.take<agent::candidate_gathered>()) CHECK(is_silent(e.candidate));
    // Once signalling names the address, it is no secret.
    p.add(at("192.168.77.3", 6000));
    CHECK(std::ranges::any_of(p.ice.candidate_stats(), [](const auto& s) {
      return s.info.type == candidate_type::peer_reflexive && s.info.address == at("192.168.77.3");
    }));
  }

  TEST_CASE("names are fresh for every agent, so that nobody is known again by them") {
    seeded_random random{1};
    agent::options opts;
    opts.host_privacy = host_privacy::hide;
    std::vector<std::string> names;
    for (int i = 0; i < 100; ++i) {
      agent a{random, opts};
      REQUIRE(a.add_local_address({}, at("10.0.0.1")));
      names.push_back(a.local_candidates()[0].name);
    }
    std::ranges::sort(names);
    CHECK(std::ranges::adjacent_find(names) == names.end());
  }

  TEST_CASE("names outside .local are not asked for, and slow ones hold up nothing") {
    scripted_peer p{role::controlling};
    candidate c = scripted_peer::host(there);
    c.address.address = {};
    for (const char* name :
         {"example.org", "localhost", "a.b.local", "x.local.example.org", ".local"}) {
      c.name = name;
      CHECK(p.ice.add_remote_candidate(p.now, c).error() == error::invalid_candidate);
    }
    for (int i = 0; i < 100; ++i) {
      c.name = "slow" + std::to_string(i) + ".local";
      CHECK(p.ice.add_remote_candidate(p.now, c).has_value() == (i < 16));
    }
    CHECK(p.take<agent::resolve_name>().size() == 16);
    p.meet(there);
    p.answer_for(100ms);
    CHECK(p.ice.selected_pair());
    p.answer_for(6s);
    CHECK(p.ice.stats().names_failed == 16);
  }

  TEST_CASE("after a restart the old fragment is good until a new pair is selected, then refused") {
    scripted_peer p{role::controlling};
    p.meet(there);
    p.answer_for(1s);
    REQUIRE(p.ice.selected_pair());
    const credentials old = p.ice.local_credentials();
    const auto check_old = [&] {
      p.send_check({.from = there, .password = old.password, .username = old.ufrag + ":RUFR"});
      return !p.poll().empty();
    };
    p.ice.restart(p.now);
    CHECK(p.ice.selected_pair());
    CHECK(check_old());
    p.theirs = {"NEWU", "anotherpasswordanotherpas"};
    p.meet(there);
    p.answer_for(200ms);
    CHECK(p.ice.selected_pair());
    CHECK_FALSE(check_old());
    const auto refused = p.ice.stats().unauthenticated;
    CHECK(refused == 1);
  }

  TEST_CASE(
      "a path is not lost during a restart, and signalling that never comes does not end it") {
    scripted_peer p{role::controlling};
    p.meet(there);
    p.answer_for(1s);
    const auto path = p.ice.selected_pair();
    p.ice.restart(p.now);
    p.answer_for(300s);
    CHECK(p.ice.selected_pair() == path);
  }
}

}  // namespace
}  // namespace weft::ice::test
