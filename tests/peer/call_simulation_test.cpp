#include <doctest/doctest.h>

#include "call.hpp"
#include "support/seeded_openssl.hpp"
#include "support/seeds.hpp"

using namespace std::chrono_literals;
using namespace weft::peer;
using weft::peer::test::call;
using weft::peer::test::kept_message;

namespace {

struct outcome {
  bool connected = false;
  bool complete = false;
  bool in_order = true;
  std::uint64_t transcript = 0;
  std::uint64_t datagrams = 0;
  weft::duration took{};
  bool operator==(const outcome&) const = default;
};

/// Everything that varies between calls follows from the seed.
struct script {
  weft::sim::conditions network;
  std::size_t messages;
  std::size_t largest;
  bool both_make_channels;
  bool restart;
  bool clock_jump;

  explicit script(std::uint64_t seed) {
    weft::seeded_random random{seed};
    network.loss_percent = static_cast<unsigned>(random.next() % 31);
    network.duplicate_percent = static_cast<unsigned>(random.next() % 11);
    network.delay = std::chrono::milliseconds{1 + random.next() % 120};
    network.jitter = std::chrono::milliseconds{random.next() % 80};
    network.mtu = random.next() % 4 == 0 ? 1200 : weft::max_datagram_size;
    messages = 5 + random.next() % 20;
    largest = random.next() % 8 == 0 ? 40000 : 3000;
    both_make_channels = random.next() % 2 == 0;
    restart = random.next() % 4 == 0;
    clock_jump = random.next() % 4 == 0;
  }
};

std::string numbered(std::size_t n, std::size_t size) {
  std::string out = std::to_string(n) + ':';
  out.resize(std::max(out.size(), size), static_cast<char>('a' + n % 26));
  return out;
}

bool holds(const weft::peer::test::side& s, const std::vector<kept_message>& expected) {
  return s.messages.size() == 1 && s.messages.begin()->second == expected;
}

/// One channel, reliable and ordered, numbered messages both ways, an ICE restart and a jump
/// of the clock in between.
outcome play(std::uint64_t seed) {
  const weft::test::seeded_openssl keys{seed};
  const script s{seed};
  call c{seed, s.network};
  weft::seeded_random random{seed ^ 0x5eed};

  const data_channel_options shared{.negotiated = true, .id = 4};
  REQUIRE(c.a.peer.create_data_channel(c.now, "chat",
                                       s.both_make_channels ? shared : data_channel_options{}));
  if (s.both_make_channels) REQUIRE(c.b.peer.create_data_channel(c.now, "chat", shared));
  c.negotiate();

  outcome out;
  out.connected = c.connect(1, 120s);
  if (!out.connected) return out;
  std::vector<kept_message> expected;
  for (std::size_t n = 0; n < s.messages; ++n) {
    const auto payload = numbered(n, random.next() % s.largest);
    expected.push_back({message_kind::text, payload});
    for (auto* side : {&c.a, &c.b}) REQUIRE(side->peer.send(c.now, side->opened[0], payload));
    c.run(std::chrono::milliseconds{random.next() % 100});
    if (s.restart && n == 2) {
      c.a.peer.restart_ice(c.now);
      c.negotiate();
    }
    if (s.clock_jump && n == 4) c.now += 3s;
  }
  out.complete = c.run(300s, [&] { return holds(c.a, expected) && holds(c.b, expected); });
  for (const auto* side : {&c.a, &c.b})
    for (const auto& [handle, messages] : side->messages)
      out.in_order = out.in_order && messages.size() <= expected.size() &&
                     std::equal(messages.begin(), messages.end(), expected.begin());
  out.transcript = c.net.transcript();
  out.datagrams = c.net.sent();
  out.took = c.now.time_since_epoch();
  return out;
}

}  // namespace

TEST_SUITE("peer/call_simulation") {
  TEST_CASE("1,000 calls over bad networks: every message once and in order") {
    weft::duration longest{};
    for (std::uint64_t seed = 1; seed <= weft::test::seeds(1000); ++seed) {
      CAPTURE(seed);
      const auto result = play(seed);
      CHECK(result.connected);
      CHECK(result.complete);
      CHECK(result.in_order);
      longest = std::max(longest, result.took);
    }
    MESSAGE("longest call, in virtual seconds: ",
            std::chrono::duration_cast<std::chrono::seconds>(longest).count());
  }

  // scripts/check_transcripts compares what this prints between compilers.
  TEST_CASE("a call is the same again with the same seed, and another with another") {
    std::uint64_t last = 0;
    for (std::uint64_t seed = 42; seed < 52; ++seed) {
      const auto first = play(seed);
      CHECK(first == play(seed));
      CHECK(first.transcript != last);
      last = first.transcript;
      MESSAGE("transcript of seed ", seed, ": ", first.transcript, " in ", first.datagrams,
              " datagrams");
    }
  }
}
