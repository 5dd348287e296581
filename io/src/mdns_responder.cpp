#include <weft/io/mdns_responder.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

#include <asio/ip/multicast.hpp>
#include <asio/ip/unicast.hpp>
#include <asio/steady_timer.hpp>

#include <weft/ice/address.hpp>
#include <weft/io/asio.hpp>

#include "interface_list.hpp"
#include "mdns_socket.hpp"

namespace weft::io {

using udp = asio::ip::udp;

class mdns_responder::state : public std::enable_shared_from_this<state> {
 public:
  state(const asio::any_io_executor& executor, const options& opts)
      : executor_{executor}, options_{opts}, timer_{executor} {}

  bool add(std::string_view name, const ip_address& address) {
    if (!mdns::is_local_name(name) || !address || records_.size() >= options_.max_names)
      return false;
    remove(name);
    interfaces_ = interface_addresses();
    open();
    records_.push_back({std::string{name}, address, {}, std::nullopt, false});
    return true;
  }

  void remove(std::string_view name) {
    const auto at = std::ranges::find(records_, name, &record::name);
    if (at == records_.end()) return;
    say_goodbye(*at);
    records_.erase(at);
    if (records_.empty()) stop();
  }

  void close() {
    closed_ = true;
    for (const record& r : records_) say_goodbye(r);
    records_.clear();
    stop();
  }

  const counters& stats() const noexcept { return stats_; }

 private:
  struct record {
    std::string name;
    ip_address address;
    time_point next_multicast;          ///< Not before.
    std::optional<mdns::question> due;  ///< Is to be answered then.
    bool was_told;
  };
  struct listener {
    listener(const asio::any_io_executor& executor, const endpoint& g)
        : group{g}, socket{executor} {}

    endpoint group;
    udp::socket socket;
    udp::endpoint from;
    std::array<std::uint8_t, 1500> buffer;
  };

  /// Opens the sockets, or lets them hear on interfaces that have come since.
  void open() {
    if (listeners_.empty()) {
      for (const endpoint& group : options_.groups) {
        const auto any = group.address.is_v4() ? udp::v4() : udp::v6();
        const bool shared = group.address.is_multicast();
        auto made = std::make_shared<listener>(executor_, group);
        if (!bind_mdns(made->socket, shared ? udp::endpoint{any, group.port} : to_asio(group),
                       shared))
          continue;
        // RFC 6762 §11: from one hop away, as strict receivers ask for.
        std::error_code denied;
        made->socket.set_option(asio::ip::multicast::hops{255}, denied);
        made->socket.set_option(asio::ip::unicast::hops{255}, denied);
        listeners_.push_back(made);
        receive(made);
      }
    }
    for (const auto& l : listeners_)
      if (l->group.address.is_multicast()) join_group(l->socket, l->group.address, interfaces_);
  }

  void stop() {
    timer_.cancel();
    for (const auto& l : listeners_) {
      std::error_code ignored;
      l->socket.close(ignored);
    }
    listeners_.clear();
  }

  void receive(const std::shared_ptr<listener>& l) {
    l->socket.async_receive_from(
        asio::buffer(l->buffer), l->from,
        [self = shared_from_this(), l](std::error_code error, std::size_t size) {
          if (error == asio::error::operation_aborted || self->closed_ || !l->socket.is_open())
            return;
          if (!error) self->hear(*l, {l->buffer.data(), size});
          self->receive(l);
        });
  }

  void hear(listener& l, const_bytes message) {
    const endpoint from = from_asio(l.from);
    for (record& r : records_) {
      const auto asked = mdns::parse_query(message, r.name);
      if (!asked) continue;
      ++stats_.questions;
      if (!is_on_link(from.address)) {
        ++stats_.foreign;
        return;
      }
      const bool legacy = from.port != mdns::port;
      if (legacy || asked->unicast)
        tell(l, r, *asked, legacy ? mdns::audience::legacy : mdns::audience::everybody);
      else
        tell_everybody_soon(r, *asked);
    }
  }

  /// RFC 6762 §11: nobody else is answered, who could only have asked by unicast.
  bool is_on_link(const ip_address& from) const {
    return from.is_link_local() ||
           std::ranges::any_of(interfaces_, [&](const interface_address& i) {
             return ice::address_prefix{i.address, i.prefix_length}.contains(from);
           });
  }

  void tell(listener& l, record& r, const mdns::question& asked, mdns::audience to) {
    const time_point now = io::now();
    if (now >= unicast_window_ + std::chrono::seconds{1}) {
      unicast_window_ = now;
      unicast_sent_ = 0;
    }
    if (unicast_sent_ >= options_.max_unicast_per_second) {
      ++stats_.suppressed;
      return;
    }
    std::array<std::uint8_t, mdns::max_response_size> buffer;
    const auto answer = mdns::build_response(r.name, r.address, time_to_live(), asked, to, buffer);
    if (!answer) return;
    ++unicast_sent_;
    std::error_code lost;
    l.socket.send_to(asio::buffer(answer->data(), answer->size()), l.from, 0, lost);
    r.was_told = true;
    ++stats_.unicast_sent;
  }

  void tell_everybody_soon(record& r, const mdns::question& asked) {
    if (r.due) ++stats_.suppressed;
    if (!r.due) r.due.emplace();
    r.due->a = r.due->a || asked.a;
    r.due->aaaa = r.due->aaaa || asked.aaaa;
    tell_due();
  }

  void tell_due() {
    const time_point now = io::now();
    std::optional<time_point> next;
    for (record& r : records_) {
      if (r.due && r.next_multicast <= now) {
        const mdns::question asked = *std::exchange(r.due, std::nullopt);
        r.next_multicast = now + options_.multicast_interval;
        r.was_told = true;
        tell_everybody(r, time_to_live(), asked);
      }
      if (r.due) next = earliest(next, r.next_multicast);
    }
    if (!next) return;
    timer_.expires_at(*next);
    timer_.async_wait([self = shared_from_this()](std::error_code cancelled) {
      if (!cancelled && !self->closed_) self->tell_due();
    });
  }

  /// RFC 6762 §10.1.
  void say_goodbye(const record& r) {
    if (r.was_told) tell_everybody(r, 0, {.a = true, .aaaa = true});
  }

  void tell_everybody(const record& r, std::uint32_t ttl, const mdns::question& asked) {
    std::array<std::uint8_t, mdns::max_response_size> buffer;
    const auto answer =
        mdns::build_response(r.name, r.address, ttl, asked, mdns::audience::everybody, buffer);
    if (!answer) return;
    for (const auto& l : listeners_)
      stats_.multicast_sent += send_to_group(l->socket, l->group, interfaces_, *answer);
  }

  std::uint32_t time_to_live() const {
    return static_cast<std::uint32_t>(options_.time_to_live.count());
  }

  asio::any_io_executor executor_;
  options options_;
  asio::steady_timer timer_;
  std::vector<interface_address> interfaces_;
  std::vector<std::shared_ptr<listener>> listeners_;
  std::vector<record> records_;
  time_point unicast_window_{};
  std::size_t unicast_sent_ = 0;
  counters stats_;
  bool closed_ = false;
};

mdns_responder::mdns_responder(const asio::any_io_executor& executor)
    : mdns_responder{executor, options{}} {}
mdns_responder::mdns_responder(const asio::any_io_executor& executor, const options& opts)
    : state_{std::make_shared<state>(executor, opts)} {}
mdns_responder::mdns_responder(mdns_responder&&) noexcept = default;

mdns_responder& mdns_responder::operator=(mdns_responder&& other) noexcept {
  if (state_) state_->close();
  state_ = std::move(other.state_);
  return *this;
}

mdns_responder::~mdns_responder() {
  if (state_) state_->close();
}

bool mdns_responder::add(std::string_view name, const ip_address& address) {
  return state_->add(name, address);
}
void mdns_responder::remove(std::string_view name) {
  state_->remove(name);
}
const mdns_responder::counters& mdns_responder::stats() const noexcept {
  return state_->stats();
}

}  // namespace weft::io
