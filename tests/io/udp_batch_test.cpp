#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include <weft/core/random.hpp>
#include <weft/io/udp_batch.hpp>

using weft::io::borrowed;
using weft::io::receive_batch;
using weft::io::send_batch;

namespace {

const weft::endpoint here{weft::ip_address{std::array<std::uint8_t, 4>{127, 0, 0, 1}}, 1000};
const weft::endpoint there{weft::ip_address{std::array<std::uint8_t, 4>{127, 0, 0, 1}}, 2000};
const weft::endpoint elsewhere{weft::ip_address{std::array<std::uint8_t, 4>{127, 0, 0, 1}}, 3000};

/// Does what a machine does: builds a datagram at the front of the room.
bool build(send_batch& batch, const weft::endpoint& to, std::size_t size,
           weft::traffic_class traffic = {}) {
  const weft::mutable_bytes room = batch.room();
  if (room.empty()) return false;
  std::memset(room.data(), static_cast<int>(size & 0xff), size);
  batch.add({here, to, room.first(size), traffic});
  return true;
}

}  // namespace

TEST_CASE("neighbours of one length to one destination make one run, and a shorter one ends it") {
  borrowed<send_batch> batch;
  for (const std::size_t size : {1200u, 1200u, 1200u, 700u, 700u, 1200u})
    REQUIRE(build(*batch, there, size));

  const auto runs = batch->runs();
  REQUIRE(runs.size() == 3);
  CHECK(runs[0].bytes.size() == 3 * 1200 + 700);
  CHECK(runs[0].segment_size == 1200);
  CHECK(runs[0].segments() == 4);
  CHECK(runs[1].bytes.size() == 700);
  CHECK(runs[2].segment_size == 1200);
}

TEST_CASE("another destination, another marking or a longer datagram begins another run") {
  borrowed<send_batch> batch;
  build(*batch, there, 100);
  build(*batch, elsewhere, 100);
  build(*batch, elsewhere, 100, {.mark = weft::ecn::ect1, .dscp = 0});
  build(*batch, elsewhere, 101, {.mark = weft::ecn::ect1, .dscp = 0});
  CHECK(batch->runs().size() == 4);
}

TEST_CASE("empty datagrams stay datagrams of their own") {
  borrowed<send_batch> batch;
  build(*batch, there, 0);
  build(*batch, there, 0);
  build(*batch, there, 5);
  build(*batch, there, 0);
  REQUIRE(batch->runs().size() == 4);
  CHECK(batch->runs()[0].segments() == 1);
}

TEST_CASE("a run holds at most the 64 datagrams and a batch the 65,507 bytes that Linux takes") {
  borrowed<send_batch> batch;
  while (build(*batch, there, 100)) {
  }
  for (const auto& run : batch->runs()) CHECK(run.segments() <= send_batch::max_segments);
  CHECK(batch->runs()[0].segments() == send_batch::max_segments);

  batch->clear();
  std::size_t built = 0;
  while (build(*batch, there, 1472)) ++built;
  CHECK(built == send_batch::capacity / 1472);
  CHECK(batch->runs().size() == 1);
}

TEST_CASE("whatever is added comes out again, in order, in runs that keep their promise") {
  weft::seeded_random random{5};
  for (int round = 0; round < 200; ++round) {
    borrowed<send_batch> batch;
    std::vector<std::pair<weft::endpoint, std::size_t>> added;
    for (;;) {
      const std::size_t size = std::array<std::size_t, 4>{0, 50, 1200, 1472}[random.next() % 4];
      const auto& to = random.next() % 8 == 0 ? elsewhere : there;
      if (!build(*batch, to, size)) break;
      added.emplace_back(to, size);
    }
    std::vector<std::pair<weft::endpoint, std::size_t>> found;
    for (const auto& run : batch->runs()) {
      REQUIRE(run.bytes.size() <= send_batch::capacity);
      std::size_t at = 0;
      do {
        const std::size_t size = std::min(run.segment_size, run.bytes.size() - at);
        found.emplace_back(run.remote, size);
        at += size;
      } while (at < run.bytes.size());
    }
    REQUIRE(found == added);
  }
}

TEST_CASE("a slot that several datagrams share is split by its stride") {
  borrowed<receive_batch> batch;
  std::memset(batch->buffer(0).data(), 1, 250);
  std::memset(batch->buffer(1).data(), 2, 9);
  batch->push({there, {}, 250, 100});
  batch->push({elsewhere, {.mark = weft::ecn::ce, .dscp = 46}, 9, 9});
  batch->push({there, {}, 0, 0});
  CHECK(batch->filled()[0].datagrams() == 3);

  std::vector<std::size_t> sizes;
  batch->for_each(
      [&](const weft::endpoint& from, weft::const_bytes datagram, weft::traffic_class traffic) {
        sizes.push_back(datagram.size());
        if (from == elsewhere) {
          CHECK(traffic == weft::traffic_class{weft::ecn::ce, 46});
          CHECK(std::ranges::count(datagram, 2) == 9);
        }
      });
  CHECK(sizes == std::vector<std::size_t>{100, 100, 50, 9, 0});
}

TEST_CASE("a thread keeps one batch, and a second borrower gets another") {
  const send_batch* kept = nullptr;
  {
    borrowed<send_batch> first;
    borrowed<send_batch> second;
    CHECK(&*first != &*second);
    kept = &*first;  // Given back last, so kept.
  }
  borrowed<send_batch> again;
  CHECK(&*again == kept);
  CHECK(again->runs().empty());
}
