#include <weft/io/mdns_resolver.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>

#include <asio/post.hpp>
#include <asio/steady_timer.hpp>

#include <weft/io/asio.hpp>
#include <weft/io/system_random.hpp>

#include "interface_list.hpp"
#include "mdns_socket.hpp"

namespace weft::io {
namespace {

using udp = asio::ip::udp;

/// One socket that hears answers, and asks too if it is the one on a port of its own.
struct listener {
  explicit listener(const asio::any_io_executor& executor) : socket{executor} {}

  udp::socket socket;
  udp::endpoint from;
  // An Ethernet frame: Chromium's answer is a tenth of that, and others that carry many
  // records for the whole link are not for us.
  std::array<std::uint8_t, 1500> buffer;
};

}  // namespace

class mdns_resolver::state : public std::enable_shared_from_this<state> {
 public:
  state(const asio::any_io_executor& executor, const options& opts)
      : executor_{executor}, options_{opts}, timer_{executor} {}

  void resolve(std::string name, handler done) {
    if (!mdns::is_local_name(name) || lookups_.size() >= options_.max_pending) {
      asio::post(executor_,
                 [self = shared_from_this(), name = std::move(name), done = std::move(done)] {
                   if (!self->closed_) done(name, {});
                 });
      return;
    }
    if (lookups_.empty()) open();
    const time_point now = io::now();
    lookups_.push_back({std::move(name), std::move(done), now + options_.timeout, now});
    ask(now);
  }

  void close() {
    closed_ = true;
    lookups_.clear();
    stop();
  }

 private:
  struct lookup {
    std::string name;
    handler done;
    time_point ends;
    time_point asks;
  };
  /// A group and the socket that asks it.
  struct target {
    endpoint group;
    std::shared_ptr<listener> from;
  };

  void open() {
    interfaces_ = interface_addresses();
    for (const endpoint& group : options_.groups) {
      const auto any = group.address.is_v4() ? udp::v4() : udp::v6();
      auto asking = std::make_shared<listener>(executor_);
      if (!bind_mdns(asking->socket, {any, 0}, false)) continue;
      listen(asking);
      targets_.push_back({group, asking});
      if (!group.address.is_multicast()) continue;

      auto hearing = std::make_shared<listener>(executor_);
      if (bind_mdns(hearing->socket, {any, group.port}, true) &&
          join_group(hearing->socket, group.address, interfaces_))
        listen(hearing);
    }
  }

  void listen(const std::shared_ptr<listener>& l) {
    listeners_.push_back(l);
    receive(l);
  }

  void receive(const std::shared_ptr<listener>& l) {
    l->socket.async_receive_from(
        asio::buffer(l->buffer), l->from,
        [self = shared_from_this(), l](std::error_code error, std::size_t size) {
          if (error == asio::error::operation_aborted || self->closed_) return;
          if (!error) self->hear({l->buffer.data(), size});
          if (!self->closed_ && l->socket.is_open()) self->receive(l);
        });
  }

  void hear(const_bytes message) {
    for (std::size_t i = 0; i < lookups_.size();) {
      const auto addresses = mdns::parse_response(message, lookups_[i].name);
      if (addresses.empty()) {
        ++i;
        continue;
      }
      finish(i, addresses);
      if (closed_) return;
    }
  }

  void finish(std::size_t i, std::span<const ip_address> addresses) {
    const lookup ended = std::move(lookups_[i]);
    lookups_.erase(lookups_.begin() + static_cast<std::ptrdiff_t>(i));
    if (lookups_.empty()) stop();
    ended.done(ended.name, addresses);
  }

  void stop() {
    timer_.cancel();
    targets_.clear();
    for (const auto& l : listeners_) {
      std::error_code ignored;
      l->socket.close(ignored);
    }
    listeners_.clear();
  }

  /// Sends what is due and sleeps until something else is.
  void ask(time_point now) {
    std::optional<time_point> next;
    for (lookup& l : lookups_) {
      if (l.asks <= now) {
        for (const target& t : targets_) {
          send(t, l.name, mdns::record_type::a);
          send(t, l.name, mdns::record_type::aaaa);
        }
        l.asks = now + options_.retry;
      }
      next = earliest(next, std::min(l.asks, l.ends));
    }
    if (!next) return;
    timer_.expires_at(*next);
    timer_.async_wait([self = shared_from_this()](std::error_code cancelled) {
      if (cancelled || self->closed_) return;
      const time_point later = io::now();
      for (std::size_t i = 0; i < self->lookups_.size();) {
        if (self->lookups_[i].ends > later) {
          ++i;
          continue;
        }
        self->finish(i, {});
        if (self->closed_) return;
      }
      self->ask(later);
    });
  }

  void send(const target& t, std::string_view name, mdns::record_type type) {
    std::array<std::uint8_t, 2> id;
    random_.fill(id);
    std::array<std::uint8_t, mdns::max_query_size> buffer;
    const auto query =
        mdns::build_query(name, type, static_cast<std::uint16_t>(id[0] << 8 | id[1]), buffer);
    send_to_group(t.from->socket, t.group, interfaces_, *query);  // There is a second query.
  }

  asio::any_io_executor executor_;
  options options_;
  asio::steady_timer timer_;
  system_random random_;
  std::vector<interface_address> interfaces_;
  std::vector<std::shared_ptr<listener>> listeners_;
  std::vector<target> targets_;
  std::vector<lookup> lookups_;
  bool closed_ = false;
};

mdns_resolver::mdns_resolver(const asio::any_io_executor& executor)
    : mdns_resolver{executor, options{}} {}

mdns_resolver::mdns_resolver(const asio::any_io_executor& executor, const options& opts)
    : state_{std::make_shared<state>(executor, opts)} {}

mdns_resolver::mdns_resolver(mdns_resolver&&) noexcept = default;

mdns_resolver& mdns_resolver::operator=(mdns_resolver&& other) noexcept {
  if (state_) state_->close();
  state_ = std::move(other.state_);
  return *this;
}

mdns_resolver::~mdns_resolver() {
  if (state_) state_->close();
}

void mdns_resolver::resolve(std::string name, handler done) {
  state_->resolve(std::move(name), std::move(done));
}

}  // namespace weft::io
