#ifndef WEFT_TURN_SRC_ALLOCATION_HPP
#define WEFT_TURN_SRC_ALLOCATION_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <weft/core/net.hpp>
#include <weft/core/time.hpp>
#include <weft/stun/long_term_server.hpp>
#include <weft/turn/server.hpp>

#include "token_bucket.hpp"

/// What the server keeps of a client (RFC 8656 §6).
namespace weft::turn {

inline constexpr std::chrono::minutes permission_lifetime{5};  ///< RFC 8656 §9: exactly.
inline constexpr std::chrono::minutes channel_lifetime{10};    ///< RFC 8656 §12.

/// What allocations of one account have in common.
struct account {
  std::string name;
  std::size_t allocations = 0;
  token_bucket bandwidth;
};

/// Permissions and channels: few of each, in arrays that are searched from where the last search
/// found something.
class allocation_peers {
 public:
  struct permission {
    ip_address peer;
    time_point expires;
  };
  struct channel {
    endpoint peer;
    std::uint16_t number;
    time_point expires;
  };

  bool permits(time_point now, const ip_address& peer) const noexcept {
    const permission* const p = find(peer);
    return p != nullptr && p->expires > now;
  }
  /// The channel with the number, null if it is not bound.
  const channel* by_number(time_point now, std::uint16_t number) const noexcept {
    return search(last_number_, now, [&](const channel& c) { return c.number == number; });
  }
  /// The channel to the peer, null if it has none.
  const channel* by_peer(time_point now, const endpoint& peer) const noexcept {
    return search(last_peer_, now, [&](const channel& c) { return c.peer == peer; });
  }

  /// Installs or refreshes, for `permission_lifetime`.
  void permit(time_point now, const ip_address& peer);
  void bind(time_point now, std::uint16_t number, const endpoint& peer);

  /// How many more there can be. Forgets those that have expired.
  std::size_t room_for_permissions(time_point now, std::size_t limit);
  std::size_t room_for_channels(time_point now, std::size_t limit);

  /// Forgets all peers of a family (RFC 8656 §8.1).
  void forget(address_family family);

 private:
  const permission* find(const ip_address& peer) const noexcept {
    if (last_permission_ < permissions_.size() && permissions_[last_permission_].peer == peer)
      return &permissions_[last_permission_];
    for (std::size_t i = 0; i < permissions_.size(); ++i) {
      if (permissions_[i].peer != peer) continue;
      last_permission_ = static_cast<std::uint16_t>(i);
      return &permissions_[i];
    }
    return nullptr;
  }
  template <class Fits>
  const channel* search(std::uint16_t& hint, time_point now, Fits&& fits) const noexcept {
    if (hint >= channels_.size() || !fits(channels_[hint])) {
      std::size_t i = 0;
      while (i < channels_.size() && !fits(channels_[i])) ++i;
      if (i == channels_.size()) return nullptr;
      hint = static_cast<std::uint16_t>(i);
    }
    return channels_[hint].expires > now ? &channels_[hint] : nullptr;
  }

  std::vector<permission> permissions_;
  std::vector<channel> channels_;
  mutable std::uint16_t last_permission_ = 0;
  mutable std::uint16_t last_number_ = 0;
  mutable std::uint16_t last_peer_ = 0;
};

/// One of at most two relayed transport addresses of an allocation.
struct relayed {
  relay_id relay;
  endpoint address;    ///< What peers see; without a port until the driver has opened it.
  time_point expires;  ///< RFC 8656 §6: each has its own.
};

constexpr std::size_t index_of(address_family family) noexcept {
  return family == address_family::ipv4 ? 0 : 1;
}
constexpr address_family family_at(std::size_t index) noexcept {
  return index == 0 ? address_family::ipv4 : address_family::ipv6;
}

/// What an Allocate request asked for, while the driver opens sockets.
struct opening {
  bool fingerprint = false;
  std::chrono::seconds lifetime{};
  std::size_t waiting = 0;  ///< For so many sockets.
};

/// A family that a dual allocation did not get, and why (RFC 8656 §7.2).
struct missing_family {
  address_family family;
  stun::error_code why;
};

struct allocation {
  explicit allocation(const stun::authenticated_user& who) : user{who} {}

  allocation_id id{};
  /// Where data for the client goes. Without an address while a client that can move has no
  /// connection.
  five_tuple client;
  /// RFC 8016 §3.2.2: where a client has said it is, until it sends data from there.
  std::optional<five_tuple> moving_to{};
  account* owner = nullptr;
  stun::authenticated_user user;  ///< Who authenticated last; the name and key for responses.
  ip_address source;              ///< Of `allocations_per_source`.
  relayed_transport transport = relayed_transport::udp;
  std::array<std::optional<relayed>, 2> relays;  ///< By family.
  time_point created;
  time_point expires;                 ///< What its timer is set to.
  stun::transaction_id created_by{};  ///< RFC 8656 §7.2: tells a retransmission.
  std::optional<reservation_token> reserved{};
  std::optional<opening> pending{};
  std::optional<missing_family> missing{};

  bool mobile = false;
  std::uint32_t ticket = 0;  ///< The number of the ticket that counts.
  time_point ticket_issued{};

  allocation_peers peers;
  endpoint last_sent{};  ///< A peer of Send indications that the address policy has allowed.
  std::uint32_t connections = 0;  ///< RFC 6062.

  std::uint64_t bytes_to_peers = 0;
  std::uint64_t bytes_to_client = 0;
  std::uint64_t packets_to_peers = 0;
  std::uint64_t packets_to_client = 0;

  bool is_open() const noexcept { return !pending; }
  const std::optional<relayed>& relay_for(const ip_address& peer) const noexcept {
    return relays[index_of(family_of(peer))];
  }
};

}  // namespace weft::turn

#endif  // WEFT_TURN_SRC_ALLOCATION_HPP
