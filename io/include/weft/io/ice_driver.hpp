#ifndef WEFT_IO_ICE_DRIVER_HPP
#define WEFT_IO_ICE_DRIVER_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <asio/any_io_executor.hpp>

#include <weft/ice/address.hpp>
#include <weft/io/asio.hpp>
#include <weft/io/dns_resolver.hpp>
#include <weft/io/mdns_resolver.hpp>
#include <weft/io/mdns_responder.hpp>
#include <weft/io/network_monitor.hpp>
#include <weft/io/stream_set.hpp>
#include <weft/io/tcp_mux.hpp>
#include <weft/io/udp_driver.hpp>
#include <weft/io/udp_mux.hpp>

namespace weft::io {

/// Which candidates over TCP there are (RFC 6544). TURN servers are reached over TCP in any case.
enum class tcp_candidates : std::uint8_t {
  none,
  active,              ///< Connections are made, and none accepted: what browsers do.
  active_and_passive,  ///< Each address has a port that is listened on, too.
};

struct ice_driver_options {
  /// Where to bind sockets, in order of preference; port 0 lets the system choose. None means every
  /// address of this machine that `networks` allow, as they come and go.
  std::vector<endpoint> local{};
  network_monitor::options networks{};
  udp_socket::options sockets{};
  tcp_candidates tcp = tcp_candidates::none;
  stream_set::options streams{};
  dns_resolver::options names{};
  mdns_resolver::options mdns{};
  mdns_responder::options mdns_answers{};
  /// Ports shared with others, instead of `local`, and of passive candidates of its own. They
  /// must outlive the driver.
  std::vector<udp_mux*> shared_udp{};
  std::vector<tcp_mux*> shared_tcp{};
};

/// Does for a `peer::ice_transport`, or a machine made around one such as `peer::connection`, all
/// that it asks of a driver: sockets that follow the addresses of this machine, TCP and TLS, names
/// by DNS and by multicast DNS, and certificates of TURN servers. The machine stays the
/// caller's and must outlive the driver.
///
/// Turns are those of `udp_driver`. In a turn, poll the machine's events and give each of them to
/// `handle` first.
///
/// Threads: everything happens on the executor, one thread or a strand. It may be destroyed at any
/// time, also in `on_turn`.
template <class Machine>
class ice_driver {
 public:
  using turn_handler = typename udp_driver<Machine>::turn_handler;

  ice_driver(const asio::any_io_executor& executor, Machine& machine,
             const ice_driver_options& opts, turn_handler on_turn)
      : executor_{executor},
        machine_{machine},
        options_{opts},
        on_turn_{std::move(on_turn)},
        udp_{executor, machine, [this](time_point now) { turn(now); }},
        streams_{executor, stream_handlers(), opts.streams} {
    udp_.on_stream_message([this](const addressed_transmit& t) {
      streams_.send({t.local, t.remote, t.protocol}, t.bytes);
    });
  }
  ice_driver(const ice_driver&) = delete;
  ice_driver& operator=(const ice_driver&) = delete;
  ~ice_driver() {
    *alive_ = false;
    for (const auto& port : shared_tcp_) port->mux.leave(*port);
  }

  /// Opens what there is to open. Fails with the system's last error if not one UDP socket could
  /// be bound; without a network, with `address_not_available`.
  std::error_code open() {
    const time_point now = io::now();
    share_ports(now);
    if (!options_.local.empty()) {
      const auto known = network_addresses({.kinds = {.loopback = true, .link_local_v4 = true}});
      for (const endpoint& local : options_.local) {
        network_address wanted{local.address};
        const auto at = std::ranges::find(known, local.address, &network_address::address);
        if (at != known.end()) wanted = *at;
        enter(now, wanted, local.port);
      }
    } else if (options_.shared_udp.empty()) {
      monitor_.emplace(executor_, options_.networks,
                       [this](const std::vector<network_address>& found) { follow(found); });
      follow(monitor_->addresses());
    }
    return in_use_.empty() && options_.shared_udp.empty() ? last_error_ : std::error_code{};
  }

  /// Does what an event asks of a driver. False for those that are the application's.
  bool handle(time_point now, const typename Machine::event& e) {
    return std::visit([&](const auto& what) { return act(now, what); }, e);
  }

  /// Has a turn soon, as `udp_driver::wake`.
  void wake() { udp_.wake(); }
  /// As `udp_driver::flush`.
  void flush(time_point now) { udp_.flush(now); }

  const udp_driver<Machine>& udp() const noexcept { return udp_; }
  const stream_set& streams() const noexcept { return streams_; }

 private:
  /// What is open at an address.
  struct use {
    ip_address address;
    endpoint udp;
    bool active = false;
    std::optional<endpoint> listens{};
  };

  struct shared_tcp_port final : tcp_mux::member {
    shared_tcp_port(stream_set& s, tcp_mux& m) : streams{s}, mux{m} {}
    void adopt(const five_tuple& path, asio::ip::tcp::socket socket, const_bytes first) override {
      streams.adopt(path, std::move(socket), first);
    }
    stream_set& streams;
    tcp_mux& mux;
  };

  stream_set::handlers stream_handlers() {
    return {.connected =
                [this](const five_tuple& path) {
                  machine_.handle_connected(io::now(), path);
                  wake();
                },
            .disconnected =
                [this](const five_tuple& path) {
                  machine_.handle_disconnected(io::now(), path);
                  wake();
                },
            .received =
                [this](const five_tuple& path, const_bytes bytes) {
                  machine_.handle_input(io::now(), path, bytes);
                  wake();
                }};
  }

  void turn(time_point now) {
    const auto alive = alive_;
    on_turn_(now);
    if (*alive) claim();
  }

  /// On shared ports, what comes for the machine is known by its username fragment.
  void claim() {
    if (options_.shared_udp.empty() && shared_tcp_.empty()) return;
    const std::string_view mine = fragment();
    if (mine == claimed_) return;
    claimed_ = mine;
    udp_.claim(mine);
    for (const auto& port : shared_tcp_) port->mux.claim(*port, mine);
  }

  std::string_view fragment() const {
    const Machine& m = machine_;
    if constexpr (requires { m.local_username_fragment(); })
      return m.local_username_fragment();
    else
      return m.local_credentials().ufrag;
  }

  // Addresses

  void share_ports(time_point now) {
    for (udp_mux* const mux : options_.shared_udp) {
      udp_.share(*mux);
      add(now, {.base = mux->local()});
    }
    for (tcp_mux* const mux : options_.shared_tcp) {
      shared_tcp_.push_back(std::make_unique<shared_tcp_port>(streams_, *mux));
      add(now, {.base = mux->local(),
                .protocol = transport_protocol::tcp,
                .tcp = ice::tcp_type::passive});
    }
    claim();
  }

  bool add(time_point now, const ice::local_address& address) {
    return machine_.add_local_address(now, address).has_value();
  }

  /// Addresses have come or gone.
  void follow(const std::vector<network_address>& found) {
    const time_point now = io::now();
    std::erase_if(in_use_, [&](const use& u) {
      const bool stays =
          std::ranges::find(found, u.address, &network_address::address) != found.end();
      if (!stays) leave(now, u);
      return !stays;
    });
    for (const network_address& a : found) {
      const bool known = std::ranges::find(in_use_, a.address, &use::address) != in_use_.end();
      if (!known && a.preferred) enter(now, a, 0);
    }
    wake();
  }

  void enter(time_point now, const network_address& at, std::uint16_t port) {
    const auto bound = udp_.open({at.address, port}, options_.sockets);
    if (!bound) {
      last_error_ = bound.error();
      return;
    }
    if (!add(now, {.base = *bound, .network = at.network})) {
      udp_.close(*bound);  // Filtered, or one too many.
      return;
    }
    use u{.address = at.address, .udp = *bound};
    if (options_.tcp != tcp_candidates::none)
      u.active = add(now, {.base = {at.address, active_port},
                           .protocol = transport_protocol::tcp,
                           .tcp = ice::tcp_type::active,
                           .network = at.network});
    if (options_.tcp == tcp_candidates::active_and_passive) {
      const auto listening = streams_.listen({at.address, 0});
      if (listening && add(now, {.base = *listening,
                                 .protocol = transport_protocol::tcp,
                                 .tcp = ice::tcp_type::passive,
                                 .network = at.network}))
        u.listens = *listening;
      else if (listening)
        streams_.stop_listening(*listening);
    }
    in_use_.push_back(u);
  }

  void leave(time_point now, const use& u) {
    machine_.remove_local_address(now, u.udp);
    if (u.active)
      machine_.remove_local_address(now, {u.address, active_port}, transport_protocol::tcp);
    if (u.listens) {
      machine_.remove_local_address(now, *u.listens, transport_protocol::tcp);
      streams_.stop_listening(*u.listens);
    }
    udp_.close(u.udp);
    streams_.drop(u.address);
  }

  // Events

  template <class Event>
  bool act(time_point now, const Event& e) {
    if constexpr (std::is_same_v<Event, typename Machine::connect>) {
      streams_.connect({e.path, e.bind, e.tls, e.server_name});
    } else if constexpr (std::is_same_v<Event, typename Machine::disconnect>) {
      streams_.disconnect(e.path);
    } else if constexpr (std::is_same_v<Event, typename Machine::resolve_server>) {
      if (!dns_) dns_.emplace(executor_, options_.names);
      dns_->resolve(e.name, resolved());
    } else if constexpr (std::is_same_v<Event, typename Machine::resolve_name>) {
      if (!mdns_) mdns_.emplace(executor_, options_.mdns);
      mdns_->resolve(e.name, resolved());
    } else if constexpr (std::is_same_v<Event, typename Machine::verify_server>) {
      machine_.server_verified(now, e, options_.streams.trust.trusts(e.chain, e.server_name));
      wake();
    } else if constexpr (std::is_same_v<Event, typename Machine::register_name>) {
      if (!mdns_answers_) mdns_answers_.emplace(executor_, options_.mdns_answers);
      mdns_answers_->add(e.name, e.address);
    } else if constexpr (std::is_same_v<Event, typename Machine::release_name>) {
      if (mdns_answers_) mdns_answers_->remove(e.name);
    } else {
      return false;
    }
    return true;
  }

  std::function<void(std::string_view, std::span<const ip_address>)> resolved() {
    return [this](std::string_view name, std::span<const ip_address> addresses) {
      machine_.resolve(io::now(), name, addresses);
      wake();
    };
  }

  /// RFC 6544 §4.5: the port of active candidates.
  static constexpr std::uint16_t active_port = 9;

  asio::any_io_executor executor_;
  Machine& machine_;
  ice_driver_options options_;
  turn_handler on_turn_;
  udp_driver<Machine> udp_;
  stream_set streams_;
  std::optional<network_monitor> monitor_;
  std::optional<dns_resolver> dns_;
  std::optional<mdns_resolver> mdns_;
  std::optional<mdns_responder> mdns_answers_;
  std::vector<std::unique_ptr<shared_tcp_port>> shared_tcp_;
  std::vector<use> in_use_;
  std::string claimed_;
  std::error_code last_error_ = std::make_error_code(std::errc::address_not_available);
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace weft::io

#endif  // WEFT_IO_ICE_DRIVER_HPP
