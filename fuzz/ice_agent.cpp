// Two agents on a network that the input rules, over UDP and TCP, with addresses, relays and
// servers that come and go, and a stranger who knows no password.
//
// Invariants: no call fails or hangs; in one instant an agent sends no more than a bound; it
// sends only where signalling, a server or an authentic check has pointed it, never to the
// stranger; a path that nobody answered on is not valid; a state that says connected has a pair;
// what waits (datagrams, events) stays bounded.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <vector>

#include <weft/ice/agent.hpp>

#include "input.hpp"

namespace {

using namespace weft;

void require(bool condition) {
  if (!condition) std::abort();
}

endpoint address(std::uint8_t host, std::uint8_t n) {
  return {ip_address{std::array<std::uint8_t, 4>{10, 0, host, n}},
          static_cast<std::uint16_t>(5000 + n)};
}
const endpoint stranger = address(66, 6);
const endpoint server = address(99, 1);

struct datagram {
  endpoint from;
  endpoint to;
  std::vector<std::uint8_t> bytes;
  transport_protocol protocol = transport_protocol::udp;
};

/// A TCP connection as each side names it.
struct connection {
  five_tuple opened;
  five_tuple accepted;
};

ice::agent::options make_options(ice::role r, std::uint8_t how) {
  ice::agent::options opts;
  opts.role = r;
  if (how & 1) opts.components = 2;
  if (how & 2) opts.host_privacy = ice::host_privacy::hide;
  if (how & 4 && r == ice::role::controlled) opts.kind = ice::implementation_kind::lite;
  if (how & 8) opts.candidate_policy = ice::candidate_policy::relay;
  opts.max_servers = 3;
  opts.max_local_addresses = 8;
  opts.max_relayed_addresses = 2;
  opts.stun_servers = {{server, "stun:server"}};
  opts.max_pairs = 12;
  opts.max_remote_candidates = 10;
  opts.max_early_checks = 4;
  opts.max_responses = 8;
  opts.max_events = 32;
  return opts;
}

struct side {
  side(std::uint64_t seed, std::uint8_t number, std::uint8_t how)
      : random{seed},
        ice{random,
            make_options(number == 0 ? ice::role::controlling : ice::role::controlled, how)},
        host{number} {}

  seeded_random random;
  ice::agent ice;
  std::uint8_t host;
};

class run {
 public:
  run(fuzz::input in, std::uint8_t how) : in_{in}, sides_{side{1, 0, how}, side{2, 1, how}} {
    if (how & 4) sides_[0].ice.set_remote_lite();
  }

  void go() {
    for (int steps = 0; !in_.empty() && steps < 400; ++steps) step();
    // Left alone, both go from deadline to deadline, each later than the last.
    for (int i = 0; i < 50; ++i) wait();
  }

 private:
  void step() {
    const std::uint8_t op = in_.u8();
    side& s = sides_[op & 1];
    side& other = sides_[1 - (op & 1)];
    switch (op >> 1 & 0x1f) {
      case 0:
        (void)s.ice.add_local_address(now_, address(s.host, in_.u8() & 3));
        break;
      case 1:
        s.ice.gather(now_);
        break;
      case 2:
        (void)s.ice.set_remote_credentials(now_, other.ice.local_credentials());
        break;
      case 3:
        add_candidate(s, other);
        break;
      case 4:
        s.ice.end_of_remote_candidates(now_);
        break;
      case 5:
        s.ice.resolve(now_, "name.local", std::array{address(other.host, in_.u8() & 3).address});
        break;
      case 6:
        s.ice.restart(now_);
        break;
      case 7:
        if (in_.u8() == 0xff) s.ice.close(now_);
        break;
      case 8:
        s.ice.set_role(in_.u8() & 1 ? ice::role::controlling : ice::role::controlled);
        break;
      case 9:
        wait();
        break;
      case 10:
        now_ += std::chrono::milliseconds{in_.u8() * 16};
        break;
      case 11:
        deliver(in_.u8());
        break;
      case 12:
        mangle();
        break;
      case 13:
        s.ice.handle_input(now_, address(s.host, in_.u8() & 3), stranger, in_.bytes(in_.u8()));
        break;
      case 14:
        poll(s, in_.u8());
        break;
      case 15:
        s.ice.handle_timeout(now_ - std::chrono::seconds{in_.u8()});
        break;
      default:
        step_addresses(op >> 1 & 0x0f, s, other);
        break;
    }
    for (side& x : sides_) check(x);
  }

  void step_addresses(int op, side& s, const side& other) {
    const std::uint8_t n = in_.u8();
    switch (op) {
      case 0:
        (void)s.ice.add_local_address(
            now_, {.base = address(s.host, n & 3),
                   .protocol = n & 4 ? transport_protocol::tcp : transport_protocol::udp,
                   .tcp = static_cast<ice::tcp_type>((n >> 3 & 3) % 3),
                   .component = static_cast<std::uint16_t>(1 + (n >> 5 & 1)),
                   .network = {.kind = static_cast<ice::network_kind>(n >> 6), .id = n}});
        break;
      case 1: {
        endpoint gone = address(s.host, n & 7);
        if (n & 16) gone.port = 9;
        s.ice.remove_local_address(now_, gone,
                                   n & 8 ? transport_protocol::tcp : transport_protocol::udp);
        break;
      }
      case 2:
        (void)s.ice.add_relayed_candidate(
            now_, {.relayed = address(s.host, static_cast<std::uint8_t>(4 + (n & 3))),
                   .mapped = address(77, n),
                   .protocol = static_cast<ice::relay_protocol>(n >> 2 & 3)});
        break;
      case 3:
        (void)s.ice.add_server_reflexive_candidate(now_, address(s.host, n & 3), address(77, n),
                                                   n & 4 ? "turn:a" : "turn:b");
        break;
      case 4:
        (void)s.ice.add_stun_server(now_, {address(99, n & 7), "stun:late"});
        break;
      case 5:
        if (!connections_.empty()) {
          const connection& c = connections_[n % connections_.size()];
          const five_tuple& path = n & 64 ? c.opened : c.accepted;
          const std::uint8_t host = path.local.address.octets()[2];
          if (host > 1) break;  // The stranger's end.
          side& x = sides_[host];
          if (n & 128) {
            x.ice.handle_disconnected(now_, path);
            require(!x.ice.is_valid_path(path));
          } else {
            x.ice.handle_connected(now_, path);
          }
        }
        break;
      case 6:
        n & 1 ? s.ice.hold_gathering(now_) : s.ice.release_gathering(now_);
        break;
      case 7:
        s.ice.set_candidate_policy(
            now_, n & 1 ? ice::candidate_policy::relay : ice::candidate_policy::all);
        break;
      case 8:
        s.ice.set_renomination();
        break;
      case 9:
        for (const auto& c : other.ice.local_candidates())
          (void)s.ice.add_remote_candidate(now_, c);
        break;
      case 10:
        // Everything arrives, for a while.
        for (int i = 0; i < 8; ++i) {
          for (side& x : sides_) poll(x, 0);
          while (!in_flight_.empty()) {
            const datagram d = in_flight_.front();
            in_flight_.pop_front();
            hand_over(d);
          }
        }
        break;
      case 11: {
        std::uint64_t selected = 0;
        for (const auto& p : s.ice.pair_stats()) selected += p.selected;
        require(selected <= 2);
        require(s.ice.candidate_stats().size() <= 10 + 64);
        break;
      }
      default:
        wait();
        break;
    }
  }

  void add_candidate(side& s, const side& other) {
    const std::uint8_t what = in_.u8();
    ice::candidate c;
    c.foundation = std::to_string(what & 3);
    c.priority = ice::candidate_priority(static_cast<ice::candidate_type>(what >> 2 & 3), what);
    c.type = static_cast<ice::candidate_type>(what >> 2 & 3);
    c.address = address(other.host, what >> 4 & 7);
    if ((what >> 4) == 15) {
      c.name = "name.local";
      c.address.address = {};
    }
    (void)s.ice.add_remote_candidate(now_, c);
  }

  void poll(side& s, std::size_t room) {
    std::array<std::uint8_t, max_datagram_size> buffer;
    const std::size_t size = room < 200 ? buffer.size() : room - 200;
    std::size_t sent = 0;
    while (const auto t = s.ice.poll_transmit(now_, mutable_bytes{buffer}.first(size))) {
      require(++sent <= 64);
      require(t->bytes.size() <= size && t->bytes.data() == buffer.data());
      require(t->remote != stranger);
      const auto network = t->remote.address.octets()[2];
      require(network <= 1 || network == 77 || network == 99);
      if (in_flight_.size() < 64)
        in_flight_.push_back(
            {t->local, t->remote, {t->bytes.begin(), t->bytes.end()}, t->protocol});
    }
    if (size == buffer.size()) {
      std::size_t events = 0;
      while (s.ice.poll_event()) require(++events <= 64);
    }
  }

  void wait() {
    for (side& s : sides_) poll(s, 0);
    std::optional<time_point> next;
    for (const side& s : sides_) next = earliest(next, s.ice.poll_timeout());
    if (!next) return;
    now_ = std::max(now_, *next);
    for (side& s : sides_) s.ice.handle_timeout(now_);
    for (side& s : sides_) poll(s, 0);
    for (side& s : sides_) {
      const auto later = s.ice.poll_timeout();
      require(!later || *later > now_);
    }
  }

  void deliver(std::uint8_t which) {
    if (in_flight_.empty()) return;
    const auto at = in_flight_.begin() + which % static_cast<int>(in_flight_.size());
    hand_over(*at);
    if (which < 0xe0) in_flight_.erase(at);  // Otherwise it will come again.
  }
  void mangle() {
    if (in_flight_.empty()) return;
    datagram d = in_flight_[in_.u8() % in_flight_.size()];
    const std::uint8_t what = in_.u8();
    if (what & 1) d.from = stranger;
    if (what & 2) d.to = address(static_cast<std::uint8_t>(what >> 7), what >> 2 & 3);
    if (what & 0x70) {
      d.bytes[in_.u8() % d.bytes.size()] ^= static_cast<std::uint8_t>(in_.u8() | 1);
      d.from = stranger;  // Where integrity is not checked the sender must not be believed.
    }
    // An authentic request that somebody relays makes its source a candidate
    // (RFC 8445 §19.2): from here on the stranger may be asked.
    if (d.from == stranger) return offer_response_or_garbage(d);
    hand_over(d);
  }
  void offer_response_or_garbage(datagram& d) {
    d.bytes[0] = 0x01;
    d.bytes[1] = in_.u8() & 1 ? 0x01 : 0x11;
    hand_over(d);
  }
  /// Over TCP the two ends of a connection that is made for the first message.
  five_tuple accepted(const datagram& d) {
    const five_tuple path{d.from, d.to, d.protocol};
    for (const connection& c : connections_) {
      if (c.opened == path) return c.accepted;
      if (c.accepted == path) return c.opened;
    }
    if (connections_.size() >= 32) connections_.erase(connections_.begin());
    const endpoint from =
        d.from.port == ice::active_port ? endpoint{d.from.address, next_port_++} : d.from;
    connections_.push_back({path, {d.to, from, d.protocol}});
    return connections_.back().accepted;
  }
  void hand_over(const datagram& d) {
    const std::uint8_t host = d.to.address.octets()[2];
    if (host > 1) return;
    if (d.protocol == transport_protocol::tcp) {
      sides_[host].ice.handle_input(now_, accepted(d), d.bytes);
      return;
    }
    const bool was_valid = sides_[host].ice.is_valid_path(d.to, stranger);
    sides_[host].ice.handle_input(now_, d.to, d.from, d.bytes);
    require(sides_[host].ice.is_valid_path(d.to, stranger) == was_valid);
  }

  void check(const side& s) {
    const auto state = s.ice.current_state();
    const auto pair = s.ice.selected_pair();
    if (state == ice::state::connected || state == ice::state::completed) require(pair.has_value());
    if (state == ice::state::closed) require(!pair);
    if (pair) {
      require(s.ice.is_valid_path(*pair));
      require(pair->remote != stranger);
    }
    require(s.ice.remote_candidates().size() <= 10);
    // Of 10 addresses: each itself, 4 learned, and one a server, relay and rule.
    require(s.ice.local_candidates().size() <= 10 * (1 + 4 + 6));
  }

  fuzz::input in_;
  time_point now_{std::chrono::hours{1}};
  std::array<side, 2> sides_;
  std::deque<datagram> in_flight_;
  std::vector<connection> connections_;
  std::uint16_t next_port_ = 51000;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // The last byte is the kind of agents: the others mean the same for all kinds.
  if (size == 0) return 0;
  run{fuzz::input{{data, size - 1}}, data[size - 1]}.go();
  return 0;
}
