#include <doctest/doctest.h>

#include "scripted_peer.hpp"
#include "support/allocation_counter.hpp"

namespace weft::ice::test {
namespace {

const endpoint here = at("10.0.0.1");
const endpoint there = at("10.0.0.2");

TEST_SUITE("ice statistics") {
  TEST_CASE("pairs and candidates are told in the terms of W3C webrtc-stats §8.18 and §8.20") {
    scripted_peer p{role::controlling};
    p.meet(there);
    auto pairs = p.ice.pair_stats();
    REQUIRE(pairs.size() == 1);
    CHECK(pairs[0].state == candidate_pair_state::waiting);
    CHECK(pairs[0].id == "P1");
    CHECK(pairs[0].local_candidate_id == "L1");
    CHECK(pairs[0].remote_candidate_id == "R1");
    const sent check = p.poll_one();
    CHECK(p.ice.pair_stats()[0].state == candidate_pair_state::in_progress);
    p.wait(600ms);  // One retransmission.
    p.answer(check);
    const sent nomination = p.poll_one();
    p.now += 30ms;
    p.answer(nomination);
    p.send_check({.from = there});
    p.poll();
    p.answer_for(12s);
    pairs = p.ice.pair_stats();
    REQUIRE(pairs.size() == 1);
    const auto& s = pairs[0];
    CHECK(s.state == candidate_pair_state::succeeded);
    CHECK(s.nominated);
    CHECK(s.selected);
    CHECK(s.priority == pair_priority(p.ice.local_candidates()[0].priority,
                                      p.ice.remote_candidates()[0].priority));
    CHECK(s.requests_sent == 2);
    CHECK(s.retransmissions_sent == 1);
    CHECK(s.consent_requests_sent >= 2);
    CHECK(s.requests_received == 1);
    CHECK(s.responses_sent == 1);
    CHECK(s.responses_received == 2 + s.consent_requests_sent);
    // What was sent twice measures nothing.
    CHECK(s.round_trips == 1 + s.consent_requests_sent);
    CHECK(s.total_round_trip >= 30ms);
    CHECK(s.current_round_trip == p.ice.round_trip());

    const auto candidates = p.ice.candidate_stats();
    REQUIRE(candidates.size() == 2);
    CHECK_FALSE(candidates[0].is_remote);
    CHECK(candidates[0].info == p.ice.local_candidates()[0]);
    CHECK(candidates[1].is_remote);
    CHECK(candidates[1].info == p.ice.remote_candidates()[0]);
  }

  TEST_CASE("the local candidate of a pair is the one that the other side sees") {
    scripted_peer p{role::controlling};
    REQUIRE(p.ice.add_server_reflexive_candidate(p.now, here, at("203.0.113.1", 40000), "stun:x"));
    p.meet(there);
    p.mapped = at("203.0.113.1", 40000);
    p.answer_for(100ms);
    CHECK(p.ice.pair_stats()[0].local_candidate_id == "L2");
    p.mapped = at("203.0.113.1", 40001);
    p.send_check({.from = at("10.0.0.3")});
    p.answer_for(100ms);
    const auto all = p.ice.candidate_stats();
    const auto learned =
        std::ranges::find_if(all, [](const auto& c) { return c.info.address.port == 40001; });
    REQUIRE(learned != all.end());
    CHECK(learned->info.type == candidate_type::peer_reflexive);
    CHECK(p.ice.pair_stats()[1].local_candidate_id == learned->id);
    CHECK(p.ice.pair_stats()[1].remote_candidate_id == "R2");
  }

  TEST_CASE("data that is told of is counted on its pair, without allocating") {
    scripted_peer p{role::controlling};
    p.meet(there);
    p.answer_for(100ms);
    const five_tuple path{here, there};
    const auto allocations = weft::test::allocations();
    for (int i = 0; i < 100; ++i) {
      p.ice.count_sent(p.now + duration{i}, path, 1200);
      p.ice.count_received(p.now, path, 3 * 1000, 3);
      p.ice.count_sent(p.now, {here, at("10.0.0.9")}, 1);  // Of no pair.
    }
    CHECK(weft::test::allocations() == allocations);
    const auto s = p.ice.pair_stats()[0];
    CHECK(s.packets_sent == 100);
    CHECK(s.bytes_sent == 120000);
    CHECK(s.packets_received == 300);
    CHECK(s.bytes_received == 300000);
    CHECK(s.last_packet_sent == p.now + duration{99});
    CHECK(s.last_packet_received == p.now);
  }

  TEST_CASE(
      "the pair that carries data during a restart is told of, with those of the new session") {
    scripted_peer p{role::controlling};
    p.meet(there);
    p.answer_for(100ms);
    p.ice.restart(p.now);
    CHECK(p.ice.pair_stats().size() == 1);
    p.theirs.ufrag = "NEWU";
    p.meet(there);
    const auto both = p.ice.pair_stats();
    REQUIRE(both.size() == 2);
    CHECK(both[0].selected);
    CHECK_FALSE(both[1].selected);
    CHECK(both[0].id != both[1].id);
  }
}

}  // namespace
}  // namespace weft::ice::test
