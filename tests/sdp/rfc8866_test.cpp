#include <doctest/doctest.h>

#include <string>
#include <weft/sdp/description.hpp>

#include "samples.hpp"

using namespace weft::sdp;
using namespace weft::sdp::test;
using enum error_code;

TEST_CASE("the example of RFC 8866 §5") {
  const auto d = parsed(
      "v=0\r\n"
      "o=jdoe 3724394400 3724394405 IN IP4 198.51.100.1\r\n"
      "s=Call to John Smith\r\n"
      "i=SDP Offer #1\r\n"
      "u=http://www.jdoe.example.com/home.html\r\n"
      "e=Jane Doe <jane@jdoe.example.com>\r\n"
      "p=+1 617 555-6011\r\n"
      "c=IN IP4 198.51.100.1\r\n"
      "t=0 0\r\n"
      "m=audio 49170 RTP/AVP 0\r\n"
      "m=audio 49180 RTP/AVP 0\r\n"
      "m=video 51372 RTP/AVP 99\r\n"
      "c=IN IP6 2001:db8::2\r\n"
      "a=rtpmap:99 h263-1998/90000\r\n");
  CHECK(d.origin().username == "jdoe");
  CHECK(d.origin().session_version == 3724394405);
  CHECK(d.session().value_of('s') == "Call to John Smith");
  CHECK(d.session().value_of('e') == "Jane Doe <jane@jdoe.example.com>");
  CHECK(connection::parse(*d.session().value_of('c'))->address == "198.51.100.1");
  REQUIRE(d.media_count() == 3);
  CHECK(d.media(1).size() == 1);
  CHECK(connection::parse(*d.media(2).value_of('c'))->address == "2001:db8::2");
  CHECK((*d.media(2).get<rtpmap>())->encoding == "h263-1998");
}

TEST_CASE("a media section's direction goes before the session's (RFC 8866 §6.7)") {
  const auto d = parsed(
      "v=0\r\no=jdoe 3724395000 3724395001 IN IP6 2001:db8::1\r\ns=-\r\n"
      "c=IN IP6 2001:db8::1\r\nt=0 0\r\na=inactive\r\n"
      "m=audio 49170 RTP/AVP 0\r\na=sendrecv\r\n"
      "m=audio 49180 RTP/AVP 0\r\n"
      "m=video 51372 RTP/AVP 99\r\na=rtpmap:99 h263-1998/90000\r\n");
  CHECK(d.media(0).direction() == media_direction::sendrecv);
  CHECK(d.media(1).direction() == media_direction::inactive);
  CHECK(parsed(with_head("m=audio 9 RTP/AVP 0\r\n")).media(0).direction() ==
        media_direction::sendrecv);
}

TEST_CASE("lines that end in LF alone are taken and come back with CRLF (RFC 8866 §5)") {
  const std::string canonical = with_head("a=x\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n");
  std::string bare = canonical;
  std::erase(bare, '\r');
  CHECK(parsed(bare).text() == canonical);
  CHECK(parsed(std::string_view{bare}.substr(0, bare.size() - 1)).text() == canonical);
  // Only one line ends otherwise, in the middle.
  std::string mixed = canonical;
  mixed.erase(mixed.find("\r\na=x"), 1);
  CHECK(parsed(mixed).text() == canonical);
}

TEST_CASE("unknown lines and attributes are kept in order (RFC 8866 §5.13)") {
  const std::string text = with_head(
      "y=0100000002\r\na=\xff\xfe weird:\x01\r\nz=0 0\r\nm=x-kind 1/2 a/b c d\r\nf=v/2/4///\r\n"
      "a=new-thing\r\na=new-thing:\r\na=new-thing:a:b\r\n");
  const auto d = parsed(text);
  CHECK(d.text() == text);
  CHECK(d.media(0).media().port_count == 2);
  const media_section m = d.media(0);
  CHECK(m[1].type == 'f');
  CHECK(m[1].value == "v/2/4///");
  CHECK(m.line_number(1) == 9);
  std::size_t seen = 0;
  m.for_each_attribute([&](const attribute& a) {
    CHECK(a.name == "new-thing");
    CHECK(a.has_value == (seen > 0));
    CHECK(a.value == (seen < 2 ? "" : "a:b"));
    ++seen;
  });
  CHECK(seen == 3);
}

TEST_CASE("the first lines are v=0, o= and s=, and t= comes before media (RFC 8866 §5)") {
  CHECK(refusal("") == parse_error{missing_version, 1});
  CHECK(refusal("v=1\r\n") == parse_error{missing_version, 1});
  CHECK(refusal("v=0 \r\n") == parse_error{missing_version, 1});
  CHECK(refusal("o=- 1 2 IN IP4 0.0.0.0\r\n") == parse_error{missing_version, 1});
  CHECK(refusal("v=0\r\n") == parse_error{missing_origin, 2});
  CHECK(refusal("v=0\r\ns=-\r\n") == parse_error{missing_origin, 2});
  CHECK(refusal("v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\n") == parse_error{missing_session_name, 3});
  CHECK(refusal("v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\nt=0 0\r\n") ==
        parse_error{missing_session_name, 3});
  CHECK(refusal("v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\n") == parse_error{missing_timing, 4});
  CHECK(refusal("v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nm=audio 9 RTP/AVP 0\r\n") ==
        parse_error{missing_timing, 4});
}

TEST_CASE("session lines do not stand twice or in media sections (RFC 8866 §5)") {
  CHECK(refusal(with_head("v=0\r\n")) == parse_error{misplaced_line, 5});
  CHECK(refusal(with_head("o=- 1 2 IN IP4 0.0.0.0\r\n")) == parse_error{misplaced_line, 5});
  CHECK(refusal(with_head("m=audio 9 RTP/AVP 0\r\ns=-\r\n")) == parse_error{misplaced_line, 6});
  CHECK(refusal(with_head("m=audio 9 RTP/AVP 0\r\nt=0 0\r\n")) == parse_error{misplaced_line, 6});
}

TEST_CASE("what is not <letter>=<text> is refused with its line") {
  CHECK(refusal(with_head("\r\n")) == parse_error{empty_line, 5});
  CHECK(refusal(with_head("a\r\n")) == parse_error{not_a_line, 5});
  CHECK(refusal(with_head("ax\r\n")) == parse_error{not_a_line, 5});
  CHECK(refusal(with_head("=x\r\n")) == parse_error{not_a_line, 5});
  CHECK(refusal(with_head("1=x\r\n")) == parse_error{not_a_line, 5});
  CHECK(refusal(with_head(" a=x\r\n")) == parse_error{not_a_line, 5});
  CHECK(refusal(with_head("a=\r\n")) == parse_error{empty_attribute_name, 5});
  CHECK(refusal(with_head("a=:x\r\n")) == parse_error{empty_attribute_name, 5});
  CHECK(refusal(with_head("a=x\r\nc=IN IP4\r\n")) == parse_error{bad_connection, 6});
  CHECK(refusal(with_head("b=AS\r\n")) == parse_error{bad_bandwidth, 5});
  CHECK(refusal(with_head("t=0\r\n")) == parse_error{bad_timing, 5});
}

TEST_CASE("NUL, and CR other than before LF, are refused with their line (RFC 8866 §9)") {
  const std::string nul{"a=x\0y\r\n", 7};
  CHECK(refusal(with_head(nul)) == parse_error{forbidden_byte, 5});
  CHECK(refusal(with_head("a=ok\r\na=x\ry\r\n")) == parse_error{forbidden_byte, 6});
  CHECK(refusal(with_head("a=x\r\r\n")) == parse_error{forbidden_byte, 5});
  CHECK(refusal(with_head("a=x\r")) == parse_error{forbidden_byte, 5});
}

TEST_CASE("an m= line needs kind, port, protocol and a format (RFC 8866 §5.14)") {
  const auto error_of = [](std::string_view value) {
    return refusal(with_head("m=" + std::string{value} + "\r\n")).code;
  };
  for (const char* value : {"", "audio", "audio 9", "audio 9 RTP/AVP", "audio 9 RTP/AVP ",
                            " 9 RTP/AVP 0", "audio  9 RTP/AVP 0", "audio 9  0", "a:b 9 RTP/AVP 0",
                            "audio 9 RTP,AVP 0", "audio 9 RTP/AVP  0"}) {
    CAPTURE(value);
    CHECK(error_of(value) == bad_media_line);
  }
  CHECK(error_of("audio -1 RTP/AVP 0") == bad_number);
  CHECK(error_of("audio +1 RTP/AVP 0") == bad_number);
  CHECK(error_of("audio 1e9 RTP/AVP 0") == bad_number);
  CHECK(error_of("audio 65536 RTP/AVP 0") == out_of_range);
  CHECK(error_of("audio 18446744073709551616 RTP/AVP 0") == out_of_range);
  CHECK(error_of("audio 9/0 RTP/AVP 0") == out_of_range);
  CHECK(error_of("audio 9/ RTP/AVP 0") == bad_number);
  CHECK(error_of("audio 9/4294967296 RTP/AVP 0") == out_of_range);

  const auto m = media_line::parse("video 65535/4294967295 RTP/AVP 31 32");
  REQUIRE(m);
  CHECK(m->port == 65535);
  CHECK(m->port_count == 4294967295);
  CHECK(m->formats == "31 32");
  CHECK(text_of(*m) == "video 65535/4294967295 RTP/AVP 31 32");
}

TEST_CASE("an o= line has six fields and two numbers of 64 bits (RFC 8866 §5.2)") {
  CHECK(origin::parse("- 1 2 IN IP4").error() == bad_origin);
  CHECK(origin::parse("- 1 2 IN IP4 a b").error() == bad_origin);
  CHECK(origin::parse(" 1 2 IN IP4 a").error() == bad_origin);
  CHECK(origin::parse("- -1 2 IN IP4 a").error() == bad_number);
  CHECK(origin::parse("- 1  IN IP4 a").error() == bad_number);
  CHECK(origin::parse("- 18446744073709551616 2 IN IP4 a").error() == out_of_range);
  const auto o = origin::parse("mozilla...THIS_IS_SDPARTA-99.0 18446744073709551615 0 IN IP6 ::");
  REQUIRE(o);
  CHECK(o->session_id == 18446744073709551615u);
  CHECK(text_of(*o) == "mozilla...THIS_IS_SDPARTA-99.0 18446744073709551615 0 IN IP6 ::");
  CHECK(refusal("v=0\r\no=-\r\n") == parse_error{bad_origin, 2});
}

TEST_CASE("an error reads as line and reason") {
  CHECK(to_string(parse_error{bad_number, 12}) == "line 12: not an unsigned decimal number");
  CHECK(to_string(parse_error{text_too_long}) == "longer than the limit");
}
