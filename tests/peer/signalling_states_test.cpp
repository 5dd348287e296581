// What may go out in each state of the signalling, whatever comes in. In several messengers of
// 2019 to 2021 a caller could open the callee's microphone before the callee had answered.
#include <doctest/doctest.h>

#include <array>
#include <string_view>
#include <vector>

#include "attacker.hpp"
#include "call.hpp"

using namespace std::chrono_literals;
using namespace weft::peer;
using weft::const_bytes;
using weft::peer::test::attacker;
using weft::peer::test::call;
using weft::peer::test::side;

namespace {

/// What a side may send, each with all before it.
enum class allowed { nothing, answers, checks, everything };

allowed kind_of(const_bytes datagram) {
  if (datagram[0] > 3) return allowed::everything;  // RFC 7983 §7: not STUN.
  return (datagram[0] & 1) != 0 ? allowed::answers : allowed::checks;
}

/// A call of which `a` makes the offer, and the most that each side has sent in it.
struct slow_call : call {
  slow_call() : call{1} {
    on_sent = [this](const side& s, const_bytes datagram) {
      auto& most = &s == &a ? most_of_a : most_of_b;
      most = std::max(most, kind_of(datagram));
    };
    channel = *a.peer.create_data_channel(now, "chat");
    REQUIRE(b.peer.create_data_channel(now, "also"));
  }

  allowed most_of_a = allowed::nothing;
  allowed most_of_b = allowed::nothing;
  channel_handle channel{};
  session_description offer;
  session_description answer;
};

struct step {
  std::string_view name;
  void (*take)(slow_call&);
  allowed of_a;
  allowed of_b;
};

constexpr std::array steps{
    step{"nothing is said", [](slow_call&) {}, allowed::nothing, allowed::nothing},
    step{"an offer is made", [](slow_call& c) { c.offer = *c.a.peer.create_offer(c.now); },
         allowed::nothing, allowed::nothing},
    step{"the caller has set it",
         [](slow_call& c) { REQUIRE(c.a.peer.set_local_description(c.now, c.offer)); },
         allowed::nothing, allowed::nothing},
    step{"it has come to the callee",
         [](slow_call& c) { REQUIRE(c.b.peer.set_remote_description(c.now, c.offer)); },
         allowed::nothing, allowed::nothing},
    step{"an answer is made, and not given",
         [](slow_call& c) { c.answer = *c.b.peer.create_answer(c.now); }, allowed::nothing,
         allowed::nothing},
    // The caller answers checks, which are made with its own password (RFC 8445 §7.3), and knows
    // of nobody to speak to.
    step{"the callee has set it",
         [](slow_call& c) { REQUIRE(c.b.peer.set_local_description(c.now, c.answer)); },
         allowed::answers, allowed::everything},
    step{"it has come to the caller",
         [](slow_call& c) { REQUIRE(c.a.peer.set_remote_description(c.now, c.answer)); },
         allowed::everything, allowed::everything},
};

struct event {
  std::string_view name;
  void (*happen)(slow_call&);
};

void hear_strangers(slow_call& c) {
  attacker mallory{3};
  for (int i = 0; i < 300; ++i) {
    const auto packet = mallory.next();
    c.a.peer.handle_input(c.now, c.a.local, c.b.local, packet);
    c.b.peer.handle_input(c.now, c.b.local, c.a.local, packet);
  }
}

/// Media and data as they would come in an established call (RFC 7983 §7).
void hear_media_and_data(slow_call& c) {
  for (const std::uint8_t first : std::to_array<std::uint8_t>({20, 23, 128, 144, 200})) {
    std::vector<std::uint8_t> packet(80, 0xfe);
    packet[0] = first;
    c.a.peer.handle_input(c.now, c.a.local, c.b.local, packet);
    c.b.peer.handle_input(c.now, c.b.local, c.a.local, packet);
  }
}

void hear_another_call(slow_call& c) {
  static const auto recorded = [] {
    std::vector<std::vector<std::uint8_t>> out;
    call other{77};
    other.on_sent = [&](const side&, const_bytes bytes) {
      out.emplace_back(bytes.begin(), bytes.end());
    };
    REQUIRE(other.a.peer.create_data_channel(other.now, "other"));
    other.negotiate();
    REQUIRE(other.connect());
    return out;
  }();
  for (const auto& packet : recorded) {
    c.a.peer.handle_input(c.now, c.a.local, c.b.local, packet);
    c.b.peer.handle_input(c.now, c.b.local, c.a.local, packet);
  }
}

void want_to_send(slow_call& c) {
  CHECK_FALSE(c.a.peer.send(c.now, c.channel, "secret"));
}

void add_an_address(slow_call& c) {
  (void)c.a.peer.add_local_address(c.now, weft::peer::test::address(1, 5001));
  (void)c.b.peer.add_local_address(c.now, weft::peer::test::address(2, 5001));
}

void restart(slow_call& c) {
  (void)c.a.peer.restart_ice(c.now);
  (void)c.b.peer.restart_ice(c.now);
}

void wait(slow_call& c) {
  c.run(20s);
}

constexpr std::array<event, 7> events{{
    {"rubbish and forged handshakes", hear_strangers},
    {"media and data", hear_media_and_data},
    {"the whole of another call", hear_another_call},
    {"a message of the application", want_to_send},
    {"a new address", add_an_address},
    {"a wish to restart", restart},
    {"time", wait},
}};

}  // namespace

TEST_SUITE("peer/signalling states") {
  TEST_CASE("nothing goes out before both sides have said yes, in any state, at any event") {
    for (const event& e : events) {
      CAPTURE(e.name);
      slow_call c;
      for (const step& s : steps) {
        CAPTURE(s.name);
        s.take(c);
        if (s.of_a != allowed::everything) e.happen(c);
        c.run(1s);
        CHECK(c.most_of_a <= s.of_a);
        CHECK(c.most_of_b <= s.of_b);
      }
      // And then the call is as good as any.
      CHECK(c.connect(2));
      CHECK(c.a.peer.send(c.now, c.channel, "hello"));
      CHECK(c.run(5s, [&] { return !c.b.messages.empty(); }));
    }
  }
}
