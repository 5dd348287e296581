#include <doctest/doctest.h>

#include <numeric>
#include <vector>

#include <weft/core/random.hpp>
#include <weft/ice/framing.hpp>
#include <weft/ice/ufrag.hpp>

#include "scripted_peer.hpp"

namespace weft::ice::test {
namespace {

bytes frame(const bytes& message) {
  bytes out(frame_header_size + message.size());
  std::ranges::copy(message, out.begin() + frame_header_size);
  REQUIRE(frame_in_place(out, message.size()).size() == out.size());
  return out;
}

std::vector<bytes> cut(deframer& d, const bytes& stream, std::size_t piece) {
  std::vector<bytes> out;
  for (std::size_t at = 0; at < stream.size(); at += piece) {
    d.feed(const_bytes{stream}.subspan(at, std::min(piece, stream.size() - at)));
    while (const auto m = d.next()) out.emplace_back(m->begin(), m->end());
  }
  return out;
}

TEST_SUITE("ice framing") {
  TEST_CASE("a frame is the length in two bytes and the message (RFC 4571 §2)") {
    CHECK(frame({1, 2, 3}) == bytes{0, 3, 1, 2, 3});
    CHECK(frame_header(0x1234) == std::array<std::uint8_t, 2>{0x12, 0x34});
    bytes small(4);
    CHECK(frame_in_place(small, 3).empty());
    bytes large(70000);
    CHECK(frame_in_place(large, 65535).size() == 65537);
    CHECK(frame_in_place(large, 65536).empty());
  }

  TEST_CASE("a stream in pieces of any size yields the messages that went in") {
    seeded_random random{1};
    std::vector<bytes> messages;
    bytes stream;
    for (std::size_t size : {1u, 2u, 100u, 0u, 1200u, 4096u, 0u, 7u}) {
      bytes message(size);
      random.fill(message);
      const bytes framed = frame(message);
      stream.insert(stream.end(), framed.begin(), framed.end());
      if (size > 0) messages.push_back(message);
    }
    for (std::size_t piece = 1; piece <= stream.size(); piece += piece < 20 ? 1 : 97) {
      CAPTURE(piece);
      deframer d;
      CHECK(cut(d, stream, piece) == messages);
      CHECK_FALSE(d.has_failed());
    }
  }

  TEST_CASE("a whole message is handed out where it lies") {
    const bytes stream = frame({1, 2, 3});
    deframer d;
    d.feed(stream);
    const auto m = d.next();
    REQUIRE(m);
    CHECK(m->data() == stream.data() + 2);
  }

  TEST_CASE("a length over the limit ends the stream, in one piece or in two") {
    for (const std::size_t piece : {std::size_t{1}, std::size_t{100}}) {
      deframer d{100};
      bytes stream = frame(bytes(100, 7));
      const bytes longer = frame(bytes(101, 7));
      stream.insert(stream.end(), longer.begin(), longer.end());
      stream.insert(stream.end(), {0, 1, 5});
      CHECK(cut(d, stream, piece).size() == 1);
      CHECK(d.has_failed());
      d.feed(stream);
      CHECK_FALSE(d.next());
    }
  }

  TEST_CASE("for whom a check is, its USERNAME says (RFC 8445 §7.2.2)") {
    scripted_peer p{role::controlled};
    const bytes request = p.make_check({.from = at("10.0.0.2")});
    CHECK(local_ufrag(request) == p.ice.local_credentials().ufrag);
    for (const char* name : {"abc:RUFR", "abcdRUFR", "ab$d:RUFR", ":RUFR", ""})
      CHECK_FALSE(local_ufrag(p.make_check({.from = at("10.0.0.2"), .username = name})));
    CHECK(local_ufrag(p.make_check({.from = at("10.0.0.2"), .username = "abcd:"})) == "abcd");
    CHECK_FALSE(local_ufrag(bytes(100, 0)));
    CHECK_FALSE(local_ufrag({}));
    for (std::size_t i = 0; i < request.size(); ++i)
      CHECK_FALSE(local_ufrag(const_bytes{request}.first(i)));
    bytes response = request;
    response[0] = 1;
    CHECK_FALSE(local_ufrag(response));
  }
}

}  // namespace
}  // namespace weft::ice::test
