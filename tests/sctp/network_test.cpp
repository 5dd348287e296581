#include <doctest/doctest.h>

#include <map>

#include "pair.hpp"
#include "support/seeds.hpp"

using namespace weft::sctp;
using namespace weft::sctp::test;

namespace {

/// Sends a random load both ways and checks that all of it arrives, once and in order.
class load {
 public:
  load(pair& p, std::uint64_t seed, std::size_t messages)
      : pair_{p}, random_{seed}, left_{messages} {}

  bool step() {
    for (; left_ > 0; --left_) {
      association& from = left_ % 2 == 0 ? pair_.a : pair_.b;
      const auto stream = static_cast<std::uint16_t>(random_.next() % 5);
      const std::uint64_t shape = random_.next() % 16;
      const std::size_t size = 8 + random_.next() % (shape == 0 ? 60000 : shape < 4 ? 5000 : 900);
      const auto order = stream == 4 ? delivery_order::unordered : delivery_order::ordered;
      auto& sent = left_ % 2 == 0 ? sent_a_ : sent_b_;
      const auto number = static_cast<std::uint32_t>(sent[stream].size());
      auto payload = pattern(size, number * 8 + stream);
      if (!from.send(pair_.now, stream, number, weft::const_bytes{payload}, {.order = order}))
        break;
      sent[stream].push_back(std::move(payload));
    }
    return !complete();
  }

  bool complete() const {
    return left_ == 0 && pair_.b_messages.size() == count(sent_a_) &&
           pair_.a_messages.size() == count(sent_b_);
  }

  void check() const {
    check_direction(sent_a_, pair_.b_messages);
    check_direction(sent_b_, pair_.a_messages);
  }

 private:
  using by_stream = std::map<std::uint16_t, std::vector<bytes>>;

  static std::size_t count(const by_stream& sent) {
    std::size_t n = 0;
    for (const auto& [stream, list] : sent) n += list.size();
    return n;
  }

  static void check_direction(const by_stream& sent, const std::vector<received>& got) {
    std::map<std::uint16_t, std::vector<bool>> seen;
    std::map<std::uint16_t, std::uint32_t> next;
    std::size_t wrong = 0;
    for (const received& m : got) {
      const auto list = sent.find(m.stream);
      if (list == sent.end() || m.ppid >= list->second.size() ||
          list->second[m.ppid] != m.payload) {
        ++wrong;
        continue;
      }
      auto& flags = seen[m.stream];
      flags.resize(list->second.size());
      if (flags[m.ppid]) ++wrong;
      flags[m.ppid] = true;
      if (m.order == delivery_order::ordered && m.ppid != next[m.stream]++) ++wrong;
    }
    CHECK(wrong == 0);
    CHECK(got.size() == count(sent));
  }

  pair& pair_;
  weft::seeded_random random_;
  std::size_t left_;
  by_stream sent_a_;
  by_stream sent_b_;
};

weft::sim::conditions bad_network(std::uint64_t seed) {
  weft::seeded_random random{seed};
  weft::sim::conditions c;
  c.delay = std::chrono::milliseconds{random.next() % 100};
  c.jitter = std::chrono::milliseconds{random.next() % 3 == 0 ? random.next() % 60 : 0};
  c.loss_percent = static_cast<unsigned>(random.next() % 31);
  c.duplicate_percent = static_cast<unsigned>(random.next() % 4 == 0 ? random.next() % 20 : 0);
  return c;
}

std::uint64_t run_seed(std::uint64_t seed) {
  CAPTURE(seed);
  association::options o;
  o.zero_checksum = seed % 3 == 0;
  // Nothing is to give up here: 30 % of loss takes many tries.
  o.max_retransmissions = o.max_init_retransmissions = 1000;
  o.max_packet_size = seed % 5 == 0 ? 600 : 1160;
  o.receive_window = seed % 7 == 0 ? 80000 : o.receive_window;
  pair p{seed, o, o};
  p.set_conditions(bad_network(seed));
  load l{p, seed, 60};
  p.a.connect(p.now);
  if (seed % 2 == 0) p.b.connect(p.now);
  std::size_t before = 0;
  weft::time_point progress = p.now;
  bool stuck = false;
  p.run(std::chrono::hours{2}, [&] {
    if (p.a.state() != association_state::established ||
        p.b.state() != association_state::established)
      return true;
    const std::size_t count = p.a_messages.size() + p.b_messages.size();
    if (count != before) progress = p.now;
    before = count;
    stuck = stuck || p.now - progress > 300s;
    return l.step() && !stuck;
  });
  CHECK_FALSE(stuck);
  CHECK(l.complete());
  l.check();
  return p.to_a.transcript() ^ p.to_b.transcript();
}

}  // namespace

TEST_SUITE("sctp/network") {
  TEST_CASE("1000 bad networks: every message arrives once and in order") {
    for (std::uint64_t seed = 1; seed <= weft::test::seeds(1000); ++seed) run_seed(seed);
  }

  TEST_CASE("a run follows from its seed") {
    CHECK(run_seed(17) == run_seed(17));
    CHECK(run_seed(17) != run_seed(18));
  }
}
