// Two agents on a network that the input rules, and a stranger who knows no password.
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

namespace {

using namespace weft;

void require(bool condition) {
  if (!condition) std::abort();
}

class input {
 public:
  input(const std::uint8_t* data, std::size_t size) : rest_{data, size} {}
  bool empty() const { return rest_.empty(); }
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const std::uint8_t b = rest_.front();
    rest_ = rest_.subspan(1);
    return b;
  }
  const_bytes bytes(std::size_t count) {
    const auto taken = rest_.first(std::min(count, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }

 private:
  const_bytes rest_;
};

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
};

ice::agent::options make_options(ice::role r) {
  ice::agent::options opts;
  opts.role = r;
  opts.stun_servers = {{server, "stun:server"}};
  opts.max_pairs = 12;
  opts.max_remote_candidates = 10;
  opts.max_early_checks = 4;
  opts.max_responses = 8;
  opts.max_events = 32;
  return opts;
}

struct side {
  side(std::uint64_t seed, std::uint8_t number)
      : random{seed},
        ice{random, make_options(number == 0 ? ice::role::controlling : ice::role::controlled)},
        host{number} {}

  seeded_random random;
  ice::agent ice;
  std::uint8_t host;
};

class run {
 public:
  explicit run(input in) : in_{in} {}

  void go() {
    for (int steps = 0; !in_.empty() && steps < 400; ++steps) step();
    // Left alone, both go from deadline to deadline, each later than the last.
    for (int i = 0; i < 50; ++i) wait();
  }

 private:
  void step() {
    const std::uint8_t op = in_.byte();
    side& s = sides_[op & 1];
    side& other = sides_[1 - (op & 1)];
    switch (op >> 1 & 0x0f) {
      case 0:
        (void)s.ice.add_local_address(now_, address(s.host, in_.byte() & 3));
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
        s.ice.resolve(now_, "name.local", std::array{address(other.host, in_.byte() & 3).address});
        break;
      case 6:
        s.ice.restart(now_);
        break;
      case 7:
        if (in_.byte() == 0xff) s.ice.close(now_);
        break;
      case 8:
        s.ice.set_role(in_.byte() & 1 ? ice::role::controlling : ice::role::controlled);
        break;
      case 9:
        wait();
        break;
      case 10:
        now_ += std::chrono::milliseconds{in_.byte() * 16};
        break;
      case 11:
        deliver(in_.byte());
        break;
      case 12:
        mangle();
        break;
      case 13:
        s.ice.handle_input(now_, address(s.host, in_.byte() & 3), stranger, in_.bytes(in_.byte()));
        break;
      case 14:
        poll(s, in_.byte());
        break;
      case 15:
        s.ice.handle_timeout(now_ - std::chrono::seconds{in_.byte()});
        break;
    }
    for (side& x : sides_) check(x);
  }

  void add_candidate(side& s, const side& other) {
    const std::uint8_t what = in_.byte();
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
      require(t->remote == server || t->remote.address.octets()[2] <= 1);
      if (in_flight_.size() < 64)
        in_flight_.push_back({t->local, t->remote, {t->bytes.begin(), t->bytes.end()}});
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
    datagram d = in_flight_[in_.byte() % in_flight_.size()];
    const std::uint8_t what = in_.byte();
    if (what & 1) d.from = stranger;
    if (what & 2) d.to = address(static_cast<std::uint8_t>(what >> 7), what >> 2 & 3);
    if (what & 0x70) {
      d.bytes[in_.byte() % d.bytes.size()] ^= static_cast<std::uint8_t>(in_.byte() | 1);
      d.from = stranger;  // Where integrity is not checked the sender must not be believed.
    }
    // An authentic request that somebody relays makes its source a candidate
    // (RFC 8445 §19.2): from here on the stranger may be asked.
    if (d.from == stranger) return offer_response_or_garbage(d);
    hand_over(d);
  }
  void offer_response_or_garbage(datagram& d) {
    d.bytes[0] = 0x01;
    d.bytes[1] = in_.byte() & 1 ? 0x01 : 0x11;
    hand_over(d);
  }
  void hand_over(const datagram& d) {
    const std::uint8_t host = d.to.address.octets()[2];
    if (host > 1) return;
    const bool was_valid = sides_[host].ice.is_valid_path(d.to, stranger);
    sides_[host].ice.handle_input(now_, d.to, d.from, d.bytes);
    require(sides_[host].ice.is_valid_path(d.to, stranger) == was_valid);
  }

  void check(const side& s) {
    const auto state = s.ice.current_state();
    const auto pair = s.ice.selected_pair();
    if (state == ice::state::connected || state == ice::state::completed ||
        state == ice::state::disconnected)
      require(pair.has_value());
    if (state == ice::state::closed || state == ice::state::failed) require(!pair);
    if (pair) {
      require(s.ice.is_valid_path(pair->local, pair->remote));
      require(pair->remote != stranger);
    }
    require(s.ice.remote_candidates().size() <= 10);
    require(s.ice.local_candidates().size() <= 64);
  }

  input in_;
  time_point now_{std::chrono::hours{1}};
  std::array<side, 2> sides_{side{1, 0}, side{2, 1}};
  std::deque<datagram> in_flight_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  run{input{data, size}}.go();
  return 0;
}
