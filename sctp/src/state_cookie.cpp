#include "state_cookie.hpp"

namespace weft::sctp {

namespace {
constexpr std::size_t tag_size = std::tuple_size_v<siphash_tag>;
}

std::array<std::uint8_t, state_cookie::size> seal(const siphash_key& key, const state_cookie& c) {
  std::array<std::uint8_t, state_cookie::size> bytes{};
  byte_writer out{bytes};
  out.u64(static_cast<std::uint64_t>(c.created.time_since_epoch().count()));
  out.u32(c.state.local_tag);
  out.u32(c.state.local_initial_tsn);
  out.u32(c.state.peer_tag);
  out.u32(c.state.peer_initial_tsn);
  out.u32(c.state.peer_window);
  out.u16(c.state.outgoing_streams);
  out.u16(c.state.incoming_streams);
  out.u8(static_cast<std::uint8_t>((c.state.peer_forward_tsn ? 1 : 0) |
                                   (c.state.peer_re_config ? 2 : 0) |
                                   (c.state.peer_zero_checksum ? 4 : 0)));
  out.u32(c.local_tie_tag);
  out.u32(c.peer_tie_tag);
  out.bytes(siphash(key, out.written()));
  return bytes;
}

std::optional<state_cookie> unseal(const siphash_key& key, const_bytes bytes) {
  if (bytes.size() != state_cookie::size) return std::nullopt;
  const const_bytes content = bytes.first(bytes.size() - tag_size);
  const siphash_tag expected = siphash(key, content);
  std::uint8_t difference = 0;  // All of it, in constant time.
  for (std::size_t i = 0; i < tag_size; ++i)
    difference = static_cast<std::uint8_t>(difference | (expected[i] ^ bytes[content.size() + i]));
  if (difference != 0) return std::nullopt;

  byte_reader in{content};
  state_cookie c;
  c.created = time_point{duration{static_cast<duration::rep>(in.u64())}};
  c.state.local_tag = in.u32();
  c.state.local_initial_tsn = in.u32();
  c.state.peer_tag = in.u32();
  c.state.peer_initial_tsn = in.u32();
  c.state.peer_window = in.u32();
  c.state.outgoing_streams = in.u16();
  c.state.incoming_streams = in.u16();
  const std::uint8_t features = in.u8();
  c.state.peer_forward_tsn = (features & 1) != 0;
  c.state.peer_re_config = (features & 2) != 0;
  c.state.peer_zero_checksum = (features & 4) != 0;
  c.local_tie_tag = in.u32();
  c.peer_tie_tag = in.u32();
  return c;
}

}  // namespace weft::sctp
