#include "turn/scripted_server.hpp"

namespace {

using namespace weft::test;
using namespace weft::turn;
namespace stun = weft::stun;

constexpr weft::time_point epoch{};

const std::vector<std::uint8_t> first_ticket{1, 2, 3};
const std::vector<std::uint8_t> second_ticket{4, 5};

scripted_server mobile_client() {
  client::options o;
  o.mobility = true;
  return scripted_server{o};
}

void allocate(scripted_server& s) {
  s.allocate(epoch, [](auto& b) {
    add_relayed_address(b, relayed_v4);
    add_lifetime(b, 600s);
    add_mobility_ticket(b, first_ticket);
  });
  const auto allocated = s.next<client::allocated>();
  REQUIRE(allocated);
  CHECK(allocated->mobile);
}

bool has_ticket(const stun::message_view& message, const std::vector<std::uint8_t>& ticket) {
  const auto found = find_mobility_ticket(message);
  return found && std::ranges::equal(*found, ticket);
}

}  // namespace

TEST_SUITE("turn/client: mobility") {
  TEST_CASE("RFC 8016 §3.2.1: a ticket takes the allocation to another address") {
    auto s = mobile_client();
    allocate(s);
    s.bind(epoch, peer_a);
    REQUIRE(s.client.move(epoch));
    CHECK(s.send(epoch, peer_a, "x").error() == client_error::moving);
    const auto request = s.request(epoch, methods::refresh);
    CHECK(has_ticket(request, first_ticket));
    s.answer(epoch, request, stun::message_class::success, [](auto& b) {
      add_lifetime(b, 600s);
      add_mobility_ticket(b, second_ticket);
    });
    CHECK(s.next<client::moved>() == client::moved{mapped});
    CHECK(s.client.is_allocated());
    CHECK(s.client.channel(peer_a) == 0x4000);
    CHECK(s.send(epoch, peer_a, "x"));

    REQUIRE(s.client.move(epoch));
    CHECK(has_ticket(s.request(epoch, methods::refresh), second_ticket));
  }

  TEST_CASE("RFC 8016 §3.2.1: a Refresh from the same address has no ticket") {
    auto s = mobile_client();
    allocate(s);
    s.client.handle_timeout(epoch + 540s);
    CHECK_FALSE(s.request(epoch + 540s, methods::refresh).has(attributes::mobility_ticket));
  }

  TEST_CASE("Without a ticket there is no moving") {
    scripted_server s;
    CHECK(s.client.move(epoch).error() == client_error::no_allocation);
    s.allocate(epoch);
    CHECK(s.client.move(epoch).error() == client_error::not_offered);
  }

  TEST_CASE("RFC 8016 §3.2.2: 400 means that the server sees no other address") {
    auto s = mobile_client();
    allocate(s);
    REQUIRE(s.client.move(epoch));
    s.refuse(epoch, s.request(epoch, methods::refresh), stun::error_code::bad_request);
    const auto request = s.request(epoch, methods::refresh);
    CHECK_FALSE(request.has(attributes::mobility_ticket));
    s.answer(epoch, request, stun::message_class::success, [](auto& b) { add_lifetime(b, 600s); });
    CHECK(s.next<client::moved>());
    // The ticket is still good.
    REQUIRE(s.client.move(epoch));
    CHECK(has_ticket(s.request(epoch, methods::refresh), first_ticket));
  }

  TEST_CASE("RFC 8016 §3.2.2: 405 and 437 end the allocation") {
    for (const auto code : {errors::mobility_forbidden, errors::allocation_mismatch}) {
      auto s = mobile_client();
      allocate(s);
      REQUIRE(s.client.move(epoch));
      s.refuse(epoch, s.request(epoch, methods::refresh), code);
      const auto lost = s.next<client::allocation_lost>();
      REQUIRE(lost);
      CHECK(lost->code == code);
    }
  }

  TEST_CASE("What was asked for from the old address is asked for again from the new one") {
    auto s = mobile_client();
    allocate(s);
    REQUIRE(s.client.create_permission(epoch, peer_a.address));
    s.request(epoch, methods::create_permission);
    REQUIRE(s.client.move(epoch));
    const auto request = s.request(epoch, methods::refresh);
    CHECK_FALSE(s.raw_request(epoch));
    s.answer(epoch, request, stun::message_class::success, [](auto& b) { add_lifetime(b, 600s); });
    s.succeed(epoch, s.request(epoch, methods::create_permission));
    CHECK(s.next<client::moved>());
    CHECK(s.next<client::permission_created>());
  }

  TEST_CASE("An allocation with a ticket outlives its connection") {
    auto s = mobile_client();
    allocate(s);
    s.client.handle_disconnected(epoch + 1s);
    CHECK_FALSE(s.client.poll_event());
    CHECK_FALSE(s.raw_request(epoch + 1s));
    CHECK(s.send(epoch + 1s, peer_a, "x").error() == client_error::moving);
    REQUIRE(s.client.move(epoch + 2s));
    CHECK(has_ticket(s.request(epoch + 2s, methods::refresh), first_ticket));
  }

  TEST_CASE("An allocation whose connection does not come back expires") {
    auto s = mobile_client();
    allocate(s);
    s.client.handle_disconnected(epoch + 1s);
    CHECK(s.client.poll_timeout() == epoch + 600s);
    s.client.handle_timeout(epoch + 600s);
    CHECK(s.next<client::allocation_lost>());
  }

  TEST_CASE("close while moving takes the ticket along") {
    auto s = mobile_client();
    allocate(s);
    REQUIRE(s.client.move(epoch));
    s.client.close(epoch);
    const auto request = s.request(epoch, methods::refresh);
    CHECK(has_ticket(request, first_ticket));
    CHECK(find_lifetime(request) == 0s);
  }
}
