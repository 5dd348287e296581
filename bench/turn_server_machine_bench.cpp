// What a TURN server's machine costs beside the system calls: the way of one packet through it,
// with so many clients, and a client's coming.
#include <benchmark/benchmark.h>

#include <array>
#include <vector>

#include <weft/core/random.hpp>
#include <weft/stun/long_term_client.hpp>
#include <weft/stun/user_store.hpp>
#include <weft/turn/attributes.hpp>
#include <weft/turn/channel_data.hpp>
#include <weft/turn/server.hpp>

namespace {

using namespace weft;
using namespace weft::turn;

const endpoint listener{ip_address{std::array<std::uint8_t, 4>{198, 51, 100, 1}}, 3478};
const ip_address relay_address{std::array<std::uint8_t, 4>{198, 51, 100, 2}};
const endpoint peer{ip_address{std::array<std::uint8_t, 4>{9, 9, 9, 9}}, 4000};
constexpr std::uint16_t channel = 0x4001;

server::options unlimited() {
  server::options o;
  o.authentication.realm = "bench";
  o.allocations_per_user = o.allocations_per_source = o.max_allocations = 1'000'000;
  o.max_audit_events = 0;
  return o;
}

/// A server and clients that each have an allocation with a channel.
class busy_server {
 public:
  explicit busy_server(std::size_t clients) : server_{unlimited(), users_, random_} {
    users_.set("user", "password");
    for (std::size_t i = 0; i < clients; ++i) add();
  }

  void add() {
    const auto n = static_cast<std::uint32_t>(paths_.size());
    const std::array<std::uint8_t, 4> address{7, static_cast<std::uint8_t>(n >> 16),
                                              static_cast<std::uint8_t>(n >> 8), 1};
    const five_tuple path{listener,
                          {ip_address{address}, static_cast<std::uint16_t>(1024 + (n & 0xff))},
                          transport_protocol::udp};
    paths_.push_back(path);
    stun::long_term_client auth{stun::password_credentials{"user", "password"}};
    const auto ask = [&](stun::method method, auto&& fill) {
      for (int i = 0; i < 2; ++i) {
        std::array<std::uint8_t, 600> buffer;
        stun::transaction_id id;
        random_.fill(id);
        stun::message_builder m{buffer, stun::message_class::request, method, id};
        fill(m);
        stun::long_term_attempt attempt;
        auth.sign(m, attempt);
        server_.handle_input(now_, path, m.finish());
        while (const auto e = server_.poll_event()) {
          const auto* const open = std::get_if<server::open_relay>(&*e);
          if (open == nullptr) continue;
          relays_.push_back(open->relay);
          server_.relay_opened(now_, open->relay,
                               {relay_address, static_cast<std::uint16_t>(relays_.size())});
        }
        while (const auto t = server_.poll_transmit(now_, buffer))
          (void)auth.examine(*stun::message_view::parse(t->bytes), attempt);
      }
    };
    ask(methods::allocate,
        [](stun::message_builder& m) { add_requested_transport(m, relayed_transport::udp); });
    ask(methods::channel_bind, [](stun::message_builder& m) {
      add_channel_number(m, channel);
      add_peer_address(m, peer);
    });
    // The strangers' allowance must not be what is measured.
    now_ += std::chrono::milliseconds{1};
  }

  server& machine() { return server_; }
  time_point now() const { return now_; }
  const std::vector<five_tuple>& paths() const { return paths_; }
  const std::vector<relay_id>& relays() const { return relays_; }

 private:
  seeded_random random_{1};
  stun::password_users users_{"bench"};
  server server_;
  time_point now_{std::chrono::hours{1}};
  std::vector<five_tuple> paths_;
  std::vector<relay_id> relays_;
};

/// ChannelData of 1000 bytes from clients in turn.
template <std::size_t Clients>
void channel_to_peer(benchmark::State& state) {
  busy_server busy{Clients};
  std::vector<std::uint8_t> message(1004);
  write_channel_header(std::span{message}.first<4>(), channel, 1000);
  std::size_t i = 0;
  for (auto _ : state) {
    const auto out = busy.machine().handle_input(busy.now(), busy.paths()[i], message);
    if (!out) state.SkipWithError("not relayed");
    if (++i == busy.paths().size()) i = 0;
  }
}

template <std::size_t Clients>
void send_to_peer(benchmark::State& state) {
  busy_server busy{Clients};
  std::vector<std::uint8_t> buffer(1100);
  stun::message_builder m{buffer, stun::message_class::indication, methods::send, {}};
  const const_bytes message =
      add_data(add_peer_address(m, peer), std::vector<std::uint8_t>(1000)).finish();
  std::size_t i = 0;
  for (auto _ : state) {
    const auto out = busy.machine().handle_input(busy.now(), busy.paths()[i], message);
    if (!out) state.SkipWithError("not relayed");
    if (++i == busy.paths().size()) i = 0;
  }
}

template <std::size_t Clients>
void to_client(benchmark::State& state, const endpoint& from) {
  busy_server busy{Clients};
  const std::vector<std::uint8_t> payload(1000);
  std::array<std::uint8_t, server::headroom> room;
  std::size_t i = 0;
  for (auto _ : state) {
    const auto out =
        busy.machine().handle_relayed(busy.now(), busy.relays()[i], from, payload, room);
    if (!out) state.SkipWithError("not relayed");
    if (++i == busy.relays().size()) i = 0;
  }
}

template <std::size_t Clients>
void channel_to_client(benchmark::State& state) {
  to_client<Clients>(state, peer);
}

template <std::size_t Clients>
void data_to_client(benchmark::State& state) {
  to_client<Clients>(state, {peer.address, 1});
}

/// Both sides' work for an allocation with a channel: a challenge and two requests.
void allocate_and_bind(benchmark::State& state) {
  busy_server busy{1};
  for (auto _ : state) busy.add();
}

}  // namespace

BENCHMARK(channel_to_peer<8>)->Name("turn/channel_to_peer/8/weft");
BENCHMARK(channel_to_peer<1000>)->Name("turn/channel_to_peer/1000/weft");
BENCHMARK(channel_to_client<8>)->Name("turn/channel_to_client/8/weft");
BENCHMARK(channel_to_client<1000>)->Name("turn/channel_to_client/1000/weft");
BENCHMARK(send_to_peer<8>)->Name("turn/send_to_peer/8/weft");
BENCHMARK(send_to_peer<1000>)->Name("turn/send_to_peer/1000/weft");
BENCHMARK(data_to_client<8>)->Name("turn/data_to_client/8/weft");
BENCHMARK(data_to_client<1000>)->Name("turn/data_to_client/1000/weft");
BENCHMARK(allocate_and_bind)->Name("turn/allocate_and_bind/weft")->Iterations(2000);
