#ifndef WEFT_TURN_PEER_TABLE_HPP
#define WEFT_TURN_PEER_TABLE_HPP

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include <weft/core/net.hpp>
#include <weft/core/time.hpp>
#include <weft/turn/channel_data.hpp>

namespace weft::turn {

/// Names a request under way; 0 for none.
using request_number = std::uint32_t;

struct permission {
  ip_address address;
  bool due = false;        ///< To be asked for.
  bool alone = false;      ///< Not together with others: one of them was refused.
  bool announced = false;  ///< The application was told that it is there.
  request_number request = 0;
  std::optional<time_point> expires{};
  std::optional<time_point> refresh{};

  bool is_installed(time_point now) const noexcept { return expires && now < *expires; }
};

/// A channel, or what is left of one: its place in the table is its number, so it stays until
/// number and peer are free again.
struct channel_binding {
  endpoint peer;
  bool due = false;
  bool wanted = false;     ///< To be kept: neither released nor refused.
  bool refused = false;    ///< Not to be asked for again unless on request.
  bool announced = false;  ///< As in `permission`.
  request_number request = 0;
  std::optional<time_point> expires{};   ///< When it may be gone: until then it can be used.
  std::optional<time_point> reserved{};  ///< When it must be gone, and may be used anew.
  std::optional<time_point> refresh{};   ///< Or when to try again.

  bool is_bound(time_point now) const noexcept { return wanted && expires && now < *expires; }
};

/// The permissions and channels of one allocation, and when something is to be done for them.
class peer_table {
 public:
  static constexpr duration permission_lifetime = std::chrono::minutes{5};  // RFC 8656 §9
  static constexpr duration channel_lifetime = std::chrono::minutes{10};    // RFC 8656 §12
  // RFC 8656 §12: after it expired, a channel's number and peer stay reserved for each other.
  static constexpr duration channel_quarantine = std::chrono::minutes{5};
  // Early enough that a request may be lost six times, which takes 39.5 s.
  static constexpr duration permission_refresh = std::chrono::minutes{4};
  static constexpr duration channel_refresh = std::chrono::minutes{9};
  // Permissions that are due so soon after another one go into its request.
  static constexpr duration permission_slack = std::chrono::seconds{60};
  static constexpr std::size_t max_in_request = 16;  // 384 bytes of IPv6 addresses.

  peer_table(std::size_t max_permissions, std::size_t max_channels)
      : max_permissions_{max_permissions},
        max_channels_{std::min<std::size_t>(max_channels, last_channel - first_channel + 1)} {}

  void clear() {
    permissions_.clear();
    channels_.clear();
    by_peer_.clear();
    update();
  }

  // Permissions

  std::vector<permission>& permissions() noexcept { return permissions_; }
  permission* find(const ip_address& address) noexcept {
    const auto found = std::ranges::find(permissions_, address, &permission::address);
    return found == permissions_.end() ? nullptr : &*found;
  }
  const permission* find(const ip_address& address) const noexcept {
    const auto found = std::ranges::find(permissions_, address, &permission::address);
    return found == permissions_.end() ? nullptr : &*found;
  }
  /// Null when there are too many.
  permission* add(const ip_address& address) {
    if (permissions_.size() >= max_permissions_) return nullptr;
    return &permissions_.emplace_back(permission{.address = address});
  }
  /// With the use of the channels to it.
  void remove(const ip_address& address) {
    std::erase_if(permissions_, [&](const permission& p) { return p.address == address; });
    for (channel_binding& c : channels_) {
      if (c.peer.address != address) continue;
      c.wanted = c.due = false;
      c.refresh.reset();
    }
  }

  // Channels

  std::vector<channel_binding>& channels() noexcept { return channels_; }
  const channel_binding* find(const endpoint& peer) const noexcept {
    if (last_ < channels_.size() && channels_[last_].peer == peer) return &channels_[last_];
    const auto found = by_peer_.find(peer);
    return found == by_peer_.end() ? nullptr : &channels_[found->second];
  }
  channel_binding* find(const endpoint& peer) noexcept {
    const auto* const found = static_cast<const peer_table*>(this)->find(peer);
    if (found == nullptr) return nullptr;
    last_ = static_cast<std::size_t>(found - channels_.data());
    return &channels_[last_];
  }
  channel_binding* find(std::uint16_t number) noexcept {
    const std::size_t place = std::size_t{number} - first_channel;
    return place < channels_.size() ? &channels_[place] : nullptr;
  }
  std::uint16_t number_of(const channel_binding& c) const noexcept {
    return static_cast<std::uint16_t>(first_channel + (&c - channels_.data()));
  }
  /// Null when there are too many.
  channel_binding* add(time_point now, const endpoint& peer) {
    auto place = std::ranges::find_if(channels_, [&](const channel_binding& c) {
      return !c.wanted && c.request == 0 && (!c.reserved || *c.reserved <= now);
    });
    if (place == channels_.end()) {
      if (channels_.size() >= max_channels_) return nullptr;
      place = channels_.emplace(channels_.end());
    } else {
      by_peer_.erase(place->peer);
    }
    *place = channel_binding{.peer = peer, .wanted = true};
    by_peer_[peer] = static_cast<std::size_t>(place - channels_.begin());
    return &*place;
  }

  // Time

  /// To be called when anything was changed.
  void update() {
    deadline_.reset();
    for (const permission& p : permissions_)
      if (p.request == 0 && !p.due) deadline_ = earliest(deadline_, p.refresh);
    for (const channel_binding& c : channels_)
      if (c.request == 0 && !c.due) deadline_ = earliest(deadline_, c.refresh);
  }
  std::optional<time_point> deadline() const noexcept { return deadline_; }

  void handle_timeout(time_point now) {
    if (!deadline_ || now < *deadline_) return;
    const auto is_over = [&](const auto& entry, duration slack) {
      return entry.request == 0 && entry.refresh && *entry.refresh <= now + slack;
    };
    const bool permission_due = std::ranges::any_of(
        permissions_, [&](const permission& p) { return is_over(p, duration{}); });
    for (permission& p : permissions_)
      if (permission_due && is_over(p, permission_slack)) p.due = true;
    for (channel_binding& c : channels_)
      if (is_over(c, duration{})) c.due = true;
    update();
  }

 private:
  std::size_t max_permissions_;
  std::size_t max_channels_;
  std::vector<permission> permissions_;
  std::vector<channel_binding> channels_;
  std::unordered_map<endpoint, std::size_t> by_peer_;
  std::size_t last_ = 0;  ///< The channel asked for last: data comes in runs.
  std::optional<time_point> deadline_;
};

}  // namespace weft::turn

#endif  // WEFT_TURN_PEER_TABLE_HPP
