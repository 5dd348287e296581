// Invariants: two associations under any sequence of commands, polls, time, loss, duplication,
// reordering, altered and invented packets neither crash nor spin nor hold more than their bounds.
// As long as every packet is genuine: what is received was sent, and ordered messages of a stream
// come in order; and when the network then heals, an association that stands delivers all of its
// reliable messages or says why it closed.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <map>
#include <vector>

#include <weft/core/random.hpp>
#include <weft/sctp/association.hpp>
#include <weft/sctp/packet.hpp>

#include "input.hpp"

namespace {

using weft::fuzz::input;
using namespace weft::sctp;
using namespace std::chrono_literals;
using packet = std::vector<std::uint8_t>;

void require(bool holds) {
  if (!holds) std::abort();
}

struct end {
  end(weft::random_source& random, const association::options& o) : machine{random, o} {}
  association machine;
  std::deque<packet> outbox;
  std::uint32_t next_number = 0;
  std::map<std::uint16_t, std::int64_t> last_ordered;  ///< What came in.
  std::uint64_t reliable_sent = 0;
  std::uint64_t reliable_received = 0;
  bool ended = false;
};

class world {
 public:
  explicit world(std::uint8_t settings)
      : a_{random_, options(settings)}, b_{random_, options(settings >> 4)} {}

  void run(input& in) {
    for (int steps = 0; !in.empty() && steps < 400; ++steps) step(in);
    if (genuine_) heal();
  }

 private:
  static association::options options(unsigned settings) {
    association::options o;
    o.zero_checksum = (settings & 1) != 0;
    o.receive_window = (settings & 2) != 0 ? 8192 : 100000;
    o.max_message_size = 20000;
    o.remote_max_message_size = 20000;
    o.max_packet_size = (settings & 4) != 0 ? 512 : 1160;
    o.send_buffer = 60000;
    o.max_tsn_window = (settings & 8) != 0 ? 32 : 4096;
    return o;
  }

  void step(input& in) {
    const std::uint8_t op = in.u8();
    end& self = (op & 0x80) != 0 ? b_ : a_;
    end& other = (op & 0x80) != 0 ? a_ : b_;
    switch (op & 0x0f) {
      case 0:
        self.machine.connect(now_);
        break;
      case 1:
      case 2:
        send(self, in);
        break;
      case 3:
        poll(self, 1 + in.u8() % 16);
        break;
      case 4:
        deliver(self, other, in, false);
        break;
      case 5:
        deliver(self, other, in, true);
        break;
      case 6:
        if (!self.outbox.empty()) self.outbox.pop_front();
        break;
      case 7:
        now_ += std::chrono::milliseconds{in.u8()};
        break;
      case 8:
        now_ += std::chrono::milliseconds{in.u16()};
        break;
      case 9:
        self.machine.handle_timeout(now_ - std::chrono::milliseconds{in.u8() % 4});
        break;
      case 10:
        read(self, in.u8() % 8);
        break;
      case 11:
        invent(self, in);
        break;
      case 12:
        reset(self, in);
        break;
      case 13:
        self.machine.set_buffered_amount_low_threshold(in.u8() % 8, in.u16());
        break;
      case 14:
        end_it(self, in.u8());
        break;
      case 15:
        exchange(1 + in.u8() % 8);
        break;
    }
    check(self);
  }

  void send(end& from, input& in) {
    const std::uint8_t how = in.u8();
    send_options o;
    if ((how & 1) != 0) o.order = delivery_order::unordered;
    if ((how & 2) != 0) o.lifetime = std::chrono::milliseconds{in.u8() * 8};
    if ((how & 4) != 0) o.max_retransmissions = in.u8() % 4;
    const bool reliable = (how & 6) == 0;
    const auto stream = static_cast<std::uint16_t>((how >> 3) % 6);
    const std::size_t size = 4 + in.u16() % 21000;
    packet payload(size, static_cast<std::uint8_t>(size));
    weft::byte_writer{payload}.u32(from.next_number);
    const auto ppid = static_cast<std::uint32_t>(size) << 1 | (reliable ? 1u : 0u);
    const auto sent = (how & 0x40) != 0
                          ? from.machine.send(now_, stream, ppid, std::move(payload), o)
                          : from.machine.send(now_, stream, ppid, weft::const_bytes{payload}, o);
    if (!sent) return;
    ++from.next_number;
    if (reliable) ++from.reliable_sent;
  }

  void poll(end& from, unsigned limit) {
    std::array<std::uint8_t, weft::max_datagram_size> buffer;
    for (unsigned i = 0; i < limit; ++i) {
      const auto t = from.machine.poll_transmit(now_, buffer);
      if (!t) return;
      require(t->bytes.size() <= 1160);
      from.outbox.emplace_back(t->bytes.begin(), t->bytes.end());
      if (from.outbox.size() > 200) from.outbox.pop_front();
    }
  }

  void deliver(end& from, end& to, input& in, bool altered) {
    if (from.outbox.empty()) return;
    const std::uint8_t which = in.u8();
    const auto at =
        from.outbox.begin() + which % std::min<std::ptrdiff_t>(16, std::ssize(from.outbox));
    packet p = *at;
    if ((which & 0x80) == 0) from.outbox.erase(at);  // Otherwise it may come again.
    if (altered) {
      genuine_ = false;
      for (int i = in.u8() % 4; i >= 0; --i)
        p[(in.u16() % (p.size() - 4) + 4) % p.size()] = in.u8();
      if ((which & 0x40) != 0) p.resize(12 + (p.size() - 12) / 2 / 4 * 4);
      seal(p);
    }
    to.machine.handle_input(now_, p);
  }

  /// Bytes from the fuzzer as chunks, with ports and checksum right and the tag of a packet seen.
  void invent(end& to, input& in) {
    genuine_ = false;
    end& from = &to == &a_ ? b_ : a_;
    packet p(12);
    weft::byte_writer{p}.u32(5000u << 16 | 5000u);
    if (!from.outbox.empty()) std::copy_n(from.outbox.front().begin() + 4, 4, p.begin() + 4);
    const auto chunks = in.bytes(in.u8());
    p.insert(p.end(), chunks.begin(), chunks.end());
    seal(p);
    to.machine.handle_input(now_, p);
  }

  static void seal(packet& p) {
    const std::uint32_t crc = packet_crc32c(p);
    for (std::size_t i = 0; i < 4; ++i) p[8 + i] = static_cast<std::uint8_t>(crc >> (8 * i));
  }

  void reset(end& self, input& in) {
    const std::uint16_t streams[] = {static_cast<std::uint16_t>(in.u8() % 6)};
    (void)self.machine.reset_streams(now_, streams);
  }

  void end_it(end& self, std::uint8_t how) {
    if (how % 8 == 0) self.machine.abort(now_, "over");
    if (how % 8 == 1) self.machine.shutdown(now_);
    if (how == 2) self.machine = association{random_, options(how)}, restart_ = true;
  }

  void read(end& self, unsigned limit) {
    end& from = &self == &a_ ? b_ : a_;
    for (unsigned i = 0; i < limit; ++i) {
      const auto m = self.machine.receive();
      if (!m) return;
      require(!m->payload.empty() && m->payload.size() <= 20000);
      if (!genuine_ || restart_) continue;
      const std::uint32_t number = weft::byte_reader{m->payload}.u32();
      require(number < from.next_number && m->payload.size() == m->ppid >> 1);
      for (const std::uint8_t byte : m->payload.subspan(4))
        require(byte == static_cast<std::uint8_t>(m->payload.size()));
      if ((m->ppid & 1) != 0) ++self.reliable_received;
      if (m->order == delivery_order::unordered) continue;
      auto [last, first] = self.last_ordered.try_emplace(m->stream, -1);
      require(number > last->second);
      last->second = number;
    }
  }

  void check(end& self) {
    while (const auto e = self.machine.poll_event())
      if (std::holds_alternative<association::closed>(*e)) self.ended = true;
    const auto deadline = self.machine.poll_timeout();
    require(!deadline || self.machine.state() != association_state::closed);
    require(self.machine.buffered_amount() <= 60000);
  }

  /// Both ways, without loss, for some instants.
  void exchange(int rounds) {
    for (int i = 0; i < rounds; ++i) {
      for (end* self : {&a_, &b_}) {
        poll(*self, 100000);
        end& other = self == &a_ ? b_ : a_;
        while (!self->outbox.empty()) {
          other.machine.handle_input(now_, self->outbox.front());
          self->outbox.pop_front();
        }
      }
      for (end* self : {&a_, &b_}) {
        self->machine.handle_timeout(now_);
        read(*self, 100000);
        check(*self);
      }
      now_ += 1ms;
    }
  }

  void heal() {
    exchange(4);
    const auto stands = [](const end& e) {
      return e.machine.state() == association_state::established;
    };
    if (!stands(a_) || !stands(b_) || restart_ || a_.ended || b_.ended) return;
    for (int i = 0; i < 600 && !a_.ended && !b_.ended; ++i) {
      exchange(4);
      now_ += 100ms;
    }
    if (a_.ended || b_.ended) return;
    require(a_.reliable_received == b_.reliable_sent);
    require(b_.reliable_received == a_.reliable_sent);
  }

  weft::seeded_random random_{7};
  weft::time_point now_{};
  end a_;
  end b_;
  bool genuine_ = true;
  bool restart_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in{{data, size}};
  world{in.u8()}.run(in);
  return 0;
}
