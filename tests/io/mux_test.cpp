#include <doctest/doctest.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <asio/ip/tcp.hpp>
#include <asio/ip/udp.hpp>
#include <asio/write.hpp>

#include <weft/io/asio.hpp>
#include <weft/io/tcp_mux.hpp>
#include <weft/io/udp_mux.hpp>
#include <weft/stun/message.hpp>

#include "event_loop.hpp"

using namespace std::chrono_literals;
using weft::endpoint;
using weft::io::tcp_mux;
using weft::io::udp_mux;
using udp = asio::ip::udp;
using tcp = asio::ip::tcp;
using bytes = std::vector<std::uint8_t>;
using messages = std::vector<bytes>;

namespace {

const endpoint anywhere{*weft::ip_address::parse("127.0.0.1"), 0};

/// A STUN header with one attribute at most, as anybody could write it.
bytes stun(std::uint16_t type, std::uint8_t id, const std::string& username = {}) {
  bytes out(20);
  const auto put = [&](std::size_t at, std::size_t value) {
    out[at] = static_cast<std::uint8_t>(value >> 8);
    out[at + 1] = static_cast<std::uint8_t>(value);
  };
  put(0, type);
  for (const auto& [at, octet] : {std::pair{4, 0x21}, {5, 0x12}, {6, 0xa4}, {7, 0x42}})
    out[static_cast<std::size_t>(at)] = static_cast<std::uint8_t>(octet);
  out[19] = id;
  if (username.empty()) return out;
  out.resize(24);
  put(20, 0x0006);
  put(22, username.size());
  out.insert(out.end(), username.begin(), username.end());
  out.resize((out.size() + 3) / 4 * 4);
  put(2, out.size() - 20);
  return out;
}
bytes check(const std::string& fragment, std::uint8_t id = 1) {
  return stun(0x0001, id, fragment + ":them");
}
bytes success(std::uint8_t id) {
  return stun(0x0101, id);
}
bytes data(const char* text) {
  const std::string t{text};
  return {t.begin(), t.end()};
}

using fixture = weft::io::test::event_loop;

struct agent final : udp_mux::member {
  void receive(weft::time_point, const endpoint& from, weft::const_bytes datagram) override {
    heard.emplace_back(datagram.begin(), datagram.end());
    last_from = from;
  }
  void after_read() override { ++reads; }

  std::vector<bytes> heard;
  endpoint last_from;
  int reads = 0;
};

struct udp_fixture : fixture {
  explicit udp_fixture(const udp_mux::options& opts = {})
      : mux{*udp_mux::open(context.get_executor(), anywhere, opts)} {
    mux.join(a);
    mux.join(b);
    mux.claim(a, "aaaa");
    mux.claim(b, "bbbb");
  }
  ~udp_fixture() {
    mux.leave(a);
    mux.leave(b);
  }

  void say(udp::socket& from, const bytes& what) {
    from.send_to(asio::buffer(what), weft::io::to_asio(mux.local()));
  }
  /// Says it and waits until the mux has seen it.
  void tell(udp::socket& from, const bytes& what) {
    const auto seen = [&] {
      const auto& s = mux.stats();
      return s.by_fragment + s.by_transaction + s.by_address + s.dropped;
    };
    const auto before = seen();
    say(from, what);
    REQUIRE(run_until([&] { return seen() > before; }));
  }
  void send(agent& from, udp::socket& to, const bytes& what) {
    weft::io::send_batch::run run{
        mux.local(), weft::io::from_asio(to.local_endpoint()), {}, what, what.size()};
    CHECK(mux.send(from, {&run, 1}) == 1);
  }

  udp_mux mux;
  agent a, b;
  udp::socket x{context, {asio::ip::address_v4::loopback(), 0}};
  udp::socket y{context, {asio::ip::address_v4::loopback(), 0}};
};

}  // namespace

TEST_CASE("checks go to the agent whose username fragment they name, wherever they come from") {
  udp_fixture f;
  f.tell(f.x, check("aaaa"));
  f.tell(f.x, check("bbbb"));
  f.tell(f.y, check("bbbb"));
  CHECK(f.a.heard == messages{check("aaaa")});
  CHECK(f.b.heard == messages{check("bbbb"), check("bbbb")});
  CHECK(f.b.last_from == weft::io::from_asio(f.y.local_endpoint()));
  CHECK(f.a.reads == 1);
  CHECK(f.mux.stats().by_fragment == 3);
}

TEST_CASE("what names nobody and comes from nobody known is dropped") {
  udp_fixture f;
  for (const bytes& what : {check("cccc"), stun(0x0001, 1), success(9), data("hello"), bytes{}})
    f.tell(f.x, what);
  CHECK(f.mux.stats().dropped == 5);
  CHECK(f.a.heard.empty());
  CHECK(f.b.heard.empty());
}

TEST_CASE("an address becomes an agent's when it answers that agent's request, not before") {
  udp_fixture f;
  f.tell(f.x, check("aaaa"));
  f.tell(f.x, data("early"));
  CHECK(f.mux.stats().dropped == 1);

  f.send(f.a, f.x, stun(0x0001, 42));
  f.tell(f.x, stun(0x0111, 42));  // An error response is no consent.
  f.tell(f.x, data("still early"));
  CHECK(f.mux.stats().dropped == 2);
  f.tell(f.y, success(42));  // Nor is one from elsewhere.
  f.tell(f.y, data("from elsewhere"));
  CHECK(f.mux.stats().dropped == 3);

  f.tell(f.x, success(42));
  f.tell(f.x, data("now"));
  CHECK(f.a.heard.back() == data("now"));
  CHECK(f.mux.stats().by_address == 1);
  CHECK(f.b.heard.empty());
}

TEST_CASE("an address that is one agent's cannot be made another's until it leaves") {
  udp_fixture f;
  f.send(f.a, f.x, stun(0x0001, 1));
  f.tell(f.x, success(1));
  f.tell(f.x, check("bbbb"));
  f.send(f.b, f.x, stun(0x0001, 2));
  f.tell(f.x, success(2));
  f.tell(f.x, data("for a"));
  CHECK(f.a.heard.back() == data("for a"));
  CHECK(f.b.heard == messages{check("bbbb"), success(2)});

  f.mux.leave(f.a);
  f.tell(f.x, data("for nobody"));
  CHECK(f.mux.stats().dropped == 1);
  f.send(f.b, f.x, stun(0x0001, 3));
  f.tell(f.x, success(3));
  f.tell(f.x, data("for b"));
  CHECK(f.b.heard.back() == data("for b"));
}

TEST_CASE("requests and addresses are bounded, the oldest make room") {
  udp_fixture f{{.max_addresses_per_member = 1, .max_requests_per_member = 2}};
  for (const std::uint8_t id : bytes{1, 2, 3}) f.send(f.a, f.x, stun(0x0001, id));
  f.tell(f.x, success(1));
  CHECK(f.mux.stats().dropped == 1);
  f.tell(f.x, success(3));
  f.send(f.a, f.y, stun(0x0001, 4));
  f.tell(f.y, success(4));
  f.tell(f.x, data("forgotten"));
  CHECK(f.mux.stats().dropped == 2);
  f.tell(f.y, data("known"));
  CHECK(f.a.heard.back() == data("known"));
}

TEST_CASE("fragments of before a restart still serve, and cannot be taken by others") {
  udp_fixture f;
  f.mux.claim(f.a, "anew");
  f.mux.claim(f.b, "aaaa");
  f.tell(f.x, check("aaaa"));
  f.tell(f.x, check("anew"));
  CHECK(f.a.heard.size() == 2);
  for (const char* later : {"an01", "an02", "an03"}) f.mux.claim(f.a, later);
  f.tell(f.x, check("aaaa"));
  CHECK(f.mux.stats().dropped == 1);
}

namespace {

struct tcp_agent final : tcp_mux::member {
  void adopt(const weft::five_tuple& p, tcp::socket s, weft::const_bytes first) override {
    path = p;
    socket.emplace(std::move(s));
    heard.assign(first.begin(), first.end());
  }
  weft::five_tuple path;
  std::optional<tcp::socket> socket;
  bytes heard;
};

bytes framed(const bytes& message) {
  bytes out{static_cast<std::uint8_t>(message.size() >> 8),
            static_cast<std::uint8_t>(message.size())};
  out.insert(out.end(), message.begin(), message.end());
  return out;
}

struct tcp_fixture : fixture {
  explicit tcp_fixture(const tcp_mux::options& opts = {})
      : mux{*tcp_mux::open(context.get_executor(), anywhere, opts)} {
    mux.claim(a, "aaaa");
    mux.claim(b, "bbbb");
  }
  ~tcp_fixture() {
    mux.leave(a);
    mux.leave(b);
  }

  tcp::socket call() {
    tcp::socket s{context};
    s.connect(weft::io::to_asio_tcp(mux.local()));
    return s;
  }
  bool is_closed(tcp::socket& s) {
    bool closed = false;
    char unread;
    s.async_read_some(asio::buffer(&unread, 1),
                      [&](std::error_code e, std::size_t) { closed = bool{e}; });
    return run_until([&] { return closed; });
  }

  tcp_mux mux;
  tcp_agent a, b;
};

}  // namespace

TEST_CASE("a connection goes to the agent that its first message names, with all that was read") {
  tcp_fixture f;
  tcp::socket s = f.call();
  bytes sent = framed(check("bbbb"));
  sent.push_back(0);  // The beginning of the next frame.
  for (const std::uint8_t octet : sent) asio::write(s, asio::buffer(&octet, 1));
  REQUIRE(f.run_until([&] { return f.b.socket.has_value(); }));
  CHECK(bytes(sent.begin(), sent.begin() + static_cast<std::ptrdiff_t>(f.b.heard.size())) ==
        f.b.heard);
  CHECK(f.b.heard.size() >= sent.size() - 1);
  CHECK(f.b.path.local == f.mux.local());
  CHECK(f.b.path.remote == weft::io::from_asio(s.local_endpoint()));
  CHECK_FALSE(f.a.socket.has_value());
  asio::write(*f.b.socket, asio::buffer("w", 1));
  char welcome = 0;
  s.read_some(asio::buffer(&welcome, 1));
  CHECK(welcome == 'w');
}

TEST_CASE("a connection whose first message is for nobody is closed") {
  for (const bytes& first : {framed(check("cccc")), framed(data("hello")), framed(success(1)),
                             framed({}), bytes{0xff, 0xff}}) {
    tcp_fixture f;
    tcp::socket s = f.call();
    asio::write(s, asio::buffer(first));
    CHECK(f.is_closed(s));
    CHECK(f.mux.stats().dropped == 1);
    CHECK(f.mux.stats().handed_over == 0);
  }
}

TEST_CASE("who says nothing is closed in time, or to make room for others") {
  {
    tcp_fixture f{{.timeout = 10ms}};
    tcp::socket s = f.call();
    CHECK(f.is_closed(s));
    CHECK(f.mux.stats().timed_out == 1);
  }
  tcp_fixture f{{.max_waiting = 2}};
  tcp::socket first = f.call(), second = f.call(), third = f.call();
  CHECK(f.is_closed(first));
  asio::write(third, asio::buffer(framed(check("aaaa"))));
  CHECK(f.run_until([&] { return f.a.socket.has_value(); }));
}
