#include <doctest/doctest.h>

#include <string>
#include <weft/sdp/candidate.hpp>
#include <weft/sdp/description.hpp>
#include <weft/sdp/offer_answer.hpp>
#include <weft/sdp/trickle.hpp>

#include "samples.hpp"
#include "support/allocation_counter.hpp"

using namespace weft::sdp;
using namespace weft::sdp::test;
using enum error_code;

namespace {

std::string repeated(std::string_view text, std::size_t times) {
  std::string out;
  out.reserve(text.size() * times);
  for (std::size_t i = 0; i < times; ++i) out += text;
  return out;
}

/// `count` sections in one BUNDLE group.
std::string bundled_sections(std::size_t count) {
  std::string group = "a=group:BUNDLE", media;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string tag = std::to_string(i);
    (group += ' ') += tag;
    media += "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\na=bundle-only\r\na=mid:" + tag +
             "\r\n";
  }
  return with_head(group + "\r\n" + media);
}

}  // namespace

TEST_CASE("each limit refuses what is one beyond it, and takes what is on it") {
  const std::string text = with_head("a=x\r\nm=audio 9 RTP/AVP 0\r\nm=audio 9 RTP/AVP 0\r\n");
  parse_options options;
  options.max_size = text.size();
  options.max_lines = 7;
  options.max_session_size = head.size() + 3;
  options.max_media = 2;
  CHECK(session_description::parse(text, options));

  auto less = options;
  --less.max_size;
  CHECK(refusal(text, less) == parse_error{text_too_long, 0});
  less = options;
  --less.max_lines;
  CHECK(refusal(text, less) == parse_error{too_many_lines, 7});
  less = options;
  --less.max_session_size;
  CHECK(refusal(text, less) == parse_error{session_level_too_long, 5});
  less = options;
  --less.max_media;
  CHECK(refusal(text, less) == parse_error{too_many_media, 7});
}

TEST_CASE("the default limits stop a megabyte of lines and ten thousand sections") {
  CHECK(refusal(std::string(2u << 20, 'a')).code == text_too_long);
  CHECK(refusal(with_head("m=audio 9 RTP/AVP 0\r\n" + repeated("a=x\r\n", 100'000))).code ==
        too_many_lines);
  CHECK(refusal(with_head(repeated("m=a 9 b c\r\n", 10'000))).code == too_many_media);
  CHECK(refusal(with_head(repeated("a=x\r\n", 20'000))).code == session_level_too_long);
}

TEST_CASE("parsing a browser's offer takes three allocations: text, lines, sections") {
  for (const char* name : {"chromium-9500-offer", "chromium-av-data-offer",
                           "firefox-max-bundle-offer", "firefox-data-only-offer"}) {
    CAPTURE(name);
    const std::string text = sample(name);
    const auto before = weft::test::allocations();
    const auto d = session_description::parse(text);
    const auto used = weft::test::allocations() - before;
    REQUIRE(d);
    CHECK(used <= 3);

    // Looking things up takes none.
    const auto looking = weft::test::allocations();
    for (std::size_t i = 0; i < d->media_count(); ++i) {
      const media_section m = d->media(i);
      (void)m.get<ice_ufrag>();
      (void)m.get<ice_pwd>();
      (void)m.get<fingerprint>();
      (void)m.get<setup>();
      (void)m.direction();
      (void)m.is_rejected();
      (void)m.is_data_channel();
    }
    CHECK(weft::test::allocations() == looking);
  }
}

TEST_CASE("100,000 candidates are read in time and allocations that grow with their number alone") {
  // Work is counted by allocations: a few for growth of the index, and the vector's own.
  const std::string line =
      "a=candidate:1 1 udp 2122260223 127.0.0.1 39152 typ host generation 0\r\n";
  parse_options options;
  options.max_size = std::size_t{16} << 20;
  options.max_lines = 200'000;
  const std::string text = with_head("m=audio 9 RTP/AVP 0\r\n" + repeated(line, 100'000));
  const auto before = weft::test::allocations();
  const auto d = session_description::parse(text, options);
  CHECK(weft::test::allocations() - before <= 10);
  REQUIRE(d);
  CHECK(d->media(0).get_all<candidate>()->size() == 100'000);
  CHECK(check_values(*d));
}

TEST_CASE("10,000 sections in one BUNDLE group are checked, and answered, in one pass over each") {
  parse_options options;
  options.max_session_size = options.max_size;
  options.max_media = 10'000;
  const std::string text = bundled_sections(10'000);
  const auto d = session_description::parse(text, options);
  REQUIRE(d);
  CHECK(check_offer(*d));
  CHECK(check_values(*d));
  CHECK(check_answer(*d, *d));
  CHECK(check_reoffer(*d, *d));
}

TEST_CASE("1,024 sections below a full session level answer every question") {
  // The product of the two limits bounds what inheritance can cost.
  const std::string text = with_head(repeated("a=x\r\n", 13'000) + "a=setup:active\r\n" +
                                     repeated("m=audio 9 RTP/AVP 0\r\n", 1'024));
  const auto d = parsed(text);
  std::size_t active = 0;
  for (std::size_t i = 0; i < d.media_count(); ++i)
    active += (*d.media(i).get<setup>())->role == setup_role::active;
  CHECK(active == 1'024);
}

TEST_CASE("a fragment's limits hold") {
  const std::string line = "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n";
  const std::string text = "m=audio 9 RTP/AVP 0\r\n" + line + line + "m=audio 9 RTP/AVP 0\r\n";
  fragment_options options{.max_size = text.size(), .max_candidates = 2, .max_media = 2};
  CHECK(trickle_fragment::parse(text, options));
  options.max_candidates = 1;
  CHECK(trickle_fragment::parse(text, options).error() == parse_error{too_many_candidates, 3});
  options = {.max_size = text.size(), .max_candidates = 2, .max_media = 1};
  CHECK(trickle_fragment::parse(text, options).error() == parse_error{too_many_media, 4});
  options = {.max_size = text.size() - 1};
  CHECK(trickle_fragment::parse(text, options).error() == parse_error{text_too_long, 0});
}
