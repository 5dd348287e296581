#ifndef WEFT_ICE_UFRAG_HPP
#define WEFT_ICE_UFRAG_HPP

#include <algorithm>
#include <optional>
#include <string_view>

#include <weft/core/bytes.hpp>
#include <weft/stun/message.hpp>

namespace weft::ice {

/// RFC 8839 §5.1: ice-char.
constexpr bool is_ice_char(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
         c == '/';
}

/// For whom among many agents on one port, UDP or TCP, a check is meant: the user name fragment
/// of the agent that receives it, which stands first in USERNAME (RFC 8445 §7.2.2). Nothing if
/// the datagram is no Binding request or its USERNAME none of ICE. The text lies in the datagram.
///
/// This is how a driver lets many agents share one port: it keeps a table from fragments to agents
/// (`agent::local_credentials`, and a new one with every restart), asks this function about
/// each datagram from an address it does not know, and hands it to the agent found. The fragment
/// is a claim, not a proof: only the agent checks the password. Remember the source address as
/// that agent's once the agent says so (`agent::is_valid_path`), not before, or anyone
/// could turn another one's datagrams away. What comes from unknown addresses and yields
/// nothing here is for nobody: drop it.
inline std::optional<std::string_view> local_ufrag(const_bytes datagram) noexcept {
  const auto message = stun::message_view::parse(datagram);
  if (!message || message->type_class() != stun::message_class::request ||
      message->type_method() != stun::method::binding)
    return std::nullopt;
  const auto username = message->username();
  if (!username) return std::nullopt;
  const auto ours = username->substr(0, username->find(':'));
  if (ours.size() == username->size() || ours.size() < 4 || ours.size() > 256 ||
      !std::ranges::all_of(ours, is_ice_char))
    return std::nullopt;
  return ours;
}

}  // namespace weft::ice

#endif  // WEFT_ICE_UFRAG_HPP
