#include <weft/io/tcp_mux.hpp>

#include <array>
#include <list>
#include <optional>
#include <utility>

#include <asio/buffer.hpp>
#include <asio/ip/v6_only.hpp>
#include <asio/steady_timer.hpp>

#include <weft/ice/ufrag.hpp>
#include <weft/io/asio.hpp>

#include "mux_fragments.hpp"

namespace weft::io {

using tcp = asio::ip::tcp;

namespace {

/// A check with the longest credentials there may be takes 640 bytes; two are for its frame.
constexpr std::size_t max_first_message = 1024;

}  // namespace

class tcp_mux::state : public std::enable_shared_from_this<state> {
 public:
  state(const asio::any_io_executor& executor, const options& opts)
      : options_{opts}, acceptor_{executor}, again_{executor} {}

  std::error_code open(const endpoint& local) {
    const auto wanted = to_asio_tcp(local);
    std::error_code error;
    acceptor_.open(wanted.protocol(), error);
    if (!error && local.address.is_v6()) acceptor_.set_option(asio::ip::v6_only{true}, error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address{true}, error);
    if (!error) acceptor_.bind(wanted, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (!error) local_ = from_asio(acceptor_.local_endpoint(error));
    if (error) return {error.value(), std::system_category()};
    accept();
    return {};
  }

  void close() {
    closed_ = true;
    std::error_code ignored;
    acceptor_.close(ignored);
    again_.cancel();
    for (const auto& w : std::exchange(waiting_, {})) w->close();
  }

  void leave(member& m) { fragments_.release(m); }
  void claim(member& m, std::string_view fragment) { fragments_.claim(m, fragment); }

  const endpoint& local() const noexcept { return local_; }
  const counters& stats() const noexcept { return stats_; }

 private:
  /// A connection whose first message has not come.
  struct waiting {
    waiting(tcp::socket s, const endpoint& r)
        : socket{std::move(s)}, timer{socket.get_executor()}, remote{r} {}

    void close() {
      timer.cancel();
      std::error_code ignored;
      socket.close(ignored);
    }

    tcp::socket socket;
    asio::steady_timer timer;
    endpoint remote;
    std::size_t size = 0;
    std::array<std::uint8_t, max_first_message> bytes;
  };
  using shared_waiting = std::shared_ptr<waiting>;

  void accept() {
    acceptor_.async_accept([self = shared_from_this()](std::error_code error, tcp::socket socket) {
      if (self->closed_) return;
      if (!error) {
        self->begin(std::move(socket));
        return self->accept();
      }
      // There were no descriptors left; they may come back.
      self->again_.expires_after(std::chrono::milliseconds{100});
      self->again_.async_wait([self](std::error_code) {
        if (!self->closed_) self->accept();
      });
    });
  }

  void begin(tcp::socket socket) {
    std::error_code gone;
    const auto remote = socket.remote_endpoint(gone);
    if (gone) return;
    ++stats_.accepted;
    if (waiting_.size() >= options_.max_waiting) {
      ++stats_.timed_out;
      end(waiting_.front());
    }
    const auto w = std::make_shared<waiting>(std::move(socket), from_asio(remote));
    waiting_.push_back(w);
    w->timer.expires_after(options_.timeout);
    w->timer.async_wait([self = shared_from_this(), w](std::error_code cancelled) {
      if (cancelled || self->closed_) return;
      ++self->stats_.timed_out;
      self->end(w);
    });
    read(w);
  }

  void end(const shared_waiting w) {
    waiting_.remove(w);
    w->close();
  }

  void read(const shared_waiting& w) {
    w->socket.async_read_some(
        asio::buffer(w->bytes.data() + w->size, w->bytes.size() - w->size),
        [self = shared_from_this(), w](std::error_code error, std::size_t size) {
          if (self->closed_ || error == asio::error::operation_aborted) return;
          if (error) return self->refuse(w);
          w->size += size;
          self->look(w);
        });
  }

  void refuse(const shared_waiting& w) {
    ++stats_.dropped;
    end(w);
  }

  void look(const shared_waiting& w) {
    if (w->size < 2) return read(w);
    const std::size_t length = std::size_t{w->bytes[0]} << 8 | w->bytes[1];
    if (length + 2 > w->bytes.size()) return refuse(w);
    if (w->size < length + 2) return read(w);
    const const_bytes all{w->bytes.data(), w->size};
    const auto fragment = ice::local_ufrag(all.subspan(2, length));
    member* const m = fragment ? fragments_.find(*fragment) : nullptr;
    if (m == nullptr) return refuse(w);
    ++stats_.handed_over;
    waiting_.remove(w);
    w->timer.cancel();
    m->adopt({local_, w->remote, transport_protocol::tcp}, std::move(w->socket), all);
  }

  options options_;
  tcp::acceptor acceptor_;
  asio::steady_timer again_;
  endpoint local_;
  std::list<shared_waiting> waiting_;
  mux_fragments<member> fragments_;
  counters stats_;
  bool closed_ = false;
};

result<tcp_mux, std::error_code> tcp_mux::open(const asio::any_io_executor& executor,
                                               const endpoint& local) {
  return open(executor, local, options{});
}

result<tcp_mux, std::error_code> tcp_mux::open(const asio::any_io_executor& executor,
                                               const endpoint& local, const options& opts) {
  auto made = std::make_shared<state>(executor, opts);
  if (const auto error = made->open(local)) return fail(error);
  return tcp_mux{std::move(made)};
}

tcp_mux::tcp_mux(std::shared_ptr<state> s) : state_{std::move(s)} {}
tcp_mux::tcp_mux(tcp_mux&&) noexcept = default;

tcp_mux& tcp_mux::operator=(tcp_mux&& other) noexcept {
  if (state_) state_->close();
  state_ = std::move(other.state_);
  return *this;
}

tcp_mux::~tcp_mux() {
  if (state_) state_->close();
}

const endpoint& tcp_mux::local() const noexcept {
  return state_->local();
}
const tcp_mux::counters& tcp_mux::stats() const noexcept {
  return state_->stats();
}
void tcp_mux::leave(member& m) {
  state_->leave(m);
}
void tcp_mux::claim(member& m, std::string_view fragment) {
  state_->claim(m, fragment);
}

}  // namespace weft::io
