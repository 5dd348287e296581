#include <doctest/doctest.h>

#include <weft/turn/address_policy.hpp>

using namespace weft;
using namespace weft::turn;

namespace {

ip_address address(std::string_view text) {
  return *ip_address::parse(text);
}

}  // namespace

TEST_SUITE("turn/address_policy") {
  TEST_CASE("a block holds the addresses that begin as it does") {
    const auto block = address_block::parse("10.32.0.0/11");
    REQUIRE(block);
    CHECK(block->contains(address("10.32.0.0")));
    CHECK(block->contains(address("10.63.255.255")));
    CHECK_FALSE(block->contains(address("10.31.255.255")));
    CHECK_FALSE(block->contains(address("10.64.0.0")));
    CHECK_FALSE(block->contains(address("::ffff:10.32.0.0")));
    CHECK_FALSE(block->contains(ip_address{}));
    CHECK_FALSE(address_block{}.contains(address("10.0.0.1")));
    CHECK_FALSE(address_block{}.contains(ip_address{}));
    const auto everything = address_block::parse("::/0");
    CHECK(everything->contains(address("ffff::1")));
    CHECK_FALSE(everything->contains(address("1.2.3.4")));
    CHECK(address_block::parse("1.2.3.4")->contains(address("1.2.3.4")));
    CHECK_FALSE(address_block::parse("1.2.3.4")->contains(address("1.2.3.5")));
    CHECK(address_block::parse("2001:db8::1/128")->contains(address("2001:db8::1")));
  }

  TEST_CASE("blocks and rules are read strictly, and printed so that they read the same") {
    for (const std::string_view text :
         {"10.0.0.0/8", "0.0.0.0/0", "192.0.2.7/32", "::/0", "2001:db8::/32", "2001:db8::1/128"}) {
      const auto block = address_block::parse(text);
      REQUIRE(block);
      CHECK(to_string(*block) == text);
    }
    for (const std::string_view text :
         {"", "/", "10.0.0.0/", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/-1", "10.0.0.0/8 ",
          "10.0.0/8", "::/129", "2001:db8::1/64", "10.0.0.0/08x", "localhost"}) {
      CAPTURE(text);
      CHECK_FALSE(address_block::parse(text));
    }
    const auto rule = peer_rule::parse("10.0.0.0/8 80");
    REQUIRE(rule);
    CHECK(rule->first_port == 80);
    CHECK(rule->last_port == 80);
    CHECK(peer_rule::parse("10.0.0.0/8")->last_port == 65'535);
    CHECK(peer_rule::parse("10.0.0.0/8 80-90")->last_port == 90);
    for (const std::string_view text : {"10.0.0.0/8 ", "10.0.0.0/8 x", "10.0.0.0/8 90-80",
                                        "10.0.0.0/8 1-", "10.0.0.0/8 -1", "10.0.0.0/8 65536"}) {
      CAPTURE(text);
      CHECK_FALSE(peer_rule::parse(text));
    }
  }

  TEST_CASE("every registered block is refused from its first to its last address") {
    const address_policy policy;
    for (const special_purpose_block& special : special_purpose_blocks()) {
      CAPTURE(special.name);
      CHECK_FALSE(special.reference.empty());
      CHECK(policy.refuses(special.block.address, 80) == peer_refusal::special_purpose);
      const auto octets = special.block.address.octets();
      std::array<std::uint8_t, 16> last{};
      std::copy(octets.begin(), octets.end(), last.begin());
      for (std::size_t bit = special.block.prefix; bit < octets.size() * 8; ++bit)
        last[bit / 8] = static_cast<std::uint8_t>(last[bit / 8] | 0x80 >> bit % 8);
      const ip_address end = octets.size() == 4
                                 ? ip_address{std::array{last[0], last[1], last[2], last[3]}}
                                 : ip_address{last};
      CHECK(special.block.contains(end));
      CHECK(policy.refuses(end, std::nullopt) == peer_refusal::special_purpose);
    }
  }

  TEST_CASE("the IPv4 addresses inside are found") {
    CHECK(embedded_ipv4(address("::ffff:1.2.3.4")).first == address("1.2.3.4"));
    CHECK(embedded_ipv4(address("::1.2.3.4")).first == address("1.2.3.4"));
    CHECK(embedded_ipv4(address("64:ff9b::1.2.3.4")).first == address("1.2.3.4"));
    CHECK(embedded_ipv4(address("2002:102:304::")).first == address("1.2.3.4"));
    // RFC 4380 §4, with the inverted address of a client at 192.0.2.45.
    const auto teredo = embedded_ipv4(address("2001:0:4136:e378:8000:63bf:3fff:fdd2"));
    CHECK(teredo.first == address("65.54.227.120"));
    CHECK(teredo.second == address("192.0.2.45"));
    const auto local = embedded_ipv4(address("64:ff9b:1:102:3:400::"));
    CHECK(local.second == address("1.2.3.4"));
    CHECK_FALSE(embedded_ipv4(address("2a00::1.2.3.4")).first);
    CHECK_FALSE(embedded_ipv4(address("1.2.3.4")).first);
  }

  TEST_CASE("opening a translator does not open the networks behind it") {
    const address_policy policy{
        {.allow = {*peer_rule::parse("64:ff9b::/96"), *peer_rule::parse("::ffff:0:0/96"),
                   *peer_rule::parse("2002::/16")}}};
    CHECK_FALSE(policy.refuses(address("64:ff9b::9.9.9.9"), 80));
    CHECK(policy.refuses(address("64:ff9b::10.0.0.1"), 80) == peer_refusal::special_purpose);
    CHECK(policy.refuses(address("64:ff9b::169.254.169.254"), 80));
    CHECK_FALSE(policy.refuses(address("::ffff:9.9.9.9"), 80));
    CHECK(policy.refuses(address("::ffff:127.0.0.1"), 80));
    CHECK_FALSE(policy.refuses(address("2002:909:909::1"), 80));
    CHECK(policy.refuses(address("2002:7f00:1::1"), 80));
    CHECK(policy.refuses(address("2001:0:4136:e378:8000:63bf:80ff:fffe"), 80));
  }

  TEST_CASE("the IPv6 loopback has no IPv4 address inside: a rule for it is enough") {
    CHECK(address_policy{}.refuses(address("::1"), 7) == peer_refusal::special_purpose);
    const address_policy open{{.allow = {*peer_rule::parse("::1/128")}}};
    CHECK_FALSE(open.refuses(address("::1"), 7));
    CHECK(open.refuses(address("::2"), 7) == peer_refusal::special_purpose);
    CHECK(open.refuses(address("::"), 7) == peer_refusal::special_purpose);
  }

  TEST_CASE("rules have an order: where it listens, denials, allowances, own, special") {
    const endpoint listener{address("127.0.0.1"), 3478};
    const address_policy policy{
        {.allow = {*peer_rule::parse("127.0.0.0/8")},
         .deny = {*peer_rule::parse("127.0.0.2"), *peer_rule::parse("9.0.0.0/8 53")},
         .own_endpoints = {listener, {address("5.5.5.5"), 3478}}}};
    CHECK(policy.refuses(address("127.0.0.1"), 3478) == peer_refusal::own_address);
    CHECK_FALSE(policy.refuses(address("127.0.0.1"), 3479));
    CHECK_FALSE(policy.refuses(address("127.0.0.1"), std::nullopt));
    CHECK(policy.refuses(address("127.0.0.2"), 80) == peer_refusal::denied_by_rule);
    CHECK(policy.refuses(address("5.5.5.5"), 80) == peer_refusal::own_address);
    CHECK(policy.refuses(address("9.1.1.1"), 53) == peer_refusal::denied_by_rule);
    CHECK_FALSE(policy.refuses(address("9.1.1.1"), 54));
    CHECK_FALSE(policy.refuses(address("9.1.1.1"), std::nullopt));
    CHECK(policy.refuses(address("10.0.0.1"), 80) == peer_refusal::special_purpose);
    CHECK(policy.refuses(address("9.1.1.1"), 0) == peer_refusal::not_an_address);
    CHECK(policy.refuses(ip_address{}, 80) == peer_refusal::not_an_address);
  }

  TEST_CASE("each refusal has words") {
    for (const auto refusal : {peer_refusal::not_an_address, peer_refusal::special_purpose,
                               peer_refusal::denied_by_rule, peer_refusal::own_address})
      CHECK_FALSE(to_string(refusal).empty());
  }
}
