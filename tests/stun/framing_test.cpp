#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include <weft/stun/framing.hpp>

#include "stun/vectors.hpp"

using namespace weft::stun;
using namespace weft::test;
using kind = stream_frame::kind;

TEST_SUITE("stun/framing") {
  TEST_CASE("RFC 8489 §6.2.2: messages are cut from a stream however it arrives") {
    std::vector<std::uint8_t> stream;
    for (const auto sample : sample_messages)
      stream.insert(stream.end(), sample.begin(), sample.end());
    for (std::size_t step = 1; step <= stream.size(); ++step) {
      std::vector<std::uint8_t> received;
      std::size_t messages = 0, taken = 0;
      for (std::size_t at = 0; at < stream.size(); at += step) {
        const auto end = std::min(at + step, stream.size());
        received.insert(received.end(), stream.begin() + static_cast<std::ptrdiff_t>(at),
                        stream.begin() + static_cast<std::ptrdiff_t>(end));
        for (;;) {
          const auto rest = weft::const_bytes{received}.subspan(taken);
          const stream_frame frame = next_frame(rest);
          REQUIRE(frame.what != kind::not_stun);
          if (frame.what == kind::need_more) {
            REQUIRE(frame.size > rest.size());
            break;
          }
          REQUIRE(messages < sample_messages.size());
          REQUIRE(std::ranges::equal(rest.first(frame.size), sample_messages[messages]));
          ++messages;
          taken += frame.size;
        }
      }
      REQUIRE(messages == sample_messages.size());
    }
  }

  TEST_CASE("what is not STUN is told by the first byte that gives it away") {
    const weft::const_bytes good{sample_request};
    CHECK(next_frame({}) == stream_frame{kind::need_more, header_size});
    for (std::size_t wrong = 0; wrong < 8; ++wrong) {
      for (unsigned value = 0; value < 256; ++value) {
        auto bytes = sample_request;
        bytes[wrong] = static_cast<std::uint8_t>(value);
        bool telling = false;
        if (wrong == 0) telling = value > 63;
        if (wrong == 3) telling = value % 4 != 0;
        if (wrong >= 4) telling = value != good[wrong];
        const auto frame = next_frame(weft::const_bytes{bytes}.first(wrong + 1));
        REQUIRE((frame.what == kind::not_stun) == telling);
        REQUIRE((next_frame(bytes).what == kind::not_stun) == telling);
      }
    }
  }

  TEST_CASE("the longest message is 65,552 bytes") {
    std::vector<std::uint8_t> bytes{sample_request.begin(), sample_request.begin() + 20};
    bytes[2] = 0xff;
    bytes[3] = 0xfc;
    CHECK(next_frame(bytes) == stream_frame{kind::need_more, 65'552});
    bytes.resize(65'551);
    CHECK(next_frame(bytes) == stream_frame{kind::need_more, 65'552});
    bytes.resize(65'600);
    CHECK(next_frame(bytes) == stream_frame{kind::message, 65'552});
  }
}
