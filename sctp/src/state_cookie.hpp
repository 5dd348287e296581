#ifndef WEFT_SCTP_SRC_STATE_COOKIE_HPP
#define WEFT_SCTP_SRC_STATE_COOKIE_HPP

#include <array>
#include <cstdint>
#include <optional>

#include <weft/core/bytes.hpp>
#include <weft/core/time.hpp>

#include "siphash.hpp"

namespace weft::sctp {

/// What the two ends agree on at set-up, as one of them sees it.
struct handshake_state {
  std::uint32_t local_tag = 0;
  std::uint32_t local_initial_tsn = 0;
  std::uint32_t peer_tag = 0;
  std::uint32_t peer_initial_tsn = 0;
  std::uint32_t peer_window = 0;
  std::uint16_t outgoing_streams = 0;  ///< The lesser of what each wanted (RFC 9260 §5.1.1).
  std::uint16_t incoming_streams = 0;
  bool peer_forward_tsn = false;
  bool peer_re_config = false;
  bool peer_zero_checksum = false;

  friend bool operator==(const handshake_state&, const handshake_state&) = default;
};

/// All that is needed to build an association without having kept anything since the INIT
/// (RFC 9260 §5.1.3). Numbers only; no addresses of ours.
struct state_cookie {
  static constexpr std::size_t size = 57;

  time_point created{};
  handshake_state state;
  std::uint32_t local_tie_tag = 0;  ///< Zero when there was no association (RFC 9260 §5.2.2).
  std::uint32_t peer_tie_tag = 0;

  friend bool operator==(const state_cookie&, const state_cookie&) = default;
};

std::array<std::uint8_t, state_cookie::size> seal(const siphash_key& key, const state_cookie& c);

/// Nothing unless every bit is as `seal` wrote it with this key. Its age is the caller's to judge.
std::optional<state_cookie> unseal(const siphash_key& key, const_bytes bytes);

}  // namespace weft::sctp

#endif  // WEFT_SCTP_SRC_STATE_COOKIE_HPP
