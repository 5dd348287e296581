#include <doctest/doctest.h>

#include <malloc.h>
#include <functional>

#include "pair.hpp"
#include "wire.hpp"

namespace {

using namespace weft::dtls;
using namespace weft::dtls::test;

/// Runs a call on a network of 20 ms, and lets a forger speak to one or both ends when the
/// `at`-th datagram arrives there.
struct attacked_call {
  using forgery = std::function<std::vector<bytes>(std::size_t round)>;

  bool run(pair& p, std::size_t at, bool to_client, bool to_server, const forgery& forge,
           std::size_t rounds = 1) {
    p.trust();
    p.start();
    weft::sim::network up{1, {.delay = 20ms, .jitter = {}}};
    weft::sim::network down{2, {.delay = 20ms, .jitter = {}}};
    std::array<std::uint8_t, weft::max_datagram_size> buffer;
    std::size_t arrived = 0;
    std::size_t round = 0;
    const auto attack = [&](weft::time_point now) {
      if (arrived++ < at || round >= rounds) return;
      for (const bytes& d : forge(round++)) {
        if (to_client) p.client.handle_input(now, d);
        if (to_server) p.server.handle_input(now, d);
      }
    };
    weft::time_point now = epoch;
    attack(now);
    while (now < epoch + 30s) {
      while (auto t = p.client.poll_transmit(now, buffer)) up.push(now, t->bytes);
      while (auto t = p.server.poll_transmit(now, buffer)) down.push(now, t->bytes);
      if (p.connected() && arrived >= at + rounds) break;
      auto next = weft::earliest(weft::earliest(p.client.poll_timeout(), p.server.poll_timeout()),
                                 weft::earliest(up.next_arrival(), down.next_arrival()));
      if (!next) {
        attack(now);
        if (arrived > at + rounds) break;
        continue;
      }
      now = std::max(now, *next);
      while (auto d = up.pop(now)) {
        attack(now);
        p.server.handle_input(now, d->bytes);
      }
      while (auto d = down.pop(now)) {
        attack(now);
        p.client.handle_input(now, d->bytes);
      }
      p.client.handle_timeout(now);
      p.server.handle_timeout(now);
    }
    took = now - epoch;
    p.server.handle_input(now, protect(p.client, now, "up"));
    p.client.handle_input(now, protect(p.server, now, "down"));
    return p.connected() && received(p.server) == "up" && received(p.client) == "down";
  }

  weft::duration took{};
};

bytes hostile_hello(std::uint64_t seed) {
  return record_of(22, 0, 0, whole_message(1, 0, browser_client_hello(seed)));
}

/// A ClientHello that offers nothing we take, as in the races of 2023: NULL ciphers alone.
bytes null_cipher_hello() {
  bytes body(34, 0x5a);
  body[0] = 0xfe;
  body[1] = 0xfd;
  append(body, {0, 0, 0, 2, 0, 1, 1, 0});
  return record_of(22, 0, 0, whole_message(1, 0, body));
}

void check_survives(const attacked_call::forgery& forge, weft::duration limit) {
  for (const bool to_client : {true, false}) {
    for (std::size_t at = 0; at <= 6; ++at) {
      CAPTURE(to_client);
      CAPTURE(at);
      pair p;
      attacked_call call;
      CHECK(call.run(p, at, to_client, !to_client, forge));
      CHECK(call.took <= limit);
    }
  }
}

}  // namespace

TEST_SUITE("dtls/hostile") {
  TEST_CASE("an alert in the clear changes nothing, before, between and after the flights") {
    check_survives(
        [](std::size_t) {
          return std::vector<bytes>{plaintext_alert(0), plaintext_alert(1000)};
        },
        80ms);
  }

  TEST_CASE("data in the clear changes nothing and is not delivered") {
    check_survives(
        [](std::size_t) {
          return std::vector<bytes>{record_of(23, 0, 9, {'e', 'v', 'i', 'l'})};
        },
        80ms);
  }

  TEST_CASE("a ClientHello of somebody else does not keep the call from its goal") {
    check_survives([](std::size_t) { return std::vector<bytes>{hostile_hello(5)}; }, 3s);
    check_survives([](std::size_t) { return std::vector<bytes>{null_cipher_hello()}; }, 80ms);
  }

  TEST_CASE("a ClientHello of somebody else at each datagram does not, either") {
    for (std::size_t at = 0; at <= 4; ++at) {
      CAPTURE(at);
      pair p;
      attacked_call call;
      CHECK(call.run(
          p, at, false, true,
          [](std::size_t round) { return std::vector<bytes>{hostile_hello(round + 1)}; }, 4));
      CHECK(call.took < 5s);
    }
  }

  TEST_CASE("forged handshake messages spoil an attempt and not the session") {
    for (std::uint8_t type = 0; type < 25; ++type) {
      for (std::uint16_t message_seq = 0; message_seq < 3; ++message_seq) {
        for (std::size_t at = 0; at <= 4; ++at) {
          for (const bool to_client : {true, false}) {
            CAPTURE(int{type});
            CAPTURE(message_seq);
            CAPTURE(at);
            CAPTURE(to_client);
            pair p;
            attacked_call call;
            CHECK(call.run(p, at, to_client, !to_client, [&](std::size_t) {
              return std::vector<bytes>{
                  record_of(22, 0, 500, whole_message(type, message_seq, bytes(40, 0x2a)))};
            }));
          }
        }
      }
    }
  }

  TEST_CASE("a forged ChangeCipherSpec or encrypted record changes nothing") {
    check_survives([](std::size_t) { return std::vector<bytes>{record_of(20, 0, 700, {1})}; },
                   500ms);
    check_survives([](std::size_t) { return std::vector<bytes>{record_of(20, 0, 700, {2})}; },
                   80ms);
    for (const std::uint8_t type : std::initializer_list<std::uint8_t>{20, 21, 22, 23}) {
      for (const std::size_t size : {0u, 1u, 24u, 40u, 1100u}) {
        check_survives(
            [&](std::size_t) {
              return std::vector<bytes>{record_of(type, 1, 0xffff'ffff'ff00, bytes(size, 0x77)),
                                        record_of(type, 1, 0, bytes(size, 0x78)),
                                        record_of(type, 2, 0, bytes(size, 0x79))};
            },
            80ms);
      }
    }
  }

  TEST_CASE("a forged record far ahead does not move the replay window (CVE-2016-2181)") {
    pair p;
    p.connect();
    p.server.handle_input(epoch, record_of(23, 1, std::uint64_t{1} << 40, bytes(60, 1)));
    p.server.handle_input(epoch, protect(p.client, epoch, "still here"));
    CHECK(received(p.server) == "still here");
    CHECK(p.server->stats().records_dropped > 0);
  }

  TEST_CASE("RFC 6347 §4.1.2.6: a replayed record is delivered once") {
    pair p;
    p.connect();
    const bytes record = protect(p.client, epoch, "once");
    for (int i = 0; i < 3; ++i) p.server.handle_input(epoch, record);
    CHECK(received(p.server) == "once");
    CHECK(received(p.server) == "(nothing)");
    CHECK(p.server->stats().records_dropped == 2);
  }

  TEST_CASE("every bit of an encrypted record counts") {
    pair p;
    p.connect();
    const bytes record = protect(p.client, epoch, "x");
    for (std::size_t bit = 0; bit < record.size() * 8; ++bit) {
      bytes changed = record;
      changed[bit / 8] = static_cast<std::uint8_t>(changed[bit / 8] ^ 1 << bit % 8);
      p.server.handle_input(epoch, changed);
      CHECK_FALSE(p.server->receive());
    }
    p.server.handle_input(epoch, record);
    CHECK(received(p.server) == "x");
  }

  TEST_CASE("random bytes and mutated flights change nothing") {
    weft::seeded_random random{3};
    pair p;
    p.trust();
    p.start();
    std::vector<bytes> seen;
    const auto attack = [&] {
      for (int i = 0; i < 300; ++i) {
        bytes junk(random.next() % 200);
        random.fill(junk);
        if (!junk.empty()) junk[0] = static_cast<std::uint8_t>(20 + random.next() % 44);
        p.server.handle_input(epoch, junk);
        p.client.handle_input(epoch, junk);
      }
    };
    attack();
    p.exchange();
    attack();
    CHECK(p.connected());
    p.server.handle_input(epoch, protect(p.client, epoch, "up"));
    CHECK(received(p.server) == "up");
  }

  TEST_CASE("RFC 7983 §7: what does not begin like DTLS is handed back") {
    pair p;
    p.connect();
    for (int first = 0; first < 256; ++first) {
      const bytes datagram(20, static_cast<std::uint8_t>(first));
      CHECK(p.server.handle_input(epoch, datagram) == (first >= 20 && first <= 63));
    }
    CHECK_FALSE(p.server.handle_input(epoch, {}));
  }

  TEST_CASE("without a message of its flight nobody is connected (CVE-2020-2655)") {
    // Drops one handshake message of one type for good, on its way to either end.
    for (const bool up : {true, false}) {
      for (const std::uint8_t missing :
           std::initializer_list<std::uint8_t>{1, 2, 11, 12, 13, 14, 15, 16, 20}) {
        auto small = options_for(role::client);
        small.mtu = 1200;
        pair p;
        p.trust();
        p.start();
        bool dropped = false;
        for (weft::time_point now = epoch; now < epoch + 2s; now += 50ms) {
          for (auto* from : {&p.client, &p.server}) {
            auto& to = from == &p.client ? p.server : p.client;
            for (const bytes& d : flight(*from, now)) {
              for (const seen_record& r : records_in(d)) {
                const bytes one(d.begin() + static_cast<std::ptrdiff_t>(r.offset),
                                d.begin() + static_cast<std::ptrdiff_t>(r.offset + r.size));
                const bool encrypted_finished = r.type == 22 && r.epoch == 1 && missing == 20;
                const bool plain = r.type == 22 && r.epoch == 0 && one[13] == missing;
                if ((from == &p.client) == up && (plain || encrypted_finished)) {
                  dropped = true;
                  continue;
                }
                to.handle_input(now, one);
              }
            }
          }
          p.client.handle_timeout(now);
          p.server.handle_timeout(now);
        }
        CAPTURE(up);
        CAPTURE(int{missing});
        if (!dropped) continue;  // This side does not send it.
        CHECK((up ? p.server : p.client)->current_state() == session::state::connecting);
      }
    }
  }
}

TEST_SUITE("dtls/bounds") {
  TEST_CASE("100,000 fragments, a quarter in each state, fill no more than the bounds") {
    for (const int flights : {0, 1, 2, 3}) {
      pair p;
      p.trust();
      p.start();
      weft::seeded_random random{static_cast<std::uint64_t>(flights)};
      for (int i = 0; i < flights; ++i) {
        if (i % 2 == 0)
          give(p.server, epoch, flight(p.client, epoch));
        else
          give(p.client, epoch, flight(p.server, epoch));
      }
      const std::size_t before = mallinfo2().uordblks;
      std::size_t most = before;
      weft::time_point now = epoch;
      for (std::uint64_t i = 0; i < 25'000; ++i) {
        const bytes body(4000, static_cast<std::uint8_t>(i));
        const auto type = static_cast<std::uint8_t>(random.next() % 25);
        const auto message_seq = static_cast<std::uint16_t>(random.next() % 12);
        const std::size_t offset = random.next() % 3500;
        const auto epoch_number = static_cast<std::uint16_t>(random.next() % 2);
        const bytes d = record_of(static_cast<std::uint8_t>(20 + random.next() % 4), epoch_number,
                                  1000 + i, fragment_of(type, message_seq, body, offset, 50));
        p.server.handle_input(now, d);
        p.client.handle_input(now, d);
        if (i % 100 == 0) {
          now += 1ms;
          p.server.handle_timeout(now);
          p.client.handle_timeout(now);
          most = std::max(most, mallinfo2().uordblks);
        }
      }
      CAPTURE(flights);
      CHECK(most - before < 2'000'000);
    }
  }

  TEST_CASE("a flood of ClientHellos costs a few handshakes a second, and memory for four") {
    pair p;
    p.trust();
    p.start();
    std::size_t most = 0;
    const std::size_t before = mallinfo2().uordblks;
    for (std::uint64_t i = 0; i < 10'000; ++i) {
      const weft::time_point now = epoch + std::chrono::microseconds{100 * i};
      p.server.handle_input(now, hostile_hello(i));
      flight(p.server, now);
      most = std::max(most, mallinfo2().uordblks);
    }
    CHECK(p.server->stats().handshakes_begun <= 12);
    CHECK(p.server->stats().overflowed > 9'000);
    CHECK(most - before < 1'500'000);
  }

  TEST_CASE("data that nobody receives is bounded, and the rest is dropped as by a network") {
    pair p;
    p.connect();
    const std::string text(1000, 'x');
    for (int i = 0; i < 100; ++i) p.server.handle_input(epoch, protect(p.client, epoch, text));
    std::size_t count = 0;
    while (received(p.server) == text) ++count;
    CHECK(count == 65);
    CHECK(p.server->stats().overflowed == 35);
    p.server.handle_input(epoch, protect(p.client, epoch, "again"));
    CHECK(received(p.server) == "again");
  }

  TEST_CASE("an end with 1000 spoiled handshakes behind it holds no more than one with none") {
    pair p;
    p.server->start(epoch);
    const auto spoil = [&](std::uint64_t i) {
      const weft::time_point now = epoch + i * 600ms / 100;
      p.server.handle_input(now, null_cipher_hello());
      p.server.handle_input(now, record_of(22, 0, i, whole_message(11, 1, bytes(40, 1))));
    };
    for (std::uint64_t i = 0; i < 100; ++i) spoil(i);
    const std::size_t before = mallinfo2().uordblks;
    for (std::uint64_t i = 100; i < 1100; ++i) spoil(i);
    CHECK(mallinfo2().uordblks <= before + 4096);
    CHECK(p.server->stats().handshakes_discarded == 1100);
  }
}
