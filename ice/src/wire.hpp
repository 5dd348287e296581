#ifndef WEFT_ICE_SRC_WIRE_HPP
#define WEFT_ICE_SRC_WIRE_HPP

#include <cstdint>

#include <weft/core/machine.hpp>
#include <weft/stun/registry.hpp>

namespace weft::ice {

/// draft-thatcher-ice-renomination: 24 bits. The browsers' number, which may be ignored, is sent;
/// that of the draft, which must be understood, is understood as well.
inline constexpr stun::attribute_type nomination{0xc001};
inline constexpr stun::attribute_type nomination_of_draft{0x0030};
/// The browsers' GOOG-NETWORK-INFO: the number of a network and its cost, 16 bits each.
inline constexpr stun::attribute_type network_info{0xc057};

inline addressed_transmit on(const five_tuple& path, const_bytes bytes) noexcept {
  return {.local = path.local, .remote = path.remote, .bytes = bytes, .protocol = path.protocol};
}

}  // namespace weft::ice

#endif  // WEFT_ICE_SRC_WIRE_HPP
