#include <doctest/doctest.h>

#include <array>
#include <functional>
#include <map>
#include <vector>

#include <weft/stun/binding_client.hpp>
#include <weft/stun/long_term_server.hpp>
#include <weft/stun/response.hpp>

namespace {

using namespace std::chrono_literals;
using namespace weft::stun;
using weft::endpoint;

constexpr weft::time_point start{1h};
const endpoint local{*weft::ip_address::parse("198.51.100.9"), 40000};
const endpoint first{*weft::ip_address::parse("203.0.113.1"), 3478};
const endpoint second{*weft::ip_address::parse("203.0.113.2"), 3479};
const endpoint third{*weft::ip_address::parse("203.0.113.3"), 3480};
const endpoint v6_first{*weft::ip_address::parse("2001:db8::1"), 3478};
const endpoint v6_second{*weft::ip_address::parse("2001:db8::2"), 3479};

using client = binding_client;
using event = binding_client::event;

// A server that wants long-term credentials, or none, and sends away who has them.
struct server {
  std::vector<endpoint> alternates{};  ///< Empty: it answers.
  std::string domain{};
  bool wants_credentials = true;
};

// One user, whatever the realm.
class anywhere final : public user_store {
 public:
  std::optional<known_user> find(weft::time_point, const user_query& query,
                                 std::size_t candidate) override {
    if (candidate > 0 || query.username != "user") return std::nullopt;
    return known_user{"user", "user", *long_term_key("user", query.realm, "pass", query.algorithm),
                      std::nullopt};
  }
};

struct world {
  explicit world(client::options o, const endpoint& to = first, bool credentials = true)
      : asker{random, to, with(o, credentials)} {}

  static client::options with(client::options o, bool credentials) {
    if (credentials) o.long_term = password_credentials{"user", "pass"};
    return o;
  }

  // Until nothing more happens; all events in order.
  std::vector<event> run() {
    asker.start(start);
    std::vector<event> events;
    std::array<std::uint8_t, 1472> buffer;
    auto now = start;
    for (int steps = 0; steps < 1000; ++steps) {
      while (const auto t = asker.poll_transmit(now, buffer)) {
        ++requests;
        CHECK(t->protocol == weft::transport_protocol::udp);
        const auto found = servers.find(t->remote);
        if (found == servers.end()) continue;
        std::array<std::uint8_t, 1472> reply;
        const auto bytes = answer(t->remote, found->second, *message_view::parse(t->bytes), reply);
        CHECK(asker.handle_input(now, t->remote, bytes));
        while (const auto e = asker.poll_event()) events.push_back(*e);
      }
      while (const auto e = asker.poll_event()) events.push_back(*e);
      const auto deadline = asker.poll_timeout();
      if (!deadline) return events;
      now = *deadline;
      asker.handle_timeout(now);
    }
    FAIL("it never ends");
    return events;
  }

  weft::const_bytes answer(const endpoint& at, const server& s, const message_view& request,
                           weft::mutable_bytes reply) {
    const weft::five_tuple path{at, local};
    // Each server has realm and nonces of its own.
    weft::seeded_random own{at.port};
    long_term_server auth{own, users, {.realm = "realm" + std::to_string(at.port)}};
    const auto user = auth.authenticate(start, path, request);
    if (s.wants_credentials && !user) return auth.refuse(start, path, request, user.error(), reply);
    auto response = s.alternates.empty()
                        ? success_response(reply, request).add_xor_mapped_address(local)
                        : error_response(reply, request, error_code::try_alternate);
    for (const endpoint& e : s.alternates) response.add_alternate_server(e);
    if (!s.domain.empty()) response.add_alternate_domain(s.domain);
    if (!user) return finish_response(response, request, nullptr);
    return finish_response(response, request, user->key, user->response_integrity);
  }

  weft::seeded_random random{1};
  anywhere users;
  std::map<endpoint, server> servers;
  client asker;
  int requests = 0;
};

}  // namespace

TEST_SUITE("stun/alternate_server") {
  TEST_CASE("RFC 8489 §10: a signed 300 is followed, and the domain told") {
    world w{{}};
    w.servers[first] = {{second}, "turn.example.net"};
    w.servers[second] = {{}, {}, false};
    CHECK(w.run() == std::vector<event>{client::redirected{first, second, "turn.example.net"},
                                        client::address_discovered{second, local}});
    CHECK(w.requests == 3);
    CHECK(w.asker.server() == second);
    // Anew at the first.
    w.requests = 0;
    CHECK(w.run().size() == 2);
    CHECK(w.requests == 3);
  }

  TEST_CASE("RFC 8489 §10: the next server has the same credentials, in its own realm") {
    world w{{}};
    w.servers[first] = {{second}};
    w.servers[second] = {{}};
    CHECK(w.run() == std::vector<event>{client::redirected{first, second, ""},
                                        client::address_discovered{second, local}});
    CHECK(w.requests == 4);
  }

  TEST_CASE("RFC 8489 §14.8: a 300 that is not signed is followed only on demand") {
    for (const auto follow : {client::redirection::never, client::redirection::if_authentic,
                              client::redirection::always}) {
      world w{{.follow = follow}, first, false};
      w.servers[first] = {{second}, {}, false};
      w.servers[second] = {{}, {}, false};
      const auto events = w.run();
      if (follow == client::redirection::always) {
        CHECK(events == std::vector<event>{client::redirected{first, second, ""},
                                           client::address_discovered{second, local}});
      } else {
        CHECK(events == std::vector<event>{client::refused{first, error_code::try_alternate, ""}});
      }
    }
    world w{{.follow = client::redirection::never}};
    w.servers[first] = {{second}};
    CHECK(w.run() == std::vector<event>{client::refused{first, error_code::try_alternate, ""}});
  }

  TEST_CASE("RFC 8489 §10: servers that send the client in a circle end it") {
    world w{{.max_redirects = 100}};
    w.servers[first] = {{second}};
    w.servers[second] = {{third}};
    w.servers[third] = {{first}};
    const auto events = w.run();
    CHECK(events.size() == 3);
    CHECK(events.back() == event{client::refused{third, error_code::try_alternate, ""}});
    CHECK(w.requests == 6);
    world self{{}};
    self.servers[first] = {{first}};
    CHECK(self.run() == std::vector<event>{client::refused{first, error_code::try_alternate, ""}});
  }

  TEST_CASE("endless new servers end after as many redirections as the options say") {
    for (const int limit : {-1, 0, 1, 3, 10}) {
      world w{{.max_redirects = limit}};
      for (std::uint16_t i = 0; i < 20; ++i) {
        endpoint at = first, to = first;
        at.port = static_cast<std::uint16_t>(at.port + i);
        to.port = static_cast<std::uint16_t>(at.port + 1);
        w.servers[at] = {{to}};
      }
      CHECK(w.run().size() == static_cast<std::size_t>(std::max(limit, 0)) + 1);
      CHECK(w.requests == 2 * (std::max(limit, 0) + 1));
    }
  }

  TEST_CASE("RFC 8489 §10: the alternate of the family in use is the one") {
    world v4{{}};
    v4.servers[first] = {{v6_second, second}};
    v4.servers[second] = {{}, {}, false};
    CHECK(v4.run().back() == event{client::address_discovered{second, local}});
    world v6{{}, v6_first};
    v6.servers[v6_first] = {{second, v6_second}};
    v6.servers[v6_second] = {{}, {}, false};
    CHECK(v6.run().back() == event{client::address_discovered{v6_second, local}});
    world none{{}};
    none.servers[first] = {{v6_second}};
    CHECK(none.run() == std::vector<event>{client::refused{first, error_code::try_alternate, ""}});
  }

  TEST_CASE("an alternate that is no server's address is not gone to") {
    for (const auto* address : {"0.0.0.0", "224.0.0.1", "203.0.113.2"}) {
      world w{{}};
      const endpoint bad{*weft::ip_address::parse(address),
                         std::uint16_t(address[0] == '2' && address[2] == '3' ? 0 : 3478)};
      w.servers[first] = {{bad}};
      CHECK(w.run() == std::vector<event>{client::refused{first, error_code::try_alternate, ""}});
    }
  }

  TEST_CASE("a server that does not answer after a redirection is the one that timed out") {
    world w{{}};
    w.servers[first] = {{second}};
    CHECK(w.run() ==
          std::vector<event>{client::redirected{first, second, ""}, client::timed_out{second}});
    CHECK(w.requests == 2 + 7);
  }

  TEST_CASE("answers from the server that sent the client away no longer count") {
    world w{{}};
    w.servers[first] = {{second}};
    w.run();
    std::array<std::uint8_t, 100> bytes{};
    const auto late = message_builder{bytes, message_class::success, method::binding, {}}.finish();
    CHECK_FALSE(w.asker.handle_input(start, first, late));
    CHECK(w.asker.handle_input(start, second, late));
  }
}
