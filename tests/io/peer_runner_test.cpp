#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <asio/ip/udp.hpp>

#include <weft/core/random.hpp>
#include <weft/io/peer_runner.hpp>
#include <weft/io/system_random.hpp>

#include "event_loop.hpp"

using namespace std::chrono_literals;
using weft::io::peer_runner;
using weft::peer::channel_handle;
using weft::peer::connection;
using weft::peer::data_channel_message;
using weft::peer::message_kind;

namespace {

using bytes = std::vector<std::uint8_t>;

struct fixture : weft::io::test::event_loop {
  weft::io::system_random random;

  peer_runner make(peer_runner::options opts = {}) {
    auto certificate = weft::dtls::certificate::generate({.now = std::chrono::system_clock::now()});
    REQUIRE(certificate.has_value());
    if (opts.local.empty()) opts.local = {{*weft::ip_address::parse("127.0.0.1"), 0}};
    auto runner =
        peer_runner::create(context.get_executor(), random, *std::move(certificate), opts);
    REQUIRE(runner.has_value());
    return std::move(*runner);
  }
};

template <class... Arguments>
void accept(const weft::result<Arguments...>& r) {
  REQUIRE(r.has_value());
}

channel_handle open_channel(peer_runner& runner) {
  const auto channel = runner.with(
      [](connection& c, weft::time_point now) { return c.create_data_channel(now, "test"); });
  REQUIRE(channel.has_value());
  return *channel;
}

void set_local(peer_runner& runner) {
  accept(runner.with(
      [](connection& c, weft::time_point now) { return c.set_local_description(now); }));
}

void give_description(const peer_runner& from, peer_runner& to) {
  const auto description = from.connection().local_description();
  REQUIRE(description.has_value());
  accept(to.with([&](connection& c, weft::time_point now) {
    return c.set_remote_description(now, *description);
  }));
}

void negotiate(peer_runner& offerer, peer_runner& answerer) {
  set_local(offerer);
  give_description(offerer, answerer);
  set_local(answerer);
  give_description(answerer, offerer);
}

/// Sends what does not fit later.
class sender {
 public:
  sender(peer_runner& runner, channel_handle channel) : runner_{runner}, channel_{channel} {
    runner_.with([&](connection& c, weft::time_point) {
      c.set_buffered_amount_low_threshold(channel_, 1024 * 1024);
    });
  }

  void send(message_kind kind, bytes payload) {
    waiting_.emplace_back(kind, std::move(payload));
    flush();
  }

  /// After an event that may have made room.
  void flush() {
    while (!waiting_.empty()) {
      const auto& next = waiting_.front();
      const auto sent = runner_.with([&](connection& c, weft::time_point now) {
        return c.send(now, channel_, next.first, bytes{next.second});
      });
      if (!sent) {
        REQUIRE(sent.error().code == weft::peer::error_code::resource);
        return;
      }
      waiting_.pop_front();
    }
  }

 private:
  peer_runner& runner_;
  channel_handle channel_;
  std::deque<std::pair<message_kind, bytes>> waiting_;
};

template <class Event>
bool is(const connection::event& e) {
  return std::holds_alternative<Event>(e);
}

}  // namespace

TEST_CASE("two runners connect over loopback and exchange messages of every size and kind") {
  for (const char* address : {"127.0.0.1", "::1"}) {
    for (const bool segmentation : {true, false}) {
      CAPTURE(address);
      CAPTURE(segmentation);
      fixture f;
      const peer_runner::options opts{.local = {{*weft::ip_address::parse(address), 0}},
                                      .sockets = {.segmentation = segmentation}};
      peer_runner alice = f.make(opts), bob = f.make(opts);
      std::vector<std::pair<message_kind, bytes>> sent, received;
      weft::seeded_random random{3};
      for (const std::size_t size : {0u, 1u, 1200u, 16384u, 65536u, 262144u}) {
        for (const message_kind kind : {message_kind::binary, message_kind::text}) {
          bytes payload(size);
          random.fill(payload);
          if (kind == message_kind::text)
            for (auto& byte : payload) byte = static_cast<std::uint8_t>(' ' + byte % 64);
          sent.emplace_back(kind, std::move(payload));
        }
      }

      const channel_handle channel = open_channel(alice);
      alice.on_event([&](const connection::event& e) {
        if (!is<connection::data_channel_opened>(e)) return;
        for (const auto& next : sent)
          accept(alice.with([&](connection& c, weft::time_point now) {
            return c.send(now, channel, next.first, bytes{next.second});
          }));
      });
      alice.on_message([&](const data_channel_message& m) {
        received.emplace_back(m.kind, bytes{m.payload.begin(), m.payload.end()});
      });
      bob.on_message([&](const data_channel_message& m) {
        accept(bob.with([&](connection& c, weft::time_point now) {
          return c.send(now, m.channel, m.kind, {m.payload.begin(), m.payload.end()});
        }));
      });
      negotiate(alice, bob);
      CHECK(f.run_until([&] { return received.size() == sent.size(); }));
      CHECK(received == sent);
      CHECK(alice.socket_stats().send_errors == 0);
    }
  }
}

TEST_CASE("50 MB arrive whole and in order, however fast they are sent") {
  fixture f;
  peer_runner alice = f.make(), bob = f.make();
  constexpr std::size_t total = 50'000'000, size = 50'000;
  std::size_t received = 0;
  bool in_order = true;

  const channel_handle channel = open_channel(alice);
  sender out{alice, channel};
  alice.on_event([&](const connection::event& e) {
    if (is<connection::data_channel_opened>(e))
      for (std::size_t i = 0; i < total / size; ++i)
        out.send(message_kind::binary, bytes(size, static_cast<std::uint8_t>(i)));
    out.flush();
  });
  bob.on_message([&](const data_channel_message& m) {
    const auto expected = static_cast<std::uint8_t>(received / size);
    in_order = in_order && m.payload.size() == size &&
               std::ranges::count(m.payload, expected) == static_cast<std::ptrdiff_t>(size);
    received += m.payload.size();
  });
  negotiate(alice, bob);
  CHECK(f.run_until([&] { return received >= total; }, 60s));
  CHECK(received == total);
  CHECK(in_order);
}

TEST_CASE("whoever stops reading stops the sender, and reading on loses nothing") {
  fixture f;
  peer_runner alice = f.make(), bob = f.make();
  constexpr std::size_t total = 60,
                        size = 200'000;  // More than window and send buffer hold? 12 MB.
  std::size_t received = 0;
  const channel_handle channel = open_channel(alice);
  sender out{alice, channel};
  alice.on_event([&](const connection::event& e) {
    if (is<connection::data_channel_opened>(e))
      for (std::size_t i = 0; i < total; ++i) out.send(message_kind::binary, bytes(size, 1));
    out.flush();
  });
  bob.on_message([&](const data_channel_message&) {
    if (++received == 5) bob.pause_messages();
  });
  negotiate(alice, bob);
  REQUIRE(f.run_until([&] { return received == 5; }));
  f.run_until([] { return false; }, 300ms);
  CHECK(received == 5);
  CHECK(alice.connection().channel(channel)->buffered_amount > 4'000'000);
  bob.resume_messages();
  CHECK(f.run_until([&] { return received == total; }));
}

TEST_CASE("a STUN server that does not answer is reported with its address and delays nobody") {
  fixture f;
  asio::ip::udp::socket silent{f.context, {asio::ip::address_v4::loopback(), 0}};
  const weft::endpoint server = weft::io::from_asio(silent.local_endpoint());
  peer_runner::options opts;
  opts.connection.ice_servers = {{.urls = {"stun:" + to_string(server)}}};
  peer_runner alice = f.make(opts), bob = f.make(opts);
  std::optional<connection::ice_candidate_error> complaint;
  bool open = false;
  open_channel(alice);
  alice.on_event([&](const connection::event& e) {
    if (is<connection::data_channel_opened>(e)) open = true;
    if (const auto* failed = std::get_if<connection::ice_candidate_error>(&e)) complaint = *failed;
  });
  const auto start = weft::io::now();
  negotiate(alice, bob);
  CHECK(f.run_until([&] { return open; }));
  CHECK(weft::io::now() < start + 2s);
  CHECK(f.run_until([&] { return complaint.has_value(); }, 60s));
  REQUIRE(complaint.has_value());
  CHECK(complaint->url == "stun:" + to_string(server));
  CHECK(complaint->code == 701);
}

TEST_CASE("a destroyed runner says farewell, so that the other side need not wait") {
  fixture f;
  std::optional<peer_runner> alice = f.make();
  peer_runner bob = f.make();
  bool open = false, over = false;
  open_channel(*alice);
  alice->on_event(
      [&](const connection::event& e) { open = open || is<connection::data_channel_opened>(e); });
  bob.on_event(
      [&](const connection::event& e) { over = over || is<connection::data_channel_closed>(e); });
  bob.on_message([](const data_channel_message&) {});
  negotiate(*alice, bob);
  REQUIRE(f.run_until([&] { return open; }));
  f.run_until([] { return false; }, 20ms);
  const auto start = weft::io::now();
  alice.reset();
  CHECK(f.run_until([&] { return over; }));
  CHECK(weft::io::now() < start + 2s);
}

TEST_CASE("a runner may be destroyed in any of its handlers, and none is called after") {
  for (const bool in_message : {true, false}) {
    fixture f;
    std::optional<peer_runner> alice = f.make();
    peer_runner bob = f.make();
    int calls_after = 0;
    bool gone = false;
    const auto end = [&] {
      gone = true;
      alice.reset();
    };
    const channel_handle channel = open_channel(*alice);
    // A capture that would be freed with the handler, were it not kept until it returns.
    const auto witness = std::make_shared<int>(1);
    alice->on_event([&, witness](const connection::event& e) {
      calls_after += gone;
      if (!is<connection::data_channel_opened>(e)) return;
      if (!in_message) end();
      if (alice)
        accept(alice->with(
            [&](connection& c, weft::time_point now) { return c.send(now, channel, "hello"); }));
      CHECK(*witness == 1);
    });
    alice->on_message([&, witness](const data_channel_message&) {
      calls_after += gone;
      end();
      CHECK(*witness == 1);
    });
    bob.on_message([&](const data_channel_message& m) {
      for (int i = 0; i < 3; ++i)
        accept(bob.with(
            [&](connection& c, weft::time_point now) { return c.send(now, m.channel, "back"); }));
    });
    negotiate(*alice, bob);
    CHECK(f.run_until([&] { return gone; }));
    f.run_until([] { return false; }, 50ms);
    CHECK(calls_after == 0);
  }
}

TEST_CASE("addresses that cannot be bound are left out, and none at all is an error") {
  fixture f;
  const weft::endpoint foreign{*weft::ip_address::parse("192.0.2.1"), 0};
  const weft::endpoint own{*weft::ip_address::parse("127.0.0.1"), 0};
  peer_runner runner = f.make({.local = {foreign, own}});
  REQUIRE(runner.local_endpoints().size() == 1);
  CHECK(runner.local_endpoints()[0].address == own.address);

  auto certificate = weft::dtls::certificate::generate({.now = std::chrono::system_clock::now()});
  const auto none = peer_runner::create(f.context.get_executor(), f.random, *std::move(certificate),
                                        {.local = {foreign}});
  REQUIRE(!none.has_value());
  CHECK(none.error() == std::errc::address_not_available);
}
