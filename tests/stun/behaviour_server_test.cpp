#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <vector>

#include <weft/stun/behaviour_server.hpp>
#include <weft/stun/fingerprint.hpp>
#include <weft/stun/transmit_counter.hpp>

#include "stun/raw_message.hpp"

using namespace std::chrono_literals;
using namespace weft::stun;
using namespace weft::test;
using weft::endpoint;

namespace {

const weft::ip_address a1 = *weft::ip_address::parse("203.0.113.1");
const weft::ip_address a2 = *weft::ip_address::parse("203.0.113.2");
constexpr std::uint16_t p1 = 3478, p2 = 3479;
const endpoint from{*weft::ip_address::parse("198.51.100.9"), 40000};
constexpr weft::time_point start{1h};
constexpr auto request = message_class::request;

using attribute = attribute_type;

struct world {
  explicit world(behaviour_server::options o = {.primary = {a1, p1}, .alternate = endpoint{a2, p2}})
      : server{random, o} {}

  std::optional<weft::addressed_transmit> ask(const raw_bytes& bytes,
                                              const endpoint& local = {a1, p1}) {
    return server.respond(start, local, from, bytes, buffer);
  }
  // 0: silence. 200: an answer. Otherwise the code of the error.
  int code(const raw_bytes& bytes) {
    const auto t = ask(bytes);
    if (!t) return 0;
    CHECK(t->local == endpoint{a1, p1});
    CHECK(t->remote == from);
    const auto m = message_view::parse(t->bytes);
    REQUIRE(m);
    CHECK(m->id() == raw_id);
    return m->type_class() == message_class::success ? 200 : static_cast<int>(m->error()->code);
  }

  weft::seeded_random random{1};
  behaviour_server server;
  std::array<std::uint8_t, 1472> buffer{};
};

raw_bytes changing(std::uint8_t flags) {
  return raw_message(request, {{attribute::change_request, {0, 0, 0, flags}}});
}

}  // namespace

TEST_SUITE("stun/behaviour_server") {
  TEST_CASE("RFC 5780 §6.1, Table 1: where the response comes from, and what it says") {
    world w;
    for (const auto& da : {a1, a2}) {
      for (const std::uint16_t dp : {p1, p2}) {
        const auto ca = da == a1 ? a2 : a1;
        const std::uint16_t cp = dp == p1 ? p2 : p1;
        for (const int bits : {0, 2, 4, 6, 0xf9}) {
          const auto flags = static_cast<std::uint8_t>(bits);
          const auto t = w.ask(changing(flags), {da, dp});
          REQUIRE(t);
          const endpoint origin{(flags & 4) != 0 ? ca : da, (flags & 2) != 0 ? cp : dp};
          CHECK(t->local == origin);
          CHECK(t->remote == from);
          const auto m = message_view::parse(t->bytes);
          REQUIRE(m);
          CHECK(m->xor_mapped_address() == from);
          CHECK(m->mapped_address() == from);
          CHECK(m->find_address(attribute::response_origin) == origin);
          CHECK(m->find_address(attribute::other_address) == endpoint{ca, cp});
          CHECK_FALSE(m->fingerprint());
        }
      }
    }
    CHECK(w.server.stats().successes == 20);
  }

  TEST_CASE("RFC 5780 §6.1: a plain request is told the addresses, too") {
    world w;
    const auto t = w.ask(raw_message(request, {}));
    REQUIRE(t);
    CHECK(t->bytes.size() == 68);
    CHECK(message_view::parse(t->bytes)->has(attribute::other_address));
  }

  TEST_CASE("RFC 5780 §6, §6.1: a server with one address refuses CHANGE-REQUEST") {
    world w{{.primary = {a1, p1}}};
    CHECK(w.server.socket_count() == 1);
    CHECK(w.code(changing(0)) == 420);
    const auto t = w.ask(changing(6));
    REQUIRE(t);
    const auto unknown = message_view::parse(t->bytes)->unknown_attributes();
    REQUIRE(unknown);
    CHECK(unknown->size() == 1);
    CHECK((*unknown)[0] == attribute::change_request);
    const auto plain = w.ask(raw_message(request, {}));
    REQUIRE(plain);
    CHECK_FALSE(message_view::parse(plain->bytes)->has(attribute::other_address));
    CHECK(message_view::parse(plain->bytes)->has(attribute::response_origin));
  }

  TEST_CASE("the four sockets of a server") {
    world w;
    CHECK(w.server.socket_count() == 4);
    CHECK(w.server.sockets() == std::array<endpoint, 4>{{{a1, p1}, {a1, p2}, {a2, p1}, {a2, p2}}});
  }

  TEST_CASE("RFC 5780 §7.5: RESPONSE-PORT sends the response to that port, of the same address") {
    world w;
    for (const raw_bytes& value : {raw_bytes{0x12, 0x34}, raw_bytes{0x12, 0x34, 9, 9}}) {
      const auto t = w.ask(raw_message(request, {{attribute::response_port, value}}));
      REQUIRE(t);
      CHECK(t->remote == endpoint{from.address, 0x1234});
      // It is told where the request came from.
      CHECK(message_view::parse(t->bytes)->xor_mapped_address() == from);
    }
    CHECK(w.code(raw_message(request, {{attribute::response_port, {0, 0}}})) == 400);
    for (const std::size_t size : {0u, 1u, 3u, 5u, 8u})
      CHECK(w.code(raw_message(request, {{attribute::response_port, raw_bytes(size, 1)}})) == 400);
    world without{{.primary = {a1, p1}, .alternate = endpoint{a2, p2}, .response_port = false}};
    CHECK(without.code(raw_message(request, {{attribute::response_port, {1, 1}}})) == 420);
  }

  TEST_CASE("RFC 5780 §6.1, §10: RESPONSE-PORT and PADDING together are refused") {
    world w;
    CHECK(w.code(raw_message(request, {{attribute::response_port, {1, 1}},
                                       {attribute::padding, raw_bytes(100)}})) == 400);
  }

  TEST_CASE("RFC 5780 §7.6: PADDING comes back, never longer than it came") {
    for (const std::size_t size : {0u, 1u, 4u, 999u, 1300u, 1499u, 1500u, 1600u, 60000u}) {
      world w;
      const auto t = w.ask(raw_message(request, {{attribute::padding, raw_bytes(size, 7)}}));
      REQUIRE(t);
      const auto m = message_view::parse(t->bytes);
      REQUIRE(m);
      const auto padding = m->find(attribute::padding);
      REQUIRE(padding);
      CHECK(padding->value.size() == std::min<std::size_t>(size, 1392));
      CHECK(std::ranges::all_of(padding->value, [](std::uint8_t b) { return b == 0; }));
    }
  }

  TEST_CASE("malformed CHANGE-REQUEST, unknown attributes and what is no Binding request") {
    world w;
    for (const std::size_t size : {0u, 1u, 3u, 5u, 8u})
      CHECK(w.code(raw_message(request, {{attribute::change_request, raw_bytes(size)}})) == 400);
    CHECK(w.code(raw_message(request, {{static_cast<attribute>(0x7777), {}}})) == 420);
    CHECK(w.code(raw_message(request, {{static_cast<attribute>(0xf777), {}}})) == 200);
    std::vector<raw_attribute> many;
    for (unsigned i = 0; i < 40; ++i) many.push_back({static_cast<attribute>(0x4000 + i), {}});
    CHECK(w.code(raw_message(request, many)) == 420);
    for (const auto c : {message_class::indication, message_class::success, message_class::error})
      CHECK(w.code(raw_message(c, {})) == 0);
    auto bad = raw_message(request, {{attribute::fingerprint, {1, 2, 3, 4}}});
    CHECK(w.code(bad) == 0);
    bad.resize(19);
    CHECK(w.code(bad) == 0);
    CHECK(w.server.stats().dropped == 5);
  }

  TEST_CASE("FINGERPRINT if the request had one, and the transmit counter, are returned") {
    world w;
    std::array<std::uint8_t, 64> memory{};
    message_builder b{memory, request, method::binding, raw_id};
    const auto bytes = add_transmit_counter(b, {3, 1}).add_fingerprint().finish();
    const auto t = w.ask({bytes.begin(), bytes.end()});
    REQUIRE(t);
    CHECK(has_valid_fingerprint(*message_view::parse(t->bytes)));
    CHECK(find_transmit_counter(*message_view::parse(t->bytes)) == transmit_counter{3, 0});
  }

  TEST_CASE("a flood gets plain responses of 1.6 times the request, and none to other ports") {
    world w;
    const auto plain = raw_message(request, {});
    const auto to_port = raw_message(request, {{attribute::response_port, {1, 1}}});
    std::size_t in = 0, out = 0;
    for (int i = 0; i < 100'000; ++i) {
      const raw_bytes& bytes = i % 2 == 0 ? plain : to_port;
      in += bytes.size();
      if (const auto t = w.ask(bytes)) {
        out += t->bytes.size();
        if (i > 1000) {
          CHECK(t->bytes.size() == 32);
          CHECK(t->remote == from);
          CHECK(t->local == endpoint{a1, p1});
        }
      }
    }
    CHECK(out <= in * 8 / 5 + 4096);
    CHECK(w.server.stats().plain > 49'000);
    CHECK(w.server.stats().withheld > 49'000);
  }

  TEST_CASE("responses leave no byte of the buffer in the message as it was") {
    for (const auto& bytes : {raw_message(request, {}), changing(6),
                              raw_message(request, {{attribute::padding, raw_bytes(7)}}),
                              raw_message(request, {{attribute::response_port, {0, 0}}})}) {
      world zeros, ones;
      ones.buffer.fill(0xff);
      const auto a = zeros.ask(bytes), b = ones.ask(bytes);
      REQUIRE(a);
      REQUIRE(b);
      CHECK(std::ranges::equal(a->bytes, b->bytes));
    }
  }
}
