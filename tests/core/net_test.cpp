#include <doctest/doctest.h>

#include <unordered_set>

#include <weft/core/net.hpp>

using weft::endpoint;
using weft::ip_address;
using weft::to_string;

namespace {

std::string reprinted(std::string_view text) {
  const auto address = ip_address::parse(text);
  return address ? to_string(*address) : "refused";
}

}  // namespace

TEST_SUITE("core/net") {
  TEST_CASE("IPv4 addresses read and print as dotted decimals") {
    CHECK(reprinted("192.0.2.1") == "192.0.2.1");
    CHECK(reprinted("0.0.0.0") == "0.0.0.0");
    CHECK(reprinted("255.255.255.255") == "255.255.255.255");
  }

  TEST_CASE("RFC 5952 §4: IPv6 addresses print in their one canonical form") {
    CHECK(reprinted("2001:0DB8:0:0:0:0:0:1") == "2001:db8::1");
    CHECK(reprinted("2001:db8:0:1:1:1:1:1") == "2001:db8:0:1:1:1:1:1");
    CHECK(reprinted("2001:0:0:1:0:0:0:1") == "2001:0:0:1::1");
    CHECK(reprinted("2001:db8:0:0:1:0:0:1") == "2001:db8::1:0:0:1");
    CHECK(reprinted("0:0:0:0:0:0:0:0") == "::");
    CHECK(reprinted("::1") == "::1");
    CHECK(reprinted("1::") == "1::");
    CHECK(reprinted("::ffff:192.0.2.1") == "::ffff:192.0.2.1");
    CHECK(reprinted("64:ff9b::192.0.2.33") == "64:ff9b::c000:221");
    CHECK(reprinted("1:2:3:4:5:6:7::") == "1:2:3:4:5:6:7:0");
  }

  TEST_CASE("what is not exactly an address is refused") {
    for (const char* text : {"",
                             " 1.2.3.4",
                             "1.2.3",
                             "1.2.3.4.5",
                             "1.2.3.256",
                             "01.2.3.4",
                             "1.2.3.4 ",
                             "1..2.3",
                             "+1.2.3.4",
                             ":",
                             ":::",
                             "1::2::3",
                             "1:2:3:4:5:6:7",
                             "1:2:3:4:5:6:7:8:9",
                             "12345::",
                             "::g",
                             "fe80::1%eth0",
                             "[::1]",
                             "1:2:3:4:5:6:7:8::",
                             "::1.2.3",
                             "1.2.3.4::",
                             "1:",
                             ":1",
                             "1:2:3:4:5:6:7:1.2.3.4",
                             "host.local"}) {
      CAPTURE(text);
      CHECK(reprinted(text) == "refused");
    }
  }

  TEST_CASE("RFC 5952 §6: a port follows an IPv6 address in brackets") {
    CHECK(to_string(endpoint{*ip_address::parse("192.0.2.1"), 80}) == "192.0.2.1:80");
    CHECK(to_string(endpoint{*ip_address::parse("2001:db8::1"), 65535}) == "[2001:db8::1]:65535");
  }

  TEST_CASE("addresses know what kind they are") {
    CHECK(ip_address::parse("127.1.2.3")->is_loopback());
    CHECK(ip_address::parse("::1")->is_loopback());
    CHECK_FALSE(ip_address::parse("::")->is_loopback());
    CHECK(ip_address::parse("::")->is_unspecified());
    CHECK(ip_address::parse("0.0.0.0")->is_unspecified());
    CHECK_FALSE(ip_address{}.is_unspecified());
    CHECK(ip_address::parse("169.254.9.9")->is_link_local());
    CHECK(ip_address::parse("febf::1")->is_link_local());
    CHECK_FALSE(ip_address::parse("fec0::1")->is_link_local());
    CHECK(ip_address::parse("239.0.0.1")->is_multicast());
    CHECK(ip_address::parse("ff02::fb")->is_multicast());
    CHECK(ip_address::parse("::ffff:10.0.0.1")->is_v4_mapped());
    CHECK_FALSE(ip_address::parse("::10.0.0.1")->is_v4_mapped());
  }

  TEST_CASE("endpoints are keys of hashed containers") {
    std::unordered_set<endpoint> seen;
    for (std::uint16_t port = 1; port <= 1000; ++port)
      seen.insert({*ip_address::parse("::1"), port});
    CHECK(seen.size() == 1000);
    CHECK(seen.contains({*ip_address::parse("::1"), 7}));
    CHECK_FALSE(seen.contains({*ip_address::parse("127.0.0.1"), 7}));
  }
}
