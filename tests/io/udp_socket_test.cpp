#include <doctest/doctest.h>

#include <cstring>
#include <utility>
#include <vector>

#include <asio/io_context.hpp>

#include <weft/core/random.hpp>
#include <weft/io/asio.hpp>
#include <weft/io/udp_socket.hpp>

using weft::io::borrowed;
using weft::io::receive_batch;
using weft::io::send_batch;
using weft::io::udp_socket;

namespace {

using bytes = std::vector<std::uint8_t>;

weft::endpoint loopback(const char* address) {
  return {*weft::ip_address::parse(address), 0};
}

udp_socket open(asio::io_context& context, const char* address,
                const udp_socket::options& opts = {}) {
  auto socket = udp_socket::open(context.get_executor(), loopback(address), opts);
  REQUIRE(socket.has_value());
  return std::move(*socket);
}

/// All datagrams that arrive until `count` have or nothing comes for a second.
std::vector<bytes> collect(asio::io_context& context, udp_socket& socket, std::size_t count) {
  std::vector<bytes> all;
  while (all.size() < count) {
    bool ready = false;
    socket.async_wait_readable([&](std::error_code) { ready = true; });
    context.restart();
    context.run_for(std::chrono::seconds{1});
    if (!ready) break;
    borrowed<receive_batch> batch;
    socket.receive(*batch);
    batch->for_each([&](const weft::endpoint&, weft::const_bytes d, weft::traffic_class) {
      all.emplace_back(d.begin(), d.end());
    });
  }
  return all;
}

std::vector<bytes> datagrams_of_every_kind() {
  weft::seeded_random random{11};
  std::vector<bytes> all;
  for (const std::size_t size : {1200u, 1200u, 1200u, 1200u, 300u, 300u, 0u, 1u, 1u, 1u, 1472u,
                                 1472u, 20u, 1200u, 1200u, 1199u, 1200u}) {
    all.emplace_back(size);
    random.fill(all.back());
  }
  return all;
}

void send_all(udp_socket& from, const weft::endpoint& to, const std::vector<bytes>& datagrams) {
  borrowed<send_batch> batch;
  for (const bytes& d : datagrams) {
    const auto room = batch->room();
    REQUIRE(!room.empty());
    if (!d.empty()) std::memcpy(room.data(), d.data(), d.size());
    batch->add({from.local(), to, room.first(d.size())});
  }
  const auto runs = batch->runs();
  CHECK(from.send(runs) == runs.size());
}

}  // namespace

TEST_CASE("with segmentation or without, at either end, the same datagrams arrive") {
  const auto sent = datagrams_of_every_kind();
  for (const char* address : {"127.0.0.1", "::1"}) {
    for (const bool segments_out : {true, false}) {
      for (const bool segments_in : {true, false}) {
        CAPTURE(address);
        CAPTURE(segments_out);
        CAPTURE(segments_in);
        asio::io_context context;
        udp_socket from = open(context, address, {.segmentation = segments_out});
        udp_socket to = open(context, address, {.segmentation = segments_in});
        send_all(from, to.local(), sent);
        CHECK(collect(context, to, sent.size()) == sent);
        CHECK(from.stats().datagrams_sent == sent.size());
        CHECK(to.stats().datagrams_received == sent.size());
        CHECK(from.stats().bytes_sent == to.stats().bytes_received);
        CHECK(from.stats().send_errors == 0);
      }
    }
  }
}

TEST_CASE("a full batch leaves in one call where the kernel segments") {
  asio::io_context context;
  udp_socket from = open(context, "127.0.0.1");
  udp_socket to = open(context, "127.0.0.1");
  const std::vector<bytes> sent(50, bytes(1200, 7));
  send_all(from, to.local(), sent);
  CHECK(collect(context, to, sent.size()) == sent);
  CHECK(from.stats().send_calls == 1);
  if (from.segments()) CHECK(to.stats().receive_calls <= 2);
}

TEST_CASE("ECN and DSCP travel both ways through the IP header (RFC 3168 §5, RFC 2474 §3)") {
  for (const char* address : {"127.0.0.1", "::1"}) {
    asio::io_context context;
    udp_socket from = open(context, address);
    udp_socket to = open(context, address);
    const weft::traffic_class marked{weft::ecn::ect1, 46};
    borrowed<send_batch> out;
    for (int i = 0; i < 3; ++i) {
      const auto room = out->room();
      std::memset(room.data(), i, 100);
      out->add({from.local(), to.local(), room.first(100), marked});
    }
    CHECK(from.send(out->runs()) == 1);

    bool ready = false;
    to.async_wait_readable([&](std::error_code) { ready = true; });
    context.run_for(std::chrono::seconds{1});
    REQUIRE(ready);
    borrowed<receive_batch> in;
    to.receive(*in);
    std::size_t seen = 0;
    in->for_each([&](const weft::endpoint& source, weft::const_bytes, weft::traffic_class traffic) {
      ++seen;
      CHECK(source == from.local());
#ifdef __linux__
      CHECK(traffic == marked);
#endif
    });
    CHECK(seen == 3);
  }
}

TEST_CASE("what cannot be sent is lost and counted, and what comes after it is sent") {
  asio::io_context context;
  udp_socket from = open(context, "127.0.0.1");
  udp_socket to = open(context, "127.0.0.1");
  const weft::endpoint nowhere{*weft::ip_address::parse("::1"), 9};  // Not from an IPv4 socket.
  borrowed<send_batch> batch;
  for (const auto& target : {nowhere, nowhere, to.local()}) {
    const auto room = batch->room();
    std::memset(room.data(), 1, 64);
    batch->add({from.local(), target, room.first(64)});
  }
  CHECK(from.send(batch->runs()) == batch->runs().size());
  CHECK(from.stats().send_errors >= 1);
  CHECK(collect(context, to, 1).size() == 1);
}

TEST_CASE("a closed port at the other end ends nothing") {
  asio::io_context context;
  udp_socket from = open(context, "127.0.0.1");
  weft::endpoint closed;
  {
    udp_socket gone = open(context, "127.0.0.1");
    closed = gone.local();
  }
  for (int i = 0; i < 3; ++i) send_all(from, closed, {bytes(10, 1)});
  udp_socket to = open(context, "127.0.0.1");
  send_all(from, to.local(), {bytes(10, 2)});
  CHECK(collect(context, to, 1) == std::vector<bytes>{bytes(10, 2)});
}

TEST_CASE("reading an empty socket finds nothing and does not wait") {
  asio::io_context context;
  udp_socket socket = open(context, "127.0.0.1");
  borrowed<receive_batch> batch;
  socket.receive(*batch);
  CHECK(batch->filled().empty());
  CHECK(socket.stats().receive_errors == 0);
}

TEST_CASE("an address taken or not of this machine is the system's error") {
  asio::io_context context;
  udp_socket first = open(context, "127.0.0.1");
  const auto second = udp_socket::open(context.get_executor(), first.local());
  REQUIRE(!second.has_value());
  CHECK(second.error() == std::errc::address_in_use);

  const auto foreign = udp_socket::open(context.get_executor(), loopback("192.0.2.1"));
  REQUIRE(!foreign.has_value());
  CHECK(foreign.error() == std::errc::address_not_available);
}
