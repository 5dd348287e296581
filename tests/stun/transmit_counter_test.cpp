#include <doctest/doctest.h>

#include <array>

#include <weft/stun/binding_client.hpp>
#include <weft/stun/binding_server.hpp>
#include <weft/stun/response.hpp>

#include "stun/raw_message.hpp"

namespace {

using namespace std::chrono_literals;
using namespace weft::stun;
using weft::test::raw_message;

const weft::endpoint local{*weft::ip_address::parse("198.51.100.9"), 40000};
const weft::endpoint remote{*weft::ip_address::parse("203.0.113.1"), 3478};
constexpr weft::time_point epoch{};

constexpr auto attribute = attribute_type::transaction_transmit_counter;

}  // namespace

TEST_SUITE("stun/transmit_counter") {
  TEST_CASE("RFC 7982 §3.1: Req and Resp are the last two bytes of four") {
    const auto bytes = raw_message(message_class::request, {{attribute, {9, 9, 3, 2}}});
    CHECK(find_transmit_counter(*message_view::parse(bytes)) == transmit_counter{3, 2});
    for (std::size_t size = 0; size < 12; ++size) {
      const auto odd =
          raw_message(message_class::request, {{attribute, weft::test::raw_bytes(size)}});
      CHECK(find_transmit_counter(*message_view::parse(odd)).has_value() == (size == 4));
    }
    std::array<std::uint8_t, 28> buffer{};
    message_builder b{buffer, message_class::request, method::binding, weft::test::raw_id};
    const auto built = add_transmit_counter(b, {3, 2}).finish();
    CHECK(std::ranges::equal(built,
                             raw_message(message_class::request, {{attribute, {0, 0, 3, 2}}})));
  }

  TEST_CASE("RFC 7982 §3.3: the server echoes Req, does not count, and still does not amplify") {
    for (const bool guarded : {false, true}) {
      binding_server server{guarded
                                ? binding_server::options{short_term_credentials{"user", "pass"}}
                                : binding_server::options{}};
      for (const bool unknown : {false, true}) {
        std::vector<weft::test::raw_attribute> attributes{{attribute, {0, 0, 5, 7}}};
        if (unknown) attributes.push_back({attribute_type::padding, {}});
        const auto request = raw_message(message_class::request, attributes);
        std::array<std::uint8_t, 128> buffer{};
        const auto response = server.respond(local, request, buffer);
        REQUIRE(response);
        CHECK(find_transmit_counter(*message_view::parse(*response)) == transmit_counter{5, 0});
        CHECK(response->size() * 5 <= request.size() * 8);
      }
    }
  }

  TEST_CASE("RFC 7982 §3.2: the client counts, and knows the round trip in spite of losses") {
    weft::seeded_random random{1};
    binding_client client{random, remote, {.transmit_counter = true}};
    binding_server server;
    for (std::uint8_t answered = 1; answered <= 7; ++answered) {
      client.start(epoch);
      auto now = epoch;
      std::vector<weft::time_point> sent;
      std::vector<std::uint8_t> request;
      for (std::uint8_t n = 1; n <= 7; ++n) {
        std::array<std::uint8_t, 128> buffer;
        const auto t = client.poll_transmit(now, buffer);
        REQUIRE(t);
        CHECK(find_transmit_counter(*message_view::parse(t->bytes)) == transmit_counter{n, 0});
        sent.push_back(now);
        if (n == answered) request.assign(t->bytes.begin(), t->bytes.end());
        now = *client.poll_timeout();
        if (n < 7) client.handle_timeout(now);
      }
      std::array<std::uint8_t, 128> buffer;
      const auto response = server.respond(local, request, buffer);
      REQUIRE(response);
      now -= 1ms;
      CHECK(client.handle_input(now, remote, *response));
      CHECK(client.round_trip() == now - sent[answered - 1u]);
      CHECK(client.answered() == transmit_counter{answered, 0});
      CHECK(client.poll_event() ==
            binding_client::event{binding_client::address_discovered{remote, local}});
    }
  }

  TEST_CASE("a count that cannot be measures nothing") {
    for (const std::uint8_t count : {std::uint8_t{0}, std::uint8_t{3}, std::uint8_t{255}}) {
      weft::seeded_random random{1};
      binding_client client{random, remote, {.transmit_counter = true}};
      client.start(epoch);
      std::array<std::uint8_t, 128> buffer, reply;
      CHECK(client.poll_transmit(epoch, buffer));
      client.handle_timeout(epoch + 500ms);
      const auto t = client.poll_transmit(epoch + 500ms, buffer);
      REQUIRE(t);
      auto response = success_response(reply, *message_view::parse(t->bytes));
      response.add_xor_mapped_address(local);
      const auto bytes = add_transmit_counter(response, {count, 0}).finish();
      CHECK(client.handle_input(epoch + 600ms, remote, bytes));
      CHECK_FALSE(client.round_trip());
      CHECK(client.poll_event());
    }
  }
}
