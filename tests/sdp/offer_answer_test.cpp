#include <doctest/doctest.h>

#include <string>
#include <weft/sdp/offer_answer.hpp>

#include "samples.hpp"

using namespace weft::sdp;
using namespace weft::sdp::test;

namespace {

std::string media_text(std::string_view media, std::string_view mid, std::string_view lines = "") {
  std::string out = "m=";
  (((out += media) += "\r\na=mid:") += mid) += "\r\n";
  return out += lines;
}

const std::string audio = "audio 9 UDP/TLS/RTP/SAVPF 111";
const std::string data = "application 9 UDP/DTLS/SCTP webrtc-datachannel";

std::optional<rule_violation> violation(const std::string& offer, const std::string& answer) {
  const auto checked = check_answer(parsed(with_head(offer)), parsed(with_head(answer)));
  return checked ? std::nullopt : std::optional{checked.error()};
}

std::optional<rule_violation> self_violation(const std::string& offer) {
  const auto checked = check_offer(parsed(with_head(offer)));
  return checked ? std::nullopt : std::optional{checked.error()};
}

std::optional<rule_violation> reoffer_violation(const std::string& current,
                                                const std::string& offer) {
  const auto checked = check_reoffer(parsed(with_head(current)), parsed(with_head(offer)));
  return checked ? std::nullopt : std::optional{checked.error()};
}

}  // namespace

TEST_CASE("an answer has the offer's m= lines, in number, kind, protocol and tag (RFC 3264 §6)") {
  const std::string offer = media_text(audio, "a") + media_text(data, "d");
  CHECK_FALSE(violation(offer, offer));
  CHECK(violation(offer, media_text(audio, "a")) ==
        rule_violation{rule::media_count, std::nullopt});
  CHECK(violation(offer, media_text(data, "a") + media_text(audio, "d")) ==
        rule_violation{rule::media_kind, 0});
  CHECK(violation(offer, media_text(audio, "a") +
                             media_text("application 9 TCP/DTLS/SCTP webrtc-datachannel", "d")) ==
        rule_violation{rule::media_protocol, 1});
  CHECK(violation(offer, media_text(audio, "a") + media_text(data, "x")) ==
        rule_violation{rule::media_mid, 1});
  CHECK(violation(offer, media_text(audio, "a") + "m=" + data + "\r\n") ==
        rule_violation{rule::media_mid, 1});
  // Who rejects need not know of tags.
  CHECK_FALSE(violation(offer, "m=audio 0 UDP/TLS/RTP/SAVPF 0\r\n" + media_text(data, "d")));
  CHECK(violation(offer,
                  media_text(audio, "a") + media_text("application 9 UDP/DTLS/SCTP bfcp", "d")) ==
        rule_violation{rule::format_mismatch, 1});
}

TEST_CASE("what is offered with port 0 is answered with port 0 (RFC 3264 §6)") {
  const std::string dead = media_text("audio 0 UDP/TLS/RTP/SAVPF 111", "a");
  CHECK_FALSE(violation(dead, dead));
  CHECK(violation(dead, media_text(audio, "a")) == rule_violation{rule::not_rejected, 0});
}

TEST_CASE("an answer's direction goes with the offer's (RFC 3264 §6.1)") {
  using enum media_direction;
  const auto refused = [](media_direction offered, media_direction answered) {
    const auto line = [](media_direction d) { return "a=" + std::string{to_string(d)} + "\r\n"; };
    return violation(media_text(audio, "a", line(offered)), media_text(audio, "a", line(answered)));
  };
  for (const media_direction d : {sendrecv, sendonly, recvonly, inactive}) {
    CHECK_FALSE(refused(sendrecv, d));
    CHECK_FALSE(refused(d, inactive));
    if (d != inactive) CHECK(refused(inactive, d) == rule_violation{rule::direction_mismatch, 0});
  }
  CHECK_FALSE(refused(sendonly, recvonly));
  CHECK_FALSE(refused(recvonly, sendonly));
  CHECK(refused(sendonly, sendonly) == rule_violation{rule::direction_mismatch, 0});
  CHECK(refused(sendonly, sendrecv) == rule_violation{rule::direction_mismatch, 0});
  CHECK(refused(recvonly, recvonly) == rule_violation{rule::direction_mismatch, 0});
  // Data has no direction.
  CHECK_FALSE(violation(media_text(data, "d", "a=sendonly\r\n"), media_text(data, "d")));
}

TEST_CASE("rtcp-mux is answered only where offered (RFC 5761 §5.1.1)") {
  CHECK(violation(media_text(audio, "a"), media_text(audio, "a", "a=rtcp-mux\r\n")) ==
        rule_violation{rule::rtcp_mux_unoffered, 0});
  CHECK_FALSE(violation(media_text(audio, "a", "a=rtcp-mux\r\n"), media_text(audio, "a")));
}

TEST_CASE("setup roles answer each other as in the table of RFC 4145 §4.1") {
  using enum setup_role;
  struct row {
    setup_role offered, answered;
    bool allowed;
  };
  constexpr row table[] = {
      {active, active, false},    {active, passive, true},    {active, actpass, false},
      {active, holdconn, true},   {passive, active, true},    {passive, passive, false},
      {passive, actpass, false},  {passive, holdconn, true},  {actpass, active, true},
      {actpass, passive, true},   {actpass, actpass, false},  {actpass, holdconn, true},
      {holdconn, active, false},  {holdconn, passive, false}, {holdconn, actpass, false},
      {holdconn, holdconn, true},
  };
  for (const row& r : table) {
    CHECK(may_answer(r.offered, r.answered) == r.allowed);
    const auto line = [](setup_role role) {
      return "a=setup:" + std::string{to_string(role)} + "\r\n";
    };
    const auto refused =
        violation(media_text(data, "d", line(r.offered)), media_text(data, "d", line(r.answered)));
    CHECK(refused.has_value() == !r.allowed);
    if (refused)
      CHECK(refused->broken ==
            (r.answered == actpass ? rule::setup_in_answer : rule::setup_mismatch));
  }
  // At the session level too.
  CHECK(violation("a=setup:active\r\n" + media_text(data, "d"),
                  "a=setup:active\r\n" + media_text(data, "d")) ==
        rule_violation{rule::setup_mismatch, 0});
}

TEST_CASE("the active side is the DTLS client (RFC 8842 §5)") {
  using enum setup_role;
  CHECK(answer_to(actpass) == active);
  CHECK(answer_to(active) == passive);
  CHECK(answer_to(passive) == active);
  CHECK(answer_to(holdconn) == holdconn);
  CHECK(offerer_role(actpass, active) == dtls_role::server);
  CHECK(offerer_role(actpass, passive) == dtls_role::client);
  CHECK(offerer_role(active, passive) == dtls_role::client);
  CHECK(answerer_role(actpass, active) == dtls_role::client);
  CHECK(answerer_role(active, passive) == dtls_role::server);
  CHECK_FALSE(offerer_role(actpass, holdconn));
  CHECK_FALSE(offerer_role(active, active));
  CHECK_FALSE(answerer_role(actpass, actpass));
}

TEST_CASE("tags and groups of one description agree (RFC 5888 §4, RFC 9143 §7.2)") {
  const std::string two = media_text(audio, "a") + media_text(data, "d");
  CHECK_FALSE(self_violation("a=group:BUNDLE a d\r\n" + two));
  CHECK_FALSE(self_violation("a=group:LS nobody\r\na=group:BUNDLE\r\n" + two));
  CHECK(self_violation(media_text(audio, "a") + media_text(data, "a")) ==
        rule_violation{rule::duplicate_mid, 1});
  CHECK(self_violation("a=group:BUNDLE a x\r\n" + two) ==
        rule_violation{rule::group_unknown_mid, std::nullopt});
  CHECK(self_violation("a=group:BUNDLE a d\r\na=group:BUNDLE d\r\n" + two) ==
        rule_violation{rule::group_twice, 1});
  CHECK(self_violation("a=group:BUNDLE a a\r\n" + two) == rule_violation{rule::group_twice, 0});
  CHECK(bundle_of(parsed(with_head("a=group:BUNDLE a d\r\n" + two)), "d")->mids == "a d");
  CHECK_FALSE(bundle_of(parsed(with_head("a=group:LS a d\r\n" + two)), "d"));
}

TEST_CASE("an answer bundles only what was offered bundled together (RFC 9143 §7.3)") {
  const std::string two = media_text(audio, "a") + media_text(data, "d");
  const std::string one_group = "a=group:BUNDLE a d\r\n" + two;
  CHECK_FALSE(violation(one_group, one_group));
  CHECK_FALSE(violation(one_group, "a=group:BUNDLE d\r\n" + two));
  CHECK_FALSE(violation(one_group, two));
  CHECK(violation(two, one_group) == rule_violation{rule::group_unoffered, 0});
  CHECK(violation("a=group:BUNDLE a\r\na=group:BUNDLE d\r\n" + two, one_group) ==
        rule_violation{rule::group_unoffered, 1});
  CHECK(violation("a=group:BUNDLE a\r\n" + two, one_group) ==
        rule_violation{rule::group_unoffered, 1});
}

TEST_CASE("a rejected section leaves its group (RFC 9143 §7.3.3)") {
  const std::string offer =
      "a=group:BUNDLE a d\r\n" + media_text(audio, "a") + media_text(data, "d");
  const std::string rejected =
      media_text("audio 0 UDP/TLS/RTP/SAVPF 111", "a") + media_text(data, "d");
  CHECK(violation(offer, "a=group:BUNDLE a d\r\n" + rejected) ==
        rule_violation{rule::group_rejected, 0});
  CHECK_FALSE(violation(offer, "a=group:BUNDLE d\r\n" + rejected));
}

TEST_CASE("a bundle-only section is taken in its group or not at all (RFC 9143 §7.3.2)") {
  const std::string offer =
      "a=group:BUNDLE a d\r\n" + media_text(audio, "a") +
      media_text("application 0 UDP/DTLS/SCTP webrtc-datachannel", "d", "a=bundle-only\r\n");
  CHECK_FALSE(
      violation(offer, "a=group:BUNDLE a d\r\n" + media_text(audio, "a") + media_text(data, "d")));
  CHECK(violation(offer, "a=group:BUNDLE a\r\n" + media_text(audio, "a") + media_text(data, "d")) ==
        rule_violation{rule::bundle_only_moved, 1});
  CHECK_FALSE(violation(offer, "a=group:BUNDLE a\r\n" + media_text(audio, "a") +
                                   media_text("application 0 UDP/DTLS/SCTP x", "d")));
  // As agents by RFC 8843 answered (RFC 9143 §7.4.1).
  CHECK_FALSE(violation(offer, offer));
}

TEST_CASE("a new offer keeps every section in its place (RFC 3264 §8)") {
  const std::string current = media_text(audio, "a") + media_text(data, "d");
  CHECK_FALSE(reoffer_violation(current, current));
  CHECK_FALSE(reoffer_violation(current, current + media_text(audio, "b")));
  CHECK_FALSE(reoffer_violation(
      current, media_text("audio 0 UDP/TLS/RTP/SAVPF 111", "a") + media_text(data, "d")));
  CHECK(reoffer_violation(current, media_text(audio, "a")) ==
        rule_violation{rule::media_removed, std::nullopt});
  CHECK(reoffer_violation(current, media_text(data, "a") + media_text(audio, "d")) ==
        rule_violation{rule::media_kind, 0});
  CHECK(reoffer_violation(current, media_text(audio, "a") + media_text(data, "e")) ==
        rule_violation{rule::media_mid, 1});
  // A place that was given up may be taken over by another kind.
  CHECK_FALSE(
      reoffer_violation(media_text("audio 0 UDP/TLS/RTP/SAVPF 111", "a"), media_text(data, "x")));
  CHECK(reoffer_violation(current, current + media_text(audio, "a")) ==
        rule_violation{rule::duplicate_mid, 2});
}

TEST_CASE("a broken rule reads as section and reason") {
  CHECK(to_string(rule_violation{rule::media_mid, 2}) == "m= section 2: a=mid changes");
  CHECK(to_string(rule_violation{rule::media_count, std::nullopt}) ==
        "the answer has another number of m= lines than the offer");
}
