#include <doctest/doctest.h>

#include <set>
#include <string>

#include <weft/sdp/description.hpp>

#include "call.hpp"

using namespace std::chrono_literals;
using namespace weft::peer;
using weft::peer::test::address;
using weft::peer::test::call;
using weft::peer::test::make_certificate;

namespace {

struct connected : call {
  connected() : call{1} {
    channel = *a.peer.create_data_channel(now, "first");
    negotiate();
    REQUIRE(connect());
  }
  channel_handle channel;
};

struct alone {
  weft::time_point now{};
  weft::seeded_random random{7};
  connection peer{random, make_certificate()};

  alone() { REQUIRE(peer.add_local_address(now, address(1))); }
  std::size_t needed() {
    std::size_t out = 0;
    while (const auto e = peer.poll_event())
      out += std::holds_alternative<connection::negotiation_needed>(*e) ? 1 : 0;
    return out;
  }
};

/// The text with the rest of the first line that begins so.
std::string with_line(std::string text, const std::string& begin, const std::string& rest) {
  const auto at = text.find(begin);
  REQUIRE(at != std::string::npos);
  return text.replace(at + begin.size(), text.find('\r', at) - at - begin.size(), rest);
}

const std::string audio_offer =
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\n"
    "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n"
    "a=fingerprint:sha-256 "
    "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:"
    "FF\r\na=setup:actpass\r\n";

/// The answer to an offer of data that does not want it.
std::string rejection(const std::string& offer) {
  const auto d = weft::sdp::session_description::parse(offer);
  REQUIRE(d);
  return "v=0\r\no=- 2 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
         "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:" +
         std::string{d->media(0).mid()} + "\r\n";
}

}  // namespace

TEST_SUITE("peer/renegotiation") {
  TEST_CASE_FIXTURE(alone, "the tag of an offer that was never set collides with nobody's") {
    REQUIRE(peer.create_data_channel(now, "chat"));
    REQUIRE(peer.create_offer(now));  // And forgotten.
    REQUIRE(peer.set_remote_description(now, {sdp_type::offer, audio_offer}));
    REQUIRE(peer.set_local_description(now));
    const auto offer = peer.create_offer(now);
    REQUIRE(offer);
    const auto d = weft::sdp::session_description::parse(offer->sdp);
    REQUIRE(d);
    REQUIRE(d->media_count() == 2);
    CHECK(d->media(0).kind() == "audio");
    CHECK(d->media(1).is_data_channel());
    CHECK(d->media(0).mid() != d->media(1).mid());
  }

  TEST_CASE_FIXTURE(connected,
                    "RFC 8839 §4.4.1.1.1: a new ice-pwd without a new ice-ufrag is refused") {
    auto offer = *b.peer.create_offer(now);
    offer.sdp = with_line(offer.sdp, "a=ice-pwd:", "anotherpasswordanotherpass");
    const auto set = a.peer.set_remote_description(now, offer);
    REQUIRE_FALSE(set);
    CHECK(set.error().code == error_code::invalid_modification);
    CHECK(a.peer.signaling() == signaling_state::stable);
  }

  TEST_CASE_FIXTURE(connected, "an answer cannot restart ICE where the offer did not") {
    REQUIRE(a.peer.set_local_description(now));
    REQUIRE(b.peer.set_remote_description(now, *a.peer.local_description()));
    auto answer = *b.peer.create_answer(now);
    answer.sdp = with_line(answer.sdp, "a=ice-ufrag:", "other");
    answer.sdp = with_line(answer.sdp, "a=ice-pwd:", "anotherpasswordanotherpass");
    const auto set = a.peer.set_remote_description(now, answer);
    REQUIRE_FALSE(set);
    CHECK(set.error().code == error_code::invalid_modification);
  }

  TEST_CASE_FIXTURE(alone, "after an answer rejected data, the next channel asks again") {
    REQUIRE(peer.create_data_channel(now, "chat"));
    REQUIRE(peer.set_local_description(now));
    CHECK(needed() == 1);
    const auto offer = peer.local_description()->sdp;
    REQUIRE(peer.set_remote_description(now, {sdp_type::answer, rejection(offer)}));
    CHECK(needed() == 0);
    REQUIRE(peer.create_data_channel(now, "again"));
    CHECK(needed() == 1);
  }

  TEST_CASE_FIXTURE(alone, "W3C WebRTC §4.4.2: before any negotiation there is no ICE to restart") {
    peer.restart_ice(now);
    CHECK(needed() == 0);
  }

  TEST_CASE_FIXTURE(connected, "RFC 8841 §10.4: a later description may change what is taken") {
    auto offer = *b.peer.create_offer(now);
    REQUIRE(b.peer.set_local_description(now, offer));
    offer.sdp = with_line(offer.sdp, "a=max-message-size:", "1000");
    REQUIRE(a.peer.set_remote_description(now, offer));
    CHECK(a.peer.max_message_size() == 1000);
    CHECK(a.peer.send(now, channel, std::string(1000, 'x')));
    const auto sent = a.peer.send(now, channel, std::string(1001, 'x'));
    REQUIRE_FALSE(sent);
    CHECK(sent.error().code == error_code::too_large);
  }

  TEST_CASE("RFC 8841 §6.1: a size of 0 is any, none is 64 KiB") {
    for (const bool zero : {true, false}) {
      CAPTURE(zero);
      call c{3};
      REQUIRE(c.b.peer.create_data_channel(c.now, "chat"));
      REQUIRE(c.a.peer.create_data_channel(c.now, "chat"));
      auto offer = *c.a.peer.create_offer(c.now);
      if (zero) {
        offer.sdp = with_line(offer.sdp, "a=max-message-size:", "0");
      } else {
        const auto at = offer.sdp.find("a=max-message-size:");
        offer.sdp.erase(at, offer.sdp.find('\n', at) + 1 - at);
      }
      REQUIRE(c.b.peer.set_remote_description(c.now, offer));
      REQUIRE(c.b.peer.set_local_description(c.now));
      CHECK(c.b.peer.max_message_size() ==
            (zero ? connection::options{}.send_buffer : std::size_t{65536}));
    }
  }

  TEST_CASE("trickled candidates stand in the remote description, and so does their end") {
    call c{4};
    REQUIRE(c.a.peer.create_data_channel(c.now, "chat"));
    REQUIRE(c.b.peer.set_remote_description(c.now, *c.a.peer.create_offer(c.now)));
    const std::string late = "candidate:7 1 udp 1000 10.0.0.77 4444 typ host";
    REQUIRE(c.b.peer.add_ice_candidate(c.now, {.candidate = late, .sdp_mid = "0"}));
    REQUIRE(c.b.peer.add_ice_candidate(c.now, {.candidate = late, .sdp_mid = "0"}));
    CHECK(c.b.peer.remote_description()->sdp.find("a=" + late) != std::string::npos);
    REQUIRE(c.b.peer.add_ice_candidate(c.now, {}));
    const auto shown = c.b.peer.remote_description()->sdp;
    CHECK(shown.find("a=end-of-candidates") != std::string::npos);
    CHECK(shown.find(late) == shown.rfind(late));
  }

  TEST_CASE_FIXTURE(connected,
                    "a data section removed in mid call ends the channels, and may come back") {
    REQUIRE(b.peer.set_local_description(now));
    const auto offer = b.peer.local_description()->sdp;
    REQUIRE(b.peer.set_remote_description(now, {sdp_type::answer, rejection(offer)}));
    CHECK(b.closed.size() + b.count<connection::data_channel_closed>() <= 1);
    CHECK_FALSE(b.peer.max_message_size());
    CHECK(b.peer.poll_timeout().has_value());
    run(1s);
    CHECK(b.closed.size() == 1);
    REQUIRE(b.peer.create_data_channel(now, "again"));
    run(10ms);
    CHECK(b.count<connection::negotiation_needed>() == 1);
  }

  TEST_CASE("RFC 8445 §6.1.1: a full agent controls a lite one, whoever offers") {
    connection::options lite;
    lite.ice.kind = weft::ice::implementation_kind::lite;
    for (const bool lite_offers : {true, false}) {
      CAPTURE(lite_offers);
      call c{5,
             {},
             lite_offers ? lite : connection::options{},
             lite_offers ? connection::options{} : lite};
      REQUIRE(c.a.peer.create_data_channel(c.now, "chat"));
      c.negotiate();
      REQUIRE(c.connect(1, 5s));
      auto& full = lite_offers ? c.b : c.a;
      auto& other = lite_offers ? c.a : c.b;
      CHECK(full.peer.transport_stats().ice_role == weft::ice::role::controlling);
      CHECK(other.peer.transport_stats().ice_role == weft::ice::role::controlled);
      CHECK(other.peer.local_description()->sdp.find("a=ice-lite") != std::string::npos);
      CHECK(full.peer.local_description()->sdp.find("a=ice-lite") == std::string::npos);
    }
  }

  TEST_CASE("both say that they know renomination") {
    call c{6};
    REQUIRE(c.a.peer.create_data_channel(c.now, "chat"));
    c.negotiate();
    for (const auto* s : {&c.a, &c.b})
      CHECK(s->peer.local_description()->sdp.find("a=ice-options:trickle renomination\r\n") !=
            std::string::npos);
  }

  TEST_CASE("SCTP ports other than 5000 are those that the description names") {
    call c{7};
    REQUIRE(c.a.peer.create_data_channel(c.now, "chat"));
    auto offer = *c.a.peer.create_offer(c.now);
    REQUIRE(c.a.peer.set_local_description(c.now, offer));
    offer.sdp = with_line(offer.sdp, "a=sctp-port:", "5001");
    REQUIRE(c.b.peer.set_remote_description(c.now, offer));
    REQUIRE(c.b.peer.set_local_description(c.now));
    REQUIRE(c.a.peer.set_remote_description(c.now, *c.b.peer.local_description()));
    // A listens on 5000 all the same: what B sends to 5001 is nobody's.
    CHECK_FALSE(c.connect(1, 10s));
    CHECK(c.b.peer.state() == connection_state::connected);
    CHECK(c.b.opened.empty());
  }

  TEST_CASE_FIXTURE(alone, "of two data sections the first is taken") {
    const std::string section =
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n"
        "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=setup:actpass\r\n"
        "a=sctp-port:5000\r\na=fingerprint:sha-256 "
        "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:"
        "EE:FF\r\n";
    const std::string offer = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n" + section +
                              "a=mid:x\r\n" + section + "a=mid:y\r\n";
    REQUIRE(peer.set_remote_description(now, {sdp_type::offer, offer}));
    const auto answer = peer.create_answer(now);
    REQUIRE(answer);
    const auto d = weft::sdp::session_description::parse(answer->sdp);
    REQUIRE(d);
    CHECK_FALSE(d->media(0).is_rejected());
    CHECK(d->media(1).is_rejected());
  }

  TEST_CASE("a name that is not found costs its candidate and nothing else") {
    call c{8};
    REQUIRE(c.a.peer.create_data_channel(c.now, "chat"));
    const auto offer = *c.a.peer.create_offer(c.now);
    REQUIRE(c.a.peer.set_local_description(c.now, offer));
    REQUIRE(c.b.peer.set_remote_description(c.now, offer));
    REQUIRE(c.b.peer.add_ice_candidate(
        c.now, {.candidate = "candidate:7 1 udp 1000 nobody.local 4444 typ host", .sdp_mid = "0"}));
    REQUIRE(c.b.peer.set_local_description(c.now));
    REQUIRE(c.a.peer.set_remote_description(c.now, *c.b.peer.local_description()));
    c.run(1ms);
    CHECK(c.b.count<connection::resolve_name>() == 1);
    c.b.peer.resolve(c.now, "nobody.local", {});
    CHECK(c.connect(1, 5s));
  }

  TEST_CASE_FIXTURE(connected,
                    "media and what is nothing known are counted, from wherever they come") {
    const auto before = a.peer.stats();
    const std::uint8_t media[] = {0x80, 0, 0, 0}, unknown[] = {0xff, 1};
    CHECK(a.peer.handle_input(now, a.local, b.local, media));
    CHECK(a.peer.handle_input(now, a.local, address(66), media));
    (void)a.peer.handle_input(now, a.local, b.local, unknown);
    CHECK_FALSE(a.peer.handle_input(now, a.local, address(66), unknown));
    CHECK(a.peer.stats().media_datagrams == before.media_datagrams + 2);
    CHECK(a.peer.stats().unknown_datagrams == before.unknown_datagrams + 2);
  }

  TEST_CASE_FIXTURE(
      connected, "a stream whose reset waits behind another channel's message can be used again") {
    const auto second = *a.peer.create_data_channel(now, "second");
    REQUIRE(run(5s, [&] { return b.opened.size() == 2; }));
    const auto stream = a.peer.channel(second)->options.id;
    b.reading = false;
    REQUIRE(a.peer.send(now, channel, "unread"));
    run(1s);
    b.peer.close_data_channel(now, b.opened[1]);
    REQUIRE(run(5s, [&] { return a.closed.size() == 1; }));
    run(1s);
    const auto third = *a.peer.create_data_channel(now, "third");
    REQUIRE(a.peer.send(now, channel, "and more"));
    run(1s);
    REQUIRE(a.peer.channel(third)->options.id == stream);
    REQUIRE(a.peer.send(now, third, "hello"));
    run(1s);
    b.reading = true;
    REQUIRE(run(5s, [&] { return b.opened.size() == 3; }));
    CHECK(run(5s, [&] { return !b.messages[b.opened[2]].empty(); }));
    CHECK(b.closed.size() == 1);
    CHECK(b.peer.stats().bad_messages == 0);
  }

  TEST_CASE("channels made and closed before there is a connection leave nothing behind") {
    connection::options opts;
    opts.max_channels = 4;
    call c{9, {}, opts, {}};
    for (int i = 0; i < 1000; ++i) {
      const auto made = c.a.peer.create_data_channel(c.now, "brief");
      REQUIRE(made);
      c.a.peer.close_data_channel(c.now, *made);
    }
    REQUIRE(c.a.peer.create_data_channel(c.now, "stays"));
    c.negotiate();
    REQUIRE(c.connect());
    CHECK(c.a.opened.size() == 1);
  }

  TEST_CASE_FIXTURE(connected, "RFC 5246 §7.2.1: close_notify is answered") {
    a.peer.close(now);
    run(15ms);
    const auto sent = b.peer.stats().datagrams_sent;
    REQUIRE(run(1s, [&] { return b.peer.state() == connection_state::closed; }));
    run(10ms);
    CHECK(b.peer.stats().datagrams_sent > sent);
  }
}
