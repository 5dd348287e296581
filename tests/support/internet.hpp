#ifndef WEFT_TESTS_SUPPORT_INTERNET_HPP
#define WEFT_TESTS_SUPPORT_INTERNET_HPP

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include <weft/core/net.hpp>
#include <weft/core/random.hpp>
#include <weft/core/time.hpp>

#include "internet_nat.hpp"
#include "internet_tcp.hpp"
#include "sim.hpp"

/// An Internet in virtual time: a public network, others behind gateways that translate and
/// filter, hosts with interfaces in any of them, UDP and TCP. Everything that happens follows
/// from a seed.
///
/// A packet crosses one network after the other, and each of them delays, loses and doubles it by
/// its own conditions. Gateways act at the moment it passes them. What nobody can take vanishes;
/// there is no ICMP.
namespace weft::sim {

/// What a gateway keeps from leaving a network.
enum class firewall : std::uint8_t {
  none,
  no_udp,      ///< TCP only.
  tls_on_443,  ///< Nothing but TLS, to port 443 only: hotels, offices.
};

class internet {
 public:
  enum class network : std::uint32_t {};
  enum class host : std::uint32_t {};
  static constexpr network public_network{0};

  struct gateway {
    network outer = public_network;
    /// Its address outside, which hides those of IPv4 inside. Without one IPv4 does not pass.
    ip_address address{};
    /// IPv6 passes unchanged, by the same filtering.
    sim::nat::options nat{};
    /// The address hides IPv6 hosts that send to 64:ff9b::/96 (RFC 6146) instead.
    bool nat64 = false;
    sim::firewall firewall = firewall::none;
    conditions link{.delay = std::chrono::milliseconds{1}};  ///< Of the network inside.
    /// Hosts inside reach the gateway but not each other, as in the Wi-Fi of a café.
    bool isolated = false;
  };

  /// What has come to a host.
  struct arrival {
    enum class kind : std::uint8_t {
      datagram,
      connected,  ///< A connection that this host asked for.
      accepted,   ///< One that it listened for.
      bytes,      ///< On a connection.
      ended,      ///< Refused, reset, timed out or closed by the other end.
    };
    internet::host host;
    kind what;
    five_tuple path;  ///< As the host sees it.
    std::vector<std::uint8_t> bytes;
  };

  struct counters {
    std::uint64_t packets = 0;      ///< Sent by hosts, TCP's included.
    std::uint64_t filtered = 0;     ///< Stopped at a gateway.
    std::uint64_t unroutable = 0;   ///< Had nobody to go to.
    std::uint64_t unreachable = 0;  ///< Found no socket on their host.
  };

  explicit internet(std::uint64_t seed) : internet{seed, {}} {}
  /// `link`: of the public network.
  internet(std::uint64_t seed, const conditions& link);

  // Topology

  network add_network(const gateway& g);
  host add_host() { return host{hosts_++}; }
  void attach(host h, network n, const ip_address& address);
  /// The interface is gone: nothing comes or goes any more, and nobody is told.
  void detach(host h, const ip_address& address);
  bool is_attached(host h, const ip_address& address) const;

  void set_link(network n, const conditions& link) { at(n).link = link; }
  void set_firewall(network n, sim::firewall f) { at(n).firewall = f; }
  /// The translator of a network that has one.
  nat& translator(network n) { return *at(n).translation; }

  // Sockets

  /// Port 0 stands for one that is free. Nothing if it is taken or the interface is not there.
  std::optional<endpoint> bind(host h, const endpoint& local);
  void unbind(host h, const endpoint& local) { bound_.erase({h, local}); }
  /// False if the socket or its interface is not there.
  bool send(time_point now, host h, const endpoint& local, const endpoint& remote,
            const_bytes datagram);

  void listen(host h, const endpoint& local, stream_layer layer) { listening_[{h, local}] = layer; }
  /// `path.local` may lack its port. The path as it then is, or nothing if there is such a
  /// connection already or no such interface.
  std::optional<five_tuple> connect(time_point now, host h, five_tuple path, stream_layer layer);
  /// All of it or, if false, nothing.
  bool write(time_point now, host h, const five_tuple& path, const_bytes bytes);
  void close(time_point now, host h, const five_tuple& path);

  // Time

  std::optional<time_point> next_event() const;
  /// What comes to a host up to `now`, one after the other.
  std::optional<arrival> poll(time_point now);

  const counters& stats() const { return counters_; }
  /// A hash over time, addresses and bytes of all that hosts have sent: two runs with one
  /// transcript were the same run.
  std::uint64_t transcript() const { return transcript_; }

 private:
  struct packet {
    transport_protocol protocol;
    endpoint from;
    endpoint to;
    std::vector<std::uint8_t> bytes;
    segment tcp{};
  };
  struct area {
    conditions link;
    std::optional<network> outer{};  ///< None: the public one.
    std::unique_ptr<nat> translation{};
    bool nat64 = false;
    packet_filter v6{packet_filter::options{}};
    sim::firewall firewall = firewall::none;
    bool isolated = false;
  };
  struct interface {
    internet::host host;
    internet::network network;
    ip_address address;
  };
  enum class hop : std::uint8_t {
    to_host,      ///< On the last network.
    to_outside,   ///< At the gateway of `place`, on the way out of it.
    into_inside,  ///< At the gateway of `place`, on the way in.
  };
  struct flight {
    time_point arrives;
    std::uint64_t order;  ///< Breaks ties: what was sent first arrives first.
    hop next;
    internet::network place;
    internet::host host;
    packet what;
  };
  enum class origin : std::uint8_t { host, gateway };
  using socket = std::pair<host, endpoint>;
  using stream = std::pair<host, five_tuple>;

  area& at(network n) { return areas_[static_cast<std::size_t>(n)]; }
  const interface* find(host h, const ip_address& address) const;

  void emit(time_point now, host h, packet p);
  void route(time_point now, network n, packet p, origin from);
  bool route_inward(time_point now, network n, packet& p);
  void cross(time_point now, network n, const flight& f);
  void leave(time_point now, network n, packet p);
  void enter(time_point now, network n, packet p);
  bool is_forbidden(const area& a, const packet& p) const;
  void arrive(time_point now, const flight& f);
  void arrive_tcp(time_point now, host h, const packet& p);
  void flush(time_point now, const stream& s);
  void run_timers(time_point now);

  bool chance(unsigned percent) { return percent > 0 && random_.next() % 100 < percent; }
  void hash(std::uint64_t value) { transcript_ = (transcript_ ^ value) * 0x100000001b3; }  // FNV-1a
  void record(time_point now, const packet& p);
  static bool later(const flight& a, const flight& b) {
    return std::pair{a.arrives, a.order} > std::pair{b.arrives, b.order};
  }

  seeded_random random_;
  std::vector<area> areas_;
  std::uint32_t hosts_ = 0;
  std::vector<interface> interfaces_;
  std::set<socket> bound_;
  std::map<socket, stream_layer> listening_;
  std::map<stream, std::pair<tcp_connection, tcp_connection::side>> streams_;
  std::vector<flight> flights_;
  std::deque<arrival> arrivals_;  ///< Not yet polled.
  std::uint64_t order_ = 0;
  std::uint16_t next_port_ = 49152;
  counters counters_;
  std::uint64_t transcript_ = 0xcbf29ce484222325;
};

/// An IPv4 address as hosts behind a NAT64 know it: in 64:ff9b::/96 (RFC 6052 §2.1).
ip_address nat64_address(const ip_address& v4);

}  // namespace weft::sim

#endif  // WEFT_TESTS_SUPPORT_INTERNET_HPP
