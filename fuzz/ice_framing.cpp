// A TCP stream of frames (RFC 4571), in pieces that the input chooses.
//
// Invariants: what was framed comes out, in order and complete, however the stream was cut; the
// pieces do not matter; no message is empty or over the limit; after a failure nothing comes.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include <weft/ice/framing.hpp>
#include <weft/ice/ufrag.hpp>

namespace {

using namespace weft;
using bytes = std::vector<std::uint8_t>;

void require(bool condition) {
  if (!condition) std::abort();
}

struct outcome {
  std::vector<bytes> messages;
  bool failed;
  bool operator==(const outcome&) const = default;
};

template <class Size>
outcome cut(const_bytes stream, std::size_t limit, Size next_size) {
  ice::deframer d{limit};
  outcome out{};
  while (!stream.empty()) {
    // A piece of its own: what lies behind it is not to be read.
    const std::size_t size = std::clamp<std::size_t>(next_size(), 1, stream.size());
    const bytes piece(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(size));
    d.feed(piece);
    while (const auto m = d.next()) {
      require(!d.has_failed() && !m->empty() && m->size() <= limit);
      out.messages.emplace_back(m->begin(), m->end());
      (void)ice::local_ufrag(*m);
    }
    stream = stream.subspan(size);
  }
  out.failed = d.has_failed();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::size_t limit = 1 + data[0] * 16u;
  const const_bytes rest{data + 1, size - 1};

  // Any stream means the same in one piece, in single bytes and in pieces of the input's choice.
  const outcome whole = cut(rest, limit, [&] { return rest.size(); });
  require(cut(rest, limit, [] { return std::size_t{1}; }) == whole);
  std::size_t at = 0;
  require(cut(rest, limit, [&] { return std::size_t{rest[at++ % rest.size()]}; }) == whole);

  // What is framed comes out again.
  bytes stream;
  for (const bytes& m : whole.messages) {
    bytes frame(ice::frame_header_size + m.size());
    std::ranges::copy(m, frame.begin() + ice::frame_header_size);
    const auto framed = ice::frame_in_place(frame, m.size());
    require(framed.size() == frame.size());
    stream.insert(stream.end(), framed.begin(), framed.end());
  }
  const outcome again = cut(stream, limit, [&] { return std::size_t{1} + data[0] % 7u; });
  require(!again.failed && again.messages == whole.messages);
  return 0;
}
