#include "turn/scripted_server.hpp"

namespace {

using namespace weft::test;
using namespace weft::turn;
namespace stun = weft::stun;

constexpr weft::time_point epoch{};
using options = client::options;

// The Allocate request that a client with these options sends.
struct allocate_request {
  explicit allocate_request(const options& o) : server{o} {
    server.client.allocate(epoch);
    message = server.request(epoch, methods::allocate);
  }
  const stun::message_view& operator()() const { return *message; }

  scripted_server server;
  std::optional<stun::message_view> message;
};

}  // namespace

TEST_SUITE("turn/client: allocation") {
  TEST_CASE("RFC 8656 §7.1: the first Allocate has no credentials, the second has") {
    scripted_server s;
    s.client.allocate(epoch);
    const auto first = s.raw_request(epoch);
    REQUIRE(first);
    CHECK(first->type_method() == methods::allocate);
    CHECK_FALSE(first->username());
    CHECK(find_requested_transport(*first) == relayed_transport::udp);
    const auto first_id = first->id();
    s.challenge(epoch, *first, stun::error_code::unauthenticated);

    const auto second = s.raw_request(epoch);
    REQUIRE(second);
    CHECK(second->id() != first_id);
    CHECK(second->username() == "alice");
    CHECK(second->realm() == s.realm);
    CHECK(second->nonce() == s.nonce);
    CHECK(stun::verify_message_integrity(*second, s.key()));
    CHECK_FALSE(s.raw_request(epoch));
  }

  TEST_CASE("RFC 8656 §7.3: the answer tells addresses and lifetime") {
    scripted_server s;
    s.allocate(epoch, [](auto& b) {
      add_relayed_address(b, relayed_v4);
      add_lifetime(b, 600s);
    });
    CHECK(s.next<client::allocated>() ==
          client::allocated{relayed_v4, std::nullopt, mapped, 600s, std::nullopt, false});
    CHECK_FALSE(s.client.poll_event());
    CHECK(s.client.is_allocated());
    CHECK(s.client.relayed_address(address_family::ipv4) == relayed_v4);
    CHECK_FALSE(s.client.relayed_address(address_family::ipv6));
    CHECK(s.client.round_trip() == weft::duration{});
  }

  TEST_CASE("RFC 8656 §7.1: options say what to ask for") {
    allocate_request plain{options{}};
    CHECK_FALSE(find_lifetime(plain()));
    CHECK_FALSE(find_requested_address_family(plain()));
    CHECK_FALSE(find_even_port(plain()));
    CHECK_FALSE(has_dont_fragment(plain()));
    CHECK_FALSE(plain().has(attributes::mobility_ticket));

    options o;
    o.lifetime = 1200s;
    o.families = client::families::ipv6;
    o.even_port = even_port::even_and_reserve_next;
    o.dont_fragment = true;
    o.mobility = true;
    o.software = "weft";
    o.fingerprint = true;
    allocate_request all{o};
    const auto request = all();
    CHECK(find_lifetime(request) == 1200s);
    CHECK(find_requested_address_family(request) == address_family::ipv6);
    CHECK_FALSE(find_additional_address_family(request));
    CHECK(find_even_port(request) == even_port::even_and_reserve_next);
    CHECK(has_dont_fragment(request));
    REQUIRE(find_mobility_ticket(request));
    CHECK(find_mobility_ticket(request)->empty());
    CHECK(request.software() == "weft");
    CHECK(request.fingerprint());
  }

  TEST_CASE("RFC 8656 §7.1: families, EVEN-PORT and tokens exclude each other") {
    options both;
    both.families = client::families::both;
    allocate_request dual{both};
    CHECK(find_additional_address_family(dual()) == address_family::ipv6);
    CHECK_FALSE(find_requested_address_family(dual()));

    both.even_port = even_port::even_and_reserve_next;
    allocate_request reserving{both};
    CHECK_FALSE(find_additional_address_family(reserving()));

    both.token = reservation_token{1, 2, 3, 4, 5, 6, 7, 8};
    allocate_request reserved{both};
    CHECK(find_reservation_token(reserved()) == both.token);
    CHECK_FALSE(find_additional_address_family(reserved()));
    CHECK_FALSE(find_even_port(reserved()));
  }

  TEST_CASE("RFC 6062 §4.1: a TCP allocation asks for nothing that UDP alone has") {
    options o;
    o.transport = weft::transport_protocol::tcp;
    o.relayed = relayed_transport::tcp;
    o.dont_fragment = true;
    o.even_port = even_port::even;
    o.token = reservation_token{};
    allocate_request tcp{o};
    const auto request = tcp();
    CHECK(find_requested_transport(request) == relayed_transport::tcp);
    CHECK_FALSE(has_dont_fragment(request));
    CHECK_FALSE(find_even_port(request));
    CHECK_FALSE(find_reservation_token(request));
  }

  TEST_CASE("RFC 8656 §7.3: a dual allocation has two addresses, or one and a reason") {
    options o;
    o.families = client::families::both;
    scripted_server both{o};
    both.allocate(epoch, [](auto& b) {
      add_relayed_address(b, relayed_v4);
      add_relayed_address(b, relayed_v6);
      add_lifetime(b, 600s);
    });
    const auto allocated = both.next<client::allocated>();
    REQUIRE(allocated);
    CHECK(allocated->relayed_ipv4 == relayed_v4);
    CHECK(allocated->relayed_ipv6 == relayed_v6);

    scripted_server one{o};
    one.allocate(epoch, [](auto& b) {
      add_relayed_address(b, relayed_v4);
      add_lifetime(b, 600s);
      add_address_error(b, address_family::ipv6, errors::insufficient_capacity);
    });
    REQUIRE(one.next<client::allocated>());
    CHECK(one.next<client::family_refused>() ==
          client::family_refused{address_family::ipv6, errors::insufficient_capacity});
    CHECK(one.client.create_permission(epoch, peer_six.address).error() ==
          client_error::wrong_family);
  }

  TEST_CASE("RFC 8656 §7.3: an allocation without an address is of no use, and deleted") {
    scripted_server s;
    s.allocate(epoch, [](auto& b) { add_lifetime(b, 600s); });
    const auto failed = s.next<client::allocation_failed>();
    REQUIRE(failed);
    CHECK(failed->code == errors::no_answer);
    const auto request = s.request(epoch, methods::refresh);
    CHECK(find_lifetime(request) == 0s);
    s.succeed(epoch, request);
    CHECK_FALSE(s.client.poll_event());
    CHECK_FALSE(s.client.poll_timeout());
  }

  TEST_CASE("RFC 8656 §8: an allocation is refreshed a minute before it expires") {
    scripted_server s;
    s.allocate(epoch, 600s);
    weft::time_point now = epoch;
    CHECK(s.pass(now, epoch + 539s) == 0);
    now = epoch + 540s;
    s.client.handle_timeout(now);
    s.refresh(now, 1000s);
    CHECK_FALSE(s.client.poll_event());
    CHECK(s.pass(now, epoch + 540s + 939s) == 0);
    now = epoch + 540s + 940s;
    s.client.handle_timeout(now);
    const auto request = s.request(now, methods::refresh);
    CHECK_FALSE(request.has(attributes::mobility_ticket));
  }

  TEST_CASE("RFC 8656 §8: a short allocation is refreshed when half of it is over") {
    scripted_server s;
    s.allocate(epoch, 20s);
    weft::time_point now = epoch;
    CHECK(s.pass(now, epoch + 9s) == 0);
    CHECK(s.pass(now, epoch + 10s) == 1);
  }

  TEST_CASE("RFC 8656 §8.3: an allocation that is not refreshed is lost") {
    scripted_server s;
    s.allocate(epoch, 600s);
    weft::time_point now = epoch;
    CHECK(s.pass(now, epoch + 600s) == 7);
    const auto lost = s.next<client::allocation_lost>();
    REQUIRE(lost);
    CHECK(lost->code == errors::no_answer);
    CHECK_FALSE(s.client.is_allocated());
    CHECK_FALSE(s.client.poll_timeout());
  }

  TEST_CASE("RFC 8656 §8.3: 437 to Refresh means that the allocation is gone") {
    scripted_server s;
    s.allocate(epoch);
    const weft::time_point now = epoch + 540s;
    s.client.handle_timeout(now);
    s.refuse(now, s.request(now, methods::refresh), errors::allocation_mismatch);
    REQUIRE(s.next<client::allocation_lost>());
    CHECK_FALSE(s.client.is_allocated());
    CHECK(s.client.create_permission(now, peer_a.address).error() == client_error::no_allocation);
  }

  TEST_CASE("A Refresh that is refused otherwise is tried again while there is time") {
    scripted_server s;
    s.allocate(epoch);
    weft::time_point now = epoch + 540s;
    int refused = 0;
    s.client.handle_timeout(now);
    while (s.client.is_allocated() && refused < 100) {
      if (const auto request = s.raw_request(now)) {
        s.refuse(now, *request, stun::error_code::bad_request);
        ++refused;
      }
      now = s.client.poll_timeout().value_or(epoch);
      s.client.handle_timeout(now);
    }
    CHECK(refused == 6);
    CHECK(now == epoch + 600s);
    REQUIRE(s.next<client::allocation_lost>());
  }

  TEST_CASE("RFC 8656 §8.1: close deletes the allocation") {
    scripted_server s;
    s.allocate(epoch);
    s.client.close(epoch);
    CHECK_FALSE(s.client.is_allocated());
    const auto request = s.request(epoch, methods::refresh);
    CHECK(find_lifetime(request) == 0s);
    s.answer(epoch, request, stun::message_class::success, [](auto& b) { add_lifetime(b, 0s); });
    CHECK(s.next<client::closed>());
    CHECK_FALSE(s.client.poll_event());
    CHECK_FALSE(s.client.poll_timeout());
  }

  TEST_CASE("RFC 8656 §8.3: 437 to the deletion is as good") {
    scripted_server s;
    s.allocate(epoch);
    s.client.close(epoch);
    s.refuse(epoch, s.request(epoch, methods::refresh), errors::allocation_mismatch);
    CHECK(s.next<client::closed>());
  }

  TEST_CASE("close does not wait long for a server that is silent") {
    scripted_server s;
    s.allocate(epoch);
    s.client.close(epoch);
    s.client.close(epoch);
    weft::time_point now = epoch;
    CHECK(s.pass(now, epoch + 3500ms) == 3);
    CHECK(s.next<client::closed>());
    CHECK_FALSE(s.client.poll_event());
  }

  TEST_CASE("close with nothing there is done at once") {
    scripted_server s;
    s.client.close(epoch);
    CHECK(s.next<client::closed>());
    s.client.allocate(epoch);
    REQUIRE(s.raw_request(epoch));
    s.client.close(epoch);
    CHECK(s.next<client::closed>());
    CHECK_FALSE(s.raw_request(epoch));
  }

  TEST_CASE("close while an Allocate is under way deletes what it may have made") {
    scripted_server s;
    s.client.allocate(epoch);
    s.request(epoch, methods::allocate);
    s.client.close(epoch);
    const auto request = s.request(epoch, methods::refresh);
    CHECK(find_lifetime(request) == 0s);
    s.succeed(epoch, request);
    CHECK(s.next<client::closed>());
  }

  TEST_CASE("RFC 8489 §6.2.1: an Allocate without an answer fails after 39.5 s, with 701") {
    scripted_server s;
    s.client.allocate(epoch);
    weft::time_point now = epoch;
    CHECK(s.pass(now, epoch + 39499ms) == 7);
    CHECK_FALSE(s.client.poll_event());
    s.pass(now, epoch + 39500ms);
    const auto failed = s.next<client::allocation_failed>();
    REQUIRE(failed);
    CHECK(static_cast<int>(failed->code) == 701);
    CHECK_FALSE(failed->reason.empty());
    CHECK_FALSE(s.client.poll_timeout());
  }

  TEST_CASE("A client may allocate again, and then knows nothing of before") {
    scripted_server s;
    s.allocate(epoch);
    s.permit(epoch, peer_a.address);
    s.client.allocate(epoch);
    CHECK_FALSE(s.client.is_allocated());
    CHECK_FALSE(s.client.has_permission(peer_a.address));
    const auto request = s.request(epoch, methods::allocate);
    s.answer(epoch, request, stun::message_class::success, [](auto& b) {
      b.add_xor_mapped_address(mapped);
      add_relayed_address(b, relayed_v4);
      add_lifetime(b, 600s);
    });
    REQUIRE(s.next<client::allocated>());
    CHECK_FALSE(s.raw_request(epoch));
  }

  TEST_CASE("RFC 4787 §4.3: over UDP something is sent every 25 s, and no timer moves for data") {
    scripted_server s;
    s.allocate(epoch);
    weft::time_point now = epoch;
    CHECK(s.pass(now, epoch + 24s) == 0);
    CHECK(s.keepalives == 0);
    s.pass(now, epoch + 25s);
    CHECK(s.keepalives == 1);
    s.permit(now, peer_a.address);
    now = epoch + 40s;
    const auto deadline = s.client.poll_timeout();
    REQUIRE(s.send(now, peer_a, "x"));
    CHECK(s.client.poll_timeout() == deadline);
    s.succeed(now, s.request(now, methods::channel_bind));
    s.pass(now, epoch + 64s);
    CHECK(s.keepalives == 1);
    s.pass(now, epoch + 65s);
    CHECK(s.keepalives == 2);
  }

  TEST_CASE("A time that goes back counts as the last one") {
    scripted_server s;
    s.allocate(epoch + 100s, 20s);
    s.client.handle_timeout(epoch + 110s);
    s.refresh(epoch, 20s);
    CHECK(s.client.poll_timeout() == epoch + 120s);
  }
}
