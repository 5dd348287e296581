#include <doctest/doctest.h>

#include <array>
#include <utility>
#include <vector>

#include <weft/stun/binding_client.hpp>
#include <weft/stun/fingerprint.hpp>
#include <weft/stun/response.hpp>

#include "stun/raw_message.hpp"

namespace {

using namespace std::chrono_literals;
using namespace weft::stun;
using weft::test::raw_bytes;

constexpr weft::time_point epoch{};
const weft::endpoint server{*weft::ip_address::parse("203.0.113.7"), 3478};
const weft::endpoint elsewhere{*weft::ip_address::parse("203.0.113.8"), 3478};
const weft::endpoint reflexive{*weft::ip_address::parse("192.0.2.1"), 32853};
const short_term_credentials credentials{"user", "password"};

class driver {
 public:
  explicit driver(const binding_client::options& options = {}) : client{random, server, options} {}

  std::optional<message_view> request(weft::time_point now) {
    const auto sent = client.poll_transmit(now, request_memory);
    if (!sent) return std::nullopt;
    CHECK(sent->remote == server);
    CHECK(sent->bytes.data() == request_memory.data());
    const auto message = message_view::parse(sent->bytes);
    REQUIRE(message);
    return *message;
  }
  message_view first_request() {
    client.start(epoch);
    const auto sent = request(epoch);
    REQUIRE(sent);
    return *sent;
  }
  // An answer to the request, with what `add` adds.
  template <class Add>
  weft::const_bytes answer(const message_view& to, message_class c, Add add) {
    message_builder b{answer_memory, c, method::binding, to.id()};
    add(b);
    const auto bytes = b.finish();
    REQUIRE_FALSE(bytes.empty());
    return bytes;
  }
  weft::const_bytes good_answer(const message_view& to) {
    return answer(to, message_class::success,
                  [](message_builder& b) { b.add_xor_mapped_address(reflexive); });
  }
  // Lets time pass until nothing more is due; the number of requests sent meanwhile.
  int run_out(weft::time_point now) {
    int sent = 0;
    for (;;) {
      while (request(now)) ++sent;
      const auto deadline = client.poll_timeout();
      if (!deadline) return sent;
      now = *deadline;
      client.handle_timeout(now);
    }
  }

  weft::seeded_random random{1};
  binding_client client;
  std::array<std::uint8_t, 1200> request_memory{};
  std::array<std::uint8_t, 1200> answer_memory{};
};

using event = binding_client::event;

}  // namespace

TEST_SUITE("stun/binding_client") {
  TEST_CASE("RFC 8489 §6.2.1: requests go out at 0, 0.5, 1.5 ... 31.5 s and fail at 39.5 s") {
    driver d;
    d.client.start(epoch);
    std::vector<weft::duration> sent_at;
    auto now = epoch;
    transaction_id id{};
    for (;;) {
      while (const auto request = d.request(now)) {
        if (!sent_at.empty()) CHECK(request->id() == id);
        id = request->id();
        sent_at.push_back(now - epoch);
      }
      const auto deadline = d.client.poll_timeout();
      if (!deadline) break;
      now = *deadline;
      d.client.handle_timeout(now);
    }
    CHECK(sent_at ==
          std::vector<weft::duration>{0ms, 500ms, 1500ms, 3500ms, 7500ms, 15500ms, 31500ms});
    CHECK(now - epoch == 39500ms);
    CHECK(d.client.poll_event() == event{binding_client::timed_out{server}});
    CHECK_FALSE(d.client.poll_event());
    CHECK(d.client.stats().requests_sent == 7);
  }

  TEST_CASE("RFC 8489 §6.1: a request without credentials is the bare header") {
    driver d;
    CHECK(d.first_request().bytes().size() == header_size);
  }

  TEST_CASE("a success response ends the transaction, and only once") {
    driver d;
    const auto request = d.first_request();
    const auto bytes = d.good_answer(request);
    CHECK(d.client.handle_input(epoch + 20ms, server, bytes));
    CHECK(d.client.poll_event() == event{binding_client::address_discovered{server, reflexive}});
    CHECK_FALSE(d.client.poll_event());
    CHECK_FALSE(d.client.poll_timeout());
    CHECK(d.client.round_trip() == 20ms);
    CHECK(d.client.handle_input(epoch + 21ms, server, bytes));
    CHECK_FALSE(d.client.poll_event());
    CHECK(d.client.stats().dropped == 1);
    d.client.start(epoch + 22ms);
    CHECK_FALSE(d.client.round_trip());
  }

  TEST_CASE("a server may see an IPv6 address, and be one") {
    const weft::endpoint v6{*weft::ip_address::parse("2001:db8::7"), 3478};
    weft::seeded_random random{2};
    binding_client client{random, v6};
    binding_server responder;
    client.start(epoch);
    std::array<std::uint8_t, 128> memory{}, response{};
    const auto sent = client.poll_transmit(epoch, memory);
    REQUIRE(sent);
    const weft::endpoint me{*weft::ip_address::parse("2001:db8::1"), 5000};
    CHECK(client.handle_input(epoch, v6, *responder.respond(me, sent->bytes, response)));
    CHECK(client.poll_event() == event{binding_client::address_discovered{v6, me}});
  }

  TEST_CASE("RFC 8489 §6.3.4: an error response is told with its code and reason") {
    driver d;
    const auto request = d.first_request();
    const auto bytes = d.answer(request, message_class::error, [](message_builder& b) {
      b.add_error(error_code::server_error, "busy \xff");
    });
    CHECK(d.client.handle_input(epoch, server, bytes));
    CHECK(d.client.poll_event() ==
          event{binding_client::refused{server, error_code::server_error, "busy \xff"}});
    CHECK_FALSE(d.client.poll_timeout());
  }

  TEST_CASE("RFC 8489 §6.3.3, §6.3.4: an answer that answers nothing ends the transaction") {
    const auto nothing = [](message_builder&) {};
    const auto mapped = [](message_builder& b) { b.add_mapped_address(reflexive); };
    const auto unknown = [](message_builder& b) {
      b.add_xor_mapped_address(reflexive).add_flag(static_cast<attribute_type>(0x7fff));
    };
    const auto unknown_error = [](message_builder& b) {
      b.add_error(error_code::bad_request, "").add_flag(static_cast<attribute_type>(0x0030));
    };
    const auto empty = [](message_builder& b) { b.add_flag(attribute_type::xor_mapped_address); };
    const auto check = [](message_class c, auto add) {
      driver d;
      const auto request = d.first_request();
      CHECK(d.client.handle_input(epoch, server, d.answer(request, c, add)));
      CHECK(d.client.poll_event() == event{binding_client::unusable{server}});
      CHECK_FALSE(d.client.poll_timeout());
    };
    check(message_class::success, nothing);
    check(message_class::success, mapped);
    check(message_class::success, unknown);
    check(message_class::success, empty);
    check(message_class::error, nothing);
    check(message_class::error, unknown_error);
  }

  TEST_CASE("what is not STUN from the server is handed back; what is, but stale, is counted") {
    driver d;
    const auto request = d.first_request();
    const std::array<std::uint8_t, 20> rtp{0x80, 0x60, 0, 1};
    auto stale = request.id();
    stale[0] ^= 1;
    const auto stale_bytes =
        message_builder{d.answer_memory, message_class::success, method::binding, stale}
            .add_xor_mapped_address(reflexive)
            .finish();
    CHECK_FALSE(d.client.handle_input(epoch, elsewhere, stale_bytes));
    CHECK(d.client.handle_input(epoch, server, stale_bytes));
    CHECK(d.client.handle_input(epoch, server, stale_bytes.first(24)));
    CHECK_FALSE(d.client.handle_input(epoch, server, rtp));
    CHECK_FALSE(d.client.handle_input(epoch, server, {}));
    CHECK(d.client.stats().dropped == 2);
    CHECK_FALSE(d.client.handle_input(epoch, server, request.bytes()));
    CHECK_FALSE(d.client.handle_input(epoch, elsewhere, d.good_answer(request)));
    CHECK_FALSE(d.client.poll_event());
    CHECK(d.client.poll_timeout() == epoch + 500ms);
  }

  TEST_CASE("a response with a wrong FINGERPRINT or another method is dropped") {
    driver d;
    const auto request = d.first_request();
    const auto signed_bytes = d.answer(request, message_class::success, [](message_builder& b) {
      b.add_xor_mapped_address(reflexive).add_fingerprint();
    });
    raw_bytes wrong{signed_bytes.begin(), signed_bytes.end()};
    wrong.back() ^= 1;
    CHECK(d.client.handle_input(epoch, server, wrong));
    const auto other_method = message_builder{d.answer_memory, message_class::success,
                                              static_cast<method>(2), request.id()}
                                  .add_xor_mapped_address(reflexive)
                                  .finish();
    CHECK(d.client.handle_input(epoch, server, other_method));
    CHECK(d.client.stats().dropped == 2);
    CHECK(d.client.poll_timeout() == epoch + 500ms);
  }

  TEST_CASE("nothing is sent, expected or told before start and after cancel") {
    driver d;
    CHECK_FALSE(d.request(epoch));
    CHECK_FALSE(d.client.poll_timeout());
    d.client.handle_timeout(epoch + 1h);
    CHECK_FALSE(d.client.poll_event());
    const auto request = d.first_request();
    const auto bytes = d.good_answer(request);
    d.client.cancel();
    CHECK(d.client.handle_input(epoch, server, bytes));
    CHECK_FALSE(d.client.poll_event());
    CHECK_FALSE(d.client.poll_timeout());
  }

  TEST_CASE("RFC 8489 §5: a client started again begins another transaction") {
    driver d;
    const auto first = d.first_request().id();
    CHECK(d.first_request().id() != first);
    d.client.handle_timeout(epoch + 500ms);
    CHECK(d.request(epoch + 500ms));
  }

  TEST_CASE("time that goes backwards stands still") {
    driver d;
    d.client.start(epoch + 10s);
    REQUIRE(d.request(epoch));
    CHECK(d.client.poll_timeout() == epoch + 10500ms);
    d.client.handle_timeout(epoch + 11s);
    REQUIRE(d.request(epoch + 3s));
    CHECK(d.client.poll_timeout() == epoch + 12s);
  }

  TEST_CASE("a buffer that is too small leaves the request due") {
    driver d;
    d.client.start(epoch);
    std::array<std::uint8_t, 19> small{};
    CHECK_FALSE(d.client.poll_transmit(epoch, small));
    CHECK(d.request(epoch));
  }

  TEST_CASE("requests leave from the local endpoint that was named, with FINGERPRINT if asked") {
    const weft::endpoint local{*weft::ip_address::parse("10.0.0.1"), 9};
    driver d{{.local = local, .fingerprint = true}};
    d.client.start(epoch);
    const auto sent = d.client.poll_transmit(epoch, d.request_memory);
    REQUIRE(sent);
    CHECK(sent->local == local);
    CHECK(has_valid_fingerprint(*message_view::parse(sent->bytes)));
  }

  TEST_CASE("a client may be moved while it waits") {
    driver d;
    const auto request = d.first_request();
    binding_client moved = std::move(d.client);
    CHECK(moved.poll_timeout() == epoch + 500ms);
    CHECK(moved.handle_input(epoch, server, d.good_answer(request)));
    CHECK(moved.poll_event());
  }

  TEST_CASE("RFC 8489 §9.1.2: the first request has both integrity attributes, or the one known") {
    const auto attributes = [](std::optional<integrity_algorithm> algorithm) {
      driver d{{.credentials = credentials, .algorithm = algorithm}};
      const auto request = d.first_request();
      CHECK(request.username() == "user");
      CHECK(verify_integrity(request, credentials.key));
      return std::pair{request.message_integrity().has_value(),
                       request.message_integrity_sha256().has_value()};
    };
    CHECK(attributes(std::nullopt) == std::pair{true, true});
    CHECK(attributes(integrity_algorithm::sha1) == std::pair{true, false});
    CHECK(attributes(integrity_algorithm::sha256) == std::pair{false, true});
  }

  TEST_CASE("RFC 8489 §9.1.5: later requests have the attribute that the server used") {
    for (const auto used : {integrity_algorithm::sha1, integrity_algorithm::sha256}) {
      driver d{{.credentials = credentials}};
      const auto request = d.first_request();
      const auto bytes = d.answer(request, message_class::success, [&](message_builder& b) {
        b.add_xor_mapped_address(reflexive);
        used == integrity_algorithm::sha1 ? b.add_message_integrity(credentials.key)
                                          : b.add_message_integrity_sha256(credentials.key);
      });
      CHECK(d.client.handle_input(epoch, server, bytes));
      CHECK(d.client.poll_event() == event{binding_client::address_discovered{server, reflexive}});
      const auto next = d.first_request();
      CHECK(next.message_integrity().has_value() == (used == integrity_algorithm::sha1));
      CHECK(next.message_integrity_sha256().has_value() == (used == integrity_algorithm::sha256));
    }
  }

  TEST_CASE("RFC 8489 §9.1.4: unsigned and wrongly signed answers are as if never received") {
    driver d{{.credentials = credentials}};
    const auto request = d.first_request();
    CHECK(d.client.handle_input(epoch, server, d.good_answer(request)));
    const auto forged = d.answer(request, message_class::success, [](message_builder& b) {
      b.add_xor_mapped_address(elsewhere).add_message_integrity(integrity_key::short_term("guess"));
    });
    CHECK(d.client.handle_input(epoch, server, forged));
    CHECK_FALSE(d.client.poll_event());
    CHECK(d.client.stats().unauthenticated == 2);
    CHECK(d.client.poll_timeout() == epoch + 500ms);
    const auto good = d.answer(request, message_class::success, [](message_builder& b) {
      b.add_xor_mapped_address(reflexive).add_message_integrity(credentials.key);
    });
    CHECK(d.client.handle_input(epoch, server, good));
    CHECK(d.client.poll_event() == event{binding_client::address_discovered{server, reflexive}});
  }

  TEST_CASE("RFC 8489 §9.1.4: the answer's algorithm must be the one that was sent") {
    driver d{{.credentials = credentials, .algorithm = integrity_algorithm::sha256}};
    const auto request = d.first_request();
    const auto bytes = d.answer(request, message_class::success, [](message_builder& b) {
      b.add_xor_mapped_address(reflexive).add_message_integrity(credentials.key);
    });
    CHECK(d.client.handle_input(epoch, server, bytes));
    CHECK_FALSE(d.client.poll_event());
    CHECK(d.client.stats().unauthenticated == 1);
  }

  TEST_CASE("RFC 8489 §9.1.4: a transaction with only such answers ends as a violation") {
    driver d{{.credentials = credentials}};
    const auto request = d.first_request();
    const auto denied = d.answer(request, message_class::error, [](message_builder& b) {
      b.add_error(error_code::unauthenticated, "");
    });
    CHECK(d.client.handle_input(epoch, server, denied));
    CHECK(d.run_out(epoch) == 6);
    CHECK(d.client.poll_event() ==
          event{binding_client::integrity_violated{server, error_code::unauthenticated}});
    d.client.start(epoch);
    d.run_out(epoch);
    CHECK(d.client.poll_event() == event{binding_client::timed_out{server}});

    const auto second = d.first_request();
    const auto denied_again = d.answer(second, message_class::error, [](message_builder& b) {
      b.add_error(error_code::unauthenticated, "");
    });
    CHECK(d.client.handle_input(epoch, server, denied_again));
    CHECK(d.client.handle_input(epoch, server, d.good_answer(second)));
    d.run_out(epoch);
    CHECK(d.client.poll_event() == event{binding_client::integrity_violated{server, std::nullopt}});
  }

  TEST_CASE("RFC 8489 §6.2.2: over a stream a request is sent once") {
    driver d{{.retransmission = retransmission_timer::options::reliable()}};
    d.client.start(epoch);
    CHECK(d.run_out(epoch) == 1);
    CHECK(d.client.poll_event() == event{binding_client::timed_out{server}});
  }
}
