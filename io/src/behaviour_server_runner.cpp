#include <weft/io/behaviour_server_runner.hpp>

#include <array>
#include <cstdint>
#include <list>

#include <asio/buffer.hpp>
#include <asio/ip/udp.hpp>
#include <asio/ip/v6_only.hpp>

#include <weft/io/asio.hpp>

namespace weft::io {

struct behaviour_server_runner::state {
  struct socket {
    asio::ip::udp::socket udp;
    endpoint local;
    asio::ip::udp::endpoint from{};
    std::array<std::uint8_t, 2048> buffer{};
  };

  state(random_source& random, const stun::behaviour_server::options& opts)
      : server{random, opts} {}

  std::error_code open(const asio::any_io_executor& executor, const endpoint& local) {
    asio::ip::udp::socket udp{executor};
    const asio::ip::udp::endpoint wanted = to_asio(local);
    std::error_code error;
    udp.open(wanted.protocol(), error);
    if (!error && local.address.is_v6()) udp.set_option(asio::ip::v6_only{true}, error);
    if (!error) udp.bind(wanted, error);
    if (!error) receive(sockets.emplace_back(socket{std::move(udp), local}));
    return error;
  }

  void receive(socket& s) {
    s.udp.async_receive_from(asio::buffer(s.buffer), s.from,
                             [this, &s](std::error_code error, std::size_t size) {
                               if (error == asio::error::operation_aborted) return;
                               if (!error) answer(s, size);
                               receive(s);
                             });
  }

  void answer(const socket& s, std::size_t size) {
    std::array<std::uint8_t, 2048> buffer;
    const const_bytes request{s.buffer.data(), size};
    const auto response = server.respond(now(), s.local, from_asio(s.from), request, buffer);
    if (!response) return;
    for (socket& origin : sockets) {
      if (origin.local != response->local) continue;
      std::error_code ignored;  // A response that cannot be sent is one lost.
      origin.udp.send_to(asio::buffer(response->bytes.data(), response->bytes.size()),
                         to_asio(response->remote), 0, ignored);
    }
  }

  stun::behaviour_server server;
  std::list<socket> sockets;
};

behaviour_server_runner::behaviour_server_runner(std::unique_ptr<state> s) : state_{std::move(s)} {}
behaviour_server_runner::behaviour_server_runner(behaviour_server_runner&&) noexcept = default;
behaviour_server_runner& behaviour_server_runner::operator=(behaviour_server_runner&&) noexcept =
    default;
behaviour_server_runner::~behaviour_server_runner() = default;

result<behaviour_server_runner, std::error_code> behaviour_server_runner::create(
    const asio::any_io_executor& executor, random_source& random,
    const stun::behaviour_server::options& opts) {
  auto made = std::make_unique<state>(random, opts);
  const auto locals = made->server.sockets();
  for (std::size_t i = 0; i < made->server.socket_count(); ++i)
    if (const auto error = made->open(executor, locals[i])) return fail(error);
  return behaviour_server_runner{std::move(made)};
}

const stun::behaviour_server::counters& behaviour_server_runner::stats() const noexcept {
  return state_->server.stats();
}

}  // namespace weft::io
