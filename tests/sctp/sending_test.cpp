#include <doctest/doctest.h>

#include <vector>

#include "outstanding.hpp"
#include "send_queue.hpp"

using namespace weft::sctp;

namespace {

struct fixture {
  message_slab messages;
  send_queue queue{messages};
  outstanding_chunks chunks{messages};

  std::uint32_t message(std::uint16_t stream, std::size_t size) {
    const std::uint32_t index = messages.acquire();
    messages[index] = {};
    messages[index].payload.resize(size);
    messages[index].stream = stream;
    queue.push(index);
    return index;
  }

  /// Cuts chunks of up to 100 bytes until nothing is left; returns their streams.
  std::vector<std::uint16_t> cut_all() {
    std::vector<std::uint16_t> streams;
    while (!queue.empty()) {
      const std::uint32_t index = queue.current();
      const outgoing_message& m = messages[index];
      const std::size_t offset = m.cut;
      const std::size_t size = std::min<std::size_t>(100, m.payload.size() - offset);
      queue.cut(size);
      chunks.add(index, offset, size);
      streams.push_back(m.stream);
    }
    return streams;
  }

  outstanding_chunks::sack_outcome sack(std::uint32_t cumulative,
                                        std::vector<gap_block> gaps = {}) {
    std::vector<std::uint8_t> bytes(4 * gaps.size());
    for (std::size_t i = 0; i < gaps.size(); ++i) {
      detail::store_u16(bytes.data() + 4 * i, gaps[i].start);
      detail::store_u16(bytes.data() + 4 * i + 2, gaps[i].end);
    }
    return chunks.acknowledge(cumulative, bytes);
  }
};

}  // namespace

TEST_SUITE("sctp/send_queue") {
  TEST_CASE_FIXTURE(fixture, "streams take turns; a message once begun is finished first") {
    chunks.start(1);
    message(1, 250);
    message(1, 50);
    message(2, 50);
    message(3, 150);
    CHECK(cut_all() == std::vector<std::uint16_t>{1, 1, 1, 2, 3, 3, 1});
  }

  TEST_CASE_FIXTURE(fixture, "a thousand messages on one stream do not hold up another") {
    chunks.start(1);
    for (int i = 0; i < 1000; ++i) message(1, 100);
    message(2, 100);
    CHECK(cut_all()[1] == 2);
  }

  TEST_CASE_FIXTURE(fixture,
                    "RFC 9260 §6.5: ordered messages count SSNs per stream, unordered none") {
    chunks.start(1);
    const auto first = message(1, 10);
    const auto unordered = message(1, 10);
    messages[unordered].unordered = true;
    const auto second = message(1, 10);
    const auto other = message(2, 10);
    cut_all();
    CHECK(messages[first].ssn == 0);
    CHECK(messages[second].ssn == 1);
    CHECK(messages[other].ssn == 0);
  }

  TEST_CASE_FIXTURE(fixture, "the buffered amount falls as chunks are cut and tells once") {
    chunks.start(1);
    queue.set_low_threshold(5, 120);
    message(5, 250);
    CHECK(queue.buffered(5) == 250);
    CHECK(queue.buffered() == 250);
    queue.cut(100);
    CHECK(queue.buffered(5) == 150);
    CHECK_FALSE(queue.poll_low());
    queue.cut(100);
    CHECK(queue.poll_low() == std::uint16_t{5});
    CHECK_FALSE(queue.poll_low());
    queue.cut(50);
    CHECK_FALSE(queue.poll_low());
    CHECK(queue.buffered() == 0);
    CHECK(queue.buffered(77) == 0);
  }
}

TEST_SUITE("sctp/outstanding") {
  TEST_CASE_FIXTURE(fixture, "a SACK takes chunks out of flight and finishes messages") {
    chunks.start(0xfffffffe);  // TSNs wrap at once.
    const auto m = message(1, 350);
    cut_all();
    CHECK(chunks.bytes_in_flight() == 350);
    const auto outcome = sack(0xffffffff);
    CHECK(outcome.valid);
    CHECK(outcome.cumulative_advanced);
    CHECK(outcome.bytes_acknowledged == 200);
    CHECK_FALSE(chunks.poll_finished());
    CHECK(sack(1).bytes_acknowledged == 150);
    CHECK(chunks.poll_finished() == m);
    CHECK(chunks.empty());
    CHECK(chunks.bytes_in_flight() == 0);
  }

  TEST_CASE_FIXTURE(fixture, "RFC 9260 §6.2.1: SACKs of what was not sent change nothing") {
    chunks.start(10);
    message(1, 300);
    cut_all();
    CHECK_FALSE(sack(13).valid);
    CHECK_FALSE(sack(9, {{1, 4}}).valid);
    CHECK_FALSE(sack(9, {{3, 2}}).valid);
    CHECK_FALSE(sack(9, {{0, 1}}).valid);
    CHECK_FALSE(sack(9, {{2, 65535}}).valid);
    CHECK_FALSE(sack(8).valid);
    CHECK_FALSE(sack(0x80000009).valid);
    CHECK(chunks.bytes_in_flight() == 300);
  }

  TEST_CASE_FIXTURE(fixture, "RFC 9260 §7.2.4: the third report of a missing chunk loses it") {
    chunks.start(1);
    message(1, 600);
    cut_all();
    CHECK_FALSE(sack(0, {{2, 2}}).losses);
    CHECK_FALSE(sack(0, {{2, 3}}).losses);
    CHECK_FALSE(sack(0, {{2, 3}}).losses);  // Nothing new: no further indication.
    CHECK(sack(0, {{2, 4}}).losses);
    REQUIRE(chunks.next_lost());
    CHECK(static_cast<std::uint32_t>(*chunks.next_lost()) == 1);
    CHECK(chunks.bytes_in_flight() == 200);
    chunks.retransmitted(*chunks.next_lost());
    CHECK(chunks.bytes_in_flight() == 300);
    CHECK_FALSE(chunks.next_lost());
  }

  TEST_CASE_FIXTURE(fixture, "a lost retransmission is found by what was sent after it") {
    chunks.start(1);
    message(1, 900);
    cut_all();
    sack(0, {{2, 2}});
    sack(0, {{2, 3}});
    sack(0, {{2, 4}});
    chunks.retransmitted(*chunks.next_lost());
    // Acknowledgements of what was sent before the retransmission say nothing about it.
    for (std::uint16_t end = 5; end <= 9; ++end) CHECK_FALSE(sack(0, {{2, end}}).losses);
    message(1, 300);
    cut_all();
    CHECK_FALSE(sack(0, {{2, 10}}).losses);
    CHECK_FALSE(sack(0, {{2, 11}}).losses);
    CHECK(sack(0, {{2, 12}}).losses);
  }

  TEST_CASE_FIXTURE(fixture,
                    "RFC 9260 §6.2.1 D iv: a chunk that is no longer reported is in flight again") {
    chunks.start(1);
    message(1, 500);
    cut_all();
    sack(0, {{2, 4}});
    CHECK(chunks.bytes_in_flight() == 200);
    sack(0, {{2, 2}, {4, 4}});
    CHECK(chunks.bytes_in_flight() == 300);
    // And a peer that stands right before what it once reported has taken it back.
    sack(1);
    CHECK(chunks.bytes_in_flight() == 400);
  }

  TEST_CASE_FIXTURE(fixture,
                    "RFC 9260 §6.3.3: a timeout loses all that is in flight, oldest first") {
    chunks.start(1);
    message(1, 500);
    cut_all();
    sack(0, {{3, 3}});
    chunks.time_out();
    CHECK(chunks.bytes_in_flight() == 0);
    std::vector<std::uint32_t> order;
    while (const auto tsn = chunks.next_lost()) {
      order.push_back(static_cast<std::uint32_t>(*tsn));
      chunks.retransmitted(*tsn);
    }
    CHECK(order == std::vector<std::uint32_t>{1, 2, 4, 5});
  }

  TEST_CASE_FIXTURE(fixture,
                    "RFC 7496 §3.1: a message is exhausted when one transmission too many is due") {
    chunks.start(1);
    const auto never = message(1, 100);
    messages[never].max_retransmissions = 0;
    const auto once = message(2, 100);
    messages[once].max_retransmissions = 1;
    cut_all();
    chunks.time_out();
    CHECK(chunks.poll_exhausted() == never);
    CHECK_FALSE(chunks.poll_exhausted());
    while (const auto tsn = chunks.next_lost()) chunks.retransmitted(*tsn);
    chunks.time_out();
    CHECK(chunks.poll_exhausted() == never);
    CHECK(chunks.poll_exhausted() == once);
  }

  TEST_CASE_FIXTURE(fixture, "RFC 3758 §3.5: abandoned chunks are passed, and named by stream") {
    chunks.start(1);
    const auto first = message(1, 250);
    const auto second = message(2, 50);
    const auto third = message(1, 50);
    messages[second].unordered = true;
    cut_all();
    const auto fourth = message(3, 50);
    cut_all();
    chunks.abandon(third, false);
    CHECK(chunks.advanced_ack_point() == chunks.cumulative_ack());
    chunks.abandon(first, false);
    CHECK(static_cast<std::uint32_t>(chunks.advanced_ack_point()) == 3);
    chunks.abandon(second, false);
    CHECK(static_cast<std::uint32_t>(chunks.advanced_ack_point()) == 5);
    CHECK(chunks.bytes_in_flight() == 50);
    std::vector<forward_tsn_chunk::skipped> streams;
    CHECK(static_cast<std::uint32_t>(chunks.forward(streams, 10)) == 5);
    CHECK(streams == std::vector<forward_tsn_chunk::skipped>{{1, 1}});
    chunks.abandon(fourth, false);
    // What cannot be named waits.
    CHECK(static_cast<std::uint32_t>(chunks.forward(streams, 1)) == 5);
    CHECK(static_cast<std::uint32_t>(chunks.forward(streams, 2)) == 6);
  }

  TEST_CASE_FIXTURE(fixture,
                    "RFC 3758 §3.5 A3: a message given up half sent uses up one more TSN") {
    chunks.start(1);
    const auto m = message(1, 300);
    queue.cut(100);
    chunks.add(m, 0, 100);
    sack(1);
    CHECK(chunks.empty());
    queue.drop_current();
    chunks.abandon(m, true);
    CHECK(chunks.size() == 1);
    CHECK(chunks.bytes_in_flight() == 0);
    CHECK(static_cast<std::uint32_t>(chunks.advanced_ack_point()) == 2);
  }
}
