#ifndef WEFT_TESTS_STUN_RAW_MESSAGE_HPP
#define WEFT_TESTS_STUN_RAW_MESSAGE_HPP

#include <cstdint>
#include <utility>
#include <vector>

#include <weft/stun/message.hpp>

/// Messages that the builder refuses to build.
namespace weft::test {

using raw_bytes = std::vector<std::uint8_t>;
using raw_attribute = std::pair<stun::attribute_type, raw_bytes>;

inline constexpr stun::transaction_id raw_id{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

inline void append_u16(raw_bytes& out, std::size_t value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8));
  out.push_back(static_cast<std::uint8_t>(value));
}

/// A well-formed message with these attributes, whatever they are and however they stand.
inline raw_bytes raw_message(stun::message_class c, const std::vector<raw_attribute>& attributes) {
  raw_bytes out(stun::header_size);
  stun::message_builder{out, c, stun::method::binding, raw_id}.finish();
  for (const auto& [type, value] : attributes) {
    append_u16(out, static_cast<std::size_t>(type));
    append_u16(out, value.size());
    out.insert(out.end(), value.begin(), value.end());
    out.resize(stun::padded(out.size()));
  }
  const std::size_t length = out.size() - stun::header_size;
  out[2] = static_cast<std::uint8_t>(length >> 8);
  out[3] = static_cast<std::uint8_t>(length);
  return out;
}

}  // namespace weft::test

#endif  // WEFT_TESTS_STUN_RAW_MESSAGE_HPP
