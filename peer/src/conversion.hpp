#ifndef WEFT_PEER_SRC_CONVERSION_HPP
#define WEFT_PEER_SRC_CONVERSION_HPP

#include <optional>

#include <weft/ice/candidate.hpp>
#include <weft/sdp/candidate.hpp>

/// One thing in two modules that do not know each other.
namespace weft::peer {

/// Nothing where the candidate has an address that is neither an IP address nor a `.local` name.
std::optional<ice::candidate> to_ice(const sdp::candidate& c);
sdp::candidate to_sdp(const ice::candidate& c);

}  // namespace weft::peer

#endif  // WEFT_PEER_SRC_CONVERSION_HPP
