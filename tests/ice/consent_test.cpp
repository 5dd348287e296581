#include <doctest/doctest.h>

#include "scripted_peer.hpp"

namespace weft::ice::test {
namespace {

const endpoint local = at("10.0.0.1");
const endpoint remote = at("10.0.0.2");

struct connected : scripted_peer {
  connected() : scripted_peer{role::controlled} {
    meet(remote);
    answer(poll_one());
    send_check({.from = remote, .use_candidate = true});
    poll();
    REQUIRE(ice.selected_pair());
  }
};

TEST_SUITE("ice consent (RFC 7675)") {
  TEST_CASE("consent is asked for every 4 to 6 seconds, each time anew (§5.1)") {
    connected p;
    std::vector<stun::transaction_id> ids;
    time_point last = p.now;
    for (int i = 0; i < 50; ++i) {
      const auto next = p.ice.poll_timeout();
      REQUIRE(next);
      CHECK(*next - last >= 4s);
      CHECK(*next - last <= 6s);
      last = p.now = *next;
      p.ice.handle_timeout(p.now);
      const sent s = p.poll_one();
      CHECK(s.remote == remote);
      CHECK(std::ranges::find(ids, s.message().id()) == ids.end());
      ids.push_back(s.message().id());
      p.answer(s);
    }
    CHECK(p.ice.stats().consent_sent == 50);
    CHECK(p.ice.selected_pair());
  }

  TEST_CASE("without answers the agent is disconnected soon and stops after 30 seconds (§5.1)") {
    connected p;
    p.take<agent::state_changed>();
    p.wait(12s);
    CHECK(p.ice.current_state() == state::disconnected);
    CHECK(p.ice.selected_pair());
    p.wait(17900ms);
    CHECK(p.ice.selected_pair());
    p.wait(200ms);
    CHECK_FALSE(p.ice.selected_pair());
    CHECK_FALSE(p.ice.is_valid_path(local, remote));
    CHECK(p.ice.current_state() == state::failed);
    CHECK(p.wait(60s).empty());
    const auto states = p.take<agent::state_changed>();
    REQUIRE(states.size() == 2);
  }

  TEST_CASE("an answer brings the agent back from disconnected") {
    connected p;
    const auto asked = p.wait(12s);
    REQUIRE(p.ice.current_state() == state::disconnected);
    p.answer(asked.front());  // Also a late one counts (§5.1).
    CHECK(p.ice.current_state() == state::connected);
  }

  TEST_CASE("the other side's checks keep it connected, but do not renew consent") {
    connected p;
    for (std::uint8_t i = 0; i < 29; ++i) {
      p.wait(1s);
      p.send_check({.from = remote, .id = i});
      CHECK(p.ice.current_state() == state::connected);
    }
    p.wait(2s);
    CHECK(p.ice.current_state() == state::failed);
  }

  TEST_CASE("only authentic answers from the right address renew consent (§5.1)") {
    connected p;
    for (int i = 0; i < 30; ++i)
      for (const sent& s : p.wait(1s)) {
        if (!s.is_request()) continue;
        p.ice.handle_input(p.now, s.local, s.remote, p.make_answer(s, {}, std::string(24, 'x')));
        p.ice.handle_input(p.now, s.local, at("10.0.0.66"), p.make_answer(s));
        p.ice.handle_input(p.now, at("10.0.0.67"), s.remote, p.make_answer(s));
      }
    p.wait(1s);
    CHECK(p.ice.current_state() == state::failed);
  }

  TEST_CASE("403 revokes consent at once (§5.2)") {
    connected p;
    const auto asked = p.wait(6s);
    REQUIRE_FALSE(asked.empty());
    p.answer(asked.back(), stun::error_code{403});
    CHECK_FALSE(p.ice.selected_pair());
    CHECK(p.ice.current_state() == state::failed);
  }

  TEST_CASE("403 to a nomination leaves the other pairs") {
    scripted_peer p{role::controlling};
    const auto better = at("10.0.0.2", 5000), other = at("10.0.0.2", 5001);
    p.meet(better);
    p.add(other, 100);
    const auto is_nomination = [](const sent& s) { return s.message().use_candidate(); };
    bool refused = false;
    for (int i = 0; i < 300 && p.ice.current_state() != state::connected; ++i)
      for (const sent& s : p.wait(10ms)) {
        if (!s.is_request()) continue;
        const bool refuse = is_nomination(s) && s.remote == better;
        refused = refused || refuse;
        p.answer(s, refuse ? std::optional{stun::error_code{403}} : std::nullopt);
        CHECK(p.ice.current_state() != state::failed);
      }
    CHECK(refused);
    REQUIRE(p.ice.selected_pair());
    CHECK(p.ice.selected_pair()->remote == other);
  }

  TEST_CASE("a path that lost consent is not used again before a restart (§5.1)") {
    connected p;
    const auto asked = p.wait(31s);
    p.answer(asked.back());
    p.send_check({.from = remote, .use_candidate = true, .id = 9});
    for (const sent& s : p.poll()) CHECK_FALSE(s.is_request());
    CHECK_FALSE(p.ice.selected_pair());

    p.ice.restart(p.now);
    CHECK(p.ice.current_state() == state::checking);
    p.theirs = {"NEWU", "anotherpasswordofthepeer"};
    p.meet(remote);
    p.answer(p.poll_one());
    p.send_check({.from = remote, .use_candidate = true, .id = 10});
    CHECK(p.ice.selected_pair());
  }

  TEST_CASE("a nomination of a pair that has been silent for long is checked first (§5.1)") {
    scripted_peer p{role::controlled};
    p.add(remote, 200);
    p.add(at("10.0.0.3"), 100);
    p.meet();
    for (const sent& s : p.wait(6ms)) p.answer(s);
    p.send_check({.from = remote, .use_candidate = true});
    for (int i = 0; i < 40; ++i)
      for (const sent& s : p.wait(1s))
        if (s.is_request()) p.answer(s);
    p.send_check({.from = remote, .id = 2});
    p.poll();
    p.send_check({.from = at("10.0.0.3"), .use_candidate = true, .id = 3});
    CHECK(p.ice.selected_pair()->remote == remote);
    const auto out = p.poll();
    REQUIRE(out.size() == 2);
    p.answer(out[1]);
    CHECK(p.ice.selected_pair()->remote == at("10.0.0.3"));
  }

  TEST_CASE("a clock that jumps ahead or back does no more than time itself would") {
    connected p;
    p.ice.handle_timeout(p.now - 1h);
    CHECK(p.ice.selected_pair());
    p.now += 3s;
    p.ice.handle_timeout(p.now);
    CHECK(p.ice.current_state() == state::connected);
    p.now += 24h;
    p.ice.handle_timeout(p.now);
    CHECK(p.ice.current_state() == state::failed);
    CHECK(p.poll().empty());
  }

  TEST_CASE("consent that is over does not come back, whoever looks first (§5.1)") {
    {
      connected p;
      p.now += 24h;
      CHECK(p.poll().empty());
      CHECK_FALSE(p.ice.selected_pair());
    }
    connected p;
    const auto asked = p.wait(28s);
    REQUIRE_FALSE(asked.empty());
    p.now += 3s;
    p.answer(asked.back());
    CHECK_FALSE(p.ice.selected_pair());
    CHECK(p.ice.current_state() == state::failed);
  }
}

TEST_SUITE("ice restart (RFC 8445 §9)") {
  TEST_CASE("the old pair carries data, with consent, until a new one is selected") {
    connected p;
    const credentials before = p.ice.local_credentials();
    const credentials theirs_before = p.theirs;
    p.ice.restart(p.now);
    const credentials after = p.ice.local_credentials();
    CHECK(after.ufrag != before.ufrag);
    CHECK(after.password != before.password);
    CHECK(p.ice.selected_pair());
    CHECK(p.ice.is_valid_path(local, remote));

    const auto asked = p.wait(6s);  // RFC 7675 §5.1, with the old credentials.
    REQUIRE_FALSE(asked.empty());
    CHECK(asked[0].message().username() == "RUFR:" + before.ufrag);
    p.answer(asked[0]);
    p.send_check({.from = remote,
                  .password = before.password,
                  .username = before.ufrag + ":RUFR",
                  .id = 20});
    CHECK(p.poll_one().message().type_class() == stun::message_class::success);

    p.theirs = {"NEWU", "anotherpasswordofthepeer"};
    p.meet(at("10.0.0.3"));
    const sent check = p.poll_one();
    CHECK(check.message().username() == "NEWU:" + after.ufrag);
    p.answer(check);
    CHECK(p.ice.selected_pair()->remote == remote);
    p.send_check({.from = at("10.0.0.3"), .use_candidate = true, .id = 21});
    CHECK(p.ice.selected_pair()->remote == at("10.0.0.3"));
    CHECK_FALSE(p.ice.is_valid_path(local, remote));
    p.poll();

    // Now the old credentials are refused.
    const auto refused = p.ice.stats().unauthenticated;
    p.send_check({.from = remote,
                  .password = before.password,
                  .username = before.ufrag + ":RUFR",
                  .id = 22});
    CHECK(p.poll().empty());
    CHECK(p.ice.stats().unauthenticated == refused + 1);
  }

  TEST_CASE("other credentials without a restart are an error, the same ones are not") {
    scripted_peer p{role::controlled};
    p.meet();
    CHECK(p.ice.set_remote_credentials(p.now, p.theirs));
    CHECK(p.ice.set_remote_credentials(p.now, {"OTHR", std::string(22, 'o')}).error() ==
          error::restart_needed);
    CHECK(p.ice.set_remote_credentials(p.now, {"OTHR", "short"}).error() ==
          error::invalid_credentials);
  }

  TEST_CASE("a second restart before the first came to anything keeps the oldest path") {
    connected p;
    p.ice.restart(p.now);
    p.ice.restart(p.now);
    CHECK(p.ice.selected_pair());
    const auto asked = p.wait(6s);
    REQUIRE_FALSE(asked.empty());
    p.answer(asked[0]);
    CHECK(p.ice.current_state() == state::connected);
  }

  TEST_CASE("a restart that comes to nothing ends with the old path's consent") {
    connected p;
    p.ice.restart(p.now);
    p.wait(31s);
    CHECK_FALSE(p.ice.selected_pair());
    CHECK(p.ice.current_state() == state::checking);
    p.theirs = {"NEWU", "anotherpasswordofthepeer"};
    p.meet(remote);
    p.ice.end_of_remote_candidates(p.now);
    p.wait(50s);
    CHECK(p.ice.current_state() == state::failed);
  }
}

}  // namespace
}  // namespace weft::ice::test
