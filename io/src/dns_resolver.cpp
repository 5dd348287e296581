#include <weft/io/dns_resolver.hpp>

#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include <netdb.h>
#include <sys/socket.h>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>

#include <weft/io/asio.hpp>

namespace weft::io {

class dns_resolver::state : public std::enable_shared_from_this<state> {
 public:
  state(const asio::any_io_executor& executor, options opts)
      : executor_{executor}, options_{std::move(opts)}, door_{std::make_shared<door>()} {
    door_->executor = executor;
  }

  void resolve(std::string name, handler done) {
    auto asked = std::make_shared<question>(executor_, std::move(name), std::move(done));
    asked->timer.expires_after(options_.timeout);
    asked->timer.async_wait([self = shared_from_this(), asked](std::error_code cancelled) {
      if (!cancelled) self->finish(asked, {});
    });
    if (threads_ < options_.max_threads) return begin(asked);
    if (waiting_.size() < options_.max_waiting) {
      waiting_.push_back(asked);
      return;
    }
    finish_later(asked);
  }

  void close() {
    closed_ = true;
    {
      const std::lock_guard lock{door_->mutex};
      door_->executor.reset();
    }
    for (const auto& asked : open_)
      if (const auto q = asked.lock()) q->timer.cancel();
    for (const auto& asked : waiting_) asked->timer.cancel();
    open_.clear();
    waiting_.clear();
  }

 private:
  struct question {
    question(const asio::any_io_executor& executor, std::string n, handler d)
        : name{std::move(n)}, done{std::move(d)}, timer{executor} {}

    std::string name;
    handler done;
    asio::steady_timer timer;
    bool is_answered = false;
  };
  using shared_question = std::shared_ptr<question>;
  /// Through which threads come back, as long as anybody is there.
  struct door {
    std::mutex mutex;
    std::optional<asio::any_io_executor> executor;
  };

  void begin(const shared_question& asked) {
    std::erase_if(open_, [](const auto& q) { return q.expired(); });
    open_.push_back(asked);
    ++threads_;
    try {
      // It may come back when neither the resolver nor its executor exists any more: then the
      // door is shut, and what it holds is its own.
      std::thread{[weak = weak_from_this(), weak_asked = std::weak_ptr{asked}, name = asked->name,
                   look_up = options_.lookup, way = door_] {
        auto found = look_up(name);
        const std::lock_guard lock{way->mutex};
        if (!way->executor) return;
        asio::post(*way->executor, [weak, weak_asked, found = std::move(found)] {
          if (const auto self = weak.lock()) self->take(weak_asked.lock(), found);
        });
      }}.detach();
    } catch (const std::system_error&) {
      --threads_;
      finish_later(asked);
    }
  }

  void take(const shared_question& asked, std::span<const ip_address> found) {
    if (closed_) return;
    --threads_;
    while (!waiting_.empty() && threads_ < options_.max_threads) {
      const auto next = waiting_.front();
      waiting_.pop_front();
      if (!next->is_answered) begin(next);
    }
    if (asked) finish(asked, found);
  }

  void finish(const shared_question& asked, std::span<const ip_address> found) {
    if (closed_ || std::exchange(asked->is_answered, true)) return;
    asked->timer.cancel();
    std::erase(waiting_, asked);
    const auto done = std::move(asked->done);
    done(asked->name, found);
  }

  void finish_later(const shared_question& asked) {
    asio::post(executor_, [self = shared_from_this(), asked] { self->finish(asked, {}); });
  }

  asio::any_io_executor executor_;
  options options_;
  std::shared_ptr<door> door_;
  std::size_t threads_ = 0;
  std::vector<std::weak_ptr<question>> open_;
  std::deque<shared_question> waiting_;
  bool closed_ = false;
};

dns_resolver::dns_resolver(const asio::any_io_executor& executor)
    : dns_resolver{executor, options{}} {}
dns_resolver::dns_resolver(const asio::any_io_executor& executor, options opts)
    : state_{std::make_shared<state>(executor, std::move(opts))} {}
dns_resolver::dns_resolver(dns_resolver&&) noexcept = default;

dns_resolver& dns_resolver::operator=(dns_resolver&& other) noexcept {
  if (state_) state_->close();
  state_ = std::move(other.state_);
  return *this;
}

dns_resolver::~dns_resolver() {
  if (state_) state_->close();
}

void dns_resolver::resolve(std::string name, handler done) {
  state_->resolve(std::move(name), std::move(done));
}

std::vector<ip_address> dns_resolver::system_lookup(const std::string& name) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;  // Or each address would come once for every type.
  addrinfo* list = nullptr;
  if (getaddrinfo(name.c_str(), nullptr, &hints, &list) != 0) return {};
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner{list, freeaddrinfo};
  std::vector<ip_address> found;
  for (const addrinfo* at = list; at != nullptr; at = at->ai_next) {
    asio::ip::tcp::endpoint e;
    if (at->ai_addrlen > e.capacity()) continue;
    std::memcpy(e.data(), at->ai_addr, at->ai_addrlen);
    if (at->ai_family == AF_INET || at->ai_family == AF_INET6)
      found.push_back(from_asio(e.address()));
  }
  return found;
}

}  // namespace weft::io
