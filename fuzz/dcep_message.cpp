// Invariant: any input either fails to parse, or building what was read gives the same bytes
// back, but for the reliability parameter of a reliable channel, which is ignored.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include <weft/dcep/message.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weft::dcep;
  const weft::const_bytes input{data, size};
  const auto type = parse_type(input);
  const auto message = parse_open(input);
  if (!message) return 0;
  if (!type || *type != message_type::open) std::abort();
  std::vector<std::uint8_t> expected{data, data + size};
  if (message->kind == reliability::reliable)
    std::fill(expected.begin() + 4, expected.begin() + 8, std::uint8_t{0});
  std::vector<std::uint8_t> rebuilt(open_size(*message));
  const auto bytes = build_open(rebuilt, *message);
  if (!bytes || !std::ranges::equal(*bytes, expected)) std::abort();
  return 0;
}
