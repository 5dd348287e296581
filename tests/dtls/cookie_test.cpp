#include <doctest/doctest.h>

#include <string>

#include <weft/core/net.hpp>
#include <weft/dtls/cookie.hpp>

#include "pair.hpp"
#include "support/seeded_openssl.hpp"
#include "wire.hpp"

namespace {

using namespace weft::dtls;
using namespace weft::dtls::test;
using verdict = cookie_exchange::verdict;

weft::five_tuple path_to(std::uint16_t port) {
  const auto address = *weft::ip_address::parse("192.0.2.1");
  return {{address, 3478}, {address, port}};
}

session::options server_options() {
  session::options opts = options_for(role::server);
  opts.path_validation = path_validation::cookie;
  opts.client_identity = client_identity::none;
  return opts;
}

/// A client that has sent its first ClientHello to a server with cookies.
struct exchange : pair {
  explicit exchange(const session::options& client_options = options_for(role::client))
      : pair{1, client_options, server_options()} {
    client->set_remote_fingerprints(epoch, {server_certificate.fingerprint()});
    weft::test::set_virtual_time(epoch);
    client->start(epoch);
    first = flight(client, epoch);
  }

  cookie_exchange::answer check(const bytes& datagram, std::uint16_t port = 1000,
                                weft::time_point now = epoch) {
    return cookies.check(now, path_to(port), datagram, reply);
  }
  /// The ClientHello with the cookie that `check` gave.
  std::vector<bytes> second(weft::time_point now = epoch) {
    const auto asked = check(first.at(0), 1000, now);
    REQUIRE(asked.verdict == verdict::reply);
    client->handle_input(now, asked.reply);
    return flight(client, now);
  }

  cookie_exchange cookies;
  std::array<std::uint8_t, cookie_exchange::max_reply_size> reply{};
  std::vector<bytes> first;
};

}  // namespace

TEST_CASE("a client that returns the cookie is connected (RFC 6347 §4.2.1)") {
  exchange e;
  const auto hello = e.second();
  REQUIRE(hello.size() == 1);
  CHECK(e.check(hello[0]).verdict == verdict::accept);
  e.server->start(epoch);
  give(e.server, epoch, hello);
  e.exchange::pair::exchange();
  CHECK(e.connected());
  CHECK(e.client->stats().retransmissions == 0);
  CHECK(e.server->stats().records_dropped == 0);
  e.server->handle_input(epoch, protect(e.client, epoch, "up"));
  CHECK(received(e.server) == "up");
  e.client->handle_input(epoch, protect(e.server, epoch, "down"));
  CHECK(received(e.client) == "down");
}

TEST_CASE("a ClientHello in fragments is connected by the first of them (RFC 6347 §4.2.3)") {
  exchange e;
  const auto hello = e.second();
  REQUIRE(hello.size() == 1);
  constexpr std::size_t headers = 13 + 12, first_size = 70;  // The cookie is in it.
  const bytes body{hello[0].begin() + headers, hello[0].end()};
  REQUIRE(body.size() > first_size);
  // Record numbers: the client's own, and one that it is not going to use.
  const std::vector<bytes> fragments{
      record_of(22, 0, 1, fragment_of(1, 1, body, 0, first_size)),
      record_of(22, 0, 30, fragment_of(1, 1, body, first_size, body.size() - first_size))};
  CHECK(e.check(fragments[0]).verdict == verdict::accept);
  CHECK(e.check(fragments[1]).verdict != verdict::accept);
  e.server->start(epoch);
  give(e.server, epoch, fragments);
  e.exchange::pair::exchange();
  CHECK(e.connected());
}

TEST_CASE("a server with cookies takes no ClientHello without one, and one without takes none") {
  exchange e;
  give(e.server, epoch, e.first);
  CHECK(e.server->stats().handshakes_begun == 0);
  CHECK(e.server->stats().records_dropped == 1);

  machine_under_test other{session{e.server_certificate, options_for(role::server)}};
  give(other, epoch, e.second());
  CHECK(other->stats().handshakes_begun == 0);
}

TEST_CASE("the reply is never longer than the question") {
  exchange e;
  const auto asked = e.check(e.first.at(0));
  CHECK(asked.reply.size() == cookie_exchange::max_reply_size);
  CHECK(asked.reply.size() <= e.first[0].size());

  bytes cut = e.first[0];  // The shortest text that holds a random value and says no cookie.
  cut.resize(13 + 12 + 36);
  const auto set_length = [&](std::size_t at, std::size_t width, std::size_t value) {
    for (std::size_t i = 0; i < width; ++i)
      cut[at + i] = static_cast<std::uint8_t>(value >> 8 * (width - 1 - i));
  };
  for (const std::size_t body : {36u, 35u}) {
    cut.resize(13 + 12 + body);
    set_length(11, 2, 12 + body);
    set_length(14, 3, body);
    set_length(22, 3, body);
    cut[13 + 12 + 34] = 0;
    if (body == 36) cut[13 + 12 + 35] = 0;
    const auto answer = e.check(cut);
    CHECK(answer.reply.size() <= cut.size());
    CHECK(answer.verdict == (body == 36 ? verdict::reply : verdict::drop));
  }
}

TEST_CASE("a cookie is good for one way and one ClientHello") {
  exchange e;
  auto hello = e.second().at(0);
  CHECK(e.check(hello, 1001).verdict == verdict::drop);
  CHECK(e.check(hello, 1000).verdict == verdict::accept);
  hello[13 + 12 + 2] ^= 1;  // The random value.
  CHECK(e.check(hello).verdict == verdict::drop);
}

TEST_CASE("a cookie outlives one change of the secret and no second one") {
  exchange e;
  const auto hello = e.second().at(0);
  CHECK(e.check(hello, 1000, epoch + 59s).verdict == verdict::accept);
  CHECK(e.check(hello, 1000, epoch + 61s).verdict == verdict::accept);
  CHECK(e.check(hello, 1000, epoch + 122s).verdict == verdict::drop);

  exchange idle;
  const auto late = idle.second().at(0);
  CHECK(idle.check(late, 1000, epoch + 200s).verdict == verdict::drop);
}

TEST_CASE("what is no ClientHello is dropped, at any length") {
  exchange e;
  for (std::size_t size = 0; size < e.first.at(0).size(); ++size) {
    const bytes cut(e.first[0].begin(), e.first[0].begin() + static_cast<std::ptrdiff_t>(size));
    CHECK(e.check(cut).verdict == verdict::drop);
  }
  for (const std::size_t at : {0u, 1u, 3u, 13u}) {
    bytes changed = e.first[0];
    changed[at] ^= 0x40;
    CHECK(e.check(changed).verdict == verdict::drop);
  }
}

TEST_CASE("a server that asks for no certificate takes a client that is known by other means") {
  session::options opts = options_for(role::server);
  opts.client_identity = client_identity::none;
  pair p{1, options_for(role::client), opts};
  p.client->set_remote_fingerprints(epoch, {p.server_certificate.fingerprint()});
  p.start();
  p.exchange();
  CHECK(p.connected());
  CHECK(p.server->remote_certificate().empty());
}

TEST_CASE("certificates behind the server's own reach the client (RFC 5246 §7.4.2)") {
  pair p;
  const auto authority = make_certificate();
  const std::string chain = p.server_certificate.to_pem() + authority.to_pem();
  const auto with_chain = certificate::from_pem(chain.substr(0, chain.rfind("-----BEGIN PRIVATE")) +
                                                chain.substr(chain.rfind("-----BEGIN CERT")));
  REQUIRE(with_chain.has_value());
  p.server = machine_under_test{session{*with_chain, options_for(role::server)}};
  p.connect();
  CHECK(p.connected());
  CHECK(copy(p.client->remote_certificate()) == copy(p.server_certificate.der()));
  REQUIRE(p.client->remote_intermediates().size() == 1);
  CHECK(p.client->remote_intermediates()[0] == copy(authority.der()));
  CHECK(p.server->remote_intermediates().empty());
}
