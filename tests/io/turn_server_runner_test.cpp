// The TURN server on real sockets, and a client for each way to reach it.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <asio/ip/tcp.hpp>
#include <asio/ip/udp.hpp>
#include <asio/ssl.hpp>
#include <asio/strand.hpp>

#include <weft/dtls/fingerprint.hpp>
#include <weft/dtls/session.hpp>
#include <weft/io/stream_set.hpp>
#include <weft/io/system_random.hpp>
#include <weft/io/turn_server_runner.hpp>
#include <weft/turn/client.hpp>

#include "authority.hpp"
#include "event_loop.hpp"

using namespace std::chrono_literals;
using weft::const_bytes;
using weft::endpoint;
using weft::five_tuple;
using weft::io::stream_set;
using weft::io::turn_server_runner;
using weft::turn::client;
using transport = turn_server_runner::transport;

namespace {

weft::ip_address address(const char* text) {
  return *weft::ip_address::parse(text);
}

bool is_stream(transport over) {
  return over == transport::tcp || over == transport::tls;
}

/// A server with a listener for each way and address family, the user `ann` and her `secret`.
struct fixture : weft::io::test::event_loop {
  explicit fixture(std::chrono::seconds handshake_timeout = 10s) {
    users.set("ann", "secret");
    turn_server_runner::options opts;
    opts.server.authentication.realm = "example.org";
    opts.server.peers =
        weft::turn::address_policy{{.allow = {*weft::turn::peer_rule::parse("127.0.0.0/8"),
                                              *weft::turn::peer_rule::parse("::1/128")}}};
    for (const char* host : {"127.0.0.1", "::1"}) {
      for (const transport over : {transport::udp, transport::tcp, transport::tls, transport::dtls})
        opts.listeners.push_back({{address(host), 0}, over});
      opts.relays.push_back({address(host), address(host)});
    }
    const weft::io::test::authority shown{{"server", "DNS:localhost,IP:127.0.0.1,IP:::1"}, root};
    opts.certificate_file = folder.write("server.pem", shown.certificate_pem());
    opts.key_file = folder.write("key.pem", shown.key_pem());
    opts.handshake_timeout = handshake_timeout;
    const std::array<asio::any_io_executor, 2> executors{asio::make_strand(context),
                                                         asio::make_strand(context)};
    auto made = turn_server_runner::create(executors, users, random, opts);
    REQUIRE(made.has_value());
    server.emplace(*std::move(made));
    server->on_event([this](weft::time_point, const weft::turn::server::event& e) {
      if (const auto* deleted = std::get_if<weft::turn::server::allocation_deleted>(&e))
        ends.push_back(deleted->reason);
    });
    trust = *weft::io::trust_store::load(
        {.system = false, .files = {folder.write("root.pem", root.certificate_pem())}});
  }

  endpoint listener(transport over, const char* host = "127.0.0.1") const {
    const auto& all = server->listeners();
    return std::ranges::find_if(all,
                                [&](const turn_server_runner::listener& l) {
                                  return l.over == over && l.local.address == address(host);
                                })
        ->local;
  }
  std::size_t allocations() {
    return server->with(
        [](weft::turn::server& m, weft::time_point) { return m.usage().allocations; });
  }

  weft::turn::server::counters counters() {
    return server->with([](weft::turn::server& m, weft::time_point) { return m.stats(); });
  }

  weft::io::system_random random;
  weft::stun::password_users users{"example.org"};
  weft::io::test::authority root{"root"};
  weft::io::test::scratch_folder folder;
  weft::io::trust_store trust;
  std::vector<weft::turn::allocation_end> ends;
  std::optional<turn_server_runner> server;
};

/// A client of the server, and the way it goes.
struct caller {
  caller(fixture& fixed, transport way, const char* host = "127.0.0.1",
         const std::string& password = "secret")
      : f{fixed},
        over{way},
        at{f.listener(way, host)},
        machine{f.random, at, wishes(way, host, password)} {
    if (is_stream(over))
      open_stream(host);
    else
      open_socket();
    machine.allocate(weft::io::now());
  }

  static client::options wishes(transport way, const char* host, const std::string& password) {
    return {
        .transport = is_stream(way) ? weft::transport_protocol::tcp : weft::transport_protocol::udp,
        .credentials = weft::stun::password_credentials{"ann", password},
        .families = address(host).is_v6() ? client::families::ipv6 : client::families::ipv4,
        .channels = client::channel_use::on_request};
  }

  /// Lets the server answer until `done`.
  template <class Done>
  bool wait(Done done) {
    return f.run_until([&] {
      drive();
      return done();
    });
  }
  /// Waits for an event of this kind, and takes it.
  template <class Event>
  std::optional<Event> wait_for() {
    std::optional<Event> found;
    wait([&] {
      while (!found && !events.empty()) {
        if (const auto* e = std::get_if<Event>(&events.front())) found = *e;
        events.pop_front();
      }
      return found.has_value();
    });
    return found;
  }
  void tell(const endpoint& peer, const std::string& text) {
    std::array<std::uint8_t, 4096> buffer;
    const std::size_t room = machine.headroom(peer);
    std::ranges::copy(text, buffer.begin() + static_cast<std::ptrdiff_t>(room));
    const auto message = machine.encapsulate(weft::io::now(), peer, buffer, room, text.size());
    REQUIRE(message.has_value());
    send(*message);
  }

  void drive() {
    const auto now = weft::io::now();
    std::array<std::uint8_t, 4096> buffer;
    if (session) {
      session->handle_timeout(now);
      while (const auto e = session->poll_event())
        open = std::holds_alternative<weft::dtls::session::connected>(*e);
      while (const auto t = session->poll_transmit(now, buffer)) put(t->bytes);
    }
    machine.handle_timeout(now);
    while (open) {
      const auto t = machine.poll_transmit(now, buffer);
      if (!t) break;
      send(t->bytes);
    }
    while (auto e = machine.poll_event()) events.push_back(std::move(*e));
  }

  fixture& f;
  transport over;
  endpoint at;
  client machine;
  std::deque<client::event> events;
  std::vector<std::string> heard;
  bool open = false;
  std::optional<weft::dtls::session> session;
  std::optional<asio::ip::udp::socket> socket;
  std::optional<stream_set> streams;

 private:
  five_tuple path() const { return {{}, at, weft::transport_protocol::tcp}; }

  void open_stream(const char* host) {
    streams.emplace(
        f.context.get_executor(),
        stream_set::handlers{.connected = [this](const five_tuple&) { open = true; },
                             .disconnected = [this](const five_tuple&) { open = false; },
                             .received = [this](const five_tuple&, const_bytes b) { take(b); }},
        stream_set::options{.trust = f.trust});
    streams->connect({.path = path(), .tls = over == transport::tls, .server_name = host});
  }
  void open_socket() {
    socket.emplace(f.context, at.address.is_v6() ? asio::ip::udp::v6() : asio::ip::udp::v4());
    socket->connect(weft::io::to_asio(at));
    open = over == transport::udp;
    if (!open) {
      session.emplace(*weft::dtls::certificate::generate({.now = std::chrono::system_clock::now()}),
                      weft::dtls::session::options{.role = weft::dtls::role::client});
      session->start(weft::io::now());
    }
    read();
  }
  void read() {
    socket->async_receive(asio::buffer(buffer_), [this](std::error_code e, std::size_t size) {
      if (e == asio::error::operation_aborted) return;
      if (!e) take_datagram({buffer_.data(), size});
      read();
    });
  }
  void take_datagram(const_bytes datagram) {
    if (!session) return take(datagram);
    session->handle_input(weft::io::now(), datagram);
    if (const auto shown = session->remote_certificate(); !shown.empty())
      session->set_remote_fingerprints(
          weft::io::now(), {weft::dtls::fingerprint_of(weft::dtls::hash::sha_256, shown)});
    while (const auto record = session->receive()) take(*record);
  }
  void take(const_bytes bytes) {
    machine.handle_input(weft::io::now(), bytes);
    while (const auto data = machine.receive()) heard.emplace_back(weft::as_text(data->bytes));
  }
  void send(const_bytes message) {
    std::array<std::uint8_t, 4096> record;
    if (streams)
      streams->send(path(), message);
    else if (!session)
      put(message);
    else if (const auto sealed = session->protect(weft::io::now(), message, record))
      put(*sealed);
  }
  void put(const_bytes datagram) { socket->send(asio::buffer(datagram.data(), datagram.size())); }

  std::array<std::uint8_t, 4096> buffer_;
};

/// Somebody to talk to behind the relay.
struct peer {
  explicit peer(fixture& fixed, const char* host = "127.0.0.1")
      : f{fixed}, socket{f.context, {asio::ip::make_address(host), 0}} {
    read();
  }
  /// What is under way ends before what it works on.
  ~peer() {
    socket.close();
    f.context.restart();
    f.context.poll();
  }
  endpoint local() const { return weft::io::from_asio(socket.local_endpoint()); }
  void tell(const endpoint& relayed, const std::string& text) {
    socket.send_to(asio::buffer(text), weft::io::to_asio(relayed));
  }

  fixture& f;
  asio::ip::udp::socket socket;
  std::vector<std::pair<std::string, endpoint>> heard;

 private:
  void read() {
    socket.async_receive_from(
        asio::buffer(buffer_), from_, [this](std::error_code e, std::size_t size) {
          if (e == asio::error::operation_aborted) return;
          if (!e) heard.emplace_back(std::string(buffer_.data(), size), weft::io::from_asio(from_));
          read();
        });
  }
  std::array<char, 4096> buffer_;
  asio::ip::udp::endpoint from_;
};

endpoint relayed_address(const client::allocated& a) {
  return a.relayed_ipv6 ? *a.relayed_ipv6 : *a.relayed_ipv4;
}

/// Whether what is said arrives, there and back, from where it should.
bool talks(caller& c, peer& p, const endpoint& relayed, const std::string& text) {
  c.tell(p.local(), text);
  const std::pair arrived{text, relayed};
  if (!c.wait([&] { return !p.heard.empty() && p.heard.back() == arrived; })) return false;
  p.tell(relayed, text + " back");
  return c.wait([&] { return !c.heard.empty() && c.heard.back() == text + " back"; });
}

}  // namespace

TEST_CASE("clients allocate and talk to peers over UDP, TCP, TLS and DTLS, IPv4 and IPv6") {
  fixture f;
  for (const char* host : {"127.0.0.1", "::1"}) {
    for (const transport over : {transport::udp, transport::tcp, transport::tls, transport::dtls}) {
      CAPTURE(host);
      CAPTURE(to_string(over));
      caller c{f, over, host};
      peer stranger{f, host}, friendly{f, host};
      const auto allocated = c.wait_for<client::allocated>();
      REQUIRE(allocated.has_value());
      const endpoint relayed = relayed_address(*allocated);
      CHECK(relayed.address == address(host));
      CHECK(f.allocations() == 1);

      // RFC 8656 §9: a permission is an address's, with all its ports.
      const std::uint64_t refused = f.counters().no_permission + 1;
      stranger.tell(relayed, "not yet");
      CHECK(c.wait([&] { return f.counters().no_permission == refused; }));
      REQUIRE(c.machine.create_permission(weft::io::now(), address(host)).has_value());
      REQUIRE(c.wait_for<client::permission_created>().has_value());
      CHECK(talks(c, friendly, relayed, "indication"));
      REQUIRE(c.machine.bind_channel(weft::io::now(), friendly.local()).has_value());
      REQUIRE(c.wait_for<client::channel_bound>().has_value());
      CHECK(c.machine.headroom(friendly.local()) == 4);
      CHECK(talks(c, friendly, relayed, "by channel"));  // Not a multiple of four.
      CHECK(talks(c, friendly, relayed, std::string(1200, 'x')));
      CHECK(c.heard.size() == 3);
      CHECK(friendly.heard.size() == 3);

      c.machine.close(weft::io::now());
      CHECK(c.wait_for<client::closed>().has_value());
      CHECK(f.allocations() == 0);
    }
  }
  CHECK(f.server->stats().handshakes_failed == 0);
  CHECK(f.server->stats().datagrams_dropped == 0);
  CHECK(f.server->stats().stream_messages_dropped == 0);
}

TEST_CASE("a wrong password gets nothing, whatever the way") {
  fixture f;
  for (const transport over : {transport::udp, transport::tcp, transport::tls, transport::dtls}) {
    CAPTURE(to_string(over));
    caller c{f, over, "127.0.0.1", "guessed"};
    const auto failed = c.wait_for<client::allocation_failed>();
    REQUIRE(failed.has_value());
    CHECK(failed->code == weft::stun::error_code{401});
    CHECK(f.allocations() == 0);
  }
}

TEST_CASE("a server that drains makes no new allocations, and those there are go on") {
  fixture f;
  caller before{f, transport::udp};
  peer p{f};
  const auto allocated = before.wait_for<client::allocated>();
  REQUIRE(allocated.has_value());
  REQUIRE(before.machine.create_permission(weft::io::now(), p.local().address).has_value());
  REQUIRE(before.wait_for<client::permission_created>().has_value());

  f.server->with([](weft::turn::server& m, weft::time_point now) { m.drain(now); });
  caller refused{f, transport::tcp};
  const auto failed = refused.wait_for<client::allocation_failed>();
  REQUIRE(failed.has_value());
  CHECK(failed->code == weft::stun::error_code{508});

  const endpoint other{address("192.0.2.1"), 3478};
  f.server->with([&](weft::turn::server& m, weft::time_point now) { m.drain(now, {other}); });
  caller sent_on{f, transport::udp};
  const auto elsewhere = sent_on.wait_for<client::alternate_server>();
  REQUIRE(elsewhere.has_value());
  CHECK(elsewhere->server == other);

  CHECK(talks(before, p, *allocated->relayed_ipv4, "still here"));
  CHECK(f.allocations() == 1);
  before.machine.close(weft::io::now());
  REQUIRE(before.wait_for<client::closed>().has_value());
  CHECK(f.allocations() == 0);
}

TEST_CASE("a server that was destroyed leaves nothing on its executors") {
  fixture f;
  {
    std::deque<caller> all;
    for (const transport over : {transport::udp, transport::tcp, transport::tls, transport::dtls})
      REQUIRE(all.emplace_back(f, over).wait_for<client::allocated>().has_value());
    CHECK(f.allocations() == 4);
    f.server.reset();
    CHECK(all[1].wait([&] { return !all[1].open && !all[2].open; }));
  }
  f.context.restart();
  f.context.run_for(20s);
  CHECK(f.context.stopped());
}

TEST_CASE("a server says close_notify before it closes a TLS connection (RFC 8446 §6.1)") {
  for (const bool destroyed : {false, true}) {
    CAPTURE(destroyed);
    fixture f;
    asio::ssl::context tls{asio::ssl::context::tls_client};
    asio::ssl::stream<asio::ip::tcp::socket> stream{f.context, tls};
    stream.lowest_layer().connect(weft::io::to_asio_tcp(f.listener(transport::tls)));
    bool shaken = false;
    std::optional<std::error_code> end;
    stream.async_handshake(asio::ssl::stream_base::client, [&](std::error_code e) { shaken = !e; });
    REQUIRE(f.run_until([&] { return shaken; }));
    std::array<char, 100> buffer;
    stream.async_read_some(asio::buffer(buffer), [&](std::error_code e, std::size_t) { end = e; });
    if (destroyed) {
      // The server has to have seen the end of the handshake too.
      REQUIRE(f.run_until([&] { return f.context.poll() == 0; }));
      f.server.reset();
    } else {
      bool sent = false;
      const std::string nonsense = "\xffThis is not TURN.";
      asio::async_write(stream, asio::buffer(nonsense),
                        [&](std::error_code, std::size_t) { sent = true; });
      REQUIRE(f.run_until([&] { return sent; }));
    }
    REQUIRE(f.run_until([&] { return end.has_value(); }));
    CHECK(*end == asio::error::eof);  // Without close_notify: stream_truncated.
  }
}

TEST_CASE("a DTLS client's close_notify ends its allocation at once, a forged one nothing") {
  fixture f;
  caller c{f, transport::dtls};
  REQUIRE(c.wait_for<client::allocated>().has_value());
  peer p{f};
  REQUIRE(c.machine.create_permission(weft::io::now(), p.local().address).has_value());
  REQUIRE(c.wait_for<client::permission_created>().has_value());
  const endpoint relayed = *c.machine.relayed_address(weft::turn::address_family::ipv4);

  // A warning, close_notify, as anybody can write it: in the clear, and as a record of the
  // session's epoch that no key has touched (RFC 6347 §4.1).
  const std::array<std::uint8_t, 15> clear{21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 99, 0, 2, 1, 0};
  c.socket->send(asio::buffer(clear));
  std::array<std::uint8_t, 39> sealed{21, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 99, 0, 26};
  c.socket->send(asio::buffer(sealed));
  CHECK(talks(c, p, relayed, "still here"));
  CHECK(f.allocations() == 1);

  c.session->close(weft::io::now());
  CHECK(c.wait([&] { return !f.ends.empty(); }));
  CHECK(f.ends == std::vector{weft::turn::allocation_end::disconnected});
  CHECK(f.allocations() == 0);
}

TEST_CASE("a connection that never finishes its handshake is closed") {
  fixture f{1s};
  asio::ip::tcp::socket silent{f.context};
  silent.connect(weft::io::to_asio_tcp(f.listener(transport::tls)));
  std::array<char, 1> buffer;
  bool over = false;
  silent.async_read_some(asio::buffer(buffer),
                         [&](std::error_code e, std::size_t) { over = bool{e}; });
  CHECK(f.run_until([&] { return over; }));
  CHECK(f.server->stats().handshakes_failed == 1);
}
