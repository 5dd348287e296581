#include <doctest/doctest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include <weft/turn/client.hpp>

#include "turn/scripted_server.hpp"

namespace {

// As in turn/README.md.
namespace turn = weft::turn;

// Gets a relayed address, lets one peer in, and says hello to it.
struct greeter {
  turn::client client;
  weft::endpoint peer;
  std::optional<weft::endpoint> relayed;
  std::string heard;

  void handle_datagram(weft::time_point now, weft::const_bytes datagram) {
    client.handle_input(now, datagram);
    while (const auto data = client.receive())
      if (data->peer == peer) heard = weft::as_text(data->bytes);
  }

  void handle_events(weft::time_point now) {
    while (const auto event = client.poll_event()) {
      if (const auto* allocated = std::get_if<turn::client::allocated>(&*event)) {
        relayed = allocated->relayed_ipv4;  // To be signalled to the peer.
        (void)client.create_permission(now, peer.address);
      }
    }
  }

  // The datagram to send for a greeting, within the buffer; empty until there is a permission.
  weft::const_bytes greet(weft::time_point now, weft::mutable_bytes buffer) {
    constexpr std::string_view text = "hello";
    const std::size_t room = client.headroom(peer);
    std::copy(text.begin(), text.end(), buffer.begin() + static_cast<std::ptrdiff_t>(room));
    return client.encapsulate(now, peer, buffer, room, text.size()).value_or(weft::const_bytes{});
  }
};

}  // namespace

TEST_SUITE("turn/readme_example") {
  TEST_CASE("The example gets an address, greets its peer and hears the answer") {
    using namespace weft::test;
    constexpr weft::time_point epoch{};
    scripted_server s;
    s.client.allocate(epoch);
    const auto request = s.request(epoch, turn::methods::allocate);
    std::array<std::uint8_t, 300> memory;
    weft::stun::message_builder b{memory, weft::stun::message_class::success,
                                  turn::methods::allocate, request.id()};
    b.add_xor_mapped_address(mapped);
    turn::add_relayed_address(b, relayed_v4);
    turn::add_lifetime(b, 600s);
    b.add_message_integrity(s.key());

    greeter g{std::move(s.client), peer_a, {}, {}};
    g.handle_datagram(epoch, b.finish());
    g.handle_events(epoch);
    CHECK(g.relayed == relayed_v4);
    std::array<std::uint8_t, 1500> buffer;
    CHECK(g.greet(epoch, buffer).empty());

    s.client = std::move(g.client);
    s.succeed(epoch, s.request(epoch, turn::methods::create_permission));
    g.client = std::move(s.client);
    const auto message = weft::stun::message_view::parse(g.greet(epoch, buffer));
    REQUIRE(message);
    CHECK(turn::find_peer_address(*message) == peer_a);
    g.handle_datagram(epoch, s.data_indication(peer_a, "hello yourself"));
    CHECK(g.heard == "hello yourself");
  }
}
