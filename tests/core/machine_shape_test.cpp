// Proves the shape of weft::machine on the smallest protocols that use all of it:
// a stop-and-wait channel, and a tunnel that wraps any machine in place.
#include <doctest/doctest.h>

#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "support/sim.hpp"

namespace {

using namespace std::chrono_literals;

class arq {
 public:
  struct delivered {
    std::uint8_t value;
    bool operator==(const delivered&) const = default;
  };
  struct acknowledged {
    bool operator==(const acknowledged&) const = default;
  };
  using event = std::variant<delivered, acknowledged>;

  void send(weft::time_point, std::uint8_t value) {
    unacked_ = value;
    due_ = true;
  }

  bool handle_input(weft::time_point, weft::const_bytes d) {
    weft::byte_reader in{d};
    const auto kind = in.u8(), seq = in.u8(), value = in.u8();
    if (!in.ok()) return true;
    if (kind == 0) {
      ack_due_ = seq;
      if (seq == expected_) {
        ++expected_;
        events_.push_back(delivered{value});
      }
    } else if (unacked_ && seq == seq_) {
      unacked_.reset();
      deadline_.reset();
      due_ = false;
      ++seq_;
      events_.push_back(acknowledged{});
    }
    return true;
  }
  void handle_timeout(weft::time_point now) {
    if (deadline_ && *deadline_ <= now) {
      deadline_.reset();
      due_ = true;
    }
  }

  std::optional<weft::transmit> poll_transmit(weft::time_point now, weft::mutable_bytes buffer) {
    weft::byte_writer out{buffer};
    if (ack_due_) {
      out.u8(1);
      out.u8(*std::exchange(ack_due_, std::nullopt));
      out.u8(0);
      return weft::transmit{out.written()};
    }
    if (!std::exchange(due_, false)) return std::nullopt;
    out.u8(0);
    out.u8(seq_);
    out.u8(*unacked_);
    deadline_ = now + 100ms;
    return weft::transmit{out.written()};
  }
  std::optional<weft::time_point> poll_timeout() const { return deadline_; }
  std::optional<event> poll_event() {
    if (events_.empty()) return std::nullopt;
    const event e = events_.front();
    events_.pop_front();
    return e;
  }

 private:
  std::uint8_t seq_ = 0, expected_ = 0;
  std::optional<std::uint8_t> unacked_, ack_due_;
  bool due_ = false;
  std::optional<weft::time_point> deadline_;
  std::deque<event> events_;
};

// TURN's ChannelData in miniature: the inner datagram is built behind room left
// for our header, so wrapping costs no copy and no allocation.
template <weft::machine Inner>
class tunnel {
 public:
  using event = typename Inner::event;
  Inner inner;
  bool handle_input(weft::time_point now, weft::const_bytes d) {
    weft::byte_reader in{d};
    const auto channel = in.u16();
    const std::size_t length = in.u16();
    const auto body = in.bytes(length);
    return in.ok() && channel == 0x4000 && inner.handle_input(now, body);
  }
  void handle_timeout(weft::time_point now) { inner.handle_timeout(now); }
  std::optional<weft::transmit> poll_transmit(weft::time_point now, weft::mutable_bytes buffer) {
    const auto body = inner.poll_transmit(now, buffer.subspan(4));
    if (!body) return std::nullopt;
    weft::byte_writer out{buffer};
    out.u16(0x4000);
    out.u16(static_cast<std::uint16_t>(body->bytes.size()));
    return weft::transmit{buffer.first(4 + body->bytes.size())};
  }
  std::optional<weft::time_point> poll_timeout() const { return inner.poll_timeout(); }
  std::optional<event> poll_event() { return inner.poll_event(); }
};

static_assert(weft::machine<arq>);
static_assert(weft::machine<tunnel<tunnel<arq>>>);

}  // namespace

TEST_CASE(
    "two tunnels, 40% loss, virtual time: every byte arrives once, and the run is reproducible") {
  const auto play = [](std::uint64_t seed) {
    tunnel<arq> a, b;
    weft::sim::network ab{seed, {.delay = 20ms, .jitter = 30ms, .loss_percent = 40}};
    weft::sim::network ba{seed + 1, {.delay = 20ms, .jitter = 30ms, .loss_percent = 40}};
    std::string received;
    auto now = weft::time_point{};
    for (const char c : std::string{"hello, sans-io"}) {
      a.inner.send(now, static_cast<std::uint8_t>(c));
      now = weft::sim::run(a, b, ab, ba, now, 60s);
      while (auto e = b.poll_event())
        if (const auto* d = std::get_if<arq::delivered>(&*e))
          received += static_cast<char>(d->value);
      CHECK(a.poll_event() == arq::event{arq::acknowledged{}});
    }
    return std::pair{received, now};
  };
  CHECK(play(7).first == "hello, sans-io");
  CHECK(play(7) == play(7));
  CHECK(play(7).second != play(8).second);
  MESSAGE("virtual seconds: ",
          std::chrono::duration<double>(play(7).second.time_since_epoch()).count());
}
