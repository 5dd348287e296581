#include <doctest/doctest.h>

#include "call.hpp"

using namespace std::chrono_literals;
using namespace weft::peer;
using weft::peer::test::call;
using weft::peer::test::kept_message;

namespace {

struct connected : call {
  connected() : call{1} {
    channel = *a.peer.create_data_channel(now, "first");
    negotiate();
    REQUIRE(connect());
  }
  channel_handle channel;
};

std::string pattern(std::size_t size, unsigned seed) {
  weft::seeded_random random{seed};
  std::string out(size, '\0');
  for (char& c : out) c = static_cast<char>(random.next());
  return out;
}

}  // namespace

TEST_SUITE("peer/data_channel") {
  TEST_CASE_FIXTURE(connected, "messages of every size arrive whole, in both kinds, both ways") {
    const std::size_t sizes[] = {0, 1, 1160, 1200, 16384, 65536, 262144};
    std::vector<kept_message> sent;
    for (const std::size_t size : sizes) {
      const auto payload = pattern(size, static_cast<unsigned>(size));
      sent.push_back({message_kind::text, payload});
      sent.push_back({message_kind::binary, payload});
      for (auto* s : {&a, &b}) {
        const auto handle = s->opened[0];
        REQUIRE(s->peer.send(now, handle, payload));
        REQUIRE(s->peer.send(now, handle, weft::as_bytes(payload)));
      }
    }
    CHECK(run(60s, [&] {
      return a.messages[a.opened[0]].size() == sent.size() &&
             b.messages[b.opened[0]].size() == sent.size();
    }));
    CHECK(a.messages[a.opened[0]] == sent);
    CHECK(b.messages[b.opened[0]] == sent);
  }

  TEST_CASE_FIXTURE(connected, "a message beyond what the other side takes is refused") {
    CHECK(a.peer.max_message_size() == 262144);
    const auto sent = a.peer.send(now, channel, pattern(262145, 1));
    REQUIRE_FALSE(sent);
    CHECK(sent.error().code == error_code::too_large);
  }

  TEST_CASE_FIXTURE(connected,
                    "RFC 8832 §5.1: what a channel was made with reaches the other side") {
    const data_channel_options cases[] = {
        {.ordered = false, .protocol = "p"},
        {.max_packet_life_time = 150},
        {.ordered = false, .max_retransmits = 0},
        {.max_retransmits = 65535, .protocol = "\xc3\xa9"},
    };
    for (const auto& opts : cases) {
      const auto handle = a.peer.create_data_channel(now, "label \xe2\x9c\x93", opts);
      REQUIRE(handle);
      REQUIRE(run(5s, [&] { return b.opened.size() == a.opened.size(); }));
      const auto info = b.peer.channel(b.opened.back());
      REQUIRE(info);
      CHECK(info->label == "label \xe2\x9c\x93");
      CHECK(info->options.ordered == opts.ordered);
      CHECK(info->options.max_packet_life_time == opts.max_packet_life_time);
      CHECK(info->options.max_retransmits == opts.max_retransmits);
      CHECK(info->options.protocol == opts.protocol);
      CHECK_FALSE(info->options.negotiated);
      CHECK(info->options.id == a.peer.channel(*handle)->options.id);
    }
  }

  TEST_CASE_FIXTURE(connected, "RFC 8832 §6: the DTLS client has the even streams") {
    const auto mine = *a.peer.create_data_channel(now, "a");
    const auto theirs = *b.peer.create_data_channel(now, "b");
    REQUIRE(run(5s, [&] { return a.opened.size() == 3 && b.opened.size() == 3; }));
    // The answerer takes the active role.
    CHECK(*a.peer.channel(mine)->options.id % 2 == 1);
    CHECK(*b.peer.channel(theirs)->options.id % 2 == 0);
  }

  TEST_CASE("both sides open many channels at once, on streams that never collide") {
    call c{2};
    for (int i = 0; i < 100; ++i) {
      REQUIRE(c.a.peer.create_data_channel(c.now, "a" + std::to_string(i)));
      REQUIRE(c.b.peer.create_data_channel(c.now, "b" + std::to_string(i)));
    }
    c.negotiate();
    REQUIRE(c.connect(200));
    for (auto* s : {&c.a, &c.b})
      for (const auto handle : s->opened)
        REQUIRE(s->peer.send(c.now, handle, s->peer.channel(handle)->label));
    CHECK(c.run(5s, [&] { return c.a.messages.size() == 200 && c.b.messages.size() == 200; }));
    for (auto* s : {&c.a, &c.b})
      for (const auto& [handle, messages] : s->messages)
        CHECK(messages ==
              std::vector<kept_message>{{message_kind::text, s->peer.channel(handle)->label}});
  }

  TEST_CASE_FIXTURE(connected, "a channel closed by either side ends on both, after its messages") {
    for (const bool by_opener : {true, false}) {
      CAPTURE(by_opener);
      const auto handle = *a.peer.create_data_channel(now, "short");
      const std::size_t open = b.opened.size();
      REQUIRE(run(5s, [&] { return b.opened.size() == open + 1; }));
      auto& closer = by_opener ? a : b;
      auto& other = by_opener ? b : a;
      const auto closers = by_opener ? handle : b.opened.back();
      const auto others = by_opener ? b.opened.back() : handle;
      REQUIRE(closer.peer.send(now, closers, pattern(100000, 1)));
      closer.peer.close_data_channel(now, closers);
      CHECK(closer.peer.channel(closers)->state == data_channel_state::closing);
      const auto refused = closer.peer.send(now, closers, "late");
      REQUIRE_FALSE(refused);
      CHECK(refused.error().code == error_code::invalid_state);
      REQUIRE(run(
          5s, [&] { return closer.closed.contains(closers) && other.closed.contains(others); }));
      CHECK(closer.closed[closers].empty());
      CHECK(other.closed[others].empty());
      CHECK(other.messages[others].size() == 1);
      CHECK_FALSE(a.peer.channel(handle));
    }
    CHECK(a.peer.channel(channel)->state == data_channel_state::open);
  }

  TEST_CASE_FIXTURE(connected,
                    "RFC 8831 §6.7: a stream is used again after both directions ended") {
    std::optional<std::uint16_t> stream;
    for (int i = 0; i < 10; ++i) {
      const auto handle = *a.peer.create_data_channel(now, "again");
      REQUIRE(run(5s, [&] { return a.opened.back() == handle; }));
      const auto id = a.peer.channel(handle)->options.id;
      if (stream) CHECK(id == stream);
      stream = id;
      REQUIRE(a.peer.send(now, handle, std::to_string(i)));
      a.peer.close_data_channel(now, handle);
      REQUIRE(
          run(5s, [&] { return a.closed.contains(handle) && b.closed.size() == a.closed.size(); }));
    }
    CHECK(b.messages.size() == 10);
  }

  TEST_CASE_FIXTURE(connected, "unread messages hold back the sender, and what comes after them") {
    b.reading = false;
    std::size_t sent = 0;
    const auto payload = pattern(65536, 1);
    for (; sent < 200; ++sent)
      if (!a.peer.send(now, channel, payload)) break;
    a.peer.close_data_channel(now, channel);
    run(30s);
    CHECK(b.closed.empty());
    CHECK(a.peer.channel(channel)->buffered_amount > 0);
    b.reading = true;
    CHECK(run(120s, [&] { return !b.closed.empty(); }));
    CHECK(b.messages[b.opened[0]].size() == sent);
  }

  TEST_CASE_FIXTURE(connected, "buffered_amount falls, and says so once at its threshold") {
    const auto payload = pattern(200000, 1);
    a.peer.set_buffered_amount_low_threshold(channel, 100000);
    for (int i = 0; i < 5; ++i) REQUIRE(a.peer.send(now, channel, payload));
    CHECK(a.peer.channel(channel)->buffered_amount == 1000000);
    REQUIRE(run(30s, [&] { return b.messages[b.opened[0]].size() == 5; }));
    CHECK(a.peer.channel(channel)->buffered_amount == 0);
    CHECK(a.count<connection::buffered_amount_low>() == 1);
  }

  TEST_CASE("what a caller gets wrong about a channel is refused with a reason") {
    weft::seeded_random random{1};
    connection peer{random, weft::peer::test::make_certificate(), {.max_channels = 3}};
    const auto refused = [&](const data_channel_options& opts, std::string_view label = "x") {
      const auto made = peer.create_data_channel({}, label, opts);
      return made ? std::optional<error_code>{} : made.error().code;
    };
    using enum error_code;
    CHECK(refused({.max_packet_life_time = 1, .max_retransmits = 1}) == bad_argument);
    CHECK(refused({.negotiated = true}) == bad_argument);
    CHECK(refused({.id = 1}) == bad_argument);
    CHECK(refused({.negotiated = true, .id = 65535}) == bad_argument);
    CHECK(refused({}, std::string(65536, 'x')) == bad_argument);
    CHECK(refused({.protocol = std::string(65536, 'x')}) == bad_argument);
    CHECK_FALSE(refused({.negotiated = true, .id = 65534}));
    CHECK(refused({.negotiated = true, .id = 65534}) == resource);
    CHECK_FALSE(refused({}, std::string(65535, 'x')));
    CHECK_FALSE(refused({}));
    CHECK(refused({}) == resource);
    CHECK(peer.send({}, channel_handle{99}, "x").error().code == not_found);
  }

  TEST_CASE("a label too long for the other side closes its channel and no other") {
    call c{5, {}, {}, {.max_message_size = 1024}};
    const auto bad = *c.a.peer.create_data_channel(c.now, std::string(2000, 'x'));
    const auto good = *c.a.peer.create_data_channel(c.now, "short");
    c.negotiate();
    REQUIRE(c.connect());
    CHECK(c.a.opened == std::vector{good});
    CHECK_FALSE(c.a.closed[bad].empty());
  }

  TEST_CASE("channels beyond the bound are refused to the other side, the others work on") {
    call c{3, {}, {}, {.max_channels = 10}};
    for (int i = 0; i < 50; ++i) REQUIRE(c.a.peer.create_data_channel(c.now, std::to_string(i)));
    c.negotiate();
    CHECK(c.run(60s, [&] { return c.a.closed.size() == 40; }));
    CHECK(c.b.added.size() == 10);
    CHECK(c.b.peer.stats().bad_messages == 40);
    REQUIRE(c.b.peer.send(c.now, c.b.added[9], "ten"));
    CHECK(c.run(5s, [&] { return c.a.messages.size() == 1; }));
  }

  TEST_CASE("unordered and unreliable messages overtake what is lost") {
    call c{4, {.loss_percent = 20}};
    const auto handle =
        *c.a.peer.create_data_channel(c.now, "game", {.ordered = false, .max_retransmits = 0});
    c.negotiate();
    REQUIRE(c.connect());
    // Until DATA_CHANNEL_ACK is there, messages are sent in order.
    c.run(5s);
    for (int i = 0; i < 500; ++i) {
      REQUIRE(c.a.peer.send(c.now, handle, std::to_string(i)));
      c.run(10ms);
    }
    c.run(10s);
    const auto& got = c.b.messages[c.b.opened[0]];
    CHECK(got.size() < 480);
    CHECK(got.size() > 300);
    for (std::size_t i = 1; i < got.size(); ++i) CHECK(got[i] != got[i - 1]);
  }
}
