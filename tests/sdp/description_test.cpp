#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <weft/core/random.hpp>
#include <weft/sdp/description.hpp>

#include "samples.hpp"

using namespace weft::sdp;
using namespace weft::sdp::test;
using enum error_code;

TEST_CASE("every prefix of Chromium's offer is read or refused with the line where it ends") {
  const std::string text = sample("chromium-av-data-offer");
  std::size_t read = 0;
  for (std::size_t size = 0; size < text.size(); ++size) {
    CAPTURE(size);
    const std::string_view prefix = std::string_view{text}.substr(0, size);
    const auto newlines = static_cast<std::size_t>(std::ranges::count(prefix, '\n'));
    const auto d = session_description::parse(prefix);
    if (d) {
      ++read;
      // What was complete is there.
      CHECK(d->line_count() == newlines + (prefix.ends_with('\n') ? 0 : 1));
      CHECK(d->text().starts_with(prefix));
    } else {
      // At fault is the last line, or, where that is whole but for its end, what ought to follow.
      const bool lacks_next = d.error().code == missing_origin ||
                              d.error().code == missing_session_name ||
                              d.error().code == missing_timing;
      CHECK((d.error().line == newlines + 1 || (lacks_next && d.error().line == newlines + 2)));
    }
  }
  CHECK(read > text.size() / 2);
}

TEST_CASE("any one byte changed leaves a text that is read losslessly or refused with a line") {
  const std::string text = sample("firefox-data-only-offer");
  weft::seeded_random random{20};
  for (std::size_t round = 0; round < 4'000; ++round) {
    std::string changed = text;
    changed[random.next() % text.size()] = static_cast<char>(random.next());
    const auto d = session_description::parse(changed);
    if (!d) {
      CHECK(d.error().line >= 1);
      CHECK(d.error().line <= static_cast<std::size_t>(std::ranges::count(changed, '\n')) + 1);
      continue;
    }
    const auto again = session_description::parse(d->text());
    REQUIRE(again);
    CHECK(again->text() == d->text());
    (void)check_values(*d);
  }
}

TEST_CASE("a description keeps its parts when copied and moved") {
  auto first = parsed_sample("chromium-av-data-offer");
  const session_description copy = first;
  const session_description moved = std::move(first);
  for (const session_description* d : {&copy, &moved}) {
    CHECK(d->media_count() == 3);
    CHECK(d->media(2).mid() == "2");
    CHECK(d->text() == sample("chromium-av-data-offer"));
  }
}

TEST_CASE("get tells absent from malformed, and where") {
  const auto d = parsed(with_head("a=setup:nonsense\r\nm=audio 9 RTP/AVP 0\r\na=mid:a b\r\n"));
  const auto absent = d.media(0).get<ice_ufrag>();
  REQUIRE(absent);
  CHECK_FALSE(absent->has_value());
  CHECK(d.media(0).get<mid>().error() == parse_error{bad_character, 7});
  CHECK(d.media(0).get<setup>().error() == parse_error{bad_syntax, 5});
  CHECK(d.media(0).get_all<setup>().error() == parse_error{bad_syntax, 5});
}

TEST_CASE("mid is not inherited, and a media section's own value goes first") {
  const auto d =
      parsed(with_head("a=mid:session\r\na=setup:active\r\n"
                       "m=audio 9 RTP/AVP 0\r\na=setup:passive\r\nm=audio 9 RTP/AVP 0\r\n"));
  CHECK(d.media(0).mid().empty());
  CHECK_FALSE(d.media(0).get<mid>()->has_value());
  CHECK((*d.media(0).get<setup>())->role == setup_role::passive);
  CHECK((*d.media(1).get<setup>())->role == setup_role::active);
}

TEST_CASE("names are compared whole") {
  const auto d = parsed(with_head("a=mids:1\r\na=mi:2\r\na=MID:3\r\na=mid\r\na=mid:4\r\n"));
  CHECK(d.session().find("mid") == "");
  std::string all;
  d.session().for_each("mid", [&](std::string_view value) { (all += value) += ';'; });
  CHECK(all == ";4;");
  CHECK(d.session().has("MID"));
  CHECK_FALSE(d.session().has(""));
}

TEST_CASE("a data section says its port, or the reason why not (RFC 8841 §5)") {
  const auto sctp_of = [](std::string_view lines) {
    return parsed(with_head(lines)).media(0).sctp();
  };
  CHECK(*sctp_of("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=sctp-port:5000\r\n") ==
        sctp_parameters{5000, 65536, false});
  CHECK(*sctp_of("m=application 9 TCP/DTLS/SCTP webrtc-datachannel\r\na=sctp-port:1\r\n"
                 "a=max-message-size:0\r\n") == sctp_parameters{1, 0, false});
  CHECK(*sctp_of("m=application 9 DTLS/SCTP 5001\r\na=sctpmap:5001 webrtc-datachannel 256\r\n") ==
        sctp_parameters{5001, 65536, true});
  CHECK(sctp_of("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n").error() ==
        parse_error{missing_value, 5});
  CHECK(sctp_of("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=sctp-port:70000\r\n")
            .error() == parse_error{out_of_range, 6});
  CHECK(sctp_of("m=application 9 UDP/DTLS/SCTP bfcp\r\na=sctp-port:5000\r\n").error() ==
        parse_error{bad_media_line, 5});
  CHECK(sctp_of("m=application 9 DTLS/SCTP 5000\r\na=sctpmap:5000 other 256\r\n").error() ==
        parse_error{bad_media_line, 5});
  CHECK(sctp_of("m=application 9 DTLS/SCTP x\r\n").error() == parse_error{bad_number, 5});
}

TEST_CASE("check_values names the first malformed attribute and passes over what is unknown") {
  const auto checked = [](std::string_view lines) {
    return check_values(parsed(with_head(lines)));
  };
  CHECK(checked("a=nonsense:\xff\r\na=setupx:1\r\n"));
  CHECK(
      checked("m=audio 9 RTP/AVP 0\r\na=candidate:1 1 sctp 1 192.0.2.1 9 typ host\r\n"
              "a=candidate:1 1 udp 1 192.0.2.1 9 typ carrier\r\n"));
  CHECK(
      checked("m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 9\r\n").error() ==
      parse_error{bad_syntax, 7});
  CHECK(checked("a=group:\r\n").error() == parse_error{missing_value, 5});
  CHECK(checked("m=audio 9 UDP/TLS/RTP/SAVPF 0 128\r\n").error() == parse_error{out_of_range, 5});
  CHECK(checked("m=audio 9 UDP/TLS/RTP/SAVPF 0 127 x\r\n").error() == parse_error{bad_number, 5});
  CHECK(checked("m=audio 9 udp 4000\r\n"));
}
