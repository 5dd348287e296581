#include "turn/scripted_server.hpp"

#include "support/allocation_counter.hpp"

namespace {

using namespace weft::test;
using namespace weft::turn;
namespace stun = weft::stun;

constexpr weft::time_point epoch{};
using options = client::options;

options indications_only() {
  options o;
  o.channels = client::channel_use::on_request;
  return o;
}

}  // namespace

TEST_SUITE("turn/client: data") {
  TEST_CASE("RFC 8656 §11.1: without a channel data goes in a Send indication") {
    scripted_server s{indications_only()};
    s.allocate(epoch);
    s.permit(epoch, peer_a.address);
    CHECK(s.client.headroom(peer_a) == 36);
    const auto sent = s.send(epoch, peer_a, "hello");
    REQUIRE(sent);
    CHECK(sent->data() == s.data_memory.data());
    const auto message = stun::message_view::parse(*sent);
    REQUIRE(message);
    CHECK(message->type_class() == stun::message_class::indication);
    CHECK(message->type_method() == methods::send);
    CHECK(find_peer_address(*message) == peer_a);
    REQUIRE(find_data(*message));
    CHECK(weft::as_text(*find_data(*message)) == "hello");
    CHECK_FALSE(has_dont_fragment(*message));
    CHECK_FALSE(message->username());
    CHECK(s.client.stats().datagrams_sent == 1);
  }

  TEST_CASE("Send indications hold any length, wherever the data lay") {
    scripted_server s{indications_only()};
    s.allocate(epoch);
    s.permit(epoch, peer_a.address);
    std::vector<std::uint8_t> buffer(200);
    for (std::size_t size = 0; size < 40; ++size)
      for (const std::size_t offset :
           {std::size_t{0}, std::size_t{4}, std::size_t{36}, std::size_t{100}}) {
        for (std::size_t i = 0; i < size; ++i) buffer[offset + i] = static_cast<std::uint8_t>(i);
        const auto sent = s.client.encapsulate(epoch, peer_a, buffer, offset, size);
        REQUIRE(sent);
        const auto message = stun::message_view::parse(*sent);
        REQUIRE(message);
        const auto data = find_data(*message);
        REQUIRE(data);
        REQUIRE(data->size() == size);
        for (std::size_t i = 0; i < size; ++i) CHECK((*data)[i] == i);
      }
  }

  TEST_CASE("RFC 8656 §18.9: with DONT-FRAGMENT data never goes in channels") {
    options o;
    o.dont_fragment = true;
    scripted_server s{o};
    s.allocate(epoch);
    s.permit(epoch, peer_a.address);
    CHECK(s.client.headroom(peer_a) == 40);
    const auto sent = s.send(epoch, peer_a, "hello");
    REQUIRE(sent);
    const auto message = stun::message_view::parse(*sent);
    REQUIRE(message);
    CHECK(has_dont_fragment(*message));
    CHECK_FALSE(s.raw_request(epoch));
    CHECK(s.client.bind_channel(epoch, peer_a).error() == client_error::not_offered);
  }

  TEST_CASE("RFC 8656 §12: the first data to a peer binds a channel, the data after goes in it") {
    scripted_server s;
    s.allocate(epoch);
    s.permit(epoch, peer_a.address);
    REQUIRE(s.send(epoch, peer_a, "one"));
    const auto request = s.request(epoch, methods::channel_bind);
    CHECK(find_channel_number(request) == 0x4000);
    CHECK(find_peer_address(request) == peer_a);

    const auto meanwhile = s.send(epoch, peer_a, "two");
    REQUIRE(meanwhile);
    CHECK(stun::is_stun(*meanwhile));
    CHECK_FALSE(s.raw_request(epoch));

    s.succeed(epoch, request);
    CHECK(s.next<client::channel_bound>() == client::channel_bound{peer_a, 0x4000});
    CHECK(s.client.channel(peer_a) == 0x4000);
    const auto then = s.send(epoch, peer_a, "three");
    REQUIRE(then);
    CHECK(is_channel_data(*then));
  }

  TEST_CASE("RFC 8656 §12.5: in a channel data has four bytes in front") {
    scripted_server s;
    s.allocate(epoch);
    s.bind(epoch, peer_a);
    CHECK(s.client.headroom(peer_a) == 4);
    const auto sent = s.send(epoch, peer_a, "hello");
    REQUIRE(sent);
    CHECK(std::vector<std::uint8_t>(sent->begin(), sent->end()) ==
          scripted_server::channel_data(0x4000, "hello"));
    // Another port of the same address is another peer, with the same permission.
    const weft::endpoint other{peer_a.address, 9};
    CHECK(s.client.headroom(other) == 36);
    CHECK(s.send(epoch, other, "x"));
  }

  TEST_CASE("RFC 8656 §9: there is no sending without a permission") {
    scripted_server s;
    CHECK(s.send(epoch, peer_a, "x").error() == client_error::no_allocation);
    s.allocate(epoch);
    CHECK(s.send(epoch, peer_a, "x").error() == client_error::no_permission);
    REQUIRE(s.client.create_permission(epoch, peer_a.address));
    s.request(epoch, methods::create_permission);
    CHECK(s.send(epoch, peer_a, "x").error() == client_error::no_permission);
    CHECK(s.send(epoch, peer_six, "x").error() == client_error::wrong_family);
    CHECK(s.send(epoch, {}, "x").error() == client_error::wrong_family);
  }

  TEST_CASE("What does not fit is refused, and nothing is written past the buffer") {
    scripted_server s;
    s.allocate(epoch);
    s.permit(epoch, peer_b.address);
    s.bind(epoch, peer_a);
    std::vector<std::uint8_t> buffer(44);
    CHECK(s.client.encapsulate(epoch, peer_a, buffer, 4, 41).error() == client_error::too_large);
    CHECK(s.client.encapsulate(epoch, peer_a, buffer, 40, 5).error() == client_error::too_large);
    CHECK(s.client.encapsulate(epoch, peer_a, buffer, 60, 0).error() == client_error::too_large);
    CHECK(s.client.encapsulate(epoch, peer_a, buffer, 4, 40));
    CHECK(s.client.encapsulate(epoch, peer_b, buffer, 36, 9).error() == client_error::too_large);
    CHECK(s.client.encapsulate(epoch, peer_b, buffer, 36, 8));
    std::vector<std::uint8_t> large(70000);
    CHECK(s.client.encapsulate(epoch, peer_a, large, 4, 65532).error() == client_error::too_large);
    CHECK(s.client.encapsulate(epoch, peer_b, large, 36, 65500).error() == client_error::too_large);
  }

  TEST_CASE("RFC 8656 §11.4: data comes out where it lay in the Data indication") {
    scripted_server s;
    s.allocate(epoch);
    s.permit(epoch, peer_a.address);
    s.deliver(epoch, s.data_indication(peer_a, "hello"));
    const auto data = s.client.receive();
    REQUIRE(data);
    CHECK(data->peer == peer_a);
    CHECK(weft::as_text(data->bytes) == "hello");
    CHECK(data->bytes.data() == s.delivered.data() + 36);
    CHECK_FALSE(s.client.receive());

    s.deliver(epoch, s.data_indication({peer_a.address, 9}, ""));
    const auto other = s.client.receive();
    REQUIRE(other);
    CHECK(other->peer.port == 9);
    CHECK(other->bytes.empty());
    CHECK(s.client.stats().datagrams_received == 2);
  }

  TEST_CASE("RFC 8656 §11.4: data from a peer without permission is dropped") {
    scripted_server s;
    s.allocate(epoch);
    s.permit(epoch, peer_a.address);
    s.deliver(epoch, s.data_indication(peer_b, "hello"));
    CHECK_FALSE(s.client.receive());
    CHECK(s.client.stats().unpermitted == 1);
    s.deliver(epoch + 300s, s.data_indication(peer_a, "after the permission has expired"));
    CHECK_FALSE(s.client.receive());
    CHECK(s.client.stats().unpermitted == 2);
  }

  TEST_CASE("RFC 8656 §12: ChannelData is understood from the request on") {
    scripted_server s;
    s.allocate(epoch);
    s.deliver(epoch, scripted_server::channel_data(0x4000, "early"));
    CHECK_FALSE(s.client.receive());
    REQUIRE(s.client.bind_channel(epoch, peer_a));
    s.request(epoch, methods::channel_bind);
    s.deliver(epoch, scripted_server::channel_data(0x4000, "hello"));
    const auto data = s.client.receive();
    REQUIRE(data);
    CHECK(data->peer == peer_a);
    CHECK(weft::as_text(data->bytes) == "hello");
    CHECK(data->bytes.data() == s.delivered.data() + 4);
    for (const std::uint16_t number : {std::uint16_t{0x4001}, std::uint16_t{0x4fff}}) {
      s.deliver(epoch, scripted_server::channel_data(number, "hello"));
      CHECK_FALSE(s.client.receive());
    }
    CHECK(s.client.stats().unpermitted == 3);
  }

  TEST_CASE("What is not received before the next input is gone") {
    scripted_server s;
    s.allocate(epoch);
    s.permit(epoch, peer_a.address);
    s.deliver(epoch, s.data_indication(peer_a, "one"));
    s.deliver(epoch, s.data_indication(peer_a, "two"));
    const auto data = s.client.receive();
    REQUIRE(data);
    CHECK(weft::as_text(data->bytes) == "two");
    CHECK_FALSE(s.client.receive());
  }

  TEST_CASE("RFC 8656 §11.6: an ICMP error is told, and bounded") {
    options o;
    o.max_peer_events = 3;
    scripted_server s{o};
    s.allocate(epoch);
    s.permit(epoch, peer_a.address);
    const auto icmp = [&](const weft::endpoint& about) {
      return s.indication(methods::data, [&](auto& b) {
        add_peer_address(b, about);
        add_icmp(b, {3, 4, 1280});
      });
    };
    for (int i = 0; i < 10; ++i) s.deliver(epoch, icmp(peer_a));
    CHECK_FALSE(s.client.receive());
    for (int i = 0; i < 3; ++i)
      CHECK(s.next<client::peer_unreachable>() == client::peer_unreachable{peer_a, {3, 4, 1280}});
    CHECK_FALSE(s.client.poll_event());
    CHECK(s.client.stats().events_dropped == 7);
    s.deliver(epoch, icmp(peer_b));
    CHECK_FALSE(s.client.poll_event());
    s.deliver(epoch, icmp(peer_a));
    CHECK(s.next<client::peer_unreachable>());
  }

  TEST_CASE("What is neither STUN nor ChannelData is someone else's") {
    scripted_server s;
    s.allocate(epoch);
    const std::vector<std::uint8_t> dtls{22, 254, 253, 0, 0, 0, 0, 0};
    const std::vector<std::uint8_t> rtp{128, 0, 0, 0};
    const std::vector<std::uint8_t> reserved{0xc0, 0, 0, 0};
    CHECK_FALSE(s.client.handle_input(epoch, dtls));
    CHECK_FALSE(s.client.handle_input(epoch, rtp));
    CHECK_FALSE(s.client.handle_input(epoch, reserved));
    CHECK_FALSE(s.client.handle_input(epoch, {}));
    CHECK_FALSE(s.client.handle_input(epoch, s.indication(stun::method::binding, [](auto&) {})));
    CHECK_FALSE(s.client.receive());
  }

  TEST_CASE("Once a channel is bound, data costs no allocation in either direction") {
    scripted_server s;
    s.allocate(epoch);
    s.bind(epoch, peer_a);
    s.permit(epoch, peer_b.address);
    REQUIRE(s.send(epoch, peer_b, "x"));
    s.refuse(epoch, s.request(epoch, methods::channel_bind), stun::error_code::bad_request);
    const auto in_channel = scripted_server::channel_data(0x4000, "hello");
    const auto indication = s.data_indication(peer_b, "hello");
    const auto before = weft::test::allocations();
    bool all = true;
    for (int i = 0; i < 100; ++i) {
      all = all && s.client.encapsulate(epoch, peer_a, s.data_memory, 4, 1000);
      all = all && s.client.encapsulate(epoch, peer_b, s.data_memory, 36, 1000);
      s.client.handle_input(epoch, in_channel);
      all = all && s.client.receive();
      s.client.handle_input(epoch, indication);
      all = all && s.client.receive();
      all = all && s.client.poll_timeout();
    }
    const auto after = weft::test::allocations();
    CHECK(all);
    CHECK(after == before);
  }
}
