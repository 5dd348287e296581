#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>
#include <weft/sdp/attributes.hpp>
#include <weft/sdp/candidate.hpp>
#include <weft/sdp/description.hpp>

#include "samples.hpp"

using namespace weft::sdp;
using namespace weft::sdp::test;
using enum error_code;

namespace {

/// A sound value of each attribute this module knows, which comes back as written.
struct known_value {
  std::string_view name;
  std::string_view value;
  std::string (*rewritten)(std::string_view);
};

template <class T>
known_value sound(std::string_view value) {
  return {T::name, value, [](std::string_view text) {
            const auto read = T::parse(text);
            return read ? text_of(*read) : std::string{to_string(read.error())};
          }};
}

const std::vector<known_value>& sound_values() {
  static const std::vector<known_value> values{
      sound<mid>("sdparta_0"),
      sound<group>("BUNDLE 0 1 audio"),
      sound<group>("LS"),
      sound<ice_ufrag>("8hhY"),
      sound<ice_pwd>("asd88fgpdd777uzjYhagZg"),
      sound<ice_options>("trickle ice2"),
      sound<ice_pacing>("50"),
      sound<fingerprint>("sha-1 00:FF:10"),
      sound<setup>("actpass"),
      sound<setup>("active"),
      sound<setup>("passive"),
      sound<setup>("holdconn"),
      sound<tls_id>("91bbf309c0990a6bec11e38ba2933cee"),
      sound<sctp_port>("5000"),
      sound<max_message_size>("262144"),
      sound<sctpmap>("5000 webrtc-datachannel 65535"),
      sound<sctpmap>("5000 webrtc-datachannel"),
      sound<rtpmap>("111 opus/48000/2"),
      sound<rtpmap>("0 PCMU/8000"),
      sound<fmtp>("111 minptime=10;useinbandfec=1"),
      sound<candidate>("1 1 udp 1 192.0.2.1 9 typ host"),
  };
  return values;
}

template <class T>
error_code refusal_of(std::string_view value) {
  const auto read = T::parse(value);
  REQUIRE_FALSE(read.has_value());
  return read.error();
}

}  // namespace

TEST_CASE("every attribute is written as it was read") {
  for (const known_value& known : sound_values()) {
    CAPTURE(known.name);
    CHECK(known.rewritten(known.value) == known.value);
  }
}

TEST_CASE("a hostile value of any attribute is kept or refused, and never believed") {
  for (const known_value& known : sound_values()) {
    CAPTURE(known.name);
    const auto description_with = [&](std::string_view value) {
      std::string line = "m=audio 9 RTP/AVP 0\r\na=";
      ((line += known.name) += value) += "\r\n";
      return session_description::parse(with_head(line));
    };
    // Without a value, and with an empty one: kept by the parser, malformed to who asks.
    for (const char* value : {"", ":"}) {
      const auto d = description_with(value);
      REQUIRE(d);
      CHECK(check_values(*d).error() == parse_error{missing_value, 6});
    }
    const auto nul = description_with(std::string_view{":a\0b", 4});
    CHECK(nul.error() == parse_error{forbidden_byte, 6});
    for (const std::string& value : {":" + std::string(65536, 'x'), std::string{":\xff\xfe\xc3("},
                                     ":" + std::string(known.value) + std::string(65536, ' ')}) {
      const auto d = description_with(value);
      REQUIRE(d);
      CHECK(d->text().find(value) != std::string_view::npos);
      (void)check_values(*d);
    }
  }
}

TEST_CASE("a byte of no alphabet in any attribute's value is refused where it has a grammar") {
  // The parameters of a=fmtp alone are free text (RFC 8866 §6.15).
  for (const known_value& known : sound_values()) {
    if (known.name == "fmtp") continue;
    CAPTURE(known.name);
    std::string value{known.value};
    value[value.size() / 2] = '\xff';
    CHECK(known.rewritten(value) != value);
  }
}

TEST_CASE("numbers are unsigned decimals within their range") {
  const auto refused = {"-1", "+1", "1e9", "0x10", " 1", "1 ", "1.0", "one"};
  for (const char* text : refused) {
    CAPTURE(text);
    CHECK(refusal_of<sctp_port>(text) == bad_number);
    CHECK(refusal_of<max_message_size>(text) == bad_number);
    CHECK(refusal_of<ice_pacing>(text) == bad_number);
  }
  CHECK(sctp_port::parse("0")->port == 0);
  CHECK(sctp_port::parse("65535")->port == 65535);
  CHECK(refusal_of<sctp_port>("65536") == out_of_range);
  CHECK(refusal_of<sctp_port>("18446744073709551616") == out_of_range);

  CHECK(max_message_size::parse("0")->bytes == 0);
  CHECK(max_message_size::parse("18446744073709551615")->bytes == 18446744073709551615u);
  CHECK(refusal_of<max_message_size>("18446744073709551616") == out_of_range);

  CHECK(ice_pacing::parse("9999999999")->milliseconds == 9999999999);
  CHECK(refusal_of<ice_pacing>("10000000000") == out_of_range);

  CHECK(refusal_of<sctpmap>("65536 webrtc-datachannel") == out_of_range);
  CHECK(refusal_of<sctpmap>("5000 webrtc-datachannel 4294967296") == out_of_range);
  CHECK(refusal_of<sctpmap>("5000") == bad_syntax);
  CHECK(refusal_of<sctpmap>("5000 webrtc-datachannel x") == bad_number);

  CHECK(bandwidth::parse("AS:18446744073709551615")->value == 18446744073709551615u);
  CHECK(text_of(*bandwidth::parse("X-YZ:128")) == "X-YZ:128");
  CHECK(refusal_of<bandwidth>("AS:-1") == bad_number);
  CHECK(timing::parse("2873397496 2873404696")->stop == 2873404696);
  CHECK(refusal_of<timing>("0 0 0") == bad_timing);
}

TEST_CASE("payload types have seven bits (RFC 3550 §5.1)") {
  CHECK(rtpmap::parse("127 x/1")->payload_type == 127);
  CHECK(refusal_of<rtpmap>("128 x/1") == out_of_range);
  CHECK(refusal_of<rtpmap>("256 x/1") == out_of_range);
  CHECK(refusal_of<rtpmap>("-1 x/1") == bad_number);
  CHECK(refusal_of<rtpmap>("0") == bad_syntax);
  CHECK(refusal_of<rtpmap>("0 x") == bad_syntax);
  CHECK(refusal_of<rtpmap>("0 /1") == bad_syntax);
  CHECK(refusal_of<rtpmap>("0 x/") == bad_number);
  CHECK(refusal_of<rtpmap>("0 x/0") == out_of_range);
  CHECK(refusal_of<rtpmap>("0 x/4294967296") == out_of_range);
  CHECK(refusal_of<rtpmap>("0 x/1/") == bad_syntax);
  CHECK(refusal_of<fmtp>("111") == bad_syntax);
  CHECK(refusal_of<fmtp>(" x") == bad_syntax);
}

TEST_CASE("ICE credentials keep to their lengths and letters (RFC 8839 §5.4)") {
  CHECK(refusal_of<ice_ufrag>("abc") == bad_length);
  CHECK(ice_ufrag::parse(std::string(256, 'a')));
  CHECK(refusal_of<ice_ufrag>(std::string(257, 'a')) == bad_length);
  CHECK(refusal_of<ice_ufrag>("ab:cd") == bad_character);
  CHECK(refusal_of<ice_ufrag>("ab cd") == bad_character);
  CHECK(refusal_of<ice_pwd>(std::string(21, 'a')) == bad_length);
  CHECK(ice_pwd::parse(std::string(22, '+')));
  CHECK(ice_pwd::parse(std::string(256, '/')));
  CHECK(refusal_of<ice_pwd>(std::string(257, 'a')) == bad_length);
}

TEST_CASE("a fingerprint is hexadecimal octets with colons (RFC 8122 §5)") {
  const auto f = fingerprint::parse("SHA-256 ab:CD:00");
  REQUIRE(f);
  CHECK(f->is("sha-256"));
  CHECK_FALSE(f->is("sha-2"));
  CHECK(f->size == 3);
  CHECK(f->octets[0] == 0xab);
  CHECK(text_of(*f) == "SHA-256 AB:CD:00");
  CHECK(text_of(fingerprint::of("sha-1", f->value())) == "sha-1 AB:CD:00");

  CHECK(refusal_of<fingerprint>("sha-256") == bad_syntax);
  CHECK(refusal_of<fingerprint>("sha-256 ") == bad_syntax);
  CHECK(refusal_of<fingerprint>(" AB") == bad_syntax);
  CHECK(refusal_of<fingerprint>("sha-256 A") == bad_syntax);
  CHECK(refusal_of<fingerprint>("sha-256 AB:") == bad_syntax);
  CHECK(refusal_of<fingerprint>("sha-256 ABCDE") == bad_syntax);
  CHECK(refusal_of<fingerprint>("sha-256 AG") == bad_character);
  std::string longest = "sha-512 00";
  for (int i = 1; i < 64; ++i) longest += ":00";
  CHECK(fingerprint::parse(longest)->size == 64);
  CHECK(refusal_of<fingerprint>(longest + ":00") == bad_length);
  const std::array<std::uint8_t, 65> too_long{};
  CHECK(fingerprint::of("x", too_long).size == 64);
}

TEST_CASE("a group names its sections (RFC 5888 §5)") {
  const auto g = group::parse("BUNDLE 0 1 10");
  REQUIRE(g);
  CHECK(g->is_bundle());
  CHECK(g->contains("1"));
  CHECK_FALSE(g->contains("100"));
  CHECK_FALSE(g->contains(""));
  CHECK(group::parse("BUNDLE")->mids.empty());
  CHECK_FALSE(group::parse("LS a")->is_bundle());
  CHECK(refusal_of<group>(" a") == bad_character);
  CHECK(refusal_of<group>("BUNDLE a:b") == bad_character);
  // Some write one space too many.
  CHECK(text_of(*group::parse("BUNDLE  0  1 ")) == "BUNDLE 0 1");
}

TEST_CASE("a tag is a token (RFC 5888 §4), a tls-id has 20 to 255 letters (RFC 8842 §4)") {
  CHECK(refusal_of<mid>("a b") == bad_character);
  CHECK(refusal_of<mid>("a/b") == bad_character);
  CHECK(refusal_of<tls_id>(std::string(19, 'a')) == bad_length);
  CHECK(tls_id::parse(std::string(20, '_')));
  CHECK(tls_id::parse(std::string(255, '-')));
  CHECK(refusal_of<tls_id>(std::string(256, 'a')) == bad_length);
  CHECK(refusal_of<tls_id>(std::string(20, '.')) == bad_character);
}

TEST_CASE("a setup role is one of four (RFC 4145 §4)") {
  CHECK(setup::parse("ACTIVE")->role == setup_role::active);
  CHECK(refusal_of<setup>("activ") == bad_syntax);
  CHECK(refusal_of<setup>("active ") == bad_syntax);
}

TEST_CASE("directions have names and opposites (RFC 8866 §6.7)") {
  using enum media_direction;
  for (const media_direction d : {sendrecv, sendonly, recvonly, inactive}) {
    CHECK(parse_direction(to_string(d)) == d);
    CHECK(reversed(reversed(d)) == d);
  }
  CHECK(reversed(sendonly) == recvonly);
  CHECK(reversed(sendrecv) == sendrecv);
  CHECK_FALSE(parse_direction("sendrecv "));
}

TEST_CASE("every error has a reason of its own") {
  std::vector<std::string_view> reasons;
  for (int code = 0; code <= static_cast<int>(too_many_candidates); ++code)
    reasons.push_back(to_string(static_cast<error_code>(code)));
  std::ranges::sort(reasons);
  CHECK(std::ranges::adjacent_find(reasons) == reasons.end());
  CHECK(std::ranges::find(reasons, "unknown error") == reasons.end());
}
