#include "turn/server_harness.hpp"

namespace {

// As in turn/README.md.
namespace turn = weft::turn;

// The middle of a driver; `Sockets` is whatever has them.
template <class Sockets>
struct relay_driver {
  turn::server& server;
  Sockets& sockets;

  void from_client(weft::time_point now, const weft::five_tuple& client,
                   weft::const_bytes datagram) {
    // What it has to relay is said at once, and lies where it came.
    if (const auto out = server.handle_input(now, client, datagram))
      sockets.send_to_peer(out->relay, out->peer, out->payload);
    settle(now);
  }

  void from_peer(weft::time_point now, turn::relay_id relay, const weft::endpoint& peer,
                 weft::const_bytes payload) {
    std::array<std::uint8_t, turn::server::headroom> room;
    if (const auto out = server.handle_relayed(now, relay, peer, payload, room))
      sockets.send_to_client(out->client, out->header, out->payload, out->padding);
  }

  // Sockets to open and close, and replies.
  void settle(weft::time_point now) {
    while (const auto event = server.poll_event()) {
      if (const auto* open = std::get_if<turn::server::open_relay>(&*event)) {
        if (const auto address = sockets.open(open->relay, open->family))
          server.relay_opened(now, open->relay, *address);
        else
          server.relay_failed(now, open->relay);
      } else if (const auto* close = std::get_if<turn::server::close_relay>(&*event)) {
        sockets.close(close->relay);
      }
    }
    std::array<std::uint8_t, 1500> buffer;
    while (const auto reply = server.poll_transmit(now, buffer)) sockets.send(*reply);
  }
};

using namespace weft::server_test;

struct no_sockets {
  std::optional<weft::endpoint> open(turn::relay_id relay, turn::address_family) {
    relays.push_back(relay);
    return weft::endpoint{relay_v4, 50'000};
  }
  void close(turn::relay_id relay) { std::erase(relays, relay); }
  void send(const weft::addressed_transmit& reply) {
    replies.push_back({reply.bytes.begin(), reply.bytes.end()});
  }
  void send_to_peer(turn::relay_id, const weft::endpoint&, weft::const_bytes payload) {
    sent.emplace_back(weft::as_text(payload));
  }
  void send_to_client(const weft::five_tuple&, weft::const_bytes header, weft::const_bytes payload,
                      std::uint8_t) {
    sent.push_back(std::to_string(header.size()) + '+' + std::string{weft::as_text(payload)});
  }

  std::vector<turn::relay_id> relays;
  std::vector<datagram> replies;
  std::vector<std::string> sent;
};

}  // namespace

TEST_SUITE("turn/server_readme_example") {
  TEST_CASE("the server of the README relays both ways") {
    turn_fixture t;
    no_sockets sockets;
    relay_driver<no_sockets> driver{t.server, sockets};
    auto client = t.udp(1000);
    const auto ask = [&](weft::stun::method method, auto&& fill) {
      for (int i = 0; i < 2; ++i) {
        weft::stun::long_term_attempt attempt;
        driver.from_client(t.now, client.path, t.build(client, method, t.new_id(), fill, attempt));
        REQUIRE_FALSE(sockets.replies.empty());
        (void)client.auth.examine(*weft::stun::message_view::parse(sockets.replies.back()),
                                  attempt);
      }
    };
    ask(turn::methods::allocate, [](weft::stun::message_builder& m) {
      turn::add_requested_transport(m, turn::relayed_transport::udp);
    });
    REQUIRE(sockets.relays.size() == 1);
    ask(turn::methods::channel_bind, [](weft::stun::message_builder& m) {
      turn::add_channel_number(m, 0x4000);
      turn::add_peer_address(m, peer_a);
    });
    driver.from_client(t.now, client.path, turn_fixture::channel_data(0x4000, "there"));
    driver.from_peer(t.now, sockets.relays[0], peer_a, bytes_of("back"));
    CHECK(sockets.sent == std::vector<std::string>{"there", "4+back"});
    t.now += std::chrono::hours{1};
    t.server.handle_timeout(t.now);
    driver.settle(t.now);
    CHECK(sockets.relays.empty());
  }
}
