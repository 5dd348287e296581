#include <doctest/doctest.h>

#include <string>
#include <weft/sdp/trickle.hpp>

using namespace weft::sdp;
using enum error_code;

TEST_CASE("the fragment of RFC 8840 §4.4") {
  const std::string text =
      "a=ice-pwd:asd88fgpdd777uzjYhagZg\r\n"
      "a=ice-ufrag:8hhY\r\n"
      "m=audio 9 RTP/AVP 0\r\n"
      "a=mid:1\r\n"
      "a=candidate:1 1 UDP 2130706432 2001:db8:a0b:12f0::1 5000 typ host\r\n"
      "a=candidate:1 2 UDP 2130706432 2001:db8:a0b:12f0::1 5001 typ host\r\n"
      "a=candidate:2 1 UDP 1694498815 192.0.2.3 5010 typ srflx raddr 192.0.2.1 rport 8998\r\n"
      "a=end-of-candidates\r\n"
      "m=audio 9 RTP/AVP 0\r\n"
      "a=mid:2\r\n"
      "a=candidate:1 1 UDP 2130706432 2001:db8:a0b:12f0::1 6000 typ host\r\n";
  const auto f = trickle_fragment::parse(text);
  REQUIRE(f);
  CHECK(f->ufrag == "8hhY");
  CHECK(f->pwd == "asd88fgpdd777uzjYhagZg");
  CHECK_FALSE(f->end_of_candidates);
  REQUIRE(f->sections.size() == 2);
  CHECK(f->sections[0].mid == "1");
  CHECK(f->sections[0].candidates.size() == 3);
  CHECK(f->sections[0].candidates[2].related_port == 8998);
  CHECK(f->sections[0].end_of_candidates);
  CHECK(f->sections[1].mid == "2");
  CHECK_FALSE(f->sections[1].end_of_candidates);
  CHECK(*trickle_fragment::parse(f->to_string()) == *f);
}

TEST_CASE("the fragment of WHIP, with credentials in the section (RFC 9725 §4.3.2)") {
  const auto f = trickle_fragment::parse(
      "a=group:BUNDLE 0 1\r\n"
      "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"
      "a=mid:0\r\n"
      "a=ice-ufrag:EsAw\r\n"
      "a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n"
      "a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw "
      "network-id 1\r\n"
      "a=candidate:473322822 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active generation 0 "
      "ufrag EsAw network-id 1\r\n"
      "a=end-of-candidates\r\n");
  REQUIRE(f);
  CHECK(f->ufrag.empty());
  REQUIRE(f->sections.size() == 1);
  CHECK(f->sections[0].ufrag == "EsAw");
  CHECK(f->sections[0].pwd == "P2uYro0UCOQ4zxjKXaWCBui1");
  CHECK(f->sections[0].candidates[0].ufrag == "EsAw");
  CHECK(f->sections[0].candidates[1].tcp_type == tcp_type::active);
  CHECK(f->sections[0].end_of_candidates);
}

TEST_CASE("what is written is read") {
  trickle_fragment f;
  f.ufrag = "8hhY";
  f.pwd = "asd88fgpdd777uzjYhagZg";
  f.end_of_candidates = true;
  f.sections.push_back({.mid = "0",
                        .ufrag = {},
                        .pwd = {},
                        .candidates = {candidate{.foundation = "1", .address = "192.0.2.1"}},
                        .end_of_candidates = true});
  CHECK(f.to_string() ==
        "a=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\na=end-of-candidates\r\n"
        "m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 0 typ host\r\n"
        "a=end-of-candidates\r\n");
  CHECK(*trickle_fragment::parse(f.to_string()) == f);
  CHECK(trickle_fragment::parse("")->to_string().empty());
}

TEST_CASE(
    "names count in any case, unknown attributes and other lines not at all (RFC 8840 §9.2)") {
  const auto f = trickle_fragment::parse(
      "a=new:thing\nx=1\nm=\na=MID:7\na=ICE-UFRAG:8hhY\na=Candidate:1 1 udp 1 192.0.2.1 9 typ "
      "host\na=candidate:1 1 sctp 1 192.0.2.1 9 typ host\na=new\na=END-OF-CANDIDATES");
  REQUIRE(f);
  REQUIRE(f->sections.size() == 1);
  CHECK(f->sections[0].mid == "7");
  CHECK(f->sections[0].ufrag == "8hhY");
  CHECK(f->sections[0].candidates.size() == 1);
  CHECK(f->sections[0].end_of_candidates);
}

TEST_CASE("a malformed fragment is refused with its line") {
  const auto refusal = [](std::string_view text) { return trickle_fragment::parse(text).error(); };
  CHECK(refusal("a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n") ==
        parse_error{misplaced_line, 1});
  CHECK(refusal("a=x\r\n\r\n") == parse_error{empty_line, 2});
  CHECK(refusal("a=x\r\nnonsense\r\n") == parse_error{not_a_line, 2});
  CHECK(refusal("a=x\ry\r\n") == parse_error{forbidden_byte, 1});
  CHECK(refusal(std::string_view{"a=\0\r\n", 5}) == parse_error{forbidden_byte, 1});
  CHECK(refusal("a=ice-ufrag:abc\r\n") == parse_error{bad_length, 1});
  CHECK(refusal("a=ice-pwd:abc\r\n") == parse_error{bad_length, 1});
  CHECK(refusal("m=x\r\na=mid:\r\n") == parse_error{missing_value, 2});
  CHECK(refusal("m=x\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ\r\n") == parse_error{bad_syntax, 2});
}
