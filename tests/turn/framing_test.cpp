#include <doctest/doctest.h>

#include <array>
#include <vector>

#include <weft/core/random.hpp>
#include <weft/turn/framing.hpp>

#include "support/allocation_counter.hpp"

namespace {

using namespace weft::turn;
using kind = stream_frame::kind;
using bytes = std::vector<std::uint8_t>;

bytes channel_message(std::uint16_t channel, std::size_t size) {
  bytes message(padded_channel_data_size(size), 0xee);
  write_channel_header(std::span{message}.first<4>(), channel, static_cast<std::uint16_t>(size));
  return message;
}

bytes stun_message(std::size_t data) {
  bytes memory(data + 64);
  weft::stun::message_builder b{
      memory, weft::stun::message_class::indication, weft::stun::method::binding, {}};
  b.add(weft::stun::attribute_type::software, bytes(data, 'x'));
  const auto built = b.finish();
  return {built.begin(), built.end()};
}

void append(bytes& to, const bytes& what) {
  to.insert(to.end(), what.begin(), what.end());
}

std::vector<bytes> all_frames(stream_assembler& assembler, weft::const_bytes chunk) {
  std::vector<bytes> frames;
  assembler.push(chunk);
  while (const auto frame = assembler.next()) frames.emplace_back(frame->begin(), frame->end());
  return frames;
}

}  // namespace

TEST_SUITE("turn/framing") {
  TEST_CASE("RFC 8656 §12.5: a stream holds STUN messages and padded ChannelData") {
    const bytes data = channel_message(0x4001, 5);
    CHECK(next_frame({}) == stream_frame{kind::need_more, 4});
    CHECK(next_frame(weft::const_bytes{data}.first(3)) == stream_frame{kind::need_more, 4});
    CHECK(next_frame(weft::const_bytes{data}.first(9)) == stream_frame{kind::need_more, 12});
    CHECK(next_frame(data) == stream_frame{kind::channel_data, 12});

    const bytes message = stun_message(4);
    CHECK(next_frame(weft::const_bytes{message}.first(3)) == stream_frame{kind::need_more, 20});
    CHECK(next_frame(weft::const_bytes{message}.first(20)) == stream_frame{kind::need_more, 28});
    CHECK(next_frame(message) == stream_frame{kind::stun_message, 28});
  }

  TEST_CASE("RFC 5766 §11: other first bytes have no place in a stream") {
    for (const unsigned first : {0x80u, 0xbfu, 0xc0u, 0xffu}) {
      const bytes stream{static_cast<std::uint8_t>(first), 0, 0, 0};
      CHECK(next_frame(stream).what == kind::not_turn);
    }
  }

  TEST_CASE("Frames come out whole, however the stream is cut") {
    weft::seeded_random random{7};
    for (int round = 0; round < 200; ++round) {
      bytes stream;
      std::vector<bytes> sent;
      for (int i = 0; i < 12; ++i) {
        const auto size = static_cast<std::size_t>(random.next() % 300);
        sent.push_back(random.next() % 2 == 0 ? channel_message(0x4000, size) : stun_message(size));
        append(stream, sent.back());
      }
      stream_assembler assembler{65552};
      std::vector<bytes> got;
      for (std::size_t at = 0; at < stream.size();) {
        const std::size_t longest = random.next() % 3 == 0 ? 3 : 500;
        const std::size_t size =
            std::min<std::size_t>(stream.size() - at, 1 + random.next() % longest);
        // A chunk of its own: what outlives it is seen by the address sanitizer.
        const bytes chunk(stream.begin() + static_cast<std::ptrdiff_t>(at),
                          stream.begin() + static_cast<std::ptrdiff_t>(at + size));
        for (bytes& frame : all_frames(assembler, chunk)) got.push_back(std::move(frame));
        at += size;
      }
      CHECK(got == sent);
      CHECK(assembler.buffered() == 0);
    }
  }

  TEST_CASE("A frame that came whole is not copied, and others stay until the next push") {
    bytes stream = channel_message(0x4001, 100);
    append(stream, channel_message(0x4002, 8));
    append(stream, channel_message(0x4003, 40));
    const weft::const_bytes all{stream};
    stream_assembler assembler{65552};
    assembler.push(all.first(10));
    CHECK_FALSE(assembler.next());
    CHECK(assembler.buffered() == 10);
    assembler.push(all.subspan(10, 120));
    const auto first = assembler.next();
    const auto second = assembler.next();
    CHECK_FALSE(assembler.next());
    REQUIRE(first);
    REQUIRE(second);
    CHECK(second->data() == stream.data() + 104);
    CHECK(channel_data_view::parse(*first)->channel == 0x4001);
    CHECK(assembler.buffered() == 14);
  }

  TEST_CASE("A frame over the limit fails the stream as soon as its header is there") {
    stream_assembler assembler{100};
    CHECK(all_frames(assembler, channel_message(0x4001, 96)).size() == 1);
    const bytes longer = channel_message(0x4001, 97);
    CHECK(all_frames(assembler, weft::const_bytes{longer}.first(4)).empty());
    CHECK(assembler.failed());
    CHECK(assembler.buffered() == 0);
    CHECK(all_frames(assembler, channel_message(0x4001, 1)).empty());
  }

  TEST_CASE("What is not TURN fails the stream, after what came before it") {
    bytes stream = stun_message(0);
    append(stream, {'G', 'E', 'T', ' '});
    stream.back() = 0x80;
    stream[stream.size() - 4] = 0x80;
    stream_assembler assembler{65552};
    CHECK(all_frames(assembler, stream).size() == 1);
    CHECK(assembler.failed());
  }

  TEST_CASE("Once its memory is there, a stream costs no allocation") {
    bytes stream;
    for (int i = 0; i < 50; ++i) append(stream, channel_message(0x4001, 200));
    stream_assembler assembler{65552};
    const auto run = [&] {
      std::size_t frames = 0;
      for (std::size_t at = 0; at < stream.size(); at += 150) {
        assembler.push(
            weft::const_bytes{stream}.subspan(at, std::min<std::size_t>(150, stream.size() - at)));
        while (assembler.next()) ++frames;
      }
      return frames;
    };
    run();
    const auto before = weft::test::allocations();
    const std::size_t frames = run();
    const auto after = weft::test::allocations();
    CHECK(frames == 50);
    CHECK(after == before);
  }
}
