#include "allocation.hpp"

#include <algorithm>

namespace weft::turn {
namespace {

// Forgets what has expired, and gives back memory that a burst took.
template <class Entry>
std::size_t room(std::vector<Entry>& entries, time_point now, std::size_t limit) {
  std::erase_if(entries, [&](const Entry& e) { return e.expires <= now; });
  return limit > entries.size() ? limit - entries.size() : 0;
}

}  // namespace

void allocation_peers::permit(time_point now, const ip_address& peer) {
  const time_point expires = now + permission_lifetime;
  for (permission& p : permissions_) {
    if (p.peer != peer) continue;
    p.expires = expires;
    return;
  }
  permissions_.push_back({peer, expires});
}

void allocation_peers::bind(time_point now, std::uint16_t number, const endpoint& peer) {
  // Whatever else has the number or the peer has expired: the caller has looked.
  std::erase_if(channels_, [&](const channel& c) { return c.number == number || c.peer == peer; });
  channels_.push_back({peer, number, now + channel_lifetime});
}

std::size_t allocation_peers::room_for_permissions(time_point now, std::size_t limit) {
  return room(permissions_, now, limit);
}

std::size_t allocation_peers::room_for_channels(time_point now, std::size_t limit) {
  return room(channels_, now, limit);
}

void allocation_peers::forget(address_family family) {
  std::erase_if(permissions_, [&](const permission& p) { return family_of(p.peer) == family; });
  std::erase_if(channels_, [&](const channel& c) { return family_of(c.peer.address) == family; });
}

}  // namespace weft::turn
