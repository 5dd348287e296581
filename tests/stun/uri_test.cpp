#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <weft/stun/uri.hpp>

using namespace weft::stun;
using weft::transport_protocol;

namespace {

struct sample {
  std::string_view text;
  server_uri uri;
  bool secure;
  std::uint16_t port;
  transport_protocol protocol;
};

constexpr auto udp = transport_protocol::udp;
constexpr auto tcp = transport_protocol::tcp;

}  // namespace

TEST_SUITE("stun/uri") {
  TEST_CASE("RFC 7064 §A, RFC 7065 §A: the samples are read as the RFCs say, and printed back") {
    using enum uri_scheme;
    const std::vector<sample> samples{
        {"stun:example.org", {stun, "example.org"}, false, 3478, udp},
        {"stuns:example.org", {stuns, "example.org"}, true, 5349, tcp},
        {"stun:example.org:8000", {stun, "example.org", std::uint16_t{8000}}, false, 8000, udp},
        {"turn:example.org", {turn, "example.org"}, false, 3478, udp},
        {"turns:example.org", {turns, "example.org"}, true, 5349, tcp},
        {"turn:example.org:8000", {turn, "example.org", std::uint16_t{8000}}, false, 8000, udp},
        {"turn:example.org?transport=udp", {turn, "example.org", {}, udp}, false, 3478, udp},
        {"turn:example.org?transport=tcp", {turn, "example.org", {}, tcp}, false, 3478, tcp},
        {"turns:example.org?transport=tcp", {turns, "example.org", {}, tcp}, true, 5349, tcp},
        {"turns:example.org?transport=udp", {turns, "example.org", {}, udp}, true, 5349, udp},
        {"turn:[2001:db8::1]:443?transport=tcp",
         {turn, "2001:db8::1", std::uint16_t{443}, tcp},
         false,
         443,
         tcp},
        {"stun:192.0.2.7", {stun, "192.0.2.7"}, false, 3478, udp},
        {"stun:[::1]", {stun, "::1"}, false, 3478, udp},
        {"stun:a%20b!$&'()*+,;=~_", {stun, "a%20b!$&'()*+,;=~_"}, false, 3478, udp},
    };
    for (const sample& s : samples) {
      CAPTURE(s.text);
      const auto uri = server_uri::parse(s.text);
      REQUIRE(uri);
      CHECK(*uri == s.uri);
      CHECK(uri->is_secure() == s.secure);
      CHECK(uri->port_number() == s.port);
      CHECK(uri->protocol() == s.protocol);
      CHECK(to_string(*uri) == s.text);
    }
  }

  TEST_CASE("RFC 3986 §3.1, §3.2.3: case does not matter, and an empty port is none") {
    const auto uri = server_uri::parse("TURNs:Example.ORG:?Transport=UDP");
    REQUIRE(uri);
    CHECK(to_string(*uri) == "turns:Example.ORG?transport=udp");
  }

  TEST_CASE("an address as host is known as one") {
    CHECK(server_uri::parse("stun:[2001:db8::1]")->address() ==
          weft::ip_address::parse("2001:db8::1"));
    CHECK(server_uri::parse("stun:192.0.2.7")->address() == weft::ip_address::parse("192.0.2.7"));
    CHECK_FALSE(server_uri::parse("stun:192.0.2.256")->address());
  }

  TEST_CASE("what is no URI of a server is refused, and why") {
    using enum uri_error;
    const std::string long_host(256, 'a');
    const std::pair<std::string, uri_error> samples[] = {
        {"", unknown_scheme},
        {"stun", unknown_scheme},
        {"example.org", unknown_scheme},
        {"http:example.org", unknown_scheme},
        {" stun:example.org", unknown_scheme},
        {"stunt:example.org", unknown_scheme},
        {":example.org", unknown_scheme},
        {"stun:", bad_host},
        {"stun::3478", bad_host},
        {"stun://example.org", bad_host},
        {"stun:user@example.org", bad_host},
        {"stun:example.org/", bad_host},
        {"stun:example.org#a", bad_host},
        {"stun:exa mple.org", bad_host},
        {"stun:ex\xc3\xa4mple.org", bad_host},
        {"stun:a%2", bad_host},
        {"stun:a%zz", bad_host},
        {"stun:[::1", bad_host},
        {"stun:[::1]x", bad_host},
        {"stun:[]", bad_host},
        {"stun:[192.0.2.1]", bad_host},
        {"stun:[v1.a]", bad_host},
        {"stun:[fe80::1%25eth0]", bad_host},
        {"stun:::1", bad_host},
        {"stun:" + long_host, bad_host},
        {"stun:a:0", bad_port},
        {"stun:a:65536", bad_port},
        {"stun:a:-1", bad_port},
        {"stun:a:+1", bad_port},
        {"stun:a:1x", bad_port},
        {"stun:a:1:2", bad_port},
        {"stun:2001:db8::1", bad_port},
        {"stun:a?transport=udp", bad_query},
        {"stuns:a?", bad_query},
        {"turn:a?", bad_query},
        {"turn:a?transport=", bad_query},
        {"turn:a?transport=udp&b=c", bad_query},
        {"turn:a?b=c", bad_query},
        {"turn:a?transport=udp?transport=udp", bad_query},
        {"turn:a?transport=sctp", unsupported_transport},
    };
    for (const auto& sample : samples) {
      CAPTURE(sample.first);
      const auto uri = server_uri::parse(sample.first);
      REQUIRE_FALSE(uri);
      CHECK(to_string(uri.error()) == to_string(sample.second));
      CHECK_FALSE(to_string(sample.second).empty());
    }
  }
}
