#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <vector>

#include <weft/core/random.hpp>
#include <weft/stun/framing.hpp>

#include "stun/raw_message.hpp"
#include "stun/vectors.hpp"

using namespace weft::stun;
using namespace weft::test;
using weft::const_bytes;

namespace {

std::vector<raw_bytes> samples() {
  std::vector<raw_bytes> out;
  for (const auto sample : sample_messages) out.emplace_back(sample.begin(), sample.end());
  out.push_back(raw_message(message_class::indication, {}));
  return out;
}

raw_bytes joined(const std::vector<raw_bytes>& parts) {
  raw_bytes out;
  for (const auto& part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

// Messages of one length byte and as many bytes, whose first is 'x'.
stream_frame short_frame(const_bytes stream) noexcept {
  using enum stream_frame::kind;
  if (stream.empty()) return {need_more, 1};
  const std::size_t size = 1u + stream[0];
  if (stream.size() > 1 && stream[1] != 'x') return {not_stun, 0};
  return {stream.size() < size ? need_more : message, size};
}

stream_frame never_satisfied(const_bytes) noexcept {
  return {stream_frame::kind::need_more, 4};
}
stream_frame too_long(const_bytes stream) noexcept {
  return {stream_frame::kind::message, stream.size() + 1};
}

}  // namespace

TEST_SUITE("stun/stream_reader") {
  TEST_CASE("RFC 8489 §6.2.2: messages come out whole, whatever pieces the stream comes in") {
    const auto messages = samples();
    const raw_bytes stream = joined(messages);
    for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
      stream_reader reader;
      std::vector<raw_bytes> out;
      for (std::size_t at = 0; at < stream.size(); at += piece) {
        // In memory of its own, so that a step beyond the end is seen.
        const raw_bytes alone(
            stream.begin() + static_cast<std::ptrdiff_t>(at),
            stream.begin() + static_cast<std::ptrdiff_t>(std::min(at + piece, stream.size())));
        const_bytes rest = alone;
        while (const auto message = reader.next(rest))
          out.emplace_back(message->begin(), message->end());
        CHECK(rest.empty());
      }
      CHECK(out == messages);
      CHECK_FALSE(reader.has_failed());
      CHECK(reader.buffered() == 0);
    }
  }

  TEST_CASE("pieces of random lengths, also empty ones") {
    const auto messages = samples();
    const raw_bytes stream = joined(messages);
    weft::seeded_random random{3};
    for (int round = 0; round < 200; ++round) {
      stream_reader reader;
      std::vector<raw_bytes> out;
      for (std::size_t at = 0; at < stream.size();) {
        const std::size_t size = std::min<std::size_t>(random.next() % 200, stream.size() - at);
        const_bytes rest = const_bytes{stream}.subspan(at, size);
        while (const auto message = reader.next(rest))
          out.emplace_back(message->begin(), message->end());
        at += size;
      }
      CHECK(out == messages);
    }
  }

  TEST_CASE("a message that lies whole in a chunk is not copied") {
    const raw_bytes stream = joined(samples());
    stream_reader reader;
    const_bytes rest = stream;
    std::size_t at = 0;
    while (const auto message = reader.next(rest)) {
      CHECK(message->data() == stream.data() + at);
      at += message->size();
    }
    CHECK(at == stream.size());
  }

  TEST_CASE("what is kept is never more than one message") {
    const raw_bytes message =
        raw_message(message_class::request, {{attribute_type::padding, raw_bytes(1000)}});
    const raw_bytes stream = joined({message, message});
    stream_reader reader;
    const_bytes rest = const_bytes{stream}.first(1500);
    CHECK(reader.next(rest));
    CHECK_FALSE(reader.next(rest));
    CHECK(reader.buffered() == 1500 - message.size());
    rest = const_bytes{stream}.subspan(1500);
    CHECK(reader.next(rest));
    CHECK(reader.buffered() == 0);
    CHECK_FALSE(reader.next(rest));
  }

  TEST_CASE("a stream that is not STUN fails at its first bytes, and stays failed") {
    for (const std::string_view text : {"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x01", "\x80"}) {
      stream_reader reader;
      const_bytes rest = weft::as_bytes(text);
      CHECK_FALSE(reader.next(rest));
      CHECK(reader.has_failed());
      CHECK(rest.empty());
      const auto good = raw_message(message_class::request, {});
      rest = good;
      CHECK_FALSE(reader.next(rest));
      CHECK(rest.empty());
      CHECK(reader.buffered() == 0);
    }
  }

  TEST_CASE("a stream that loses its place after a message fails there") {
    raw_bytes stream = raw_message(message_class::request, {});
    const std::size_t first = stream.size();
    stream.push_back(0xff);
    for (const std::size_t piece : {stream.size(), std::size_t{1}}) {
      stream_reader reader;
      int messages = 0;
      for (std::size_t at = 0; at < stream.size(); at += piece) {
        const_bytes rest = const_bytes{stream}.subspan(at, std::min(piece, stream.size() - at));
        while (reader.next(rest)) ++messages;
      }
      CHECK(messages == 1);
      CHECK(reader.has_failed());
    }
    CHECK(first == 20);
  }

  TEST_CASE("a message longer than the owner takes fails the stream before it is kept") {
    const raw_bytes long_message =
        raw_message(message_class::request, {{attribute_type::padding, raw_bytes(2000)}});
    stream_reader reader{{.max_message_size = 2023}};
    const_bytes rest = const_bytes{long_message}.first(20);
    CHECK_FALSE(reader.next(rest));
    CHECK(reader.has_failed());
    stream_reader enough{{.max_message_size = 2024}};
    rest = long_message;
    CHECK(enough.next(rest));
  }

  TEST_CASE("the longest message of all is taken") {
    raw_bytes longest(20 + 0xfffc);
    std::ranges::copy(raw_message(message_class::request, {}), longest.begin());
    longest[2] = 0xff;
    longest[3] = 0xfc;
    stream_reader reader;
    for (std::size_t at = 0; at < longest.size(); at += 4096) {
      const_bytes rest =
          const_bytes{longest}.subspan(at, std::min<std::size_t>(4096, longest.size() - at));
      const auto message = reader.next(rest);
      CHECK(message.has_value() == (at + 4096 >= longest.size()));
      if (message) CHECK(std::ranges::equal(*message, longest));
    }
  }

  TEST_CASE("other protocols bring their own frames; frames that make no sense fail") {
    const raw_bytes stream{3, 'x', 1, 2, 1, 'x', 2, 'x', 0, 1, 'y'};
    for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
      stream_reader reader{{.frame = short_frame}};
      std::vector<std::size_t> sizes;
      for (std::size_t at = 0; at < stream.size(); at += piece) {
        const_bytes rest = const_bytes{stream}.subspan(at, std::min(piece, stream.size() - at));
        while (const auto m = reader.next(rest)) sizes.push_back(m->size());
      }
      CHECK(sizes == std::vector<std::size_t>{4, 2, 3});
      CHECK(reader.has_failed());
    }
    for (const auto frame : {never_satisfied, too_long}) {
      stream_reader reader{{.frame = frame}};
      const raw_bytes bytes(8);
      const_bytes rest = bytes;
      CHECK_FALSE(reader.next(rest));
      CHECK(reader.has_failed());
    }
  }
}
