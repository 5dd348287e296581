#include "turn/scripted_server.hpp"

#include "support/allocation_counter.hpp"

namespace {

using namespace weft::test;
using namespace weft::turn;
namespace stun = weft::stun;

constexpr weft::time_point epoch{};
using bytes = std::vector<std::uint8_t>;

client::options over_tcp() {
  client::options o;
  o.transport = weft::transport_protocol::tcp;
  return o;
}
client::options tcp_allocation() {
  client::options o = over_tcp();
  o.relayed = relayed_transport::tcp;
  return o;
}

void append(bytes& to, const bytes& what) {
  to.insert(to.end(), what.begin(), what.end());
}
bytes padded(bytes message) {
  message.resize(stun::padded(message.size()));
  return message;
}

}  // namespace

TEST_SUITE("turn/client: streams") {
  TEST_CASE("RFC 8489 §6.2.2: over TCP there is one request, and 39.5 s to answer it") {
    scripted_server s{over_tcp()};
    s.client.allocate(epoch);
    weft::time_point now = epoch;
    CHECK(s.pass(now, epoch + 39499ms) == 1);
    CHECK_FALSE(s.client.poll_event());
    s.pass(now, epoch + 39500ms);
    CHECK(s.next<client::allocation_failed>());
  }

  TEST_CASE("RFC 8656 §12.5: over TCP what is sent is padded") {
    scripted_server s{over_tcp()};
    s.allocate(epoch);
    s.bind(epoch, peer_a);
    const auto sent = s.send(epoch, peer_a, "hello");
    REQUIRE(sent);
    CHECK(bytes(sent->begin(), sent->end()) ==
          padded(scripted_server::channel_data(0x4000, "hello")));
  }

  TEST_CASE("A chunk with many messages yields all their data, in order") {
    scripted_server s{over_tcp()};
    s.allocate(epoch);
    s.bind(epoch, peer_a);
    s.permit(epoch, peer_b.address);
    REQUIRE(s.client.create_permission(epoch, peer_six.address).error() ==
            client_error::wrong_family);

    const weft::ip_address third = *weft::ip_address::parse("198.51.100.3");
    REQUIRE(s.client.create_permission(epoch, third));
    const auto request = s.request(epoch, methods::create_permission);
    std::array<std::uint8_t, 200> memory;
    stun::message_builder b{memory, stun::message_class::success, methods::create_permission,
                            request.id()};
    const auto answer = b.add_message_integrity(s.key()).finish();

    bytes stream = padded(scripted_server::channel_data(0x4000, "one"));
    append(stream, s.data_indication(peer_b, "two"));
    append(stream, bytes(answer.begin(), answer.end()));
    append(stream, padded(scripted_server::channel_data(0x4001, "unknown")));
    append(stream, padded(scripted_server::channel_data(0x4000, "three")));

    for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
      std::vector<std::string> got;
      const auto take = [&](const bytes& chunk) {
        CHECK(s.client.handle_input(epoch, chunk));
        while (const auto data = s.client.receive()) {
          CHECK(data->peer == (weft::as_text(data->bytes) == "two" ? peer_b : peer_a));
          got.emplace_back(weft::as_text(data->bytes));
        }
      };
      const auto at = stream.begin() + static_cast<std::ptrdiff_t>(cut);
      take({stream.begin(), at});
      take({at, stream.end()});
      CHECK(got == std::vector<std::string>{"one", "two", "three"});
    }
    CHECK(s.client.has_permission(third));
    CHECK(s.next<client::permission_created>());
  }

  TEST_CASE("Byte by byte is enough") {
    scripted_server s{over_tcp()};
    s.allocate(epoch);
    s.bind(epoch, peer_a);
    bytes stream;
    for (int i = 0; i < 3; ++i)
      append(stream, padded(scripted_server::channel_data(0x4000, "hello")));
    int got = 0;
    for (const std::uint8_t byte : stream) {
      s.client.handle_input(epoch, {&byte, 1});
      while (s.client.receive()) ++got;
    }
    CHECK(got == 3);
  }

  TEST_CASE("A stream that loses its place loses the allocation") {
    scripted_server s{over_tcp()};
    s.allocate(epoch);
    s.client.handle_input(epoch, weft::as_bytes("\xff\xfd\x18 a telnet\r\n"));
    CHECK(s.next<client::allocation_lost>());
    CHECK_FALSE(s.client.is_allocated());
    s.client.handle_input(epoch, weft::as_bytes("more of it"));
    CHECK_FALSE(s.client.poll_event());
    s.allocate(epoch);
  }

  TEST_CASE("A message over the bound loses the stream") {
    client::options o = over_tcp();
    o.max_frame = 1000;
    scripted_server s{o};
    s.allocate(epoch);
    const bytes header{0x40, 0, 0x10, 0};
    s.client.handle_input(epoch, header);
    CHECK(s.next<client::allocation_lost>());
  }

  TEST_CASE("A connection that ends ends what was on it") {
    scripted_server s{over_tcp()};
    s.client.handle_disconnected(epoch);
    CHECK_FALSE(s.client.poll_event());
    s.client.allocate(epoch);
    s.client.handle_disconnected(epoch);
    CHECK(s.next<client::allocation_failed>());
    s.allocate(epoch);
    s.client.handle_disconnected(epoch);
    CHECK(s.next<client::allocation_lost>());
    s.allocate(epoch);
    s.client.close(epoch);
    s.client.handle_disconnected(epoch);
    CHECK(s.next<client::closed>());
  }

  TEST_CASE("Once its memory is there, receiving from a stream costs no allocation") {
    scripted_server s{over_tcp()};
    s.allocate(epoch);
    s.bind(epoch, peer_a);
    bytes stream;
    for (int i = 0; i < 20; ++i)
      append(stream, padded(scripted_server::channel_data(0x4000, std::string(97, 'x'))));
    const auto run = [&] {
      int got = 0;
      for (std::size_t at = 0; at < stream.size(); at += 130) {
        const std::size_t size = std::min<std::size_t>(130, stream.size() - at);
        s.client.handle_input(epoch, weft::const_bytes{stream}.subspan(at, size));
        while (s.client.receive()) ++got;
      }
      return got;
    };
    run();
    const auto before = weft::test::allocations();
    const int got = run();
    const auto after = weft::test::allocations();
    CHECK(got == 20);
    CHECK(after == before);
  }
}

TEST_SUITE("turn/client: TCP allocations") {
  TEST_CASE("RFC 6062 §4.3: connect asks the server to connect to a peer") {
    scripted_server s{tcp_allocation()};
    CHECK(s.client.connect(epoch, peer_a).error() == client_error::no_allocation);
    s.allocate(epoch);
    REQUIRE(s.client.connect(epoch, peer_a));
    REQUIRE(s.client.connect(epoch, peer_a));
    const auto request = s.request(epoch, methods::connect);
    CHECK(find_peer_address(request) == peer_a);
    CHECK_FALSE(s.raw_request(epoch));
    REQUIRE(s.client.connect(epoch, peer_a));
    CHECK_FALSE(s.raw_request(epoch));
    s.answer(epoch, request, stun::message_class::success,
             [](auto& b) { add_connection_id(b, 77); });
    CHECK(s.next<client::connected>() == client::connected{peer_a, 77});
  }

  TEST_CASE("RFC 6062 §5.2: 446 and 447 fail the one connection") {
    for (const auto code :
         {errors::connection_already_exists, errors::connection_timeout_or_failure}) {
      scripted_server s{tcp_allocation()};
      s.allocate(epoch);
      REQUIRE(s.client.connect(epoch, peer_a));
      s.refuse(epoch, s.request(epoch, methods::connect), code);
      CHECK(s.next<client::connect_failed>() == client::connect_failed{peer_a, code});
      CHECK(s.client.is_allocated());
    }
  }

  TEST_CASE("RFC 6062 §4.4: a peer with permission may connect") {
    scripted_server s{tcp_allocation()};
    s.allocate(epoch);
    s.permit(epoch, peer_a.address);
    const auto attempt = [&](const weft::endpoint& peer) {
      return s.indication(methods::connection_attempt, [&](auto& b) {
        add_peer_address(b, peer);
        add_connection_id(b, 5);
      });
    };
    s.client.handle_input(epoch, attempt(peer_a));
    CHECK(s.next<client::connection_attempt>() == client::connection_attempt{peer_a, 5});
    s.client.handle_input(epoch, attempt(peer_b));
    CHECK_FALSE(s.client.poll_event());
    CHECK(s.client.stats().unpermitted == 1);
  }

  TEST_CASE("RFC 6062 §4.1: a TCP allocation has neither channels nor datagrams") {
    scripted_server s{tcp_allocation()};
    s.allocate(epoch);
    s.permit(epoch, peer_a.address);
    CHECK(s.client.bind_channel(epoch, peer_a).error() == client_error::not_offered);
    CHECK(s.send(epoch, peer_a, "x").error() == client_error::not_offered);
    scripted_server udp{over_tcp()};
    udp.allocate(epoch);
    CHECK(udp.client.connect(epoch, peer_a).error() == client_error::not_offered);
  }
}

namespace {

// A data connection of an allocated client, and what the server says on it.
struct binding {
  binding() {
    server.allocate(epoch);
    connection.emplace(server.client.data_connection(77));
  }
  std::optional<stun::message_view> request() {
    const auto sent = connection->poll_transmit(epoch, memory);
    if (!sent) return std::nullopt;
    return *stun::message_view::parse(sent->bytes);
  }
  template <class Add>
  bytes answer(const stun::message_view& to, stun::message_class c, Add add) {
    std::array<std::uint8_t, 300> out;
    stun::message_builder b{out, c, to.type_method(), to.id()};
    add(b);
    const auto built = b.add_message_integrity(server.key()).finish();
    return {built.begin(), built.end()};
  }

  scripted_server server{tcp_allocation()};
  std::optional<data_connection> connection;
  std::array<std::uint8_t, 1500> memory{};
};

}  // namespace

TEST_SUITE("turn/data_connection") {
  TEST_CASE("RFC 6062 §4.3: ConnectionBind makes a connection the peer's") {
    binding b;
    const auto request = b.request();
    REQUIRE(request);
    CHECK(request->type_method() == methods::connection_bind);
    CHECK(find_connection_id(*request) == 77u);
    CHECK(request->username() == "alice");
    CHECK(stun::verify_message_integrity(*request, b.server.key()));

    bytes stream = b.answer(*request, stun::message_class::success, [](auto&) {});
    const std::size_t size = stream.size();
    append(stream, {'h', 'i'});
    CHECK(b.connection->handle_input(epoch, weft::const_bytes{stream}.first(10)) == 10);
    CHECK(b.connection->handle_input(epoch, weft::const_bytes{stream}.subspan(10)) == size - 10);
    const auto e = b.connection->poll_event();
    REQUIRE(e);
    CHECK(std::holds_alternative<data_connection::bound>(*e));
    CHECK(b.connection->handle_input(epoch, stream) == 0);
    CHECK_FALSE(b.connection->poll_timeout());
  }

  TEST_CASE("RFC 6062 §5.4: an error ends it") {
    binding b;
    const auto request = b.request();
    REQUIRE(request);
    b.connection->handle_input(epoch, b.answer(*request, stun::message_class::error, [](auto& m) {
      m.add_error(stun::error_code::bad_request, "no");
    }));
    const auto e = b.connection->poll_event();
    REQUIRE(e);
    CHECK(*e ==
          data_connection::event{data_connection::failed{stun::error_code::bad_request, "no"}});
  }

  TEST_CASE("A stale nonce is answered with the new one") {
    binding b;
    const auto request = b.request();
    REQUIRE(request);
    b.server.nonce = "second";
    std::array<std::uint8_t, 300> out;
    stun::message_builder m{out, stun::message_class::error, request->type_method(), request->id()};
    b.connection->handle_input(epoch, m.add_error(stun::error_code::stale_nonce, "")
                                          .add_realm(b.server.realm)
                                          .add_nonce(b.server.nonce)
                                          .finish());
    const auto again = b.request();
    REQUIRE(again);
    CHECK(again->nonce() == "second");
  }

  TEST_CASE("Silence and what is not STUN end it") {
    binding silent;
    REQUIRE(silent.request());
    CHECK(silent.connection->poll_timeout() == epoch + 39500ms);
    silent.connection->handle_timeout(epoch + 39500ms);
    const auto timed_out = silent.connection->poll_event();
    REQUIRE(timed_out);
    CHECK(std::get<data_connection::failed>(*timed_out).code == errors::no_answer);

    binding other;
    REQUIRE(other.request());
    other.connection->handle_input(epoch, weft::as_bytes("HTTP/1.1 400 Bad Request\r\n"));
    const auto failed = other.connection->poll_event();
    REQUIRE(failed);
    CHECK(std::get<data_connection::failed>(*failed).code == errors::no_answer);
  }
}
