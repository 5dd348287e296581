#include <weft/io/network_monitor.hpp>

#include <utility>

#include <asio/post.hpp>
#include <asio/steady_timer.hpp>

#include "network_events.hpp"

namespace weft::io {

class network_monitor::state : public std::enable_shared_from_this<state> {
 public:
  state(const asio::any_io_executor& executor, const options& opts, handler changed)
      : executor_{executor},
        options_{opts},
        changed_{std::move(changed)},
        events_{executor},
        timer_{executor},
        addresses_{list()} {
    if (options_.list) events_.close();  // The system knows nothing of those.
  }

  void start() { wait(); }

  void look() {
    auto found = list();
    if (found == addresses_) return;
    addresses_ = std::move(found);
    if (std::exchange(is_told_, true)) return;
    asio::post(executor_, [self = shared_from_this()] {
      self->is_told_ = false;
      if (!self->closed_) self->changed_(self->addresses_);
    });
  }

  void close() {
    closed_ = true;
    events_.close();
    timer_.cancel();
  }

  const std::vector<network_address>& addresses() const noexcept { return addresses_; }

 private:
  std::vector<network_address> list() const {
    return options_.list ? options_.list() : network_addresses(options_.networks);
  }

  void wait() {
    const auto look_again = [self = shared_from_this()](std::error_code cancelled) {
      if (self->closed_) return;
      if (cancelled) self->events_.close();
      self->events_.drain();
      self->look();
      self->wait();
    };
    if (events_.is_open()) return events_.async_wait(look_again);
    timer_.expires_after(options_.poll_interval);
    timer_.async_wait(look_again);
  }

  asio::any_io_executor executor_;
  options options_;
  handler changed_;
  network_events events_;
  asio::steady_timer timer_;
  std::vector<network_address> addresses_;
  bool is_told_ = false;
  bool closed_ = false;
};

network_monitor::network_monitor(const asio::any_io_executor& executor, const options& opts,
                                 handler changed)
    : state_{std::make_shared<state>(executor, opts, std::move(changed))} {
  state_->start();
}
network_monitor::network_monitor(network_monitor&&) noexcept = default;

network_monitor& network_monitor::operator=(network_monitor&& other) noexcept {
  if (state_) state_->close();
  state_ = std::move(other.state_);
  return *this;
}

network_monitor::~network_monitor() {
  if (state_) state_->close();
}

const std::vector<network_address>& network_monitor::addresses() const noexcept {
  return state_->addresses();
}
void network_monitor::look() {
  state_->look();
}

}  // namespace weft::io
