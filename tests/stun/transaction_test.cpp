#include <doctest/doctest.h>

#include <vector>

#include <weft/stun/transaction.hpp>

using namespace std::chrono_literals;
using weft::stun::retransmission_timer;

namespace {

constexpr weft::time_point epoch{};

struct outcome {
  std::vector<weft::duration> sent_at;
  weft::duration expired_at;
};

// A transaction that nobody answers.
outcome run(retransmission_timer timer) {
  outcome o{};
  timer.start();
  auto now = epoch;
  for (;;) {
    if (timer.is_due()) {
      CHECK_FALSE(timer.deadline());
      o.sent_at.push_back(now - epoch);
      timer.sent(now);
    }
    const auto deadline = timer.deadline();
    if (!deadline) break;
    timer.handle_timeout(*deadline - 1ns);
    CHECK_FALSE(timer.is_due());
    CHECK_FALSE(timer.has_expired());
    now = *deadline;
    timer.handle_timeout(now);
    timer.handle_timeout(now);
  }
  CHECK(timer.has_expired());
  CHECK_FALSE(timer.is_running());
  o.expired_at = now - epoch;
  return o;
}

}  // namespace

TEST_SUITE("stun/transaction") {
  TEST_CASE("RFC 8489 §6.2.1: requests at 0, 0.5, 1.5 ... 31.5 s, failure at 39.5 s") {
    const outcome o = run(retransmission_timer{});
    CHECK(o.sent_at ==
          std::vector<weft::duration>{0ms, 500ms, 1500ms, 3500ms, 7500ms, 15500ms, 31500ms});
    CHECK(o.expired_at == 39500ms);
  }

  TEST_CASE("RFC 8489 §6.2.1: RTO, Rc and Rm are for the usage to choose") {
    const outcome o = run(retransmission_timer{{.rto = 100ms, .max_requests = 3, .last_wait = 4}});
    CHECK(o.sent_at == std::vector<weft::duration>{0ms, 100ms, 300ms});
    CHECK(o.expired_at == 700ms);
  }

  TEST_CASE("RFC 8489 §6.2.2: over a reliable transport one request waits 39.5 s") {
    const outcome o = run(retransmission_timer{retransmission_timer::options::reliable()});
    CHECK(o.sent_at == std::vector<weft::duration>{0ms});
    CHECK(o.expired_at == 39500ms);
  }

  TEST_CASE("RFC 8489 §6.2.1: only an answer to a single request measures the round trip") {
    retransmission_timer timer;
    CHECK_FALSE(timer.round_trip(epoch));
    timer.start();
    CHECK_FALSE(timer.round_trip(epoch));
    timer.sent(epoch + 1s);
    CHECK(timer.round_trip(epoch + 1030ms) == 30ms);
    CHECK(timer.round_trip(epoch) == 0ms);
    timer.handle_timeout(epoch + 1500ms);
    CHECK(timer.is_due());
    timer.sent(epoch + 1500ms);
    CHECK_FALSE(timer.round_trip(epoch + 1530ms));
  }

  TEST_CASE("a stopped transaction waits for nothing, a restarted one begins anew") {
    retransmission_timer timer;
    CHECK_FALSE(timer.is_running());
    timer.start();
    timer.sent(epoch);
    timer.handle_timeout(epoch + 500ms);
    timer.sent(epoch + 500ms);
    timer.stop();
    CHECK_FALSE(timer.is_running());
    CHECK_FALSE(timer.deadline());
    CHECK_FALSE(timer.is_due());
    timer.start();
    CHECK(timer.is_due());
    CHECK(timer.requests_sent() == 0);
    timer.sent(epoch);
    CHECK(timer.deadline() == epoch + 500ms);
  }
}
