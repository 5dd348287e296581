#include <doctest/doctest.h>

#include "call.hpp"

using namespace std::chrono_literals;
using namespace weft::peer;
using weft::peer::test::address;
using weft::peer::test::call;
using weft::peer::test::make_certificate;

TEST_SUITE("peer/connection") {
  TEST_CASE("two peers connect, and each passes through the W3C's states in order") {
    call c{1};
    REQUIRE(c.a.peer.create_data_channel(c.now, "chat"));
    c.negotiate();
    REQUIRE(c.connect());
    for (const auto* s : {&c.a, &c.b}) {
      std::vector<connection_state> states;
      for (const auto& e : s->events)
        if (const auto* changed = std::get_if<connection::connection_state_changed>(&e))
          states.push_back(changed->state);
      CHECK(states == std::vector{connection_state::connecting, connection_state::connected});
      CHECK(s->peer.ice_gathering() == ice_gathering_state::complete);
      CHECK(s->peer.signaling() == signaling_state::stable);
    }
    CHECK(c.b.added.size() == 1);
    CHECK(c.b.peer.channel(c.b.added[0])->label == "chat");
  }

  TEST_CASE("a channel is open after few round trips") {
    call c{2, {.delay = 50ms}};
    REQUIRE(c.a.peer.create_data_channel(c.now, "chat"));
    c.negotiate();
    const auto begun = c.now;
    REQUIRE(c.connect());
    // A check each way and the nomination, two flights of DTLS each way, INIT and COOKIE,
    // DATA_CHANNEL_OPEN.
    CHECK(c.now - begun <= 8 * 100ms);
  }

  TEST_CASE("either side may make the offer, whoever made the channel") {
    call c{3};
    REQUIRE(c.b.peer.create_data_channel(c.now, "from b", {.negotiated = true, .id = 7}));
    REQUIRE(c.a.peer.create_data_channel(c.now, "from a", {.negotiated = true, .id = 7}));
    c.negotiate(c.b, c.a);
    REQUIRE(c.connect());
    CHECK(c.a.added.empty());
    CHECK(c.b.added.empty());
  }

  TEST_CASE("a certificate other than the one described ends in failed, with nothing delivered") {
    for (const bool offerer_lies : {true, false}) {
      CAPTURE(offerer_lies);
      call c{4};
      REQUIRE(c.a.peer.create_data_channel(c.now, "chat"));
      const auto forged = [](session_description d) {
        const auto at = d.sdp.find("a=fingerprint:sha-256 ") + 22;
        d.sdp.replace(at, 5, d.sdp.substr(at, 5) == "00:00" ? "11:11" : "00:00");
        return d;
      };
      const auto offer = *c.a.peer.create_offer(c.now);
      REQUIRE(c.a.peer.set_local_description(c.now, offer));
      REQUIRE(c.b.peer.set_remote_description(c.now, offerer_lies ? forged(offer) : offer));
      const auto answer = *c.b.peer.create_answer(c.now);
      REQUIRE(c.b.peer.set_local_description(c.now, answer));
      REQUIRE(c.a.peer.set_remote_description(c.now, offerer_lies ? answer : forged(answer)));

      auto& deceived = offerer_lies ? c.b : c.a;
      CHECK(c.run(60s, [&] { return deceived.peer.state() == connection_state::failed; }));
      c.run(5s);
      CHECK(c.a.opened.empty());
      CHECK(c.b.opened.empty());
      std::string reason;
      for (const auto& e : deceived.events)
        if (const auto* changed = std::get_if<connection::connection_state_changed>(&e))
          if (changed->state == connection_state::failed) reason = changed->reason;
      CHECK(reason == "DTLS: fingerprint mismatch");
    }
  }

  TEST_CASE("close says farewell, and the other side is closed at once") {
    call c{5};
    REQUIRE(c.a.peer.create_data_channel(c.now, "chat"));
    c.negotiate();
    REQUIRE(c.connect());
    c.a.peer.close(c.now);
    CHECK(c.a.peer.state() == connection_state::closed);
    CHECK(c.run(1s, [&] { return c.b.peer.state() == connection_state::closed; }));
    CHECK(c.a.closed.size() == 1);
    CHECK(c.b.closed.size() == 1);
    CHECK_FALSE(c.a.peer.poll_timeout());
    CHECK_FALSE(c.b.peer.poll_timeout());
    CHECK_FALSE(c.a.peer.handle_input(c.now, address(1), address(2), {}));
  }

  TEST_CASE("a side that vanishes is noticed: disconnected, then failed") {
    call c{6};
    REQUIRE(c.a.peer.create_data_channel(c.now, "chat"));
    c.negotiate();
    REQUIRE(c.connect());
    c.net.set_conditions({.loss_percent = 100});
    CHECK(c.run(30s, [&] { return c.a.peer.state() == connection_state::disconnected; }));
    CHECK(c.run(60s, [&] { return c.a.peer.state() == connection_state::failed; }));
  }

  TEST_CASE("without a way to the other side it asks soon and often, and has failed in 45 s") {
    call c{8, {.loss_percent = 100}};
    REQUIRE(c.a.peer.create_data_channel(c.now, "chat"));
    c.negotiate();
    const auto checks = [&] {
      const auto all = c.a.peer.pair_stats();
      return all.empty() ? 0 : all.front().requests_sent + all.front().retransmissions_sent;
    };
    REQUIRE(c.run(1s, [&] { return checks() == 1; }));
    const auto first = c.now;
    REQUIRE(c.run(1s, [&] { return checks() == 2; }));
    CHECK(c.now - first >= 100ms);
    CHECK(c.now - first < 150ms);
    CHECK(c.run(45s, [&] { return c.a.peer.state() == connection_state::failed; }));
  }

  TEST_CASE("an interruption of ten seconds is survived") {
    call c{7};
    REQUIRE(c.a.peer.create_data_channel(c.now, "chat"));
    c.negotiate();
    REQUIRE(c.connect());
    c.net.set_conditions({.loss_percent = 100});
    REQUIRE(c.a.peer.send(c.now, c.a.opened[0], "through the tunnel"));
    c.run(10s);
    c.net.set_conditions({});
    CHECK(c.run(30s, [&] { return !c.b.messages.empty(); }));
    CHECK(c.a.peer.state() == connection_state::connected);
  }

  TEST_CASE("an ICE restart by either side keeps channels and messages") {
    for (const bool by_offerer : {true, false}) {
      CAPTURE(by_offerer);
      call c{8};
      REQUIRE(c.a.peer.create_data_channel(c.now, "chat"));
      c.negotiate();
      REQUIRE(c.connect());
      auto& restarter = by_offerer ? c.a : c.b;
      auto& other = by_offerer ? c.b : c.a;
      const std::string before{restarter.peer.local_username_fragment()};
      restarter.peer.restart_ice(c.now);
      c.run(10ms);
      CHECK(restarter.count<connection::negotiation_needed>() >= 1);
      c.negotiate(restarter, other);
      CHECK(restarter.peer.local_username_fragment() != before);
      REQUIRE(c.a.peer.send(c.now, c.a.opened[0], "during"));
      c.run(5s);
      REQUIRE(c.b.peer.send(c.now, c.b.opened[0], "after"));
      CHECK(c.run(5s, [&] { return !c.b.messages.empty() && !c.a.messages.empty(); }));
      c.run(60s);
      CHECK(c.a.peer.state() == connection_state::connected);
      CHECK(c.b.peer.state() == connection_state::connected);
      CHECK(c.a.closed.empty());
    }
  }

  TEST_CASE("an offer to restart that was never set does not stand in the way of the next") {
    call c{12};
    REQUIRE(c.a.peer.create_data_channel(c.now, "chat"));
    c.negotiate();
    REQUIRE(c.connect());
    REQUIRE(c.a.peer.create_offer(c.now, {.ice_restart = true}));
    c.negotiate(c.b, c.a);
    const std::string before{c.a.peer.local_username_fragment()};
    const auto offer = c.a.peer.create_offer(c.now, {.ice_restart = true});
    REQUIRE(offer);
    CHECK(offer->sdp.find("a=ice-ufrag:" + before) == std::string::npos);
    CHECK(c.a.peer.local_username_fragment() == before);
    c.run(5s);
    REQUIRE(c.a.peer.send(c.now, c.a.opened[0], "still here"));
    CHECK(c.run(30s, [&] { return !c.b.messages.empty(); }));
  }

  TEST_CASE("a description with a new certificate or other roles is refused in mid call") {
    call c{9};
    REQUIRE(c.a.peer.create_data_channel(c.now, "chat"));
    c.negotiate();
    REQUIRE(c.connect());
    auto offer = *c.a.peer.create_offer(c.now);
    const auto at = offer.sdp.find("a=fingerprint:sha-256 ") + 22;
    offer.sdp.replace(at, 5, "AB:CD");
    const auto set = c.b.peer.set_remote_description(c.now, offer);
    REQUIRE_FALSE(set);
    CHECK(set.error().code == error_code::invalid_modification);
  }

  TEST_CASE("a dead STUN server is reported with its address and holds nothing up") {
    connection::options opts;
    opts.ice_servers = {{.urls = {"stun:10.0.0.99"}}};
    call c{10, {}, opts, {}};
    REQUIRE(c.a.peer.create_data_channel(c.now, "chat"));
    c.negotiate();
    CHECK(c.connect(1, 2s));
    CHECK(c.a.peer.ice_gathering() == ice_gathering_state::gathering);
    c.run(60s);
    CHECK(c.a.peer.ice_gathering() == ice_gathering_state::complete);
    std::vector<connection::ice_candidate_error> errors;
    for (const auto& e : c.a.events)
      if (const auto* failed = std::get_if<connection::ice_candidate_error>(&e))
        errors.push_back(*failed);
    REQUIRE(errors.size() == 1);
    CHECK(errors[0].url == "stun:10.0.0.99");
    CHECK(errors[0].code == 701);
    CHECK(c.a.peer.state() == connection_state::connected);
  }

  TEST_CASE("a candidate hidden behind a .local name is asked for, and used when it is known") {
    call c{11};
    REQUIRE(c.a.peer.create_data_channel(c.now, "chat"));
    const auto offer = *c.a.peer.create_offer(c.now);
    REQUIRE(c.a.peer.set_local_description(c.now, offer));
    REQUIRE(c.b.peer.set_remote_description(c.now, offer));
    REQUIRE(c.b.peer.set_local_description(c.now));
    REQUIRE(c.b.peer.add_ice_candidate(
        c.now,
        {.candidate = "candidate:1 1 udp 2130706431 0b7f.local 5000 typ host", .sdp_mid = "0"}));
    std::optional<std::string> asked;
    while (auto e = c.b.peer.poll_event())
      if (const auto* r = std::get_if<connection::resolve_name>(&*e)) asked = r->name;
    REQUIRE(asked == "0b7f.local");
    const std::array found{address(1).address};
    c.b.peer.resolve(c.now, *asked, found);
    std::array<std::uint8_t, weft::max_datagram_size> buffer;
    const auto check = c.b.peer.poll_transmit(c.now, buffer);
    REQUIRE(check);
    CHECK(check->remote == address(1));
  }

  TEST_CASE("a connection is a value that moves") {
    weft::seeded_random random{1};
    connection first{random, make_certificate()};
    REQUIRE(first.create_data_channel({}, "chat"));
    connection second{std::move(first)};
    CHECK(second.create_offer({})->sdp.find("m=application") != std::string::npos);
  }
}
