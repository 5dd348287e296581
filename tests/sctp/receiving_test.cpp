#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <string>
#include <vector>

#include <weft/core/random.hpp>

#include "data_tracker.hpp"
#include "reassembly.hpp"

using namespace weft::sctp;

namespace {

struct fixture {
  buffer_pool pool;
  data_tracker tracker{1024};
  reassembly messages{pool, 1000};

  fixture() { tracker.start(0xfffffffe); }  // TSNs wrap early.

  std::uint64_t tsn(int i) const {
    return (std::uint64_t{1} << 32) + 0xfffffffe + static_cast<unsigned>(i);
  }

  reassembly::outcome add(int i, data_chunk c, std::string_view text) {
    c.payload = weft::as_bytes(text);
    tracker.insert(tsn(i));
    return messages.add(tsn(i), c, tracker);
  }
  /// `shape` is some of B, E, U.
  reassembly::outcome add(int i, std::string_view shape, std::uint16_t ssn, std::string_view text,
                          std::uint16_t stream = 1) {
    data_chunk c;
    c.stream = stream;
    c.ssn = ssn;
    c.beginning = shape.find('B') != shape.npos;
    c.ending = shape.find('E') != shape.npos;
    c.unordered = shape.find('U') != shape.npos;
    return add(i, c, text);
  }
  std::string read() {
    std::string out;
    while (const auto m = messages.receive()) {
      out += weft::as_text(m->payload);
      out += ' ';
    }
    return out;
  }
};

using outcome = reassembly::outcome;

}  // namespace

TEST_SUITE("sctp/data_tracker") {
  TEST_CASE("RFC 9260 §3.3.4: gap blocks are offsets from the cumulative TSN") {
    data_tracker t{1024};
    t.start(10);
    const auto at = [](unsigned n) { return (std::uint64_t{1} << 32) + n; };
    for (const unsigned n : {10u, 12u, 13u, 16u}) t.insert(at(n));
    std::array<gap_block, 8> gaps;
    REQUIRE(t.gap_blocks(gaps) == 2);
    CHECK(gaps[0] == gap_block{2, 3});
    CHECK(gaps[1] == gap_block{6, 6});
    CHECK(t.received(at(12)));
    CHECK_FALSE(t.received(at(11)));
    CHECK_FALSE(t.received(at(17)));
    t.insert(at(11));
    CHECK(t.cumulative() == at(13));
    REQUIRE(t.gap_blocks(gaps) == 1);
    CHECK(gaps[0] == gap_block{3, 3});
    CHECK(t.gap_blocks(std::span{gaps}.first(0)) == 0);
  }

  TEST_CASE("RFC 3758 §3.6: a forwarded TSN closes gaps up to the next one") {
    data_tracker t{1024};
    t.start(1);
    const auto at = [](unsigned n) { return (std::uint64_t{1} << 32) + n; };
    for (const unsigned n : {3u, 5u, 6u, 9u}) t.insert(at(n));
    t.forward(at(4));
    CHECK(t.cumulative() == at(6));
    CHECK(t.has_gaps());
    t.forward(at(20));
    CHECK(t.cumulative() == at(20));
    CHECK_FALSE(t.has_gaps());
    t.forward(at(5));
    CHECK(t.cumulative() == at(20));
    t.insert(at(22));
    CHECK_FALSE(t.received(at(21)));
  }

  TEST_CASE("a thousand TSNs in any order end in one cumulative TSN without gaps") {
    weft::seeded_random random{5};
    std::vector<std::uint64_t> order(1000);
    std::iota(order.begin(), order.end(), (std::uint64_t{1} << 32) + 0xffffff00);
    for (std::size_t i = order.size(); i > 1; --i)
      std::swap(order[i - 1], order[random.next() % i]);
    data_tracker t{1024};
    t.start(0xffffff00);
    for (const auto n : order) {
      CHECK(t.within_window(n));
      t.insert(n);
    }
    CHECK(t.cumulative() == (std::uint64_t{1} << 32) + 0xffffff00 + 999);
    CHECK_FALSE(t.has_gaps());
  }
}

TEST_SUITE("sctp/reassembly") {
  TEST_CASE_FIXTURE(fixture, "RFC 9260 §6.9: fragments make a message in any order") {
    std::array<int, 5> order{0, 1, 2, 3, 4};
    do {
      fixture f;
      for (const int i : order) {
        const std::string_view shape = i == 0 ? "B" : i == 4 ? "E" : "";
        REQUIRE(
            f.add(i, shape, 0, std::string_view{"abcde"}.substr(static_cast<std::size_t>(i), 1)) ==
            outcome::taken);
      }
      REQUIRE(f.read() == "abcde ");
      REQUIRE(f.messages.held_bytes() == 0);
    } while (std::ranges::next_permutation(order).found);
  }

  TEST_CASE_FIXTURE(fixture,
                    "RFC 9260 §6.6: ordered messages wait for their turn, unordered do not") {
    add(1, "BE", 1, "second");
    add(2, "BEU", 0, "unordered");
    add(3, "BE", 0, "other", 2);
    CHECK(read() == "unordered other ");
    CHECK(messages.has_parts());
    add(0, "BE", 0, "first");
    CHECK(read() == "first second ");
    CHECK_FALSE(messages.has_parts());
  }

  TEST_CASE_FIXTURE(fixture, "SSNs wrap from 65535 to 0") {
    for (int i = 0; i < 65535; ++i) {
      REQUIRE(add(i, "BE", static_cast<std::uint16_t>(i), "x") == outcome::taken);
      messages.receive();
    }
    add(65536, "BE", 0, "after");
    CHECK(read() == "");
    add(65535, "BE", 65535, "before");
    CHECK(read() == "before after ");
  }

  TEST_CASE_FIXTURE(fixture, "a message above the limit is refused as soon as it shows") {
    const std::string half(600, 'x');
    CHECK(add(0, "B", 0, half) == outcome::taken);
    CHECK(add(1, "", 0, half) == outcome::too_large);
    fixture g;
    CHECK(g.add(0, "B", 0, half) == outcome::taken);
    CHECK(g.add(2, "E", 0, half) == outcome::taken);
    CHECK(g.add(1, "", 0, "y") == outcome::too_large);
  }

  TEST_CASE_FIXTURE(fixture, "fragments that belong to no message are dropped and hold nothing") {
    CHECK(add(0, "", 0, "middle") == outcome::misplaced);
    CHECK(add(1, "E", 0, "end") == outcome::misplaced);
    CHECK(add(2, "B", 0, "begin") == outcome::taken);
    CHECK(add(3, "BE", 0, "whole") == outcome::taken);  // The one before can never end.
    CHECK(add(5, "E", 1, "end") == outcome::taken);
    CHECK(add(4, "BE", 1, "next") == outcome::taken);
    CHECK(add(6, "B", 2, "begin") == outcome::taken);
    CHECK(add(7, "E", 3, "of another") == outcome::misplaced);
    CHECK(add(8, "B", 2, "begin") == outcome::taken);
    CHECK(add(9, "E", 2, "of another", 7) == outcome::misplaced);
    CHECK(read() == "whole next ");
    CHECK(messages.held_bytes() == 0);
  }

  TEST_CASE_FIXTURE(fixture, "a sequence number that was used before is dropped") {
    CHECK(add(0, "BE", 0, "a") == outcome::taken);
    CHECK(add(1, "BE", 0, "again") == outcome::misplaced);
    CHECK(add(2, "BE", 2, "c") == outcome::taken);
    CHECK(add(3, "BE", 2, "again") == outcome::misplaced);
    CHECK(add(4, "BE", 1, "b") == outcome::taken);
    CHECK(read() == "a b c ");
    CHECK(messages.held_bytes() == 0);
  }

  TEST_CASE_FIXTURE(fixture,
                    "RFC 3758 §3.6: skipping lets go what waited and drops what lacks parts") {
    add(0, "B", 0, "lost");
    add(3, "BE", 2, "two");
    add(5, "", 4, "part");
    add(7, "BE", 5, "five");
    const std::uint64_t before = tracker.cumulative();
    tracker.forward(tsn(4));
    messages.forward(before, tsn(4));
    messages.skip(1, 3);
    CHECK(read() == "two ");
    add(6, "E", 4, "end");  // Its beginning is gone.
    messages.skip(1, 4);
    CHECK(read() == "five ");
    CHECK(messages.held_bytes() == 0);
  }

  TEST_CASE_FIXTURE(fixture, "runs that were joined are dropped once") {
    add(1, "B", 0, "a");
    add(3, "", 0, "c");
    add(2, "", 0, "b");
    const std::uint64_t before = tracker.cumulative();
    tracker.forward(tsn(4));
    messages.forward(before, tsn(4));
    messages.skip(1, 0);
    CHECK(messages.held_bytes() == 0);
    add(7, "BE", 3, "d");
    add(6, "BE", 2, "c");
    add(5, "BE", 1, "b");
    CHECK(read() == "b c d ");
  }

  TEST_CASE_FIXTURE(fixture, "RFC 3758 §3.6: skipping around the wrap of SSNs keeps their order") {
    messages.skip(1, 32000);
    messages.skip(1, 64000);
    messages.skip(1, 65530);
    add(2, "BE", 1, "d");
    add(3, "BE", 65533, "b");
    add(4, "BE", 0, "c");
    add(5, "BE", 65532, "a");
    CHECK(read() == "");
    messages.skip(1, 3);
    CHECK(read() == "a b c d ");
  }

  TEST_CASE_FIXTURE(fixture, "RFC 6525 §5.2.2 E3: a reset begins SSNs anew on its streams alone") {
    add(0, "BE", 0, "a");
    add(1, "BE", 0, "b", 2);
    const std::uint16_t streams[] = {1};
    messages.reset(streams);
    CHECK(add(2, "BE", 0, "c") == outcome::taken);
    CHECK(add(3, "BE", 0, "d", 2) == outcome::misplaced);
    messages.reset({});
    CHECK(add(4, "BE", 0, "e", 2) == outcome::taken);
    CHECK(read() == "a b c e ");
  }

  TEST_CASE_FIXTURE(fixture, "after a restart whole messages can be read, parts are gone") {
    add(0, "BE", 0, "whole");
    add(1, "B", 1, "part");
    add(5, "BE", 7, "waiting");
    messages.restart();
    CHECK(messages.held_bytes() == 5 + reassembly::overhead);
    CHECK(read() == "whole ");
    CHECK(messages.held_bytes() == 0);
  }
}
