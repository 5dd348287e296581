#include <doctest/doctest.h>

#include <array>
#include <vector>

#include <weft/turn/attributes.hpp>

namespace {

using namespace weft::turn;
namespace stun = weft::stun;

constexpr stun::transaction_id id{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
const weft::endpoint v4{*weft::ip_address::parse("192.0.2.15"), 50000};
const weft::endpoint v6{*weft::ip_address::parse("2001:db8::15"), 50001};

struct message {
  template <class Add>
  explicit message(Add add) {
    stun::message_builder b{memory, stun::message_class::request, methods::allocate, id};
    add(b);
    bytes = b.finish();
    REQUIRE_FALSE(bytes.empty());
  }
  stun::message_view view() const { return *stun::message_view::parse(bytes); }
  weft::const_bytes value() const { return (*view().attributes().begin()).value; }

  std::array<std::uint8_t, 1024> memory{};
  weft::const_bytes bytes;
};

std::vector<std::uint8_t> raw(std::initializer_list<int> bytes) {
  return {bytes.begin(), bytes.end()};
}
std::vector<std::uint8_t> copy(weft::const_bytes bytes) {
  return {bytes.begin(), bytes.end()};
}

}  // namespace

TEST_SUITE("turn/attributes") {
  TEST_CASE("RFC 8656 §18.1: CHANNEL-NUMBER is a number and two reserved bytes") {
    const message m{[](auto& b) { add_channel_number(b, 0x4321); }};
    CHECK(copy(m.value()) == raw({0x43, 0x21, 0, 0}));
    CHECK(find_channel_number(m.view()) == 0x4321);

    const std::uint8_t with_reserved_bits[] = {0x40, 0x01, 0xff, 0xff};
    const message n{[&](auto& b) { b.add(attributes::channel_number, with_reserved_bits); }};
    CHECK(find_channel_number(n.view()) == 0x4001);
  }

  TEST_CASE("RFC 8656 §18.2: LIFETIME is in seconds, and never wraps") {
    using std::chrono::seconds;
    const auto written = [](seconds lifetime) {
      return find_lifetime(message{[&](auto& b) { add_lifetime(b, lifetime); }}.view());
    };
    CHECK(written(seconds{600}) == seconds{600});
    CHECK(written(seconds{0}) == seconds{0});
    CHECK(written(seconds{-5}) == seconds{0});
    CHECK(written(seconds{0x1'0000'0000}) == seconds{0xffffffff});
  }

  TEST_CASE("RFC 8656 §18.3: XOR-PEER-ADDRESS comes once or many times") {
    const message m{[](auto& b) {
      add_peer_address(b, v4);
      add_peer_address(b, v6);
      b.add(attributes::xor_peer_address, {});
    }};
    CHECK(find_peer_address(m.view()) == v4);
    std::vector<std::optional<weft::endpoint>> all;
    for_each_xor_address(m.view(), attributes::xor_peer_address,
                         [&](const auto& address) { all.push_back(address); });
    CHECK(all == std::vector<std::optional<weft::endpoint>>{v4, v6, std::nullopt});
  }

  TEST_CASE("RFC 8656 §18.5: of two XOR-RELAYED-ADDRESS each family finds its own") {
    const message m{[](auto& b) {
      add_relayed_address(b, v6);
      add_relayed_address(b, v4);
    }};
    CHECK(find_relayed_address(m.view(), address_family::ipv4) == v4);
    CHECK(find_relayed_address(m.view(), address_family::ipv6) == v6);
    const message one{[](auto& b) { add_relayed_address(b, v4); }};
    CHECK_FALSE(find_relayed_address(one.view(), address_family::ipv6));
  }

  TEST_CASE("RFC 8656 §18.6, §18.8, §18.11: families and protocols stand in the first byte") {
    const message m{[](auto& b) {
      add_requested_transport(b, relayed_transport::tcp);
      add_requested_address_family(b, address_family::ipv6);
      add_additional_address_family(b);
    }};
    CHECK(copy(m.value()) == raw({6, 0, 0, 0}));
    CHECK(find_requested_transport(m.view()) == relayed_transport::tcp);
    CHECK(find_requested_address_family(m.view()) == address_family::ipv6);
    CHECK(find_additional_address_family(m.view()) == address_family::ipv6);
    CHECK(static_cast<int>(relayed_transport::udp) == 17);
  }

  TEST_CASE("RFC 8656 §18.7: EVEN-PORT is one byte, of which one bit counts") {
    const message even{[](auto& b) { add_even_port(b, even_port::even); }};
    CHECK(copy(even.value()) == raw({0}));
    CHECK(find_even_port(even.view()) == even_port::even);
    const message both{[](auto& b) { add_even_port(b, even_port::even_and_reserve_next); }};
    CHECK(copy(both.value()) == raw({0x80}));
    CHECK(find_even_port(both.view()) == even_port::even_and_reserve_next);
    const std::uint8_t long_one[] = {0x80, 0};
    const message bad{[&](auto& b) { b.add(attributes::even_port, long_one); }};
    CHECK_FALSE(find_even_port(bad.view()));
  }

  TEST_CASE("RFC 8656 §18.9, §18.10: DONT-FRAGMENT is empty, RESERVATION-TOKEN has 8 bytes") {
    const reservation_token token{1, 2, 3, 4, 5, 6, 7, 8};
    const message m{[&](auto& b) {
      add_dont_fragment(b);
      add_reservation_token(b, token);
    }};
    CHECK(m.value().empty());
    CHECK(has_dont_fragment(m.view()));
    CHECK(find_reservation_token(m.view()) == token);
    const message bad{
        [&](auto& b) { b.add(attributes::reservation_token, weft::const_bytes{token}.first(7)); }};
    CHECK_FALSE(find_reservation_token(bad.view()));
    CHECK_FALSE(has_dont_fragment(bad.view()));
  }

  TEST_CASE("RFC 8656 §18.12: ADDRESS-ERROR-CODE has a family and an error") {
    const message m{[](auto& b) {
      add_address_error(b, address_family::ipv6, errors::address_family_not_supported);
    }};
    CHECK(copy(m.value()) == raw({2, 0, 4, 40}));
    const auto error = find_address_error(m.view());
    REQUIRE(error);
    CHECK(error->family == address_family::ipv6);
    CHECK(error->code == errors::address_family_not_supported);
    CHECK(error->reason.empty());

    for (const auto& bad :
         {raw({2, 0, 4}), raw({2, 0, 2, 40}), raw({2, 0, 7, 0}), raw({2, 0, 4, 100})})
      CHECK_FALSE(find_address_error(
          message{[&](auto& b) { b.add(attributes::address_error_code, bad); }}.view()));
  }

  TEST_CASE("RFC 8656 §18.13: ICMP has type, code and data") {
    const icmp_error too_big{3, 4, 1280};
    const message m{[&](auto& b) { add_icmp(b, too_big); }};
    CHECK(copy(m.value()) == raw({0, 0, 3, 4, 0, 0, 5, 0}));
    CHECK(find_icmp(m.view()) == too_big);
  }

  TEST_CASE("RFC 8656 §18.4: DATA may be empty") {
    const message m{[](auto& b) { add_data(b, {}); }};
    REQUIRE(find_data(m.view()));
    CHECK(find_data(m.view())->empty());
  }

  TEST_CASE("RFC 6062 §6.2.1, RFC 8016 §3.3: CONNECTION-ID and MOBILITY-TICKET") {
    const auto ticket = raw({9, 8, 7});
    const message m{[&](auto& b) {
      add_connection_id(b, 0xdeadbeef);
      add_mobility_ticket(b, ticket);
    }};
    CHECK(find_connection_id(m.view()) == 0xdeadbeef);
    REQUIRE(find_mobility_ticket(m.view()));
    CHECK(copy(*find_mobility_ticket(m.view())) == ticket);

    const std::vector<std::uint8_t> endless(max_ticket_size + 1);
    const message n{[&](auto& b) { add_mobility_ticket(b, endless); }};
    CHECK_FALSE(find_mobility_ticket(n.view()));
  }

  TEST_CASE("What is not there is not found") {
    const message m{[](auto&) {}};
    CHECK_FALSE(find_channel_number(m.view()));
    CHECK_FALSE(find_lifetime(m.view()));
    CHECK_FALSE(find_connection_id(m.view()));
    CHECK_FALSE(find_peer_address(m.view()));
    CHECK_FALSE(find_requested_transport(m.view()));
    CHECK_FALSE(find_even_port(m.view()));
    CHECK_FALSE(find_data(m.view()));
    CHECK_FALSE(find_icmp(m.view()));
    CHECK_FALSE(find_address_error(m.view()));
    CHECK_FALSE(find_mobility_ticket(m.view()));
  }
}
