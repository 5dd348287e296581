#include <weft/io/turn_server_runner.hpp>

#include "turn_server_shard.hpp"
#include "turn_server_shared.hpp"

namespace weft::io {
namespace {

std::string describe(const turn_server_runner::listener& l) {
  return std::string{to_string(l.over)} + ' ' + to_string(l.local);
}

std::vector<turn::address_family> families_of(const turn_server_runner::options& opts) {
  std::vector<turn::address_family> all;
  for (const auto& r : opts.relays)
    if (std::ranges::find(all, turn::family_of(r.local)) == all.end())
      all.push_back(turn::family_of(r.local));
  return all;
}

bool wants_certificate(const turn_server_runner::options& opts) {
  return std::ranges::any_of(opts.listeners, [](const turn_server_runner::listener& l) {
    return l.over == turn_server_runner::transport::tls ||
           l.over == turn_server_runner::transport::dtls;
  });
}

}  // namespace

std::string_view to_string(turn_server_runner::transport t) noexcept {
  switch (t) {
    case turn_server_runner::transport::udp:
      return "udp";
    case turn_server_runner::transport::tcp:
      return "tcp";
    case turn_server_runner::transport::tls:
      return "tls";
    case turn_server_runner::transport::dtls:
      return "dtls";
  }
  return "";
}

turn_server_runner::turn_server_runner(std::unique_ptr<turn_server_shared> s)
    : shared_{std::move(s)} {}
turn_server_runner::turn_server_runner(turn_server_runner&&) noexcept = default;
turn_server_runner& turn_server_runner::operator=(turn_server_runner&&) noexcept = default;
turn_server_runner::~turn_server_runner() = default;

result<turn_server_runner, turn_server_runner::open_error> turn_server_runner::create(
    std::span<const asio::any_io_executor> executors, stun::user_store& users,
    random_source& random, const options& opts) {
  std::optional<tls_server_identity> tls;
  if (wants_certificate(opts)) {
    auto loaded = tls_server_identity::load(opts.certificate_file, opts.key_file);
    if (!loaded)
      return fail(open_error{opts.certificate_file + ", " + opts.key_file, loaded.error()});
    tls = std::move(*loaded);
  }

  std::optional<dtls::certificate> identity;
  if (tls) {
    auto loaded = load_certificate(opts.certificate_file, opts.key_file);
    if (!loaded)
      return fail(open_error{loaded.error(), std::make_error_code(std::errc::invalid_argument)});
    identity = std::move(*loaded);
  }

  // Sockets come first: the machine is told the addresses that they got.
  std::vector<turn_server_sockets> sockets;
  for (const auto& executor : executors) {
    auto opened = turn_server_sockets::create(executor);
    if (!opened) return fail(open_error{"epoll", opened.error()});
    sockets.push_back(std::move(*opened));
  }
  auto state = std::make_unique<turn_server_shared>(opts);
  state->tls = std::move(tls);
  state->identity = std::move(identity);
  for (std::size_t i = 0; i < executors.size(); ++i)
    state->shards.push_back(std::make_unique<turn_server_shard>(
        *state, static_cast<std::uint32_t>(i), executors[i], std::move(sockets[i])));
  for (listener l : opts.listeners) {
    for (const auto& shard : state->shards) {
      const auto bound = shard->open(l);
      if (!bound) return fail(open_error{describe(l), bound.error()});
      l.local = *bound;
    }
    state->listeners.push_back(l);
  }

  turn::server::options machine = opts.server;
  machine.families = families_of(opts);
  auto rules = machine.peers.rules();
  for (const listener& l : state->listeners) rules.own_endpoints.push_back(l.local);
  for (const relay_address& r : opts.relays)
    for (const ip_address& address : {r.local, r.external})
      rules.own_endpoints.push_back({address, 0});
  machine.peers = turn::address_policy{std::move(rules)};
  state->random = &random;
  state->machine.emplace(machine, users, random);
  for (const auto& shard : state->shards) shard->start();
  return turn_server_runner{std::move(state)};
}

void turn_server_runner::on_event(event_handler handler) {
  shared_->on_event = std::move(handler);
}

const std::vector<turn_server_runner::listener>& turn_server_runner::listeners() const noexcept {
  return shared_->listeners;
}

turn_server_runner::counters turn_server_runner::stats() const {
  const std::lock_guard held{shared_->mutex};
  counters all;
  for (const auto& shard : shared_->shards) {
    const counters& one = shard->stats();
    all.datagrams_received += one.datagrams_received;
    all.receive_calls += one.receive_calls;
    all.datagrams_sent += one.datagrams_sent;
    all.send_calls += one.send_calls;
    all.datagrams_dropped += one.datagrams_dropped;
    all.stream_messages_dropped += one.stream_messages_dropped;
    all.handshakes_failed += one.handshakes_failed;
  }
  return all;
}

std::mutex& turn_server_runner::mutex() noexcept {
  return shared_->mutex;
}

turn::server& turn_server_runner::machine() noexcept {
  return *shared_->machine;
}

void turn_server_runner::wake() {
  shared_->shards.front()->wake();
}

}  // namespace weft::io
