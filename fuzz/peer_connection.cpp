// Invariant: whatever operations two connections are given in whatever order, and whatever
// happens to the datagrams between them, neither crashes, sends without end, delivers a message
// that was not sent, or is closed by anything but its own `close` or its peer's.
#include <array>
#include <cstdlib>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include <weft/peer/connection.hpp>

#include "input.hpp"

namespace {

using namespace std::chrono_literals;
using namespace weft::peer;

constexpr std::size_t max_datagrams_per_instant = 20'000;

const weft::dtls::certificate& identity() {
  static const auto made = *weft::dtls::certificate::generate({});
  return made;
}

struct datagram {
  weft::endpoint from, to;
  std::vector<std::uint8_t> bytes;
};

struct side {
  side(std::uint64_t seed, std::uint8_t host)
      : random{seed},
        local{weft::ip_address{std::array<std::uint8_t, 4>{10, 0, 0, host}}, 5000},
        peer{random, identity()} {
    (void)peer.add_local_address({}, local);
  }
  weft::seeded_random random;
  weft::endpoint local;
  connection peer;
  std::vector<channel_handle> channels;
  std::vector<ice_candidate> candidates;
};

class world {
 public:
  explicit world(weft::const_bytes data) : in_{data}, a_{1, 1}, b_{2, 2} {}

  void run() {
    while (!in_.empty()) {
      const std::uint8_t what = in_.u8();
      step(what);
      if ((what & 0x30) == 0x30) continue;  // Nobody has to take what they have to say.
      settle(a_, b_);
      settle(b_, a_);
    }
  }

 private:
  void step(std::uint8_t what) {
    side& s = what & 0x80 ? b_ : a_;
    side& other = what & 0x80 ? a_ : b_;
    switch (what & 0x0f) {
      case 0:
        return open(s);
      case 1:
        return send(s);
      case 2:
        if (!s.channels.empty()) s.peer.close_data_channel(now_, pick(s));
        return;
      case 3:
        return negotiate(s, other);
      case 4:
        s.peer.restart_ice(now_);
        return;
      case 5:
        now_ += std::chrono::milliseconds{1u << (in_.u8() % 16)};
        return tick();
      case 6:
        if (!in_flight_.empty()) in_flight_.pop_front();
        return;
      case 7:
        if (!in_flight_.empty()) in_flight_.push_back(in_flight_.front());
        return;
      case 8:
        return mutate();
      case 9:
        return inject(s, other);
      case 10:
        (void)s.peer.set_remote_description(now_, {what & 0x40 ? sdp_type::offer : sdp_type::answer,
                                                   std::string{weft::as_text(in_.bytes(200))}});
        return;
      case 11:
        (void)s.peer.add_ice_candidate(
            now_, {.candidate = std::string{weft::as_text(in_.bytes(80))}, .sdp_mid = "0"});
        return;
      case 12:
        if (in_.u8() == 0xff) s.peer.close(now_);
        return;
      default:
        return deliver();
    }
  }

  channel_handle pick(const side& s) { return s.channels[in_.u8() % s.channels.size()]; }

  void open(side& s) {
    const std::uint8_t how = in_.u8();
    data_channel_options opts{.ordered = (how & 1) == 0};
    if (how & 2) opts.max_retransmits = how;
    if (how & 4) opts.max_packet_life_time = how;
    if (how & 8) {
      opts.negotiated = true;
      opts.id = how;
    }
    if (const auto made = s.peer.create_data_channel(now_, "fuzz", opts))
      s.channels.push_back(*made);
  }

  void send(side& s) {
    if (s.channels.empty()) return;
    const auto channel = pick(s);
    (void)s.peer.send(now_, channel, std::string(in_.u8() * 64u, 'w'));
  }

  void negotiate(side& s, side& other) {
    if (!s.peer.set_local_description(now_)) return;
    const auto offer = *s.peer.local_description();
    if (offer.type != sdp_type::offer) return;
    if (!other.peer.set_remote_description(now_, offer)) return;
    if (!other.peer.set_local_description(now_)) return;
    (void)s.peer.set_remote_description(now_, *other.peer.local_description());
  }

  void mutate() {
    if (in_flight_.empty()) return;
    auto& bytes = in_flight_.front().bytes;
    if (!bytes.empty()) bytes[in_.u8() % bytes.size()] ^= in_.u8();
  }

  void inject(side& s, const side& other) {
    const auto forged = in_.bytes(100);
    s.peer.handle_input(now_, s.local, other.local, forged);
  }

  void deliver() {
    for (std::size_t n = in_flight_.size(); n > 0; --n) {
      const auto d = std::move(in_flight_.front());
      in_flight_.pop_front();
      side& s = d.to == a_.local ? a_ : b_;
      s.peer.handle_input(now_, d.to, d.from, d.bytes);
    }
  }

  void tick() {
    a_.peer.handle_timeout(now_);
    b_.peer.handle_timeout(now_);
  }

  void settle(side& s, side& other) {
    std::array<std::uint8_t, weft::max_datagram_size> buffer;
    std::size_t sent = 0;
    while (const auto t = s.peer.poll_transmit(now_, buffer)) {
      if (++sent > max_datagrams_per_instant) std::abort();
      if (t->bytes.empty() || t->bytes.size() > buffer.size()) std::abort();
      if (t->remote != other.local) continue;
      if (in_flight_.size() < 1000)
        in_flight_.push_back({t->local, t->remote, {t->bytes.begin(), t->bytes.end()}});
    }
    while (const auto e = s.peer.poll_event()) {
      if (const auto* added = std::get_if<connection::data_channel_added>(&*e))
        s.channels.push_back(added->channel);
      if (const auto* gathered = std::get_if<connection::candidate_gathered>(&*e))
        s.candidates.push_back(gathered->candidate);
    }
    while (const auto m = s.peer.receive(now_))
      for (const std::uint8_t byte : m->payload)
        if (byte != 'w') std::abort();
    if (!other.peer.remote_description()) return;
    for (const auto& candidate : std::exchange(s.candidates, {}))
      (void)other.peer.add_ice_candidate(now_, candidate);
  }

  weft::fuzz::input in_;
  weft::time_point now_{};
  side a_, b_;
  std::deque<datagram> in_flight_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  world{{data, size}}.run();
  return 0;
}
