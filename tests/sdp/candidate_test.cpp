#include <doctest/doctest.h>

#include <string>
#include <weft/sdp/candidate.hpp>

using namespace weft::sdp;
using enum error_code;

namespace {
error_code refusal(std::string_view value) {
  const auto c = candidate::parse(value);
  REQUIRE_FALSE(c.has_value());
  return c.error();
}
}  // namespace

TEST_CASE("the example of RFC 8839 §5.1") {
  const auto c = candidate::parse(
      "2 1 UDP 1694498815 192.0.2.3 45664 typ srflx raddr 203.0.113.141 rport 8998");
  REQUIRE(c);
  CHECK(*c == candidate{.foundation = "2",
                        .component = 1,
                        .priority = 1694498815,
                        .address = "192.0.2.3",
                        .port = 45664,
                        .type = candidate_type::srflx,
                        .related_address = "203.0.113.141",
                        .related_port = 8998});
  CHECK(to_string(*c) ==
        "candidate:2 1 udp 1694498815 192.0.2.3 45664 typ srflx raddr 203.0.113.141 rport 8998");
}

TEST_CASE("names, IPv6, TCP types and extensions (RFC 8839 §5.1, RFC 6544 §4.5)") {
  const auto mdns = candidate::parse(
      "1 1 udp 2113937151 1f4712db-ea17-4bcf-a596-105139dfd8bf.local 54596 typ host "
      "generation 0 network-cost 999");
  REQUIRE(mdns);
  CHECK(mdns->address == "1f4712db-ea17-4bcf-a596-105139dfd8bf.local");
  CHECK_FALSE(weft::ip_address::parse(mdns->address));

  const auto tcp = candidate::parse(
      "a+/Z9 256 TCP 2147483647 2001:db8::1 9 TYP HOST TCPTYPE active foo  ufrag 8hhY raddr :: "
      "rport 0");
  REQUIRE(tcp);
  CHECK(tcp->transport == weft::transport_protocol::tcp);
  CHECK(tcp->component == 256);
  CHECK(tcp->priority == 2147483647);
  CHECK(tcp->tcp_type == tcp_type::active);
  CHECK(tcp->ufrag == "8hhY");
  CHECK(tcp->related_address == "::");
  CHECK(tcp->related_port == 0);
  CHECK(*parse_candidate_line(to_string(*tcp)) == *tcp);

  // A name without a value, a value without characters: extensions not understood are skipped.
  CHECK(candidate::parse("1 1 udp 1 192.0.2.1 9 typ host foo"));
  CHECK(candidate::parse("1 1 udp 1 192.0.2.1 9 typ host foo "));
}

TEST_CASE("the browsers' extensions go round, and are skipped where they are no numbers") {
  const std::string line =
      "candidate:842163049 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active generation 0 "
      "ufrag 8hhY network-id 3 network-cost 900";
  const auto c = parse_candidate_line(line);
  REQUIRE(c);
  CHECK(c->generation == 0u);
  CHECK(c->network_id == 3);
  CHECK(c->network_cost == 900);
  CHECK(to_string(*c) == line);
  const auto odd = candidate::parse(
      "1 1 udp 1 192.0.2.1 9 typ host generation x network-id 65536 network-cost -1");
  REQUIRE(odd);
  CHECK_FALSE(odd->generation);
  CHECK_FALSE(odd->network_id);
  CHECK_FALSE(odd->network_cost);
}

TEST_CASE("a candidate of an unknown kind says so, once it is sound otherwise (RFC 8839 §5.1)") {
  CHECK(refusal("1 1 sctp 1 192.0.2.1 9 typ host") == unknown_transport);
  CHECK(refusal("1 1 udp 1 192.0.2.1 9 typ carrier-pigeon") == unknown_type);
  CHECK(refusal("1 1 sctp 1 192.0.2.1 x typ host") == bad_number);
  CHECK(refusal("1 1 ud:p 1 192.0.2.1 9 typ host") == bad_syntax);
}

TEST_CASE("a candidate lacking anything is refused") {
  const std::string whole = "1 1 udp 1 192.0.2.1 9 typ host";
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto c = candidate::parse(std::string_view{whole}.substr(0, size));
    CAPTURE(size);
    // From "typ h" on it is a candidate of another type.
    if (size > whole.size() - 4) {
      CHECK(c.error() == unknown_type);
    } else {
      CHECK_FALSE(c.has_value());
    }
  }
  CHECK(candidate::parse(whole));
}

TEST_CASE("numbers of a candidate keep to their ranges (RFC 8839 §5.1)") {
  const auto with = [](std::string_view component, std::string_view priority,
                       std::string_view port) {
    std::string text = "1 ";
    (((((text += component) += " udp ") += priority) += " 192.0.2.1 ") += port) += " typ host";
    return candidate::parse(text);
  };
  CHECK(with("1", "1", "0"));
  CHECK(with("256", "2147483647", "65535"));
  for (const char* bad : {"0", "257", "18446744073709551616"}) {
    CHECK(with(bad, "1", "1").error() == out_of_range);
  }
  for (const char* bad : {"0", "2147483648", "4294967297", "18446744073709551616"}) {
    CHECK(with("1", bad, "1").error() == out_of_range);
  }
  for (const char* bad : {"65536", "18446744073709551617"}) {
    CHECK(with("1", "1", bad).error() == out_of_range);
  }
  for (const char* bad : {"-1", "+1", "1e9", "0x1", "", "1.", "\xd9\xa1"}) {
    CAPTURE(bad);
    CHECK(with(bad, "1", "1").error() == bad_number);
    CHECK(with("1", bad, "1").error() == bad_number);
    CHECK(with("1", "1", bad).error() == bad_number);
  }
}

TEST_CASE("foundation, address and ufrag keep to their characters and lengths") {
  const auto with = [](const std::string& foundation, const std::string& address,
                       const std::string& tail) {
    return candidate::parse(foundation + " 1 udp 1 " + address + " 9 typ host" + tail);
  };
  CHECK(with(std::string(32, 'a'), "a", ""));
  CHECK(with(std::string(33, 'a'), "a", "").error() == bad_length);
  CHECK(with("", "a", "").error() == bad_length);
  CHECK(with("a-b", "a", "").error() == bad_character);
  CHECK(with("a", std::string(255, 'x'), ""));
  CHECK(with("a", std::string(256, 'x'), "").error() == bad_syntax);
  CHECK(with("a", std::string(65536, 'x'), "").error() == bad_syntax);
  CHECK(with("a", std::string("x\0y", 3), "").error() == bad_syntax);
  CHECK(with("a", "\xc3\xa4", "").error() == bad_syntax);
  CHECK(with("a", "a", " raddr  rport 9").error() == bad_syntax);
  CHECK(with("a", "a", " rport 65536").error() == out_of_range);
  CHECK(with("a", "a", " tcptype sideways").error() == bad_syntax);
  CHECK(with("a", "a", " ufrag " + std::string(256, 'u')));
  CHECK(with("a", "a", " ufrag " + std::string(257, 'u')).error() == bad_length);
  CHECK(with("a", "a", " ufrag u:v").error() == bad_character);
  // The first of a name counts.
  CHECK(with("a", "a", " ufrag one ufrag two")->ufrag == "one");
}

TEST_CASE("JSEP's candidate line comes with and without a= (RFC 9429 §3.5.2.1)") {
  constexpr std::string_view line = "candidate:1 1 udp 1 192.0.2.1 9 typ host";
  for (const char* text :
       {"candidate:1 1 udp 1 192.0.2.1 9 typ host", "a=candidate:1 1 udp 1 192.0.2.1 9 typ host",
        "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n"}) {
    const auto c = parse_candidate_line(text);
    REQUIRE(c);
    CHECK(to_string(*c) == line);
  }
  CHECK(parse_candidate_line("").error() == bad_syntax);
  CHECK(parse_candidate_line("candidate").error() == bad_syntax);
  CHECK(parse_candidate_line("a=a=candidate:1").error() == bad_syntax);
  CHECK(parse_candidate_line("candidate:").error() == missing_value);
}
