// What the client adds to each datagram that it relays, in either direction, and what it costs
// to be there. The server, beside another, is turn_server_bench.cpp's.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include <weft/stun/long_term.hpp>
#include <weft/turn/client.hpp>

namespace {

using namespace weft;

const endpoint server{ip_address{std::array<std::uint8_t, 4>{203, 0, 113, 7}}, 3478};
const endpoint mapped{ip_address{std::array<std::uint8_t, 4>{192, 0, 2, 1}}, 40000};

endpoint peer(unsigned n) {
  return {ip_address{std::array<std::uint8_t, 4>{198, 51, static_cast<std::uint8_t>(n >> 8),
                                                 static_cast<std::uint8_t>(n)}},
          5000};
}

/// A client with an allocation and channels or permissions to so many peers.
class allocated {
 public:
  allocated(turn::client::channel_use channels, transport_protocol transport, unsigned peers)
      : client{random_, server, make_options(channels, transport)} {
    client.allocate(now);
    answer_all();
    for (unsigned n = 0; n < peers; ++n) {
      if (channels == turn::client::channel_use::automatic) {
        (void)client.bind_channel(now, peer(n));
      } else {
        (void)client.create_permission(now, peer(n).address);
      }
    }
    answer_all();
    while (client.poll_event()) {
    }
  }

 private:
  static turn::client::options make_options(turn::client::channel_use channels,
                                            transport_protocol transport) {
    turn::client::options o;
    o.credentials = stun::password_credentials{"u", "p"};
    o.channels = channels;
    o.transport = transport;
    return o;
  }

  // Says yes to everything.
  void answer_all() {
    std::array<std::uint8_t, max_datagram_size> buffer;
    std::array<std::uint8_t, 500> memory;
    while (const auto sent = client.poll_transmit(now, buffer)) {
      const auto request = stun::message_view::parse(sent->bytes);
      if (!request->username()) {
        stun::message_builder b{memory, stun::message_class::error, request->type_method(),
                                request->id()};
        b.add_error(stun::error_code::unauthenticated, "").add_realm("r").add_nonce("n");
        client.handle_input(now, b.finish());
        continue;
      }
      stun::message_builder b{memory, stun::message_class::success, request->type_method(),
                              request->id()};
      b.add_xor_mapped_address(mapped);
      turn::add_relayed_address(b, {server.address, 50000});
      turn::add_lifetime(b, std::chrono::seconds{600});
      b.add_message_integrity(key_);
      client.handle_input(now, b.finish());
    }
  }

  seeded_random random_{1};
  stun::integrity_key key_ = *stun::long_term_key("u", "r", "p", stun::password_algorithm::md5);

 public:
  turn::client client;
  time_point now{};
};

turn::client::channel_use use_of(bool in_channel) {
  return in_channel ? turn::client::channel_use::automatic : turn::client::channel_use::on_request;
}

void encapsulate(benchmark::State& state, std::size_t size, bool in_channel) {
  allocated a{use_of(in_channel), transport_protocol::udp, 8};
  std::array<std::uint8_t, 2048> buffer{};
  unsigned n = 0;
  for (auto _ : state) {
    // Eight datagrams to one peer, then to the next: data comes in runs.
    const endpoint to = peer(n++ / 8 % 8);
    const auto message = a.client.encapsulate(a.now, to, buffer, a.client.headroom(to), size);
    if (!message) std::abort();
    benchmark::DoNotOptimize(message->data());
  }
}

void receive(benchmark::State& state, std::size_t size, bool in_channel) {
  allocated a{use_of(in_channel), transport_protocol::udp, 8};
  std::array<std::array<std::uint8_t, 2048>, 8> memory{};
  std::array<const_bytes, 8> messages;
  for (unsigned n = 0; n < 8; ++n) {
    const std::vector<std::uint8_t> data(size);
    if (in_channel) {
      turn::write_channel_header(std::span{memory[n]}.first<4>(), *a.client.channel(peer(n)),
                                 static_cast<std::uint16_t>(size));
      messages[n] = const_bytes{memory[n]}.first(4 + size);
    } else {
      stun::message_builder b{memory[n], stun::message_class::indication, turn::methods::data, {}};
      turn::add_peer_address(b, peer(n));
      messages[n] = turn::add_data(b, data).finish();
    }
  }
  unsigned n = 0;
  for (auto _ : state) {
    a.client.handle_input(a.now, messages[n++ / 8 % 8]);
    const auto data = a.client.receive();
    if (!data || data->bytes.size() != size) std::abort();
    benchmark::DoNotOptimize(data->bytes.data());
  }
}

// A stream of 64 ChannelData messages in chunks of 16 KiB, for each message.
void receive_stream(benchmark::State& state, std::size_t size) {
  allocated a{turn::client::channel_use::automatic, transport_protocol::tcp, 8};
  std::vector<std::uint8_t> stream;
  for (unsigned n = 0; n < 64; ++n) {
    const std::size_t at = stream.size();
    stream.resize(at + turn::padded_channel_data_size(size));
    turn::write_channel_header(std::span{stream}.subspan(at).first<4>(),
                               *a.client.channel(peer(n / 8)), static_cast<std::uint16_t>(size));
  }
  for (auto _ : state) {
    int got = 0;
    for (const_bytes rest{stream}; !rest.empty();) {
      const const_bytes chunk = rest.first(std::min<std::size_t>(rest.size(), 16384));
      rest = rest.subspan(chunk.size());
      a.client.handle_input(a.now, chunk);
      while (const auto data = a.client.receive()) got += data->bytes.size() == size;
    }
    if (got != 64) std::abort();
  }
  state.SetItemsProcessed(64 * static_cast<std::int64_t>(state.iterations()));
}

// From nothing to an allocation with a channel: two Allocates, one ChannelBind.
void allocate_and_bind(benchmark::State& state) {
  for (auto _ : state) {
    allocated a{turn::client::channel_use::automatic, transport_protocol::udp, 1};
    if (!a.client.channel(peer(0))) std::abort();
  }
}

[[maybe_unused]] const int registered = [] {
  for (const std::size_t size : {std::size_t{160}, std::size_t{1000}})
    for (const bool in_channel : {true, false}) {
      const std::string by =
          std::string{in_channel ? "channel/" : "indication/"} + std::to_string(size) + "/weft";
      benchmark::RegisterBenchmark(
          ("turn/encapsulate_" + by).c_str(),
          [=](benchmark::State& state) { encapsulate(state, size, in_channel); });
      benchmark::RegisterBenchmark(("turn/receive_" + by).c_str(), [=](benchmark::State& state) {
        receive(state, size, in_channel);
      });
    }
  benchmark::RegisterBenchmark("turn/receive_stream/1000/weft",
                               [](benchmark::State& state) { receive_stream(state, 1000); });
  benchmark::RegisterBenchmark("turn/allocate_and_bind/1/weft", allocate_and_bind);
  return 0;
}();

}  // namespace
