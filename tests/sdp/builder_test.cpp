#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <weft/sdp/builder.hpp>
#include <weft/sdp/candidate.hpp>
#include <weft/sdp/offer_answer.hpp>

#include "samples.hpp"

using namespace weft::sdp;
using namespace weft::sdp::test;
using enum error_code;

namespace {

constexpr origin our_origin{.session_id = 42, .session_version = 1, .address = "0.0.0.0"};

const fingerprint our_fingerprint = *fingerprint::parse("sha-256 AB:CD");

transport_description our_transport(setup_role role) {
  return {.ufrag = "8hhY",
          .pwd = "asd88fgpdd777uzjYhagZg",
          .fingerprints = {&our_fingerprint, 1},
          .setup = role};
}

}  // namespace

TEST_CASE("a data channel's offer in the order of RFC 9429 §5.2.1") {
  builder b{our_origin};
  b.add(ice_options{"trickle ice2"}).add(group{"BUNDLE", "0"});
  add_data_section(b, "0", our_transport(setup_role::actpass), {5000, 262144, false});
  b.add(candidate{.foundation = "1", .priority = 2130706431, .address = "192.0.2.1", .port = 4711});
  b.flag("end-of-candidates");
  const auto offer = std::move(b).finish();
  REQUIRE(offer);
  CHECK(offer->text() ==
        "v=0\r\n"
        "o=- 42 1 IN IP4 0.0.0.0\r\n"
        "s=-\r\n"
        "t=0 0\r\n"
        "a=ice-options:trickle ice2\r\n"
        "a=group:BUNDLE 0\r\n"
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"
        "c=IN IP4 0.0.0.0\r\n"
        "a=mid:0\r\n"
        "a=sctp-port:5000\r\n"
        "a=max-message-size:262144\r\n"
        "a=ice-ufrag:8hhY\r\n"
        "a=ice-pwd:asd88fgpdd777uzjYhagZg\r\n"
        "a=fingerprint:sha-256 AB:CD\r\n"
        "a=setup:actpass\r\n"
        "a=candidate:1 1 udp 2130706431 192.0.2.1 4711 typ host\r\n"
        "a=end-of-candidates\r\n");
  CHECK(check_values(*offer));
  CHECK(check_offer(*offer));
  // What was built is what is parsed.
  const auto again = parsed(offer->text());
  CHECK(again.text() == offer->text());
  CHECK(again.media(0).sctp().has_value());
  CHECK(*again.media(0).sctp() == *offer->media(0).sctp());
}

TEST_CASE("the syntax from before RFC 8841 can be answered in kind") {
  builder b{our_origin};
  add_data_section(b, "0", our_transport(setup_role::active), {5001, 65536, true});
  const auto answer = std::move(b).finish();
  REQUIRE(answer);
  CHECK(answer->media(0).media().protocol == "DTLS/SCTP");
  CHECK(answer->media(0).formats() == "5001");
  CHECK(answer->media(0).find("sctpmap") == "5001 webrtc-datachannel 65535");
  CHECK_FALSE(answer->media(0).has("sctp-port"));
  CHECK(*answer->media(0).sctp() == sctp_parameters{5001, 65536, true});
}

TEST_CASE("a browser's audio and video are turned down and its data taken (RFC 3264 §6)") {
  for (const char* name : {"chromium-av-data-offer", "firefox-max-bundle-offer"}) {
    CAPTURE(name);
    const auto offer = parsed_sample(name);
    builder b{our_origin};
    b.add(group{"BUNDLE", offer.media(2).mid()});
    add_rejected(b, offer.media(0));
    add_rejected(b, offer.media(1));
    add_data_section(b, offer.media(2).mid(), our_transport(setup_role::active),
                     {5000, 262144, false});
    const auto answer = std::move(b).finish();
    REQUIRE(answer);
    const auto checked = check_answer(offer, *answer);
    CHECK_MESSAGE(checked.has_value(), (checked ? std::string{} : to_string(checked.error())));
    CHECK(answer->media(0).is_rejected());
    CHECK(answer->media(0).formats() == offer.media(0).formats());
    CHECK(answer->media(0).direction() == media_direction::inactive);
    CHECK(answer->media(1).is_rejected());
    CHECK_FALSE(answer->media(2).is_rejected());
  }
}

TEST_CASE("nothing of an offered section that is not understood is echoed") {
  const auto offer =
      parsed(with_head("m=video 9/2 RTP/AVP 31\r\nc=IN IP4 192.0.2.7\r\nb=AS:1\r\na=mid:v\r\n"
                       "a=sctp-init:AAAA\r\na=cryptex\r\na=rtcp-mux\r\na=bundle-only\r\n"));
  builder b{our_origin};
  add_rejected(b, offer.media(0));
  const auto answer = std::move(b).finish();
  REQUIRE(answer);
  const std::string_view text = answer->text();
  CHECK(text.substr(text.find("m=")) ==
        "m=video 0 RTP/AVP 31\r\nc=IN IP4 0.0.0.0\r\na=mid:v\r\na=inactive\r\n");
}

TEST_CASE("a description is copied with changes") {
  const auto d = parsed_sample("firefox-data-only-offer");
  builder b{d.origin()};
  for (std::size_t i = 4; i < d.session().size(); ++i)
    b.raw(d.session()[i].type, d.session()[i].value);
  b.copy(d.media(0)).attribute("x-more", "1");
  const auto copy = std::move(b).finish();
  REQUIRE(copy);
  CHECK(copy->text() == sample("firefox-data-only-offer") + "a=x-more:1\r\n");
}

TEST_CASE("no value smuggles in a line") {
  for (const std::string& value : {std::string{"0\r\na=setup:active"}, std::string{"0\n"},
                                   std::string{"0\r"}, std::string{"0\0", 2}}) {
    builder b{our_origin};
    b.media({.kind = "audio", .protocol = "RTP/AVP", .formats = "0"}).attribute("mid", value);
    CHECK(std::move(b).finish().error() == parse_error{forbidden_byte, 7});
  }
  builder b{origin{.username = "x\r\na=evil"}};
  CHECK_FALSE(std::move(b).finish().has_value());
}

TEST_CASE("the first thing wrong with what is built is told") {
  builder b{our_origin};
  b.media({.kind = "audio", .protocol = "RTP/AVP", .formats = ""}).attribute("", "");
  CHECK(std::move(b).finish().error() == parse_error{bad_media_line, 5});
  builder nameless{our_origin};
  nameless.flag("");
  CHECK(std::move(nameless).finish().error() == parse_error{empty_attribute_name, 5});
  builder endless{our_origin};
  endless.media({.kind = "audio", .protocol = "RTP/AVP", .formats = "0"});
  endless.attribute("x", std::string(2u << 20, 'x'));
  CHECK(std::move(endless).finish().error().code == text_too_long);
}
