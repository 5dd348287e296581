#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <weft/peer/ice_transport.hpp>

using namespace std::chrono_literals;
using namespace weft;
using weft::peer::ice_transport;

namespace {

endpoint at(std::uint8_t last, std::uint16_t port = 5000) {
  return {ip_address{std::array<std::uint8_t, 4>{192, 0, 2, last}}, port};
}

/// A transport whose network is given by hand.
struct fixture {
  explicit fixture(const ice_transport::options& opts = {}) : transport{random, opts} {}

  template <class Event>
  std::vector<Event> all() {
    std::vector<Event> out;
    while (const auto e = transport.poll_event())
      if (const auto* wanted = std::get_if<Event>(&*e)) out.push_back(*wanted);
    return out;
  }

  /// Nobody answers.
  void run(duration d) {
    const time_point end = now + d;
    std::array<std::uint8_t, max_datagram_size> buffer;
    for (;;) {
      while (transport.poll_transmit(now, buffer)) continue;
      const auto next = transport.poll_timeout();
      if (!next || *next > end) break;
      now = std::max(now, *next);
      transport.handle_timeout(now);
    }
    now = end;
  }

  time_point now{};
  seeded_random random{1};
  ice_transport transport;
};

ice_transport::options asking(std::vector<std::string> urls) {
  ice_transport::options out;
  out.servers = {{std::move(urls), "user", std::string{"password"}}};
  return out;
}

}  // namespace

TEST_SUITE("peer/ice_transport") {
  TEST_CASE("RFC 6544: strangers' connections leave room for others, the eldest of them goes") {
    fixture f;
    const auto listening = at(1);
    REQUIRE(f.transport.add_local_address(
        f.now,
        {.base = listening, .protocol = transport_protocol::tcp, .tcp = ice::tcp_type::passive}));
    const auto accepted = [&](std::uint16_t i) {
      return five_tuple{listening, at(66, i), transport_protocol::tcp};
    };
    std::vector<five_tuple> closed;
    for (std::uint16_t i = 1; i <= 100; ++i) {
      f.now += 1ms;
      f.transport.handle_connected(f.now, accepted(i));
      for (const auto& e : f.all<ice_transport::disconnect>()) closed.push_back(e.path);
    }
    const std::size_t kept = ice_transport::options{}.max_streams / 2;
    REQUIRE(closed.size() == 100 - kept);
    for (std::size_t i = 0; i < closed.size(); ++i)
      CHECK(closed[i] == accepted(static_cast<std::uint16_t>(i + 1)));
    CHECK(f.transport.stats().bad_streams == closed.size());
  }

  TEST_CASE("an error tells no address that the candidates hide (W3C WebRTC §4.8.3)") {
    auto opts = asking({"turn:192.0.2.1"});
    std::optional<endpoint> told{at(2)};
    SUBCASE("shown") {}
    SUBCASE("behind a name") {
      opts.ice.host_privacy = ice::host_privacy::hide;
      told.reset();
    }
    SUBCASE("with relays alone") {
      opts.policy = peer::ice_transport_policy::relay;
      told.reset();
    }
    fixture f{opts};
    REQUIRE(f.transport.add_local_address(f.now, at(2)));
    f.transport.gather(f.now);
    f.run(60s);
    const auto errors = f.all<ice_transport::candidate_error>();
    REQUIRE(errors.size() == 1);
    CHECK(errors[0].local == told.value_or(endpoint{}));
  }

  TEST_CASE("two URLs of one server and port over UDP are one relay, for they share its path") {
    fixture f{asking({"turn:192.0.2.1:443", "turns:192.0.2.1:443?transport=udp"})};
    REQUIRE(f.transport.add_local_address(f.now, at(2)));
    f.transport.gather(f.now);
    f.run(60s);
    CHECK(f.all<ice_transport::candidate_error>().size() == 1);
    CHECK(f.transport.is_gathering_complete());
  }
}
