// Whole calls over everything that a driver has to supply: TURN over each transport, ICE over TCP,
// shared ports, networks that change, hidden addresses.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <asio/ip/udp.hpp>

#include <weft/io/peer_runner.hpp>
#include <weft/io/system_random.hpp>
#include <weft/io/turn_server_runner.hpp>

#include "authority.hpp"
#include "event_loop.hpp"

using namespace std::chrono_literals;
using weft::io::network_address;
using weft::io::peer_runner;
using weft::io::turn_server_runner;
using weft::peer::connection;
using weft::peer::data_channel_message;
using transport = turn_server_runner::transport;

namespace {

weft::ip_address address(const char* text) {
  return *weft::ip_address::parse(text);
}
const weft::endpoint anywhere{address("127.0.0.1"), 0};

struct fixture : weft::io::test::event_loop {
  peer_runner make(const peer_runner::options& opts) {
    auto certificate = weft::dtls::certificate::generate({.now = std::chrono::system_clock::now()});
    REQUIRE(certificate.has_value());
    auto runner =
        peer_runner::create(context.get_executor(), random, *std::move(certificate), opts);
    REQUIRE(runner.has_value());
    return std::move(*runner);
  }

  weft::io::system_random random;
};

/// What is handed over of a candidate or description.
using lines_to_keep = bool (*)(std::string_view line);
bool every_line(std::string_view) {
  return true;
}
/// As signalling that a firewall's owner has written.
bool all_but_udp_candidates(std::string_view line) {
  return line.find("candidate:") == line.npos || line.find(" udp ") == line.npos;
}

/// Alice calls Bob, who sends back what he hears. Candidates are handed over as they come.
struct call {
  call(fixture& fixed, const peer_runner::options& alices, const peer_runner::options& bobs,
       lines_to_keep wanted = every_line)
      : f{fixed}, keeps{wanted}, alice{f.make(alices)}, bob{f.make(bobs)} {
    const auto made = alice.with(
        [](connection& c, weft::time_point now) { return c.create_data_channel(now, "test"); });
    REQUIRE(made.has_value());
    channel = *made;
    alice.on_event([this](const connection::event& e) { follow(e, bob); });
    bob.on_event([this](const connection::event& e) { follow(e, alice); });
    alice.on_message(
        [this](const data_channel_message& m) { heard.emplace_back(weft::as_text(m.payload)); });
    bob.on_message([this](const data_channel_message& m) {
      (void)bob.with([&](connection& c, weft::time_point now) {
        return c.send(now, m.channel, weft::as_text(m.payload));
      });
    });
    for (auto* from : {&alice, &bob}) {
      auto& to = from == &alice ? bob : alice;
      const auto set = from->with(
          [](connection& c, weft::time_point now) { return c.set_local_description(now); });
      REQUIRE(set.has_value());
      const auto given = to.with([&](connection& c, weft::time_point now) {
        return c.set_remote_description(now, kept(*from->connection().local_description()));
      });
      REQUIRE(given.has_value());
    }
  }

  void follow(const connection::event& e, peer_runner& other) {
    if (std::holds_alternative<connection::data_channel_opened>(e)) is_open = true;
    if (const auto* failed = std::get_if<connection::ice_candidate_error>(&e))
      errors.push_back(failed->url + ": " + failed->text);
    if (const auto* gathered = std::get_if<connection::candidate_gathered>(&e)) {
      candidates.push_back(gathered->candidate.candidate);
      if (!keeps(gathered->candidate.candidate)) return;
      (void)other.with([&](connection& c, weft::time_point now) {
        return c.add_ice_candidate(now, gathered->candidate);
      });
    }
  }

  weft::peer::session_description kept(weft::peer::session_description all) const {
    std::string sdp;
    for (std::size_t at = 0, end = 0; at < all.sdp.size(); at = end + 1) {
      end = std::min(all.sdp.find('\n', at), all.sdp.size() - 1);
      if (const auto line = all.sdp.substr(at, end + 1 - at); keeps(line)) sdp += line;
    }
    all.sdp = sdp;
    return all;
  }

  bool connects() {
    const bool open = f.run_until([&] { return is_open; });
    for (const std::string& error : errors) INFO(error);
    return open;
  }
  /// Whether a message goes there and comes back.
  bool echoes(const std::string& text) {
    const auto sent = alice.with([&](connection& c, weft::time_point now) {
      return c.send(now, channel, std::string_view{text});
    });
    const std::size_t before = heard.size();
    return sent && f.run_until([&] { return heard.size() > before; }) && heard.back() == text;
  }
  weft::five_tuple path(const peer_runner& of) const {
    return of.connection().selected_pair().value_or(weft::five_tuple{});
  }

  fixture& f;
  lines_to_keep keeps;
  peer_runner alice, bob;
  weft::peer::channel_handle channel{};
  std::vector<std::string> heard, candidates, errors;
  bool is_open = false;
};

peer_runner::options plain() {
  peer_runner::options opts;
  opts.local = {anywhere};
  return opts;
}

/// A TURN server for the user `ann` with the password `secret`.
struct turn_fixture : fixture {
  turn_fixture() {
    users.set("ann", "secret");
    turn_server_runner::options opts;
    opts.server.authentication.realm = "example.org";
    opts.server.peers =
        weft::turn::address_policy{{.allow = {*weft::turn::peer_rule::parse("127.0.0.0/8")}}};
    for (const transport over : {transport::udp, transport::tcp, transport::tls, transport::dtls})
      opts.listeners.push_back({anywhere, over});
    opts.relays = {{address("127.0.0.1"), address("127.0.0.1")}};
    const weft::io::test::authority shown{{"server", "DNS:localhost,IP:127.0.0.1"}, root};
    opts.certificate_file = folder.write("server.pem", shown.certificate_pem());
    opts.key_file = folder.write("key.pem", shown.key_pem());
    const asio::any_io_executor executor = context.get_executor();
    auto made = turn_server_runner::create({&executor, 1}, users, random, opts);
    REQUIRE(made.has_value());
    server.emplace(*std::move(made));
    trust = *weft::io::trust_store::load(
        {.system = false, .files = {folder.write("root.pem", root.certificate_pem())}});
  }

  std::string url(transport over, const std::string& host = "127.0.0.1") const {
    const auto at =
        std::ranges::find(server->listeners(), over, &turn_server_runner::listener::over);
    const std::string port = std::to_string(at->local.port);
    const bool secure = over == transport::tls || over == transport::dtls;
    const bool stream = over == transport::tls || over == transport::tcp;
    return (secure ? "turns:" : "turn:") + host + ':' + port +
           (stream ? "?transport=tcp" : "?transport=udp");
  }

  peer_runner::options by(const std::string& url) const {
    peer_runner::options opts = plain();
    opts.connection.ice_servers = {{.urls = {url}, .username = "ann", .credential = "secret"}};
    opts.connection.ice_transport_policy = weft::peer::ice_transport_policy::relay;
    opts.streams.trust = trust;
    return opts;
  }

  weft::stun::password_users users{"example.org"};
  weft::io::test::authority root{"root"};
  weft::io::test::scratch_folder folder;
  std::optional<turn_server_runner> server;
  weft::io::trust_store trust;
};

}  // namespace

TEST_CASE("calls go by a TURN server over UDP, TCP, TLS and DTLS") {
  for (const transport over : {transport::udp, transport::tcp, transport::tls, transport::dtls}) {
    turn_fixture f;
    CAPTURE(f.url(over));
    call c{f, f.by(f.url(over)), f.by(f.url(over))};
    REQUIRE(c.connects());
    CHECK(c.echoes(std::string(50'000, 'x')));
    CHECK(c.errors.empty());
    CHECK(std::ranges::all_of(c.candidates, [](const std::string& text) {
      return text.empty() || text.find("typ relay") != text.npos;
    }));
    const bool streams = over == transport::tcp || over == transport::tls;
    CHECK((c.alice.stream_stats().connected > 0) == streams);
  }
}

TEST_CASE("a TURN server is found by its name, and one that nobody trusts is not used") {
  turn_fixture f;
  {
    call c{f, f.by(f.url(transport::tls, "localhost")), f.by(f.url(transport::dtls, "localhost"))};
    REQUIRE(c.connects());
    CHECK(c.echoes("hello"));
  }
  for (const transport over : {transport::tls, transport::dtls}) {
    auto stranger = f.by(f.url(over));
    stranger.streams.trust = {};  // Which has never heard of that root.
    call c{f, stranger, plain()};
    CHECK(f.run_until([&] { return !c.errors.empty(); }));
    CHECK_FALSE(c.is_open);
  }
}

TEST_CASE("calls with candidates over TCP too connect, whoever listens (RFC 6544)") {
  fixture f;
  for (const bool alice_listens : {true, false}) {
    auto listening = plain(), calling = plain();
    listening.tcp = weft::io::tcp_candidates::active_and_passive;
    calling.tcp = weft::io::tcp_candidates::active;
    call c{f, alice_listens ? listening : calling, alice_listens ? calling : listening};
    // Both have UDP too, which is better: this shows that candidates over TCP do no harm.
    REQUIRE(c.connects());
    CHECK(c.echoes("hello"));
    CHECK(std::ranges::any_of(c.candidates, [](const std::string& text) {
      return text.find("tcptype passive") != text.npos;
    }));
  }
}

TEST_CASE("calls connect over TCP alone where no candidate over UDP gets through (RFC 6544)") {
  fixture f;
  using enum weft::io::tcp_candidates;
  for (const char* host : {"127.0.0.1", "::1"}) {
    for (const auto& [alices, bobs] : {std::pair{active, active_and_passive},
                                       {active_and_passive, active_and_passive},
                                       {active_and_passive, active}}) {
      peer_runner::options hers, his;
      hers.local = his.local = {{address(host), 0}};
      hers.tcp = alices;
      his.tcp = bobs;
      call c{f, hers, his, all_but_udp_candidates};
      REQUIRE(c.connects());
      CHECK(c.echoes("hello"));
      CHECK(c.echoes(std::string(50'000, 'x')));
      for (const peer_runner* side : {&c.alice, &c.bob}) {
        CHECK(c.path(*side).protocol == weft::transport_protocol::tcp);
        CHECK(c.path(*side).remote.address == address(host));
        CHECK(side->socket_stats().datagrams_sent == 0);
        CHECK(side->stream_stats().connected > 0);
      }
    }
  }
}

TEST_CASE("many calls share one UDP port, or one TCP port") {
  fixture f;
  auto udp = weft::io::udp_mux::open(f.context.get_executor(), anywhere);
  auto tcp = weft::io::tcp_mux::open(f.context.get_executor(), anywhere);
  REQUIRE((udp && tcp));
  for (const bool over_tcp : {false, true}) {
    CAPTURE(over_tcp);
    peer_runner::options shared;
    shared.shared_udp = {&*udp};
    if (over_tcp) shared.shared_tcp = {&*tcp};
    auto caller = plain();
    caller.tcp = weft::io::tcp_candidates::active;
    std::vector<std::unique_ptr<call>> calls;
    for (int i = 0; i < 5; ++i) calls.push_back(std::make_unique<call>(f, caller, shared));
    for (std::size_t i = 0; i < calls.size(); ++i) {
      REQUIRE(calls[i]->connects());
      CHECK(calls[i]->echoes("call " + std::to_string(i)));
      CHECK(calls[i]->path(calls[i]->bob).local == udp->local());
    }
    calls.erase(calls.begin());
    for (auto& rest : calls) CHECK(rest->echoes("still here"));
  }
  CHECK(udp->stats().by_address > 0);
}

TEST_CASE("a call survives that one network goes and another comes") {
  fixture f;
  auto networks = std::make_shared<std::vector<network_address>>();
  *networks = {{address("127.0.0.1")}};
  peer_runner::options moving;
  moving.networks.poll_interval = 5ms;
  moving.networks.list = [networks] { return *networks; };
  call c{f, moving, plain()};
  REQUIRE(c.connects());
  CHECK(c.path(c.alice).local.address == address("127.0.0.1"));
  CHECK(c.echoes("at home"));

  *networks = {{address("127.0.0.2")}};
  REQUIRE(f.run_until([&] { return c.path(c.alice).local.address == address("127.0.0.2"); }));
  CHECK(c.echoes("on the way"));
  REQUIRE(c.alice.local_endpoints().size() == 1);
  CHECK(c.alice.local_endpoints()[0].address == address("127.0.0.2"));

  // What is no longer preferred goes on.
  *networks = {{address("127.0.0.2"), {}, false}, {address("127.0.0.3")}};
  REQUIRE(f.run_until([&] { return c.alice.local_endpoints().size() == 2; }));
  CHECK(c.echoes("arrived"));
}

TEST_CASE("hidden addresses are found by the names that stand for them") {
  fixture f;
  asio::ip::udp::socket probe{f.context, {asio::ip::address_v4::loopback(), 0}};
  const weft::endpoint link = weft::io::from_asio(probe.local_endpoint());
  probe.close();
  auto hiding = plain(), asking = plain();
  hiding.connection.ice.host_privacy = weft::ice::host_privacy::hide;
  hiding.mdns_answers.groups = {link};
  asking.mdns.groups = {link};
  call c{f, hiding, asking};
  REQUIRE(c.connects());
  CHECK(c.echoes("hello"));
  CHECK(std::ranges::any_of(
      c.candidates, [](const std::string& text) { return text.find(".local ") != text.npos; }));
}
