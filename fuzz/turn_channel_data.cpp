// A stream of STUN messages and ChannelData, cut by the input.
//
// Invariants: however a stream is cut, the same frames come out of it, and they are the stream
// from its beginning without a gap; a frame is what it says it is, and its views stay inside it;
// nothing is kept but one unfinished frame within the bound; a stream that has failed stays so.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include <weft/turn/framing.hpp>

namespace {

using namespace weft;

constexpr std::size_t max_frame = 2000;

void require(bool condition) {
  if (!condition) std::abort();
}

void check_frame(const_bytes frame) {
  const turn::stream_frame whole = turn::next_frame(frame);
  require(whole.size == frame.size() && frame.size() <= max_frame && frame.size() % 4 == 0);
  if (whole.what == turn::stream_frame::kind::channel_data) {
    const auto view = turn::channel_data_view::parse(frame);
    require(view && turn::is_channel_number(view->channel));
    require(view->data.data() == frame.data() + 4 && view->data.size() + 4 <= frame.size() &&
            frame.size() - view->data.size() < 8);
  } else {
    require(whole.what == turn::stream_frame::kind::stun_message && stun::is_stun(frame));
  }
  // No shorter beginning is a frame, and each asks for more than it is.
  for (std::size_t size = 0; size < std::min<std::size_t>(frame.size(), 32); ++size) {
    const turn::stream_frame part = turn::next_frame(frame.first(size));
    require(part.what == turn::stream_frame::kind::need_more && part.size > size &&
            part.size <= frame.size());
  }
}

// The frames of a stream, one after the other, and whether it failed.
struct outcome {
  std::vector<std::uint8_t> frames;
  std::vector<std::size_t> sizes;
  bool failed = false;

  bool operator==(const outcome&) const = default;
};

template <class NextSize>
outcome run(const_bytes stream, NextSize next_size) {
  turn::stream_assembler assembler{max_frame};
  outcome result;
  std::size_t given = 0;
  while (!stream.empty()) {
    const std::size_t size = std::clamp<std::size_t>(next_size(), 1, stream.size());
    // Memory of its own, gone after the chunk.
    const std::vector<std::uint8_t> chunk(stream.begin(),
                                          stream.begin() + static_cast<std::ptrdiff_t>(size));
    stream = stream.subspan(size);
    given += size;
    assembler.push(chunk);
    while (const auto frame = assembler.next()) {
      require(!assembler.failed());
      check_frame(*frame);
      result.frames.insert(result.frames.end(), frame->begin(), frame->end());
      result.sizes.push_back(frame->size());
    }
    require(assembler.buffered() < max_frame);
    require(assembler.failed() || result.frames.size() + assembler.buffered() == given);
    require(!result.failed || assembler.failed());
    result.failed = assembler.failed();
  }
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::size_t cuts = std::min<std::size_t>(data[0] % 16 + 1u, size - 1);
  const const_bytes pattern{data + 1, cuts};
  const const_bytes stream{data + 1 + cuts, size - 1 - cuts};

  const outcome whole = run(stream, [&] { return stream.size(); });
  require(std::equal(whole.frames.begin(), whole.frames.end(), stream.begin()));
  std::size_t at = 0;
  require(run(stream, [&] { return std::size_t{pattern[at++ % pattern.size()]}; }) == whole);
  require(run(stream, [] { return std::size_t{1}; }) == whole);
  return 0;
}
