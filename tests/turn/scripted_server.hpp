#ifndef WEFT_TESTS_TURN_SCRIPTED_SERVER_HPP
#define WEFT_TESTS_TURN_SCRIPTED_SERVER_HPP

#include <doctest/doctest.h>

#include <array>
#include <optional>
#include <string>
#include <vector>

#include <weft/core/random.hpp>
#include <weft/stun/integrity.hpp>
#include <weft/stun/long_term.hpp>
#include <weft/turn/client.hpp>

namespace weft::test {

using namespace std::chrono_literals;

inline const endpoint turn_server{*ip_address::parse("203.0.113.7"), 3478};
inline const endpoint relayed_v4{*ip_address::parse("203.0.113.7"), 49152};
inline const endpoint relayed_v6{*ip_address::parse("2001:db8::7"), 49154};
inline const endpoint mapped{*ip_address::parse("192.0.2.1"), 32853};
inline const endpoint peer_a{*ip_address::parse("198.51.100.1"), 4001};
inline const endpoint peer_b{*ip_address::parse("198.51.100.2"), 4002};
inline const endpoint peer_six{*ip_address::parse("2001:db8:1::6"), 4006};

inline const stun::password_credentials alice{"alice", "secret"};

/// A client, and a server that says what the test makes it say: it asks for credentials, checks
/// them with RFC 5389's key, and leaves the rest to the test.
class scripted_server {
 public:
  scripted_server() : scripted_server{turn::client::options{}} {}
  explicit scripted_server(turn::client::options options)
      : client{random, turn_server, with_credentials(std::move(options))} {}

  // Requests

  /// The next message of the client that is a request, as it stands.
  std::optional<stun::message_view> raw_request(time_point now) {
    while (const auto sent = client.poll_transmit(now, request_memory)) {
      CHECK(sent->bytes.data() == request_memory.data());
      const auto message = stun::message_view::parse(sent->bytes);
      REQUIRE(message);
      if (message->type_class() == stun::message_class::indication) {
        ++keepalives;
        continue;
      }
      return *message;
    }
    return std::nullopt;
  }
  /// The next request that has credentials; those without are asked for them.
  stun::message_view request(time_point now, stun::method expected) {
    for (int i = 0; i < 2; ++i) {
      const auto message = raw_request(now);
      REQUIRE(message);
      CHECK(turn::name_of(message->type_method()) == turn::name_of(expected));
      if (message->username()) {
        CHECK(message->nonce() == nonce);
        CHECK(stun::verify_message_integrity(*message, key()));
        return *message;
      }
      challenge(now, *message, stun::error_code::unauthenticated);
    }
    FAIL("the client does not show its credentials");
    return *stun::message_view::parse({});
  }

  // Answers

  template <class Add>
  void answer(time_point now, const stun::message_view& to, stun::message_class c, Add add) {
    answer_unsigned(now, to, c, [&](stun::message_builder& b) {
      add(b);
      b.add_message_integrity(key());
    });
  }
  template <class Add>
  void answer_unsigned(time_point now, const stun::message_view& to, stun::message_class c,
                       Add add) {
    std::array<std::uint8_t, 1500> memory;
    stun::message_builder b{memory, c, to.type_method(), to.id()};
    add(b);
    deliver(now, b.finish());
  }
  void succeed(time_point now, const stun::message_view& to) {
    answer(now, to, stun::message_class::success, [](auto&) {});
  }
  void refuse(time_point now, const stun::message_view& to, stun::error_code code) {
    answer(now, to, stun::message_class::error,
           [&](auto& b) { b.add_error(code, turn::name_of(code)); });
  }
  void challenge(time_point now, const stun::message_view& to, stun::error_code code) {
    answer_unsigned(now, to, stun::message_class::error,
                    [&](auto& b) { b.add_error(code, "").add_realm(realm).add_nonce(nonce); });
  }
  void deliver(time_point now, const_bytes bytes) {
    REQUIRE_FALSE(bytes.empty());
    delivered.assign(bytes.begin(), bytes.end());
    CHECK(client.handle_input(now, delivered));
  }

  // Whole exchanges

  template <class Add>
  void allocate(time_point now, Add add) {
    client.allocate(now);
    const auto message = request(now, turn::methods::allocate);
    answer(now, message, stun::message_class::success, [&](auto& b) {
      b.add_xor_mapped_address(mapped);
      add(b);
    });
  }
  /// Leaves the client allocated for `lifetime`, and its event taken.
  void allocate(time_point now, std::chrono::seconds lifetime = 600s) {
    allocate(now, [&](auto& b) {
      turn::add_relayed_address(b, relayed_v4);
      turn::add_lifetime(b, lifetime);
    });
    REQUIRE(client.is_allocated());
    REQUIRE(next<turn::client::allocated>());
  }
  void permit(time_point now, const ip_address& peer) {
    REQUIRE(client.create_permission(now, peer));
    succeed(now, request(now, turn::methods::create_permission));
    REQUIRE(client.has_permission(peer));
    REQUIRE(next<turn::client::permission_created>());
  }
  void bind(time_point now, const endpoint& peer) {
    REQUIRE(client.bind_channel(now, peer));
    succeed(now, request(now, turn::methods::channel_bind));
    REQUIRE(client.channel(peer));
    while (client.poll_event()) {
    }
  }
  void refresh(time_point now, std::chrono::seconds lifetime = 600s) {
    const auto message = request(now, turn::methods::refresh);
    answer(now, message, stun::message_class::success,
           [&](auto& b) { turn::add_lifetime(b, lifetime); });
  }

  /// Lets time pass until `end`, answering nothing. The number of requests meanwhile.
  int pass(time_point& now, time_point end) {
    int sent = 0;
    for (;;) {
      while (raw_request(now)) ++sent;
      const auto deadline = client.poll_timeout();
      if (!deadline || *deadline > end) break;
      now = std::max(now, *deadline);
      client.handle_timeout(now);
    }
    now = end;
    return sent;
  }

  // Data

  std::vector<std::uint8_t> data_indication(const endpoint& from, std::string_view data) {
    return indication(turn::methods::data, [&](auto& b) {
      turn::add_peer_address(b, from);
      turn::add_data(b, as_bytes(data));
    });
  }
  template <class Add>
  std::vector<std::uint8_t> indication(stun::method method, Add add) {
    std::array<std::uint8_t, 1500> memory;
    stun::message_builder b{memory, stun::message_class::indication, method, {7}};
    add(b);
    const auto bytes = b.finish();
    return {bytes.begin(), bytes.end()};
  }
  static std::vector<std::uint8_t> channel_data(std::uint16_t number, std::string_view data) {
    std::vector<std::uint8_t> message(4);
    turn::write_channel_header(std::span{message}.first<4>(), number,
                               static_cast<std::uint16_t>(data.size()));
    message.insert(message.end(), data.begin(), data.end());
    return message;
  }
  /// What the server is sent for `data` to the peer.
  result<const_bytes, turn::client_error> send(time_point now, const endpoint& peer,
                                               std::string_view data) {
    const std::size_t room = client.headroom(peer);
    std::copy(data.begin(), data.end(), data_memory.begin() + static_cast<std::ptrdiff_t>(room));
    return client.encapsulate(now, peer, data_memory, room, data.size());
  }

  // Events

  /// The next event, if it is of this kind.
  template <class Event>
  std::optional<Event> next() {
    const auto e = client.poll_event();
    if (!e || !std::holds_alternative<Event>(*e)) return std::nullopt;
    return std::get<Event>(*e);
  }

  stun::integrity_key key() const {
    return *stun::long_term_key(user.username, realm, user.password, stun::password_algorithm::md5);
  }

  stun::password_credentials user = alice;
  std::string realm = "example.org";
  std::string nonce = "first";
  int keepalives = 0;
  seeded_random random{1};
  turn::client client;
  std::array<std::uint8_t, 1500> request_memory{};
  std::array<std::uint8_t, 1500> data_memory{};
  std::vector<std::uint8_t> delivered;

 private:
  static turn::client::options with_credentials(turn::client::options options) {
    if (!options.credentials) options.credentials = alice;
    return options;
  }
};

}  // namespace weft::test

#endif  // WEFT_TESTS_TURN_SCRIPTED_SERVER_HPP
