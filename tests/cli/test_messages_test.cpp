#include "test_messages.hpp"

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using weft::cli::test_messages;
using weft::peer::message_kind;

namespace {

const weft::time_point start{};

/// Sends the next message and returns it.
test_messages::message send(test_messages& m, weft::time_point now = start) {
  REQUIRE(m.may_send());
  auto message = m.next();
  m.sent(now);
  return message;
}

}  // namespace

TEST_CASE("echoes in order are intact, and each tells its round trip") {
  test_messages m{{.count = 6, .sizes = {0, 1, 1200}, .window = 3}};
  for (int round = 0; round < 2; ++round) {
    const auto a = send(m), b = send(m), c = send(m);
    CHECK(!m.may_send());
    m.received(start + 5ms, a.kind, a.payload);
    m.received(start + 6ms, b.kind, b.payload);
    m.received(start + 7ms, c.kind, c.payload);
  }
  CHECK(m.done());
  CHECK(m.counts().intact == 6);
  CHECK(m.counts().bytes == 2 * 1201);
  CHECK(m.counts().changed == 0);
  CHECK(m.round_trips()[2] == 7ms);
}

TEST_CASE("one bit, another length, another kind or another message is a change") {
  const auto judge = [](auto damage) {
    test_messages m{{.count = 2, .sizes = {100, 100}}};
    auto first = send(m);
    const auto second = send(m);
    damage(first, second);
    m.received(start, first.kind, first.payload);
    return m.counts().changed;
  };
  CHECK(judge([](auto&, const auto&) {}) == 0);
  CHECK(judge([](auto& m, const auto&) { m.payload[99] ^= 1; }) == 1);
  CHECK(judge([](auto& m, const auto&) { m.payload.pop_back(); }) == 1);
  CHECK(judge([](auto& m, const auto&) { m.kind = message_kind::text; }) == 1);
  CHECK(judge([](auto& m, const auto& other) { m = other; }) == 1);
}

TEST_CASE("an echo of nothing that is under way is a change, a second echo too") {
  test_messages m{{.count = 1, .sizes = {10}, .ordered = false}};
  const auto only = send(m);
  m.received(start, only.kind, only.payload);
  m.received(start, only.kind, only.payload);
  CHECK(m.counts().intact == 1);
  CHECK(m.counts().changed == 1);
}

TEST_CASE("unordered echoes may overtake each other, ordered ones may not") {
  for (const bool ordered : {true, false}) {
    test_messages m{{.count = 2, .sizes = {10, 20}, .ordered = ordered}};
    const auto first = send(m), second = send(m);
    m.received(start, second.kind, second.payload);
    m.received(start, first.kind, first.payload);
    CHECK(m.counts().intact == (ordered ? 0 : 2));
    CHECK(m.counts().changed == (ordered ? 2 : 0));
  }
}

TEST_CASE("what an unreliable channel passes over or does not return in time is lost") {
  test_messages m{{.count = 3, .sizes = {10}, .reliable = false}};
  const auto first = send(m), second = send(m);
  m.received(start, second.kind, second.payload);
  CHECK(m.counts().lost == 1);
  send(m, start + 1s);
  m.expire(start + 1500ms, 1s);
  CHECK(!m.done());
  m.expire(start + 2s, 1s);
  CHECK(m.done());
  CHECK(m.counts().intact == 1);
  CHECK(m.counts().lost == 2);
}

TEST_CASE("a reliable channel's messages are waited for") {
  test_messages m{{.count = 1, .sizes = {10}}};
  send(m);
  m.expire(start + 1h, 1s);
  CHECK(!m.done());
  CHECK(m.counts().lost == 0);
}
