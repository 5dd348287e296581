#include "turn/scripted_server.hpp"

namespace {

using namespace weft::test;
using namespace weft::turn;
namespace stun = weft::stun;

constexpr weft::time_point epoch{};
using options = client::options;

const weft::endpoint second{*weft::ip_address::parse("203.0.113.8"), 3478};

void redirect(scripted_server& s, weft::time_point now, const weft::endpoint& to) {
  const auto request = s.raw_request(now);
  REQUIRE(request);
  s.answer_unsigned(now, *request, stun::message_class::error, [&](auto& b) {
    b.add_error(stun::error_code::try_alternate, "").add_alternate_server(to);
    if (to == second) b.add_alternate_domain("b.example.org");
  });
}

client::allocation_failed failure_of(scripted_server& s, stun::error_code code) {
  s.client.allocate(epoch);
  s.refuse(epoch, s.request(epoch, methods::allocate), code);
  const auto failed = s.next<client::allocation_failed>();
  REQUIRE(failed);
  CHECK_FALSE(s.raw_request(epoch));
  CHECK_FALSE(s.client.poll_timeout());
  return *failed;
}

}  // namespace

TEST_SUITE("turn/client: errors") {
  TEST_CASE("RFC 8656 §7.4: errors that nothing here can mend fail the allocation at once") {
    for (const auto code :
         {stun::error_code::bad_request, errors::forbidden, errors::mobility_forbidden,
          stun::error_code::unknown_attribute, errors::address_family_not_supported,
          errors::wrong_credentials, errors::unsupported_transport_protocol,
          errors::peer_address_family_mismatch, stun::error_code{699}}) {
      scripted_server s;
      const auto failed = failure_of(s, code);
      CHECK(failed.code == code);
      CHECK(failed.reason == name_of(code));
      CHECK_FALSE(failed.retry_after);
    }
  }

  TEST_CASE("RFC 8656 §7.4: after 486 and 508 the server wants to be left alone for a minute") {
    scripted_server s;
    CHECK(failure_of(s, errors::allocation_quota_reached).retry_after == 1min);
    CHECK(failure_of(s, errors::insufficient_capacity).retry_after == 1min);
  }

  TEST_CASE("RFC 8656 §7.4: 401 with credentials shown means that they are wrong") {
    scripted_server s;
    s.client.allocate(epoch);
    s.challenge(epoch, s.request(epoch, methods::allocate), stun::error_code::unauthenticated);
    const auto failed = s.next<client::allocation_failed>();
    REQUIRE(failed);
    CHECK(failed->code == stun::error_code::unauthenticated);
    CHECK_FALSE(s.raw_request(epoch));
    CHECK_FALSE(s.client.poll_timeout());
  }

  TEST_CASE("Without credentials the 401 is told") {
    weft::seeded_random random{1};
    client c{random, turn_server};
    c.allocate(epoch);
    std::array<std::uint8_t, 1500> buffer;
    const auto sent = c.poll_transmit(epoch, buffer);
    REQUIRE(sent);
    const auto request = stun::message_view::parse(sent->bytes);
    std::array<std::uint8_t, 200> memory;
    stun::message_builder b{memory, stun::message_class::error, methods::allocate, request->id()};
    c.handle_input(
        epoch,
        b.add_error(stun::error_code::unauthenticated, "").add_realm("r").add_nonce("n").finish());
    const auto e = c.poll_event();
    REQUIRE(e);
    REQUIRE(std::holds_alternative<client::allocation_failed>(*e));
    CHECK(std::get<client::allocation_failed>(*e).code == stun::error_code::unauthenticated);
  }

  TEST_CASE("RFC 8656 §7.4: 438 is followed by a request with the new nonce") {
    scripted_server s;
    s.allocate(epoch);
    REQUIRE(s.client.create_permission(epoch, peer_a.address));
    const auto stale = s.request(epoch, methods::create_permission);
    const auto id = stale.id();
    s.nonce = "second";
    s.challenge(epoch, stale, stun::error_code::stale_nonce);
    const auto request = s.request(epoch, methods::create_permission);
    CHECK(request.id() != id);
    s.succeed(epoch, request);
    CHECK(s.next<client::permission_created>());
  }

  TEST_CASE("A server that answers 438 for ever ends in a few steps") {
    scripted_server s;
    s.client.allocate(epoch);
    int requests = 0;
    while (const auto request = s.raw_request(epoch)) {
      REQUIRE(++requests < 10);
      s.nonce += 'x';
      s.challenge(
          epoch, *request,
          requests == 1 ? stun::error_code::unauthenticated : stun::error_code::stale_nonce);
    }
    CHECK(requests <= 5);
    const auto failed = s.next<client::allocation_failed>();
    REQUIRE(failed);
    CHECK(failed->code == stun::error_code::stale_nonce);
    CHECK_FALSE(s.client.poll_timeout());
  }

  TEST_CASE("RFC 8489 §10: 300 sends on to another server, with the same wishes") {
    scripted_server s;
    s.client.allocate(epoch);
    redirect(s, epoch, second);
    CHECK(s.next<client::alternate_server>() == client::alternate_server{second, "b.example.org"});
    CHECK(s.client.server() == second);
    CHECK_FALSE(s.raw_request(epoch));
    s.realm = "elsewhere.example.org";
    s.allocate(epoch);
  }

  TEST_CASE("RFC 8489 §10: a redirection that leads back is not followed") {
    scripted_server s;
    s.client.allocate(epoch);
    redirect(s, epoch, second);
    REQUIRE(s.next<client::alternate_server>());
    s.client.allocate(epoch);
    redirect(s, epoch, turn_server);
    const auto failed = s.next<client::allocation_failed>();
    REQUIRE(failed);
    CHECK(failed->code == stun::error_code::try_alternate);
  }

  TEST_CASE("Servers that send on for ever end after three") {
    scripted_server s;
    int followed = 0;
    for (std::uint16_t port = 1;; ++port) {
      REQUIRE(port < 10);
      s.client.allocate(epoch);
      redirect(s, epoch, {second.address, port});
      if (!s.next<client::alternate_server>()) break;
      ++followed;
    }
    CHECK(followed == 3);
    // A later try starts afresh.
    s.client.allocate(epoch);
    redirect(s, epoch, second);
    CHECK(s.next<client::alternate_server>());
  }

  TEST_CASE("300 without a server to go to fails") {
    scripted_server s;
    CHECK(failure_of(s, stun::error_code::try_alternate).code == stun::error_code::try_alternate);
  }

  TEST_CASE("RFC 8656 §7.4: 437 asks for another address, three times in all") {
    scripted_server s;
    for (int i = 0; i < 2; ++i) {
      s.client.allocate(epoch);
      s.refuse(epoch, s.request(epoch, methods::allocate), errors::allocation_mismatch);
      CHECK(s.next<client::address_in_use>());
    }
    CHECK(failure_of(s, errors::allocation_mismatch).retry_after == 2min);
  }

  TEST_CASE("RFC 8656 §7.4: DONT-FRAGMENT is left out if the server does not know it") {
    options o;
    o.dont_fragment = true;
    scripted_server s{o};
    s.client.allocate(epoch);
    const auto request = s.request(epoch, methods::allocate);
    REQUIRE(has_dont_fragment(request));
    const stun::attribute_type unknown[] = {attributes::dont_fragment};
    s.answer(epoch, request, stun::message_class::error, [&](auto& b) {
      b.add_error(stun::error_code::unknown_attribute, "").add_unknown_attributes(unknown);
    });
    CHECK_FALSE(s.client.poll_event());
    CHECK_FALSE(has_dont_fragment(s.request(epoch, methods::allocate)));
  }

  TEST_CASE("RFC 8016 §3.1.4: where mobility is forbidden, there is an allocation without") {
    options o;
    o.mobility = true;
    scripted_server s{o};
    s.client.allocate(epoch);
    s.refuse(epoch, s.request(epoch, methods::allocate), errors::mobility_forbidden);
    CHECK_FALSE(s.request(epoch, methods::allocate).has(attributes::mobility_ticket));
  }

  TEST_CASE("RFC 8489 §6.3.4: after 500 a request is sent again, four times, with patience") {
    scripted_server s;
    s.client.allocate(epoch);
    weft::time_point now = epoch;
    std::vector<weft::duration> sent;
    for (int i = 0; i < 10; ++i) {
      if (const auto request = s.raw_request(now)) {
        if (!request->username()) {
          s.challenge(now, *request, stun::error_code::unauthenticated);
          continue;
        }
        sent.push_back(now - epoch);
        s.refuse(now, *request, stun::error_code::server_error);
      }
      if (!s.client.poll_timeout()) break;
      now = *s.client.poll_timeout();
      s.client.handle_timeout(now);
    }
    CHECK(sent == std::vector<weft::duration>{0s, 1s, 3s, 7s, 15s});
    const auto failed = s.next<client::allocation_failed>();
    REQUIRE(failed);
    CHECK(failed->code == stun::error_code::server_error);
  }

  TEST_CASE("RFC 8656 §5: after 441 nothing is asked before there are other credentials") {
    scripted_server s;
    s.allocate(epoch);
    s.client.set_credentials(epoch, stun::password_credentials{"bob", "other"});
    s.user = {"bob", "other"};
    REQUIRE(s.client.create_permission(epoch, peer_a.address));
    REQUIRE(s.client.bind_channel(epoch, peer_b));
    s.refuse(epoch, s.request(epoch, methods::create_permission), errors::wrong_credentials);
    const auto refused = s.next<client::credentials_refused>();
    REQUIRE(refused);
    CHECK(refused->code == errors::wrong_credentials);
    weft::time_point now = epoch;
    CHECK(s.pass(now, epoch + 100s) == 0);
    CHECK(s.client.is_allocated());

    s.client.set_credentials(now, alice);
    s.user = alice;
    s.succeed(now, s.request(now, methods::create_permission));
    s.succeed(now, s.request(now, methods::channel_bind));
    CHECK(s.client.has_permission(peer_a.address));
    CHECK(s.client.channel(peer_b));
  }

  TEST_CASE("Credentials that change are used from the next request on, on the same allocation") {
    scripted_server s;
    s.allocate(epoch);
    s.client.set_credentials(epoch, stun::password_credentials{"alice", "new secret"});
    s.user.password = "new secret";
    const weft::time_point now = epoch + 540s;
    s.client.handle_timeout(now);
    s.refresh(now);
    CHECK(s.client.is_allocated());
    CHECK_FALSE(s.client.poll_event());
  }

  TEST_CASE("401 to a Refresh is told once, and the allocation lives until it expires") {
    scripted_server s;
    s.allocate(epoch);
    weft::time_point now = epoch + 540s;
    s.client.handle_timeout(now);
    REQUIRE(s.client.create_permission(now, peer_a.address));
    const auto refresh = s.request(now, methods::refresh);
    s.challenge(now, refresh, stun::error_code::unauthenticated);
    CHECK(s.next<client::credentials_refused>());
    CHECK(s.client.is_allocated());
    CHECK(s.pass(now, epoch + 600s) == 0);
    CHECK(s.next<client::allocation_lost>());
  }

  TEST_CASE("Nothing that is not signed changes anything") {
    scripted_server s;
    s.client.allocate(epoch);
    const auto request = s.request(epoch, methods::allocate);
    s.answer_unsigned(epoch, request, stun::message_class::success, [](auto& b) {
      b.add_xor_mapped_address(mapped);
      add_relayed_address(b, relayed_v4);
      add_lifetime(b, 600s);
    });
    s.answer_unsigned(epoch, request, stun::message_class::error,
                      [](auto& b) { b.add_error(errors::forbidden, ""); });
    s.answer_unsigned(epoch, request, stun::message_class::success, [](auto& b) {
      b.add_message_integrity(stun::integrity_key::short_term("wrong"));
    });
    CHECK_FALSE(s.client.is_allocated());
    CHECK_FALSE(s.client.poll_event());
    CHECK(s.client.stats().unauthenticated == 3);
    weft::time_point now = epoch;
    CHECK(s.pass(now, epoch + 31s) == 5);
  }

  TEST_CASE("Answers to other requests, and answers that come twice, do nothing") {
    scripted_server s;
    s.allocate(epoch);
    const std::vector<std::uint8_t> again = s.delivered;
    s.client.handle_input(epoch, again);
    CHECK(s.client.stats().dropped == 1);
    REQUIRE(s.client.create_permission(epoch, peer_a.address));
    const auto request = s.request(epoch, methods::create_permission);
    // The right transaction ID with another method.
    std::array<std::uint8_t, 200> memory;
    stun::message_builder b{memory, stun::message_class::success, methods::channel_bind,
                            request.id()};
    s.client.handle_input(epoch, b.add_message_integrity(s.key()).finish());
    CHECK(s.client.stats().dropped == 2);
    CHECK_FALSE(s.client.poll_event());
  }

  TEST_CASE("RFC 8489 §6.3.3: an answer with what must be understood and is not fails") {
    scripted_server s;
    s.client.allocate(epoch);
    s.answer(epoch, s.request(epoch, methods::allocate), stun::message_class::success, [](auto& b) {
      b.add_xor_mapped_address(mapped);
      add_relayed_address(b, relayed_v4);
      add_lifetime(b, 600s);
      b.add_u32(stun::attribute_type{0x7777}, 1);
    });
    const auto failed = s.next<client::allocation_failed>();
    REQUIRE(failed);
    CHECK(failed->code == errors::no_answer);
  }

  TEST_CASE("A nonce that leaves no room for a request fails, and nothing hangs") {
    scripted_server s;
    s.realm = std::string(509, 'r');
    s.nonce = std::string(509, 'n');
    options o;
    o.credentials = stun::password_credentials{std::string(508, 'u'), "p"};
    scripted_server t{o};
    t.realm = std::string(127, 'r');
    t.nonce = std::string(127, 'n');
    t.client.allocate(epoch);
    const auto request = t.raw_request(epoch);
    REQUIRE(request);
    // 763 bytes each is what a client must take (RFC 8489 §14.9); its own request then has no room.
    std::array<std::uint8_t, 2000> memory;
    stun::message_builder b{memory, stun::message_class::error, methods::allocate, request->id()};
    b.add_error(stun::error_code::unauthenticated, "");
    b.add_text(stun::attribute_type::realm, std::string(763, 'r'));
    b.add_text(stun::attribute_type::nonce, std::string(763, 'n'));
    t.deliver(epoch, b.finish());
    CHECK_FALSE(t.raw_request(epoch));
    CHECK(t.next<client::allocation_failed>());
    CHECK_FALSE(t.client.poll_timeout());
  }
}
