// Offers and answers that Chromium 156, Firefox, pion and aiortc made on loopback, and those
// printed in RFC 9429 §7 and RFC 9143 §7.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>
#include <weft/sdp/candidate.hpp>
#include <weft/sdp/description.hpp>
#include <weft/sdp/offer_answer.hpp>

#include "samples.hpp"

using namespace weft::sdp;
using namespace weft::sdp::test;

namespace {

std::vector<std::string> sample_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator{WEFT_TEST_DATA_DIR})
    if (entry.path().extension() == ".sdp") names.push_back(entry.path().stem().string());
  std::ranges::sort(names);
  return names;
}

}  // namespace

TEST_CASE("every sample comes back byte for byte") {
  const auto names = sample_names();
  REQUIRE(names.size() >= 30);
  for (const std::string& name : names) {
    CAPTURE(name);
    const std::string text = sample(name);
    const auto d = session_description::parse(text);
    REQUIRE(d.has_value());
    CHECK(d->text() == text);
    std::string written;
    d->write(written);
    CHECK(written == text);
  }
}

TEST_CASE("every value in every sample is sound, and each keeps the rules of groups and tags") {
  for (const std::string& name : sample_names()) {
    CAPTURE(name);
    const auto d = parsed_sample(name);
    const auto values = check_values(d);
    CHECK_MESSAGE(values.has_value(), (values ? std::string{} : to_string(values.error())));
    const auto rules = check_offer(d);
    CHECK_MESSAGE(rules.has_value(), (rules ? std::string{} : to_string(rules.error())));
  }
}

TEST_CASE("every answer among the samples is a good answer to its offer") {
  struct pair {
    const char* offer;
    const char* answer;
  };
  constexpr pair pairs[] = {
      {"chromium-av-data-offer", "chromium-av-data-answer"},
      {"chromium-stop-bundle-tag-2-offer", "chromium-stop-bundle-tag-2-answer"},
      {"firefox-data-only-offer", "firefox-data-only-answer"},
      {"firefox-max-bundle-offer", "firefox-max-bundle-answer"},
      {"firefox-answerer-rejects-offer", "firefox-answerer-rejects-answer"},
      {"aiortc-data-only-offer", "aiortc-data-only-answer"},
      {"rfc9429-offer-A1", "rfc9429-answer-A1"},
      {"rfc9429-offer-B1", "rfc9429-answer-B1"},
      {"rfc9429-offer-C1", "rfc9429-answer-C1"},
      {"rfc9429-offer-C2", "rfc9429-answer-C2"},
      {"rfc9143-7.2.2-offer", "rfc9143-7.3.4-answer"},
      {"rfc9143-7.2.2-bundle-only-offer", "rfc9143-7.3.4-answer"},
  };
  for (const pair& p : pairs) {
    CAPTURE(p.offer);
    const auto checked = check_answer(parsed_sample(p.offer), parsed_sample(p.answer));
    CHECK_MESSAGE(checked.has_value(), (checked ? std::string{} : to_string(checked.error())));
  }
}

TEST_CASE("Chromium's offer yields its typed values") {
  const auto d = parsed_sample("chromium-av-data-offer");
  CHECK(d.origin().session_id == 4323176633301790131);
  CHECK(d.origin().session_version == 2);
  CHECK(d.session().has("extmap-allow-mixed"));
  CHECK(d.session().find("msid-semantic") == " WMS c382ec26-36ca-44c2-9a73-88c0dd33f7ba");
  const auto bundle = d.session().get<group>();
  REQUIRE((bundle && *bundle));
  CHECK((*bundle)->is_bundle());
  CHECK((*bundle)->mids == "0 1 2");

  REQUIRE(d.media_count() == 3);
  CHECK(d.media(0).kind() == "audio");
  CHECK(d.media(0).port() == 55794);
  CHECK(d.media(0).direction() == media_direction::sendrecv);
  const auto codecs = d.media(0).get_all<rtpmap>();
  REQUIRE(codecs);
  REQUIRE(codecs->size() == 8);
  CHECK(codecs->front().encoding == "opus");
  CHECK(codecs->front().clock_rate == 48000);
  CHECK(codecs->front().parameters == "2");

  const media_section data = d.media(2);
  CHECK(data.mid() == "2");
  CHECK(data.protocol() == "UDP/DTLS/SCTP");
  CHECK(data.formats() == "webrtc-datachannel");
  const auto sctp = data.sctp();
  REQUIRE(sctp);
  CHECK(*sctp == sctp_parameters{5000, 262144, false});
  CHECK((*data.get<ice_ufrag>())->text == "ahNH");
  CHECK((*data.get<ice_pwd>())->text == "pqOrK4tG4T50cwTtCNhGWvAt");
  CHECK((*data.get<ice_options>())->contains("trickle"));
  CHECK((*data.get<setup>())->role == setup_role::actpass);
  const auto fingerprints = data.get_all<fingerprint>();
  REQUIRE(fingerprints);
  REQUIRE(fingerprints->size() == 1);
  CHECK(fingerprints->front().is("sha-256"));
  CHECK(fingerprints->front().size == 32);
  CHECK(fingerprints->front().octets[0] == 0xaf);
  CHECK(fingerprints->front().octets[31] == 0x8b);

  const auto candidates = data.get_all<candidate>();
  REQUIRE(candidates);
  REQUIRE(candidates->size() == 2);
  CHECK(candidates->front() == candidate{.foundation = "2142584923",
                                         .priority = 2122260223,
                                         .address = "127.0.0.1",
                                         .port = 39152,
                                         .generation = 0,
                                         .network_id = 1,
                                         .network_cost = 50});
  CHECK(candidates->back().tcp_type == tcp_type::active);
}

TEST_CASE("Firefox's session level holds for its media sections (RFC 8839 §5.4, RFC 8122 §5)") {
  const auto d = parsed_sample("firefox-data-only-offer");
  const media_section data = d.media(0);
  CHECK_FALSE(data.has("fingerprint"));
  const auto fingerprints = data.get_all<fingerprint>();
  REQUIRE((fingerprints && fingerprints->size() == 1));
  CHECK(fingerprints->front().octets[0] == 0xcb);
  CHECK((*data.get<ice_options>())->contains("trickle"));
  CHECK(data.direction() == media_direction::sendrecv);
  CHECK(data.sctp()->max_message_size == 1073741823);
  CHECK(data.has("end-of-candidates"));
  const auto candidates = data.get_all<candidate>();
  REQUIRE((candidates && candidates->size() == 4));
  CHECK((*candidates)[1].address == "::1");
}

TEST_CASE("port 0 rejects a section, except bundle-only in a BUNDLE group (RFC 9143 §6)") {
  const auto max_bundle = parsed_sample("firefox-max-bundle-offer");
  REQUIRE(max_bundle.media_count() == 3);
  CHECK(max_bundle.media(1).port() == 0);
  CHECK_FALSE(max_bundle.media(1).is_rejected());
  CHECK_FALSE(max_bundle.media(2).is_rejected());

  const auto stopped = parsed_sample("chromium-stop-bundle-tag-2-answer");
  CHECK(stopped.media(0).is_rejected());
  CHECK_FALSE(stopped.media(1).is_rejected());

  const auto stray =
      parsed(with_head("a=group:BUNDLE 1\r\nm=audio 0 RTP/AVP 0\r\na=mid:0\r\n"
                       "a=bundle-only\r\nm=audio 9 RTP/AVP 0\r\na=mid:1\r\n"));
  CHECK(stray.media(0).is_rejected());
}

TEST_CASE("the SCTP syntax from before RFC 8841 is understood") {
  const auto chromium = parsed_sample("chromium-old-sctp-syntax-answer");
  REQUIRE(chromium.media(0).is_data_channel());
  CHECK(*chromium.media(0).sctp() == sctp_parameters{5000, 65536, true});
  const auto aiortc = parsed_sample("aiortc-data-only-offer");
  REQUIRE(aiortc.media(0).is_data_channel());
  CHECK(*aiortc.media(0).sctp() == sctp_parameters{5000, 65536, true});
}

TEST_CASE("a recycled section keeps its place under a new tag (RFC 9429 §5.2.2)") {
  const auto d = parsed_sample("chromium-stopped-3-recycled-offer");
  CHECK(d.media(1).mid() == "3");
  CHECK(d.media_by_mid("2")->index() == 2);
  CHECK_FALSE(d.media_by_mid("1"));
}
