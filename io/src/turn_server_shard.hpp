#ifndef WEFT_IO_SRC_TURN_SERVER_SHARD_HPP
#define WEFT_IO_SRC_TURN_SERVER_SHARD_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>

#include "byte_stream.hpp"
#include "turn_server_batch.hpp"
#include "turn_server_dtls.hpp"
#include "turn_server_shared.hpp"
#include "turn_server_sockets.hpp"

namespace weft::io {

/// One executor's part of a TURN server: its sockets, and the turns in which they are served.
///
/// A turn reads what has come, takes the lock once to ask the machine about all of it, and
/// sends when the lock is free again. Everything here happens on the executor, but for
/// `stats`, and for `open`, which comes before.
class turn_server_shard {
 public:
  using counters = turn_server_runner::counters;

  turn_server_shard(turn_server_shared& shared, std::uint32_t index,
                    const asio::any_io_executor& executor, turn_server_sockets sockets);
  turn_server_shard(const turn_server_shard&) = delete;
  turn_server_shard& operator=(const turn_server_shard&) = delete;
  ~turn_server_shard();

  /// Opens one listener and says what it is bound to.
  result<endpoint, std::error_code> open(const turn_server_runner::listener& l);
  /// Begins to serve.
  void start();
  /// Has a turn soon. From any thread.
  void wake();
  /// Under the lock.
  const counters& stats() const noexcept { return published_; }

 private:
  using lock = std::unique_lock<std::mutex>;
  /// A port range that is nearly used up yields none after so many tries, which is soon enough.
  static constexpr int port_tries = 64;
  struct socket_use;

  /// For the event loop, which may outlive the shard: does nothing when that is gone.
  template <class Handler>
  auto guarded(Handler handler) {
    return [alive = std::weak_ptr{alive_}, handler = std::move(handler)](auto&&... what) mutable {
      if (!alive.expired()) handler(std::forward<decltype(what)>(what)...);
    };
  }

  // Turns
  void wait();
  void turn();
  void rest(time_point began, std::size_t datagrams);
  /// Returns how many reads there were.
  std::size_t serve(std::span<const turn_server_sockets::readiness> ready);
  void take(time_point now, const turn_server_sockets::arrival& arrival, lock& held);
  void take_from_client(time_point now, const endpoint& local, const endpoint& from,
                        traffic_class traffic, const_bytes datagram);
  void take_from_peer(time_point now, turn::relay_id relay, const endpoint& from,
                      traffic_class traffic, const_bytes datagram);
  void take_errors(time_point now, std::uint32_t socket);
  /// What the machine has to say after it was told something.
  void settle(time_point now, lock& held);
  /// The same, with what follows when the lock is free.
  void conclude(time_point now, lock& held);
  void publish();
  void flush();
  void set_timer();
  /// Keeps bytes until they have been sent.
  const_bytes keep(const_bytes bytes);

  // DTLS, whose arithmetic is done without the lock
  void start_dtls();
  void take_ciphertexts(time_point now, std::span<const turn_server_sockets::arrival> arrivals);
  /// Tells the machine what clients have said, or that they have left.
  void hand_over();
  void seal(const five_tuple& client, const_bytes head, const_bytes body, std::size_t zeros);
  void send_sealed(time_point now);

  // Where things go
  void forward(const turn::server::to_peer& data, traffic_class traffic);
  void forward(const turn::server::to_client& data, traffic_class traffic);
  void transmit(const addressed_transmit& t);
  void write_to_client(const five_tuple& client, const_bytes head, const_bytes body,
                       std::size_t zeros);
  /// Has `work` done by another shard, when the lock is free.
  void leave_to(std::uint32_t shard, std::function<void(turn_server_shard&)> work);

  // Events
  void handle(time_point now, const turn::server::open_relay& e);
  void handle(time_point now, const turn::server::close_relay& e);
  void handle(time_point now, const turn::server::connect_peer& e);
  void handle(time_point now, const turn::server::close_peer& e);
  void handle(time_point now, const turn::server::close_stream& e);
  /// False for what an audit log alone wants to know.
  template <class Event>
  bool act_on(time_point now, const Event& e) {
    constexpr bool is_mine = requires {
      handle(now, e);
    };
    if constexpr (is_mine) handle(now, e);
    return is_mine;
  }
  std::optional<endpoint> open_udp_relay(const turn::server::open_relay& e,
                                         const turn_server_runner::relay_address& at);
  std::optional<endpoint> open_tcp_relay(const turn::server::open_relay& e,
                                         const turn_server_runner::relay_address& at);
  const turn_server_runner::relay_address* relay_address_for(
      const turn::server::open_relay& e) const;
  std::uint16_t random_port(const turn::server::open_relay& e);
  socket_use& use_of(std::uint32_t socket);

  // Clients' connections
  struct client_stream {
    std::shared_ptr<byte_stream> stream;
    bool open = false;
    std::optional<turn::connection_id> joined{};
    std::optional<std::list<five_tuple>::iterator> handshake{};  ///< In `handshakes_`.
  };
  struct stream_listener {
    asio::ip::tcp::acceptor acceptor;
    endpoint local;
    bool tls;
    asio::steady_timer again;  ///< Accepts again after a shortage.
  };
  static result<asio::ip::tcp::acceptor, std::error_code> listen(
      const asio::any_io_executor& executor, const endpoint& local);
  void accept(stream_listener& l);
  void begin(const stream_listener& l, asio::ip::tcp::socket socket);
  void begin_handshake(const five_tuple& client, client_stream& c);
  void end_handshake(client_stream& c);
  void client_opened(const five_tuple& client);
  void client_sent(const five_tuple& client, const_bytes bytes);
  void client_ended(const five_tuple& client);

  // Peers' connections (RFC 6062)
  struct tcp_relay {
    asio::ip::tcp::acceptor acceptor;
    turn::relay_id id;
    asio::steady_timer again;
  };
  struct peer_stream {
    std::shared_ptr<asio::ip::tcp::socket> socket;  ///< Until a client takes it over.
    std::shared_ptr<byte_stream> stream{};
    five_tuple client{};
  };
  void accept_peers(const std::shared_ptr<tcp_relay>& relay);
  void connect(const turn::server::connect_peer& e);
  void give_away(turn::connection_id id, std::uint32_t shard, const five_tuple& client,
                 const_bytes first);
  void join(turn::connection_id id, asio::ip::tcp::socket socket, const five_tuple& client,
            const_bytes first);
  void peer_sent(turn::connection_id id, const_bytes bytes);
  void peer_ended(turn::connection_id id);
  void peer_drained(turn::connection_id id);
  void client_drained(const five_tuple& client);

  struct datagram_listener {
    endpoint local;
    std::uint32_t socket;
    bool dtls;
  };
  /// What a socket of `sockets_` is for.
  struct socket_use {
    bool listens = false;
    bool dtls = false;
    turn::relay_id relay{};
  };
  /// What a DTLS client has said; nothing when it has left.
  struct client_word {
    five_tuple client;
    std::optional<std::vector<std::uint8_t>> message;
  };
  struct unsealed {
    five_tuple client;
    std::vector<std::uint8_t> message;
  };
  struct unfragmented {
    turn_server_batch::destination to;
    const_bytes payload;
  };

  turn_server_shared& shared_;
  std::uint32_t index_;
  asio::any_io_executor executor_;
  turn_server_sockets sockets_;
  asio::steady_timer timer_;
  std::optional<time_point> timer_set_;
  asio::steady_timer pause_;
  time_point last_turn_{};

  std::vector<datagram_listener> datagram_listeners_;
  std::vector<std::unique_ptr<stream_listener>> stream_listeners_;
  std::vector<socket_use> uses_;
  std::unordered_map<five_tuple, client_stream> streams_;
  std::unordered_map<std::uint32_t, std::shared_ptr<tcp_relay>> tcp_relays_;  ///< By index.
  std::unordered_map<turn::connection_id, peer_stream> peers_;
  std::list<five_tuple> handshakes_;  ///< Of TLS, the eldest first.
  std::optional<turn_server_dtls> dtls_;

  // Of one turn
  turn_server_batch out_;
  std::vector<unfragmented> unfragmented_;
  std::vector<client_word> words_;
  std::vector<unsealed> unsealed_;
  std::array<std::uint8_t, 65536> replies_;
  std::size_t replies_used_ = 0;
  std::vector<std::function<void(turn_server_shard&)>> to_close_;
  std::vector<turn::server::event> audit_;
  std::vector<std::pair<std::uint32_t, std::function<void(turn_server_shard&)>>> elsewhere_;
  std::optional<time_point> deadline_;

  counters counters_;
  counters published_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace weft::io

#endif  // WEFT_IO_SRC_TURN_SERVER_SHARD_HPP
