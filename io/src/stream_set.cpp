#include <weft/io/stream_set.hpp>

#include <unordered_map>
#include <utility>
#include <vector>

#include <asio/ip/v6_only.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>

#include <weft/io/asio.hpp>

#include "byte_stream.hpp"
#include "tls_stream.hpp"

namespace weft::io {
namespace {

using tcp = asio::ip::tcp;

std::error_code system_error(const std::error_code& error) {
  return {error.value(), std::system_category()};  // The category that compares with std::errc.
}

/// For simultaneous open a connection is made from the port that is listened on (RFC 6544 §7.1).
template <class Socket>
void share_port(Socket& socket, std::error_code& error) {
  socket.set_option(tcp::socket::reuse_address{true}, error);
#ifdef SO_REUSEPORT
  using reuse_port = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;
  if (!error) socket.set_option(reuse_port{true}, error);
#endif
}

}  // namespace

class stream_set::state : public std::enable_shared_from_this<state> {
 public:
  state(const asio::any_io_executor& executor, handlers h, const options& opts)
      : executor_{executor}, handlers_{std::move(h)}, options_{opts} {}

  void connect(const request& r) {
    if (streams_.size() >= options_.max_streams || streams_.contains(r.path)) {
      ++stats_.failed;
      if (!streams_.contains(r.path)) say_disconnected(r.path);
      return;
    }
    auto made = std::make_shared<one>(executor_, r);
    streams_.emplace(r.path, made);
    std::error_code error;
    open(made->socket, r, error);
    if (error) {
      asio::post(executor_, [self = shared_from_this(), made] { self->fail(made); });
      return;
    }
    made->timer.expires_after(options_.connect_timeout);
    made->timer.async_wait([self = shared_from_this(), made](std::error_code cancelled) {
      if (!cancelled) self->fail(made);
    });
    made->socket.async_connect(to_asio_tcp(r.path.remote),
                               [self = shared_from_this(), made](std::error_code refused) {
                                 if (!self->has(made)) return;
                                 if (refused) return self->fail(made);
                                 self->begin(made, made->about.tls);
                               });
  }

  void disconnect(const five_tuple& path) {
    const auto at = streams_.find(path);
    if (at == streams_.end()) return;
    const auto ended = at->second;
    streams_.erase(at);
    if (ended->is_open)
      ended->stream->close_when_drained();
    else
      ended->close();
  }

  bool send(const five_tuple& path, const_bytes message) {
    const auto at = streams_.find(path);
    if (at == streams_.end() || !at->second->is_open ||
        at->second->stream->backlog() + message.size() > options_.max_unsent) {
      ++stats_.messages_dropped;
      return false;
    }
    at->second->stream->write(message, {}, 0);
    ++stats_.messages_sent;
    stats_.bytes_sent += message.size();
    return true;
  }

  result<endpoint, std::error_code> listen(const endpoint& local) {
    auto made = std::make_shared<listener>(executor_);
    const auto wanted = to_asio_tcp(local);
    std::error_code error;
    made->acceptor.open(wanted.protocol(), error);
    if (!error && local.address.is_v6()) made->acceptor.set_option(asio::ip::v6_only{true}, error);
    if (!error) share_port(made->acceptor, error);
    if (!error) made->acceptor.bind(wanted, error);
    if (!error) made->acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (!error) made->local = from_asio(made->acceptor.local_endpoint(error));
    if (error) return weft::fail(system_error(error));
    listeners_.push_back(made);
    accept(made);
    return made->local;
  }

  void stop_listening(const endpoint& local) {
    std::erase_if(listeners_, [&](const auto& l) {
      if (l->local != local) return false;
      std::error_code ignored;
      l->acceptor.close(ignored);
      return true;
    });
  }

  void adopt(const five_tuple& path, tcp::socket socket, const_bytes first) {
    if (closed_) return;
    ++stats_.accepted;
    if (streams_.size() >= options_.max_streams || streams_.contains(path)) {
      ++stats_.refused;
      return;
    }
    auto made = std::make_shared<one>(executor_, request{.path = path});
    made->socket = std::move(socket);
    made->first.assign(first.begin(), first.end());
    streams_.emplace(path, made);
    begin(made, false);
  }

  void drop(const ip_address& local) {
    std::erase_if(streams_, [&](const auto& entry) {
      const auto& [path, stream] = entry;
      if (path.local.address != local) return false;
      stream->close();
      return true;
    });
  }

  void close() {
    closed_ = true;
    for (auto& [path, stream] : std::exchange(streams_, {})) stream->close();
    for (const auto& l : listeners_) {
      std::error_code ignored;
      l->acceptor.close(ignored);
    }
    listeners_.clear();
  }

  const counters& stats() const noexcept { return stats_; }

 private:
  struct one {
    one(const asio::any_io_executor& executor, const request& r)
        : about{r}, socket{executor}, timer{executor} {}

    void close() {
      timer.cancel();
      std::error_code ignored;
      if (stream)
        stream->close();
      else
        socket.close(ignored);
    }

    request about;
    tcp::socket socket;  ///< Until there is a stream.
    asio::steady_timer timer;
    std::shared_ptr<byte_stream> stream;
    std::vector<std::uint8_t> first;
    bool is_open = false;
  };
  struct listener {
    explicit listener(const asio::any_io_executor& executor) : acceptor{executor} {}
    tcp::acceptor acceptor;
    endpoint local;
  };
  using shared_one = std::shared_ptr<one>;

  static void open(tcp::socket& socket, const request& r, std::error_code& error) {
    const auto remote = to_asio_tcp(r.path.remote);
    socket.open(remote.protocol(), error);
    if (!error && r.bind.port != 0) share_port(socket, error);
    const bool somewhere = r.bind.address && !r.bind.address.is_unspecified();
    if (!error && (somewhere || r.bind.port != 0)) {
      auto local = to_asio_tcp(r.bind);
      if (!somewhere) local = {remote.protocol(), r.bind.port};
      socket.bind(local, error);
    }
  }

  bool has(const shared_one& s) const {
    const auto at = streams_.find(s->about.path);
    return !closed_ && at != streams_.end() && at->second == s;
  }

  void begin(const shared_one& s, bool tls) {
    std::error_code denied;  // Costs delay, nothing else.
    s->socket.set_option(tcp::no_delay{true}, denied);
    s->stream =
        tls ? make_tls_client_stream(std::move(s->socket), options_.trust, s->about.server_name,
                                     [self = shared_from_this()] { ++self->stats_.untrusted; })
            : make_plain_stream(std::move(s->socket));
    const auto with = [self = shared_from_this(), weak = std::weak_ptr{s}](auto what) {
      return [self, weak, what](auto... bytes) {
        if (const auto alive = weak.lock(); alive && self->has(alive))
          ((*self).*what)(alive, bytes...);
      };
    };
    s->stream->start({.on_open = with(&state::opened),
                      .on_bytes = with(&state::received),
                      .on_end = with(&state::fail),
                      .on_drained = {}});
  }

  void opened(const shared_one& s) {
    s->timer.cancel();
    s->is_open = true;
    ++stats_.connected;
    handlers_.connected(s->about.path);
    if (has(s) && !s->first.empty()) received(s, std::exchange(s->first, {}));
  }

  void received(const shared_one& s, const_bytes bytes) {
    stats_.bytes_received += bytes.size();
    handlers_.received(s->about.path, bytes);
  }

  /// It could not be made, or has ended.
  void fail(const shared_one& s) {
    if (!has(s)) return;
    if (!s->is_open) ++stats_.failed;
    streams_.erase(s->about.path);
    s->close();
    handlers_.disconnected(s->about.path);
  }

  void say_disconnected(const five_tuple& path) {
    asio::post(executor_, [self = shared_from_this(), path] {
      if (!self->closed_) self->handlers_.disconnected(path);
    });
  }

  void accept(const std::shared_ptr<listener>& l) {
    l->acceptor.async_accept([self = shared_from_this(), l](std::error_code error,
                                                            tcp::socket socket) {
      if (self->closed_ || !l->acceptor.is_open()) return;
      std::error_code gone;
      const auto remote = error ? tcp::endpoint{} : socket.remote_endpoint(gone);
      if (!error && !gone)
        self->adopt({l->local, from_asio(remote), transport_protocol::tcp}, std::move(socket), {});
      if (!error) return self->accept(l);
      self->accept_later(l);
    });
  }

  /// There were no descriptors left; they may come back.
  void accept_later(const std::shared_ptr<listener>& l) {
    auto timer = std::make_shared<asio::steady_timer>(executor_, std::chrono::milliseconds{100});
    timer->async_wait([self = shared_from_this(), l, timer](std::error_code) {
      if (!self->closed_ && l->acceptor.is_open()) self->accept(l);
    });
  }

  asio::any_io_executor executor_;
  handlers handlers_;
  options options_;
  std::unordered_map<five_tuple, shared_one> streams_;
  std::vector<std::shared_ptr<listener>> listeners_;
  counters stats_;
  bool closed_ = false;
};

stream_set::stream_set(const asio::any_io_executor& executor, handlers h, const options& opts)
    : state_{std::make_shared<state>(executor, std::move(h), opts)} {}
stream_set::stream_set(stream_set&&) noexcept = default;

stream_set& stream_set::operator=(stream_set&& other) noexcept {
  if (state_) state_->close();
  state_ = std::move(other.state_);
  return *this;
}

stream_set::~stream_set() {
  if (state_) state_->close();
}

void stream_set::connect(const request& r) {
  state_->connect(r);
}
void stream_set::disconnect(const five_tuple& path) {
  state_->disconnect(path);
}
bool stream_set::send(const five_tuple& path, const_bytes message) {
  return state_->send(path, message);
}
result<endpoint, std::error_code> stream_set::listen(const endpoint& local) {
  return state_->listen(local);
}
void stream_set::stop_listening(const endpoint& local) {
  state_->stop_listening(local);
}
void stream_set::adopt(const five_tuple& path, asio::ip::tcp::socket socket, const_bytes first) {
  state_->adopt(path, std::move(socket), first);
}
void stream_set::drop(const ip_address& local) {
  state_->drop(local);
}
const stream_set::counters& stream_set::stats() const noexcept {
  return state_->stats();
}

}  // namespace weft::io
