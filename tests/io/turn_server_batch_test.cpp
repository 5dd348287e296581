#include <doctest/doctest.h>

#include <array>
#include <numeric>
#include <string>
#include <vector>

#include "../../io/src/turn_server_batch.hpp"

using weft::const_bytes;
using weft::endpoint;
using weft::ip_address;
using weft::io::turn_server_batch;

namespace {

endpoint at(std::uint16_t port) {
  return {*ip_address::parse("192.0.2.1"), port};
}

struct sent {
  std::uint32_t socket;
  endpoint remote;
  std::size_t segment_size;
  std::size_t datagrams;
  std::string bytes;
};

/// What leaves, and in how many calls.
struct outcome {
  std::vector<sent> messages;
  std::size_t sockets = 0;

  explicit outcome(turn_server_batch& batch) {
    batch.for_each_socket([&](std::span<const turn_server_batch::message> all) {
      ++sockets;
      for (const auto& m : all) {
        std::string bytes;
        for (const auto& p : m.pieces) bytes += weft::as_text({p.data, p.size});
        CHECK(bytes.size() == m.bytes);
        messages.push_back({m.to.socket, m.to.remote, m.segment_size, m.datagrams, bytes});
      }
    });
  }
};

void add(turn_server_batch& batch, std::uint32_t socket, std::uint16_t port,
         std::string_view text) {
  batch.add({socket, at(port)}, {}, weft::as_bytes(text));
}

}  // namespace

TEST_SUITE("turn_server_batch") {
  TEST_CASE("Datagrams of one flow leave together, however mixed they came, in their order") {
    turn_server_batch batch;
    for (const char* text : {"a1", "a2", "a3"}) {
      add(batch, 1, 10, text);
      add(batch, 2, 20, std::string_view{text}.substr(1));
    }
    const outcome out{batch};
    CHECK(out.sockets == 2);
    REQUIRE(out.messages.size() == 2);
    CHECK(out.messages[0].bytes == "a1a2a3");
    CHECK(out.messages[0].segment_size == 2);
    CHECK(out.messages[0].datagrams == 3);
    CHECK(out.messages[1].bytes == "123");
    CHECK(out.messages[1].socket == 2);
  }

  TEST_CASE("A shorter datagram ends a run, and a longer one begins the next") {
    turn_server_batch batch;
    for (const char* text : {"aa", "aa", "b", "cc", "ddd", "ee"}) add(batch, 1, 10, text);
    const outcome out{batch};
    CHECK(out.sockets == 1);
    REQUIRE(out.messages.size() == 3);
    CHECK(out.messages[0].bytes == "aaaab");
    CHECK(out.messages[1].bytes == "cc");
    CHECK(out.messages[2].bytes == "dddee");
    CHECK(out.messages[2].segment_size == 3);
  }

  TEST_CASE("Different destinations, sockets and traffic classes are different flows") {
    turn_server_batch batch;
    add(batch, 1, 10, "aa");
    add(batch, 1, 11, "bb");
    add(batch, 2, 10, "cc");
    batch.add({1, at(10), {weft::ecn::ce, 0}}, {}, weft::as_bytes("dd"));
    const outcome out{batch};
    CHECK(out.sockets == 2);
    CHECK(out.messages.size() == 4);
  }

  TEST_CASE("A datagram has a head, a body and padding") {
    turn_server_batch batch;
    for (int i = 0; i < 2; ++i) {
      const auto head = batch.head().last(4);
      std::iota(head.begin(), head.end(), static_cast<std::uint8_t>('0' + 4 * i));
      batch.add({1, at(10)}, head, weft::as_bytes("body"), 3);
    }
    const outcome out{batch};
    REQUIRE(out.messages.size() == 1);
    using namespace std::string_literals;
    CHECK(out.messages[0].bytes == "0123body\0\0\0"s + "4567body\0\0\0"s);
    CHECK(out.messages[0].segment_size == 11);
  }

  TEST_CASE("A run has no more datagrams and bytes than Linux sends at a time") {
    turn_server_batch batch;
    for (std::size_t i = 0; i < 130; ++i) add(batch, 1, 10, "x");
    const std::string large(1400, 'y');
    for (std::size_t i = 0; i < 60; ++i) add(batch, 1, 11, large);
    std::size_t datagrams = 0;
    for (const sent& m : outcome{batch}.messages) {
      CHECK(m.datagrams <= turn_server_batch::max_segments);
      CHECK(m.bytes.size() <= turn_server_batch::max_bytes);
      datagrams += m.datagrams;
    }
    CHECK(datagrams == 190);
  }

  TEST_CASE("An empty datagram goes alone") {
    turn_server_batch batch;
    for (const char* text : {"", "", "aa", ""}) add(batch, 1, 10, text);
    const outcome out{batch};
    CHECK(out.messages.size() == 4);
  }

  TEST_CASE("A full batch is empty again when cleared") {
    turn_server_batch batch;
    for (int round = 0; round < 3; ++round) {
      std::vector<std::string> texts;
      for (std::size_t i = 0; i < turn_server_batch::max_datagrams; ++i)
        texts.push_back(std::to_string(i));
      for (std::size_t i = 0; !batch.full(); ++i)
        add(batch, static_cast<std::uint32_t>(i % 7), static_cast<std::uint16_t>(i), texts[i]);
      const outcome out{batch};
      CHECK(out.sockets == 7);
      CHECK(out.messages.size() == turn_server_batch::max_datagrams);
      batch.clear();
      CHECK(batch.empty());
    }
    CHECK(outcome{batch}.messages.empty());
  }
}
