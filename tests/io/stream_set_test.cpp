#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>
#include <asio/read.hpp>
#include <asio/ssl.hpp>
#include <asio/write.hpp>

#include <weft/io/asio.hpp>
#include <weft/io/stream_set.hpp>

#include "authority.hpp"
#include "event_loop.hpp"

using namespace std::chrono_literals;
using weft::endpoint;
using weft::five_tuple;
using weft::io::stream_set;
using weft::io::test::authority;
using weft::io::test::scratch_folder;
using tcp = asio::ip::tcp;

namespace {

const weft::ip_address loopback = *weft::ip_address::parse("127.0.0.1");

/// A set, and what it has said.
struct watched {
  explicit watched(asio::io_context& c, const stream_set::options& opts = {})
      : context{c},
        set{std::in_place, c.get_executor(),
            stream_set::handlers{
                .connected = [this](const five_tuple& p) { connected.push_back(p); },
                .disconnected = [this](const five_tuple& p) { disconnected.push_back(p); },
                .received = [this](const five_tuple& p,
                                   weft::const_bytes b) { received[p].append(weft::as_text(b)); }},
            opts} {}

  /// Makes a connection and waits for what becomes of it.
  bool connect(const stream_set::request& r) {
    const std::size_t before = connected.size(), failures = disconnected.size();
    set->connect(r);
    run_until([&] { return connected.size() > before || disconnected.size() > failures; });
    return connected.size() > before;
  }

  template <class Done>
  bool run_until(Done done) {
    return weft::io::test::run_until(context, done);
  }

  asio::io_context& context;
  std::vector<five_tuple> connected, disconnected;
  std::map<five_tuple, std::string> received;
  std::optional<stream_set> set;
};

five_tuple path_to(const endpoint& remote, std::uint16_t number = 1) {
  return {{loopback, number}, remote, weft::transport_protocol::tcp};
}

/// Takes one connection.
struct server {
  explicit server(asio::io_context& c)
      : acceptor{c, {asio::ip::address_v4::loopback(), 0}}, peer{c} {
    acceptor.async_accept(peer, [this](std::error_code gone) {
      if (!gone) accepted = true;
    });
  }
  endpoint local() const { return weft::io::from_asio(acceptor.local_endpoint()); }

  tcp::acceptor acceptor;
  tcp::socket peer;
  bool accepted = false;
};

/// Takes one connection with TLS and sends back what comes, until it ends.
class tls_echo {
 public:
  tls_echo(asio::io_context& c, const authority& shown, const std::string& more = {})
      : context_{c}, acceptor_{c, {asio::ip::address_v4::loopback(), 0}} {
    const std::string chain = shown.certificate_pem() + more;
    tls_.use_certificate_chain(asio::buffer(chain));
    tls_.use_private_key(asio::buffer(shown.key_pem()), asio::ssl::context::pem);
    SSL_CTX_set_tlsext_servername_callback(
        tls_.native_handle(), +[](SSL* ssl, int*, void* self) {
          const char* const name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
          static_cast<tls_echo*>(self)->asked_for = name ? name : "";
          return SSL_TLSEXT_ERR_OK;
        });
    SSL_CTX_set_tlsext_servername_arg(tls_.native_handle(), this);
    acceptor_.async_accept([this](std::error_code e, tcp::socket s) {
      if (e) return;
      stream_.emplace(std::move(s), tls_);
      stream_->async_handshake(asio::ssl::stream_base::server, [this](std::error_code failed) {
        if (!failed) read();
      });
    });
  }
  /// What is under way ends before what it works on.
  ~tls_echo() {
    acceptor_.close();
    if (stream_) stream_->lowest_layer().close();
    context_.restart();
    context_.poll();
  }
  endpoint local() const { return weft::io::from_asio(acceptor_.local_endpoint()); }

  std::string asked_for = "(nobody asked)";

 private:
  void read() {
    stream_->async_read_some(asio::buffer(buffer_), [this](std::error_code e, std::size_t n) {
      if (e) return;
      asio::async_write(*stream_, asio::buffer(buffer_, n),
                        [this](std::error_code failed, std::size_t) {
                          if (!failed) read();
                        });
    });
  }

  asio::io_context& context_;
  asio::ssl::context tls_{asio::ssl::context::tls_server};
  tcp::acceptor acceptor_;
  std::optional<asio::ssl::stream<tcp::socket>> stream_;
  std::array<char, 4096> buffer_;
};

struct trusted {
  authority root{"root"};
  scratch_folder folder;
  stream_set::options options{
      .trust = *weft::io::trust_store::load(
          {.system = false, .files = {folder.write("root.pem", root.certificate_pem())}})};
};

}  // namespace

TEST_CASE("a connection carries bytes both ways under the name it was given") {
  asio::io_context context;
  server s{context};
  watched w{context};
  const auto path = path_to(s.local(), 77);
  REQUIRE(w.connect({.path = path, .bind = {loopback, 0}}));
  CHECK(w.connected.at(0) == path);
  REQUIRE(w.run_until([&] { return s.accepted; }));
  CHECK(s.peer.remote_endpoint().address() == asio::ip::address_v4::loopback());

  CHECK(w.set->send(path, weft::as_bytes("up")));
  std::array<char, 2> up{};
  bool got = false;
  asio::async_read(s.peer, asio::buffer(up), [&](std::error_code e, std::size_t) { got = !e; });
  REQUIRE(w.run_until([&] { return got; }));
  CHECK(std::string(up.data(), up.size()) == "up");

  s.peer.write_some(asio::buffer("down", 4));
  REQUIRE(w.run_until([&] { return w.received[path] == "down"; }));

  s.peer.close();
  REQUIRE(w.run_until([&] { return !w.disconnected.empty(); }));
  CHECK(w.disconnected.at(0) == path);
  CHECK_FALSE(w.set->send(path, weft::as_bytes("late")));
  CHECK(w.set->stats().messages_dropped == 1);
}

TEST_CASE("a connection that cannot be made is reported once, whatever the reason") {
  asio::io_context context;
  endpoint nobody;
  {
    const server closed{context};
    nobody = closed.local();
  }
  watched w{context};
  CHECK_FALSE(w.connect({.path = path_to(nobody, 1)}));
  const auto foreign = *weft::ip_address::parse("192.0.2.1");
  CHECK_FALSE(w.connect({.path = path_to(nobody, 2), .bind = {foreign, 0}}));
  CHECK(w.disconnected == std::vector{path_to(nobody, 1), path_to(nobody, 2)});
  CHECK(w.set->stats().failed == 2);
}

TEST_CASE("with TLS, a server is connected that shows a certificate of that name") {
  asio::io_context context;
  const trusted t;
  const authority middle{authority::issued{"middle"}, t.root};
  const authority shown{{"server", "DNS:turn.example,IP:127.0.0.1"}, middle};
  for (const std::string name : {"turn.example", "127.0.0.1"}) {
    CAPTURE(name);
    tls_echo s{context, shown, middle.certificate_pem()};
    watched w{context, t.options};
    const auto path = path_to(s.local());
    REQUIRE(w.connect({.path = path, .tls = true, .server_name = name}));
    CHECK(s.asked_for == (name == "turn.example" ? name : ""));  // RFC 6066 §3: no addresses.
    CHECK(w.set->send(path, weft::as_bytes("there and ")));
    CHECK(w.set->send(path, weft::as_bytes("back")));
    CHECK(w.run_until([&] { return w.received[path] == "there and back"; }));
  }
}

TEST_CASE("with TLS, a server of another name or of a stranger is none") {
  asio::io_context context;
  const trusted t;
  const authority stranger{"stranger"};
  const authority wrong_name{{"server", "DNS:other.example"}, t.root};
  const authority wrong_root{{"server", "DNS:turn.example"}, stranger};
  for (const authority* shown : {&wrong_name, &wrong_root}) {
    tls_echo s{context, *shown};
    watched w{context, t.options};
    CHECK_FALSE(
        w.connect({.path = path_to(s.local()), .tls = true, .server_name = "turn.example"}));
    CHECK(w.set->stats().untrusted == 1);
  }
  // Nor is one that speaks no TLS, or asked for without a name.
  tls_echo s{context, authority{{"server", "DNS:turn.example"}, t.root}};
  watched w{context, t.options};
  CHECK_FALSE(w.connect({.path = path_to(s.local()), .tls = true}));
}

TEST_CASE("a message that finds no room is dropped whole, and those before it arrive whole") {
  asio::io_context context;
  server s{context};
  watched w{context, {.max_unsent = 100'000}};
  const auto path = path_to(s.local());
  REQUIRE(w.connect({.path = path}));
  REQUIRE(w.run_until([&] { return s.accepted; }));
  // Nobody reads: the kernel's buffers fill, then ours.
  const std::string message(10'000, 'x');
  std::size_t taken = 0;
  while (w.set->send(path, weft::as_bytes(message))) {
    ++taken;
    context.poll();
    REQUIRE(taken < 10'000);
  }
  CHECK(w.set->stats().messages_dropped == 1);
  CHECK(w.set->stats().messages_sent == taken);

  std::string all(taken * message.size(), ' ');
  bool got = false;
  asio::async_read(s.peer, asio::buffer(all), [&](std::error_code e, std::size_t) { got = !e; });
  REQUIRE(w.run_until([&] { return got; }));
  CHECK(all.find_first_not_of('x') == all.npos);
  CHECK(w.set->send(path, weft::as_bytes(message)));
}

TEST_CASE("disconnecting sends what was written, and says nothing more") {
  asio::io_context context;
  server s{context};
  watched w{context};
  const auto path = path_to(s.local());
  REQUIRE(w.connect({.path = path}));
  REQUIRE(w.run_until([&] { return s.accepted; }));
  const std::string farewell(200'000, 'f');
  CHECK(w.set->send(path, weft::as_bytes(farewell)));
  w.set->disconnect(path);
  CHECK_FALSE(w.set->send(path, weft::as_bytes("late")));
  std::string heard;
  std::array<char, 65536> piece;
  bool ended = false;
  std::function<void()> read = [&] {
    s.peer.async_read_some(asio::buffer(piece), [&](std::error_code e, std::size_t n) {
      heard.append(piece.data(), n);
      ended = bool{e};
      if (!ended) read();
    });
  };
  read();
  REQUIRE(w.run_until([&] { return ended; }));
  CHECK(heard == farewell);
  CHECK(w.disconnected.empty());
}

TEST_CASE("accepted connections are known by the address that was listened on and their own") {
  asio::io_context context;
  watched answering{context}, calling{context};
  const auto at = answering.set->listen({loopback, 0});
  REQUIRE(at.has_value());
  CHECK_FALSE(answering.set->listen({*weft::ip_address::parse("192.0.2.1"), 0}).has_value());
  REQUIRE(calling.connect({.path = path_to(*at), .bind = {loopback, 0}}));
  REQUIRE(calling.run_until([&] { return !answering.connected.empty(); }));
  const auto path = answering.connected.at(0);
  CHECK(path.local == *at);
  CHECK(path.remote.address == loopback);
  CHECK(answering.set->send(path, weft::as_bytes("welcome")));
  REQUIRE(calling.run_until([&] { return calling.received[path_to(*at)] == "welcome"; }));

  answering.set->stop_listening(*at);
  CHECK_FALSE(calling.connect({.path = path_to(*at, 2)}));
  answering.set->drop(loopback);
  CHECK(calling.run_until([&] { return calling.disconnected.size() == 2; }));
}

TEST_CASE("no more connections than the bound, made or accepted") {
  asio::io_context context;
  watched answering{context, {.max_streams = 2}}, calling{context, {.max_streams = 3}};
  const auto at = answering.set->listen({loopback, 0});
  REQUIRE(at.has_value());
  for (std::uint16_t i = 0; i < 4; ++i) calling.set->connect({.path = path_to(*at, i)});
  REQUIRE(calling.run_until([&] {
    return calling.connected.size() + calling.disconnected.size() >= 5 &&
           answering.set->stats().accepted == 3;
  }));
  CHECK(answering.connected.size() == 2);
  CHECK(answering.set->stats().refused == 1);
  CHECK(calling.set->stats().failed == 1);
}

TEST_CASE("a set may be destroyed in any of its handlers, and calls nobody after") {
  for (const int which : {0, 1, 2}) {
    asio::io_context context;
    server s{context};
    std::optional<stream_set> set;
    int calls = 0;
    const auto at = [&](int handler) {
      ++calls;
      if (handler == which) set.reset();
    };
    set.emplace(
        context.get_executor(),
        stream_set::handlers{.connected = [&](const five_tuple&) { at(0); },
                             .disconnected = [&](const five_tuple&) { at(1); },
                             .received = [&](const five_tuple&, weft::const_bytes) { at(2); }},
        stream_set::options{});
    set->connect({.path = path_to(s.local())});
    while (!s.accepted) context.run_one();
    s.peer.write_some(asio::buffer("x", 1));
    s.peer.shutdown(tcp::socket::shutdown_send);
    const auto end = weft::io::now() + 20s;
    while (set && weft::io::now() < end) context.run_one_until(end);
    CHECK_FALSE(set.has_value());
    const int so_far = calls;
    s.peer.close();
    context.poll();
    CHECK(calls == so_far);
  }
}
