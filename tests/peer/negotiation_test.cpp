#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>

#include <weft/sdp/candidate.hpp>
#include <weft/sdp/description.hpp>
#include <weft/sdp/offer_answer.hpp>

#include "call.hpp"

using namespace std::chrono_literals;
using namespace weft::peer;
using weft::peer::test::address;
using weft::peer::test::make_certificate;

namespace {

std::string sample(const char* name) {
  std::ifstream file{std::string{WEFT_TEST_DATA_DIR "/"} + name, std::ios::binary};
  REQUIRE(file);
  return {std::istreambuf_iterator<char>{file}, {}};
}

weft::sdp::session_description parsed(const std::string& text) {
  auto d = weft::sdp::session_description::parse(text);
  REQUIRE(d);
  return *std::move(d);
}

struct fixture {
  weft::time_point now{};
  weft::seeded_random random{7};
  connection peer{random, make_certificate()};

  fixture() { REQUIRE(peer.add_local_address(now, address(1))); }

  std::string answer_to(const std::string& offer) {
    const auto set = peer.set_remote_description(now, {sdp_type::offer, offer});
    INFO((set ? "" : set.error().text));
    REQUIRE(set);
    const auto answer = peer.create_answer(now);
    REQUIRE(answer);
    REQUIRE(peer.set_local_description(now, *answer));
    return answer->sdp;
  }
};

}  // namespace

TEST_SUITE("peer/negotiation") {
  TEST_CASE_FIXTURE(fixture, "an offer without a channel has no sections, with one it has one") {
    const auto empty = peer.create_offer(now);
    REQUIRE(empty);
    CHECK(parsed(empty->sdp).media_count() == 0);

    REQUIRE(peer.create_data_channel(now, "chat"));
    const auto offer = peer.create_offer(now);
    REQUIRE(offer);
    const auto d = parsed(offer->sdp);
    REQUIRE(d.media_count() == 1);
    CHECK(d.media(0).kind() == "application");
    CHECK(d.media(0).protocol() == "UDP/DTLS/SCTP");
    CHECK(d.media(0).formats() == "webrtc-datachannel");
    CHECK((*d.media(0).get<weft::sdp::setup>())->role == weft::sdp::setup_role::actpass);
    CHECK(d.media(0).sctp()->port == 5000);
    CHECK(d.media(0).sctp()->max_message_size == 262144);
    CHECK(d.media(0).find("ice-ufrag") == peer.local_username_fragment());
    CHECK(d.session().find("group") == "BUNDLE 0");
  }

  TEST_CASE_FIXTURE(fixture, "a local description gathers, and then has the candidates in it") {
    REQUIRE(peer.create_data_channel(now, "chat"));
    REQUIRE(peer.set_local_description(now));
    CHECK(peer.signaling() == signaling_state::have_local_offer);
    bool ended = false;
    std::size_t candidates = 0;
    while (auto e = peer.poll_event()) {
      const auto* gathered = std::get_if<connection::candidate_gathered>(&*e);
      if (gathered == nullptr) continue;
      CHECK_FALSE(ended);
      CHECK(gathered->candidate.sdp_mid == "0");
      CHECK(gathered->candidate.sdp_mline_index == 0);
      CHECK(gathered->candidate.username_fragment == peer.local_username_fragment());
      if (gathered->candidate.candidate.empty())
        ended = true;
      else
        ++candidates;
    }
    CHECK(ended);
    CHECK(candidates == 1);
    CHECK(peer.ice_gathering() == ice_gathering_state::complete);
    const auto d = parsed(peer.local_description()->sdp);
    CHECK(d.media(0).port() == 5000);
    CHECK(d.media(0).value_of('c') == "IN IP4 10.0.0.1");
    CHECK(d.media(0).get<weft::sdp::candidate>()->has_value());
    CHECK(d.media(0).has("end-of-candidates"));
  }

  TEST_CASE_FIXTURE(fixture, "a local description is taken only as it was created") {
    REQUIRE(peer.create_data_channel(now, "chat"));
    auto offer = *peer.create_offer(now);
    offer.sdp += "a=extra\r\n";
    const auto set = peer.set_local_description(now, offer);
    REQUIRE_FALSE(set);
    CHECK(set.error().code == error_code::invalid_modification);
    CHECK(peer.signaling() == signaling_state::stable);
  }

  TEST_CASE("a browser's offer of audio, video and data is answered with data alone") {
    fixture f;
    const auto text = sample("chromium-av-data-offer.sdp");
    const auto offer = parsed(text);
    const auto answer = parsed(f.answer_to(text));
    CHECK(weft::sdp::check_answer(offer, answer));
    REQUIRE(answer.media_count() == offer.media_count());
    for (std::size_t i = 0; i < answer.media_count(); ++i) {
      const auto section = answer.media(i);
      CHECK(section.mid() == offer.media(i).mid());
      CHECK(section.is_rejected() == (section.kind() != "application"));
    }
    CHECK(answer.session().find("group") == "BUNDLE 2");
    const auto data = *answer.media_by_mid("2");
    CHECK((*data.get<weft::sdp::setup>())->role == weft::sdp::setup_role::active);
  }

  void check_shared(const std::string& text) {
    fixture f;
    const auto offer = parsed(text);
    const auto answer = parsed(f.answer_to(text));
    CHECK(weft::sdp::check_answer(offer, answer));
    CHECK(answer.session().find("group") == "BUNDLE 0 2");
    const auto first = answer.media(0);
    CHECK_FALSE(first.is_rejected());
    CHECK(first.has("inactive"));
    CHECK(first.has("rtcp-mux"));
    CHECK(answer.media(1).is_rejected());
    const auto data = answer.media(2);
    CHECK_FALSE(data.is_rejected());
    CHECK(first.find("ice-ufrag") == data.find("ice-ufrag"));
    CHECK((*first.get<weft::sdp::setup>())->role == weft::sdp::setup_role::active);

    // Candidates go where the transport is, and come from there.
    const auto gathered = parsed(f.peer.local_description()->sdp);
    CHECK(gathered.media(0).has("candidate"));
    CHECK_FALSE(gathered.media(2).has("candidate"));
    bool signalled = false;
    while (auto e = f.peer.poll_event())
      if (const auto* c = std::get_if<connection::candidate_gathered>(&*e)) {
        signalled = true;
        CHECK(c->candidate.sdp_mid == "0");
        CHECK(c->candidate.sdp_mline_index == 0);
      }
    CHECK(signalled);
    const auto before = f.peer.stats().ignored_candidates;
    CHECK(f.peer.add_ice_candidate(
        f.now,
        {.candidate = "candidate:1 1 udp 2130706431 192.0.2.9 5000 typ host", .sdp_mid = "0"}));
    CHECK(f.peer.stats().ignored_candidates == before);

    // An offer of ours leaves it at that.
    const auto again = f.peer.create_offer(f.now);
    REQUIRE(again);
    CHECK(parsed(again->sdp).session().find("group") == "BUNDLE 0 2");
    CHECK(parsed(again->sdp).media(0).has("inactive"));
  }

  TEST_CASE("a section that carries the transport of data stays, inactive (RFC 9143 §7.3.3)") {
    SUBCASE("where a=bundle-only says so") {
      check_shared(sample("firefox-max-bundle-offer.sdp"));
    }
    SUBCASE("where it may be so, before there are candidates") {
      std::string text;
      const auto offer = sample("chromium-av-data-offer.sdp");
      for (std::size_t at = 0, end; at < offer.size(); at = end) {
        end = std::min(offer.find('\n', at), offer.size() - 1) + 1;
        const auto line = offer.substr(at, end - at);
        if (line.rfind("a=candidate", 0) != 0) text += line;
      }
      check_shared(text);
    }
  }

  TEST_CASE_FIXTURE(fixture, "nothing of an offer is echoed that is not understood") {
    auto offer = sample("firefox-data-only-offer.sdp");
    offer += "a=sctp-init:AQAAGA==\r\na=x-unknown:1\r\n";
    const auto answer = answer_to(offer);
    CHECK(answer.find("sctp-init") == answer.npos);
    CHECK(answer.find("x-unknown") == answer.npos);
    CHECK(answer.find("mozilla") == answer.npos);
  }

  TEST_CASE_FIXTURE(fixture, "a data section in the older syntax is answered in the same") {
    const auto answer = answer_to(sample("aiortc-data-only-offer.sdp"));
    const auto offer = parsed(sample("aiortc-data-only-offer.sdp"));
    CHECK(parsed(answer).media(0).protocol() == offer.media(0).protocol());
    CHECK(weft::sdp::check_answer(offer, parsed(answer)));
  }

  TEST_CASE_FIXTURE(fixture, "bad SDP is refused with line and reason, and nothing changes") {
    auto offer = sample("firefox-data-only-offer.sdp");
    const auto refused = [&](const std::string& text) {
      const auto set = peer.set_remote_description(now, {sdp_type::offer, text});
      REQUIRE_FALSE(set);
      CHECK(peer.signaling() == signaling_state::stable);
      CHECK_FALSE(peer.remote_description());
      return set.error();
    };
    CHECK(refused("").code == error_code::bad_description);
    CHECK(refused("v=0\r\nrubbish\r\n").text.starts_with("line 2:"));

    const auto replaced = [&](std::string_view what, std::string_view with) {
      auto text = offer;
      const auto at = text.find(what);
      REQUIRE(at != text.npos);
      text.replace(at, what.size(), with);
      return text;
    };
    CHECK(refused(replaced("a=ice-ufrag:", "a=x-ufrag:")).text ==
          "media section 0 has no a=ice-ufrag");
    CHECK(refused(replaced("a=ice-pwd:", "a=ice-pwd:!")).code == error_code::bad_description);
    CHECK(refused(replaced("a=fingerprint:sha-256", "a=fingerprint:sha-3")).code ==
          error_code::invalid_access);
    CHECK(refused(replaced("a=setup:actpass", "a=setup:holdconn")).code ==
          error_code::invalid_access);
    CHECK(refused(replaced("a=sctp-port:5000", "a=sctp-port:65536")).code ==
          error_code::bad_description);
    CHECK(answer_to(offer).size() > 100);
  }

  TEST_CASE_FIXTURE(fixture, "each command is refused in the states it has no place in") {
    const auto offer = session_description{sdp_type::offer, sample("firefox-data-only-offer.sdp")};
    const auto invalid = [](const auto& r) {
      return !r && r.error().code == error_code::invalid_state;
    };
    CHECK(invalid(peer.create_answer(now)));
    CHECK(invalid(peer.set_remote_description(now, {sdp_type::answer, offer.sdp})));
    CHECK(invalid(peer.set_local_description(now, {sdp_type::answer, offer.sdp})));
    CHECK(invalid(
        peer.add_ice_candidate(now, {.candidate = "candidate:1 1 udp 1 10.0.0.9 9 typ host"})));
    REQUIRE(peer.set_remote_description(now, offer));
    CHECK(invalid(peer.create_offer(now)));
    REQUIRE(peer.set_local_description(now));

    peer.close(now);
    CHECK(invalid(peer.add_local_address(now, address(2))));
    CHECK(peer.signaling() == signaling_state::closed);
    CHECK(invalid(peer.create_offer(now)));
    CHECK(invalid(peer.set_local_description(now)));
    CHECK(invalid(peer.set_remote_description(now, offer)));
    CHECK(invalid(peer.create_data_channel(now, "late")));
    CHECK(invalid(peer.add_ice_candidate(now, {})));
    CHECK(peer.state() == connection_state::closed);
  }

  TEST_CASE_FIXTURE(fixture, "a candidate that cannot be used is counted, a broken one refused") {
    answer_to(sample("firefox-data-only-offer.sdp"));
    const auto before = peer.stats().ignored_candidates;
    const std::string mid{parsed(sample("firefox-data-only-offer.sdp")).media(0).mid()};
    const auto add = [&](std::string line, std::string section, std::string ufrag) {
      return peer.add_ice_candidate(now, {.candidate = std::move(line),
                                          .sdp_mid = std::move(section),
                                          .sdp_mline_index = {},
                                          .username_fragment = std::move(ufrag)});
    };
    CHECK(add("candidate:1 1 udp 2 somewhere.example 9 typ host", mid, ""));
    CHECK(add("candidate:1 1 sctp 2 10.0.0.9 9 typ host", mid, ""));
    CHECK(add("candidate:1 1 udp 2 10.0.0.9 9 typ host", "other", ""));
    CHECK(add("candidate:1 1 udp 2 10.0.0.9 9 typ host", mid, "stale"));
    CHECK(peer.stats().ignored_candidates == before + 4);
    CHECK_FALSE(add("candidate:nonsense", mid, ""));
    CHECK(add("candidate:1 1 udp 2 10.0.0.9 9 typ host", mid, ""));
    CHECK(peer.stats().ignored_candidates == before + 4);
  }

  TEST_CASE_FIXTURE(fixture, "negotiation is asked for once, until it is done") {
    const auto asked = [&] {
      std::size_t n = 0;
      while (auto e = peer.poll_event())
        n += std::holds_alternative<connection::negotiation_needed>(*e);
      return n;
    };
    CHECK(asked() == 0);
    REQUIRE(peer.create_data_channel(now, "one"));
    REQUIRE(peer.create_data_channel(now, "two"));
    CHECK(asked() == 1);
  }

  TEST_CASE("a second offer keeps the sections and the transport") {
    weft::peer::test::call c{1};
    REQUIRE(c.a.peer.create_data_channel(c.now, "chat"));
    c.negotiate();
    REQUIRE(c.connect());
    const std::string ufrag{c.a.peer.local_username_fragment()};
    c.negotiate(c.b, c.a);
    c.negotiate(c.a, c.b);
    CHECK(c.a.peer.local_username_fragment() == ufrag);
    const auto d = parsed(c.a.peer.local_description()->sdp);
    CHECK(d.media_count() == 1);
    CHECK(d.media(0).mid() == "0");
    const auto channel = c.a.opened.front();
    REQUIRE(c.a.peer.send(c.now, channel, "still here"));
    CHECK(c.run(5s, [&] { return !c.b.messages.empty(); }));
  }

  TEST_CASE("an answer that rejects the data section ends the channels") {
    fixture f;
    const auto channel = f.peer.create_data_channel(f.now, "chat");
    REQUIRE(channel);
    REQUIRE(f.peer.set_local_description(f.now));
    const std::string answer =
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
        "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n";
    REQUIRE(f.peer.set_remote_description(f.now, {sdp_type::answer, answer}));
    bool closed = false;
    while (auto e = f.peer.poll_event())
      if (const auto* c = std::get_if<connection::data_channel_closed>(&*e))
        closed = c->channel == *channel && !c->error.empty();
    CHECK(closed);
  }
}
