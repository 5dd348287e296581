#include <doctest/doctest.h>

#include "scripted_peer.hpp"

namespace weft::ice::test {
namespace {

const endpoint remote_a = at("10.0.0.2");
const endpoint remote_b = at("10.0.0.3");

TEST_SUITE("ice checks") {
  TEST_CASE("a check has the attributes of RFC 8445 §7.1 and is sent at once") {
    scripted_peer p{role::controlling};
    p.meet(remote_a);
    const sent s = p.poll_one();
    CHECK(s.local == at("10.0.0.1"));
    CHECK(s.remote == remote_a);
    const auto m = s.message();
    CHECK(m.username() == "RUFR:" + p.ice.local_credentials().ufrag);
    CHECK(m.priority() == candidate_priority(candidate_type::peer_reflexive, 0xffff));
    CHECK(m.ice_controlling());
    CHECK_FALSE(m.ice_controlled());
    CHECK_FALSE(m.use_candidate());
    CHECK(stun::has_valid_fingerprint(m));
    CHECK(stun::verify_message_integrity(
        m, stun::integrity_key::short_term("remotepasswordremotepass")));
  }

  TEST_CASE("ordinary checks go in the order of priority, one every Ta (RFC 8445 §6.1.4.2)") {
    agent::options opts;
    opts.initial_checks = 1;
    scripted_peer p{role::controlling, opts};
    for (std::uint16_t i = 0; i < 4; ++i)
      p.add(at("10.0.1." + std::to_string(i + 1)), static_cast<std::uint16_t>(100 + i));
    p.meet();
    for (int i = 4; i > 0; --i) {
      CHECK(p.poll_one().remote == at("10.0.1." + std::to_string(i)));
      CHECK(p.poll().empty());
      p.now += 20ms;
      p.ice.handle_timeout(p.now);
    }
  }

  TEST_CASE("pairs of one foundation are checked one at a time (RFC 8445 §6.1.2.6)") {
    scripted_peer p{role::controlling};
    for (int i = 1; i <= 3; ++i) {
      auto c = scripted_peer::host(at("10.0.1." + std::to_string(i)),
                                   static_cast<std::uint16_t>(1000 - i));
      c.foundation = "same";
      REQUIRE(p.ice.add_remote_candidate(p.now, c));
    }
    p.meet();
    auto first = p.wait(400ms);
    REQUIRE(first.size() == 1);
    CHECK(first[0].remote == at("10.0.1.1"));
    // RFC 8445 §7.2.5.2: a failure thaws nobody by itself, but step 2 of §6.1.4.2 does.
    p.answer(first[0], stun::error_code::server_error);
    const auto second = p.poll_one();
    CHECK(second.remote == at("10.0.1.2"));
  }

  TEST_CASE("IPv4 is not paired with IPv6, nor loopback or link-local with others") {
    scripted_peer p{role::controlling};
    REQUIRE(p.ice.add_local_address(p.now, at("fe80::1")));
    p.add(at("2001:db8::2"));
    p.add(at("127.0.0.1"));
    p.meet();
    CHECK(p.wait(1s).empty());
    p.add(at("fe80::2"));
    CHECK(p.poll_one().local == at("fe80::1"));
  }

  TEST_CASE("a check is sent again with RFC 8489's schedule and then fails (RFC 8445 §7.2.5.2.3)") {
    scripted_peer p{role::controlling};
    p.meet(remote_a);
    p.ice.gather(p.now);
    p.ice.end_of_remote_candidates(p.now);
    const auto all = p.wait(39s);
    CHECK(all.size() == 7);
    for (const sent& s : all) CHECK(s.datagram == all[0].datagram);
    CHECK(p.ice.current_state() == state::checking);
    CHECK(p.wait(1s).empty());
    CHECK(p.ice.current_state() == state::failed);
    CHECK(p.ice.stats().pairs_failed == 1);
    CHECK_FALSE(p.ice.poll_timeout());
  }

  TEST_CASE("the controlling agent nominates a valid pair by a second check (RFC 8445 §8.1.1)") {
    scripted_peer p{role::controlling};
    p.meet(remote_a);
    p.answer(p.poll_one());
    CHECK_FALSE(p.ice.selected_pair());
    CHECK(p.ice.is_valid_path(at("10.0.0.1"), remote_a));
    const sent nomination = p.poll_one();
    CHECK(nomination.message().use_candidate());
    p.answer(nomination);
    CHECK(p.ice.selected_pair() == five_tuple{at("10.0.0.1"), remote_a});
    CHECK(p.take<agent::selected_pair_changed>().size() == 1);
    CHECK(p.ice.current_state() == state::connected);
  }

  TEST_CASE("it waits two round trips for a better pair, and no longer") {
    scripted_peer p{role::controlling};
    p.add(remote_a, 200);  // Better, but silent.
    p.add(remote_b, 100);
    p.meet();
    const auto checks = p.wait(10ms);
    REQUIRE(checks.size() == 2);
    REQUIRE(checks[1].remote == remote_b);
    p.answer(checks[1]);  // After 5 ms.
    CHECK(p.wait(9ms).empty());
    const auto nominations = p.wait(2ms);
    REQUIRE(nominations.size() == 1);
    CHECK(nominations[0].remote == remote_b);
    CHECK(nominations[0].message().use_candidate());
  }

  TEST_CASE("where a nomination fails, the next best valid pair is nominated") {
    scripted_peer p{role::controlling};
    p.add(remote_a, 200);
    p.add(remote_b, 100);
    p.meet();
    for (const sent& s : p.wait(6ms)) p.answer(s);
    const sent first = p.poll_one();
    CHECK(first.remote == remote_a);
    p.answer(first, stun::error_code::server_error);
    const sent second = p.poll_one();
    CHECK(second.remote == remote_b);
    CHECK(second.message().use_candidate());
  }

  TEST_CASE("a response from or to another address fails the pair (RFC 8445 §7.2.5.2.1)") {
    scripted_peer p{role::controlling};
    p.meet(remote_a);
    const sent s = p.poll_one();
    p.ice.handle_input(p.now, s.local, remote_b, p.make_answer(s));
    CHECK(p.ice.stats().not_symmetric == 1);
    CHECK(p.ice.stats().pairs_failed == 1);
    CHECK_FALSE(p.ice.is_valid_path(s.local, remote_a));
    CHECK_FALSE(p.ice.is_valid_path(s.local, remote_b));
    CHECK(p.wait(5s).empty());
  }

  TEST_CASE("a forged response changes nothing, not even from another address") {
    scripted_peer p{role::controlling};
    p.meet(remote_a);
    const sent s = p.poll_one();
    const auto forged = p.make_answer(s, {}, std::string(24, 'x'));
    p.ice.handle_input(p.now, s.local, s.remote, forged);
    p.ice.handle_input(p.now, s.local, remote_b, forged);
    p.ice.handle_input(p.now, s.local, s.remote,
                       p.make_answer(s, stun::error_code::role_conflict, std::string(24, 'x')));
    CHECK(p.ice.stats().unauthenticated == 3);
    CHECK_FALSE(p.ice.is_valid_path(s.local, s.remote));
    CHECK(p.ice.current_role() == role::controlling);
    p.answer(s);
    CHECK(p.ice.is_valid_path(s.local, s.remote));
  }

  TEST_CASE("the mapped address makes a peer-reflexive local candidate (RFC 8445 §7.2.5.3.1)") {
    scripted_peer p{role::controlling};
    p.meet(remote_a);
    p.mapped = at("192.0.2.1", 40000);
    p.answer(p.poll_one());
    const auto local = p.ice.local_candidates();
    REQUIRE(local.size() == 2);
    CHECK(local[1].type == candidate_type::peer_reflexive);
    CHECK(local[1].address == at("192.0.2.1", 40000));
    CHECK(local[1].related == at("10.0.0.1"));
    CHECK(local[1].priority == candidate_priority(candidate_type::peer_reflexive, 0xffff));
    CHECK(p.take<agent::candidate_gathered>().size() ==
          1);  // Only the host candidate is signalled.
  }

  TEST_CASE("a check from an unknown address is answered and triggers one (RFC 8445 §7.3.1)") {
    scripted_peer p{role::controlling};
    p.meet();
    p.send_check({.from = remote_b});
    const auto out = p.poll();
    REQUIRE(out.size() == 2);
    CHECK(out[0].remote == remote_b);
    CHECK(out[0].message().type_class() == stun::message_class::success);
    CHECK(out[0].message().xor_mapped_address() == remote_b);
    CHECK(stun::verify_message_integrity(
        out[0].message(), stun::integrity_key::short_term(p.ice.local_credentials().password)));
    CHECK(stun::has_valid_fingerprint(out[0].message()));
    CHECK(out[1].remote == remote_b);
    CHECK(out[1].is_request());
    CHECK(p.ice.remote_candidates().empty());  // Learned, not signalled.
  }

  TEST_CASE("a triggered check overtakes the ordinary ones and cancels its pair's own") {
    scripted_peer p{role::controlling};
    p.add(remote_a, 300);
    p.add(remote_b, 200);
    p.add(at("10.0.0.4"), 100);
    p.meet();
    const sent first = p.poll_one();
    REQUIRE(first.remote == remote_a);
    p.send_check({.from = at("10.0.0.4")});
    p.send_check({.from = remote_a, .id = 2});
    const auto out = p.poll();
    REQUIRE(out.size() == 4);
    CHECK(out[2].remote == at("10.0.0.4"));
    CHECK(out[3].remote == remote_a);
    CHECK(out[3].message().id() != first.message().id());
    p.answer(first);  // RFC 8445 §7.3.1.4: the cancelled one may still be answered.
    CHECK(p.ice.is_valid_path(at("10.0.0.1"), remote_a));
  }

  TEST_CASE("a check on a valid pair triggers nothing (RFC 8445 §7.3.1.4)") {
    scripted_peer p{role::controlled};
    p.meet(remote_a);
    p.answer(p.poll_one());
    p.send_check({.from = remote_a});
    CHECK_FALSE(p.poll_one().is_request());
  }

  TEST_CASE("a signalled candidate gives a learned one its priority (RFC 8445 §7.3.1.3)") {
    scripted_peer p{role::controlled};
    p.meet();
    p.send_check({.from = remote_a});
    p.poll();
    p.add(remote_a);
    CHECK(p.poll().empty());
    CHECK(p.ice.remote_candidates() == std::vector{scripted_peer::host(remote_a)});
    CHECK(p.ice.stats().ignored_candidates == 0);
  }

  TEST_CASE("checks before the other side's credentials are answered and kept (RFC 8445 §7.3)") {
    scripted_peer p{role::controlled};
    p.send_check({.from = remote_a, .use_candidate = true});
    p.send_check(
        {.from = remote_b, .username = p.ice.local_credentials().ufrag + ":ELSE", .id = 2});
    auto out = p.poll();
    REQUIRE(out.size() == 2);
    CHECK_FALSE(out[0].is_request());
    CHECK_FALSE(out[1].is_request());
    CHECK(p.ice.current_state() == state::new_);
    p.meet();
    const sent s = p.poll_one();  // Not to the one with another user name.
    CHECK(s.remote == remote_a);
    p.answer(s);
    CHECK(p.ice.selected_pair() == five_tuple{at("10.0.0.1"), remote_a});
  }

  TEST_CASE("requests that are not authentic get no answer and change nothing") {
    scripted_peer p{role::controlled};
    p.meet();
    p.send_check({.from = remote_b, .password = std::string(24, 'x')});
    p.send_check({.from = remote_b, .username = "nobody:RUFR"});
    p.send_check({.from = remote_b, .username = "nocolon"});
    p.send_check({.from = remote_b, .integrity = false});
    CHECK(p.poll().empty());
    CHECK(p.ice.stats().unauthenticated == 4);
    auto broken = p.make_check({.from = remote_b});
    broken.back() ^= 1;
    CHECK(p.ice.handle_input(p.now, at("10.0.0.1"), remote_b, broken));
    CHECK(p.ice.stats().malformed == 1);
    CHECK(p.poll().empty());
    CHECK_FALSE(p.ice.is_valid_path(at("10.0.0.1"), remote_b));
  }

  TEST_CASE("unknown required attributes are refused, unknown optional ones ignored") {
    scripted_peer p{role::controlled};
    p.meet();
    p.send_check({.from = remote_b, .extra = 0x0033});
    const sent refusal = p.poll_one();
    CHECK(refusal.message().error()->code == stun::error_code::unknown_attribute);
    REQUIRE(refusal.message().unknown_attributes());
    CHECK((*refusal.message().unknown_attributes())[0] == stun::attribute_type{0x0033});
    p.send_check({.from = remote_b, .id = 2, .with_priority = false});
    CHECK(p.poll_one().message().error()->code == stun::error_code::bad_request);
    p.send_check({.from = remote_b, .priority = 0x8000'0000, .id = 4});
    CHECK(p.poll_one().message().error()->code == stun::error_code::bad_request);
    p.send_check({.from = remote_b, .id = 3, .extra = 0xc057});  // Chromium's network information.
    CHECK(p.poll().size() == 2);
  }

  TEST_CASE("data and unknown datagrams are not the agent's") {
    scripted_peer p{role::controlled};
    CHECK_FALSE(p.ice.handle_input(p.now, at("10.0.0.1"), remote_a, bytes(40, 0x17)));
    CHECK_FALSE(p.ice.handle_input(p.now, at("10.0.0.1"), remote_a, bytes{}));
  }

  TEST_CASE("a buffer too small leaves the datagram due") {
    scripted_peer p{role::controlling};
    p.meet(remote_a);
    p.send_check({.from = remote_b});
    std::array<std::uint8_t, 40> small;
    CHECK_FALSE(p.ice.poll_transmit(p.now, small));
    CHECK(p.ice.poll_timeout() <= p.now);
    CHECK(p.poll().size() == 3);
  }
}

TEST_SUITE("ice roles (RFC 8445 §7.3.1.1, §7.2.5.1)") {
  TEST_CASE("the agent with the smaller tie-breaker gives way") {
    scripted_peer p{role::controlling};
    p.meet();
    p.send_check({.from = remote_a, .controlling = ~std::uint64_t{0}});
    CHECK(p.ice.current_role() == role::controlled);
    CHECK(p.take<agent::role_changed>().size() == 1);
    const auto out = p.poll();
    REQUIRE(out.size() == 2);
    CHECK(out[0].message().type_class() == stun::message_class::success);
    CHECK(out[1].message().ice_controlled());
  }

  TEST_CASE("the agent with the greater one refuses with 487") {
    scripted_peer p{role::controlling};
    p.meet();
    p.send_check({.from = remote_a, .controlling = 0});
    CHECK(p.ice.current_role() == role::controlling);
    CHECK(p.poll_one().message().error()->code == stun::error_code::role_conflict);
  }

  TEST_CASE("of two controlled agents the one with the greater takes control") {
    scripted_peer p{role::controlled};
    p.meet();
    p.send_check({.from = remote_a, .controlled = 0});
    CHECK(p.ice.current_role() == role::controlling);
    scripted_peer q{role::controlled};
    q.meet();
    q.send_check({.from = remote_a, .controlled = ~std::uint64_t{0}});
    CHECK(q.ice.current_role() == role::controlled);
    CHECK(q.poll_one().message().error()->code == stun::error_code::role_conflict);
  }

  TEST_CASE("equal tie-breakers count as greater") {
    for (const role r : {role::controlling, role::controlled}) {
      scripted_peer p{r};
      p.meet(remote_b);
      const auto m = p.poll_one();
      check c{.from = remote_a};
      (r == role::controlling ? c.controlling : c.controlled) =
          r == role::controlling ? m.message().ice_controlling() : m.message().ice_controlled();
      p.send_check(c);
      CHECK(p.ice.current_role() == role::controlling);
    }
  }

  TEST_CASE("487 to a check turns the role round, with a new tie-breaker, and checks again") {
    for (const role r : {role::controlling, role::controlled}) {
      scripted_peer p{r};
      p.meet(remote_a);
      const sent first = p.poll_one();
      p.answer(first, stun::error_code::role_conflict);
      CHECK(p.ice.current_role() != r);
      const sent again = p.poll_one();
      const auto before = r == role::controlling ? first.message().ice_controlling()
                                                 : first.message().ice_controlled();
      const auto after = r == role::controlling ? again.message().ice_controlled()
                                                : again.message().ice_controlling();
      REQUIRE(after);
      CHECK(before != after);
    }
  }

  TEST_CASE("a peer that answers nothing but 487 is not asked for ever") {
    scripted_peer p{role::controlling};
    p.meet(remote_a);
    int asked = 0;
    for (auto out = p.poll(); !out.empty() && asked < 100; out = p.poll()) {
      ++asked;
      p.answer(out.front(), stun::error_code::role_conflict);
    }
    CHECK(asked < 20);
  }

  TEST_CASE("over a lite agent this one keeps control") {
    scripted_peer p{role::controlled};
    p.ice.set_remote_lite();
    CHECK(p.ice.current_role() == role::controlling);
    p.meet(remote_a);
    const sent first = p.poll_one();
    CHECK(first.message().ice_controlling());
    p.answer(first);
    p.answer(p.poll_one());
    CHECK(p.ice.selected_pair());
    p.ice.set_role(role::controlled);
    CHECK(p.ice.current_role() == role::controlling);
  }

  TEST_CASE("after a restart the other side may be a full agent (RFC 8445 §9)") {
    scripted_peer p{role::controlled};
    p.ice.set_remote_lite();
    p.meet(remote_a);
    p.ice.restart(p.now);
    p.meet();
    p.send_check({.from = remote_a, .controlling = ~std::uint64_t{0}});
    CHECK(p.ice.current_role() == role::controlled);
  }
}

TEST_SUITE("ice nominations by the other side") {
  TEST_CASE("USE-CANDIDATE selects a valid pair at once (RFC 8445 §7.3.1.5)") {
    scripted_peer p{role::controlled};
    p.meet(remote_a);
    p.answer(p.poll_one());
    CHECK_FALSE(p.ice.selected_pair());
    p.send_check({.from = remote_a, .use_candidate = true});
    CHECK(p.ice.selected_pair() == five_tuple{at("10.0.0.1"), remote_a});
  }

  TEST_CASE("on a pair not yet valid it counts when the triggered check succeeds") {
    scripted_peer p{role::controlled};
    p.meet(remote_a);
    p.poll();
    p.send_check({.from = remote_a, .use_candidate = true});
    CHECK_FALSE(p.ice.selected_pair());
    auto out = p.poll();
    REQUIRE(out.size() == 2);
    p.answer(out[1]);
    CHECK(p.ice.selected_pair());
  }

  TEST_CASE("aggressive nomination selects the best pair (RFC 8445 §8.1.1)") {
    scripted_peer p{role::controlled};
    p.add(remote_a, 200);
    p.add(remote_b, 100);
    p.meet();
    for (const sent& s : p.wait(6ms)) p.answer(s);
    p.send_check({.from = remote_b, .use_candidate = true, .id = 1});
    CHECK(p.ice.selected_pair()->remote == remote_b);
    p.send_check({.from = remote_a, .use_candidate = true, .id = 2});
    CHECK(p.ice.selected_pair()->remote == remote_a);
    p.send_check({.from = remote_b, .use_candidate = true, .id = 3});
    CHECK(p.ice.selected_pair()->remote == remote_a);
  }

  TEST_CASE("an aggressive agent that leaves the best pair is followed to the other") {
    scripted_peer p{role::controlled};
    p.add(remote_a, 200);
    p.add(remote_b, 100);
    p.meet();
    for (const sent& s : p.wait(6ms)) p.answer(s);
    p.send_check({.from = remote_a, .use_candidate = true, .id = 1});
    CHECK(p.ice.selected_pair()->remote == remote_a);
    for (std::uint8_t i = 2; i < 16; ++i) {
      p.wait(1s);
      p.send_check({.from = remote_b, .use_candidate = true, .id = i});
    }
    CHECK(p.ice.selected_pair()->remote == remote_b);
  }

  TEST_CASE("a later nomination by one that nominates once switches the pair") {
    scripted_peer p{role::controlled};
    p.add(remote_a, 200);
    p.add(remote_b, 100);
    p.meet();
    for (const sent& s : p.wait(6ms)) p.answer(s);
    p.send_check({.from = remote_a, .use_candidate = true, .id = 1});
    p.send_check({.from = remote_a, .id = 2});  // Consent, without USE-CANDIDATE.
    p.send_check({.from = remote_b, .use_candidate = true, .id = 3});
    CHECK(p.ice.selected_pair()->remote == remote_b);
    p.send_check({.from = remote_b, .id = 4});
    p.send_check({.from = remote_a, .use_candidate = true, .id = 1});  // Late and repeated.
    CHECK(p.ice.selected_pair()->remote == remote_b);
    CHECK(p.take<agent::selected_pair_changed>().size() == 2);
  }

  TEST_CASE("USE-CANDIDATE to a controlling agent nominates nothing") {
    scripted_peer p{role::controlling};
    p.add(remote_a, 200);
    p.add(remote_b, 100);
    p.meet();
    const auto checks = p.wait(6ms);
    p.answer(checks[1]);
    p.send_check({.from = remote_b, .use_candidate = true});
    CHECK_FALSE(p.ice.selected_pair());
  }
}

}  // namespace
}  // namespace weft::ice::test
