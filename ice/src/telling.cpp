// What the agent tells of itself: W3C webrtc-stats §8.18, §8.20. No address leaves that was hidden.
#include <algorithm>

#include "implementation.hpp"

namespace weft::ice {

std::string_view to_string(candidate_pair_state s) noexcept {
  switch (s) {
    case candidate_pair_state::frozen:
      return "frozen";
    case candidate_pair_state::waiting:
      return "waiting";
    case candidate_pair_state::in_progress:
      return "in-progress";
    case candidate_pair_state::succeeded:
      return "succeeded";
    case candidate_pair_state::failed:
      return "failed";
  }
  return "";
}

// The data path

std::optional<five_tuple> agent::implementation::selected_pair(
    std::uint16_t number) const noexcept {
  if (number == 0 || number > components_.size()) return std::nullopt;
  const pair* const selected = component(number).selected;
  if (selected == nullptr) return std::nullopt;
  return selected->path;
}

bool agent::implementation::is_valid_path(const five_tuple& path) const noexcept {
  for (const component_state& c : components_)
    if (c.selected != nullptr && c.selected->path == path) return true;
  return std::ranges::any_of(checklist_.all(),
                             [&](const auto& p) { return p->valid && p->path == path; });
}

std::optional<duration> agent::implementation::round_trip(std::uint16_t number) const noexcept {
  if (number == 0 || number > components_.size()) return std::nullopt;
  const pair* const selected = component(number).selected;
  return selected != nullptr ? selected->round_trip : std::nullopt;
}

pair* agent::implementation::find_counted(const five_tuple& path) noexcept {
  for (const component_state& c : components_)
    if (c.selected != nullptr && c.selected->path == path) return c.selected;
  return checklist_.find(path);
}

void agent::implementation::count_sent(time_point now, const five_tuple& path, std::size_t bytes,
                                       std::size_t packets) noexcept {
  pair* const p = find_counted(path);
  if (p == nullptr) return;
  p->stats.packets_sent += packets;
  p->stats.bytes_sent += bytes;
  p->stats.last_packet_sent = std::max(now_, now);
}

void agent::implementation::count_received(time_point now, const five_tuple& path,
                                           std::size_t bytes, std::size_t packets) noexcept {
  pair* const p = find_counted(path);
  if (p == nullptr) return;
  p->stats.packets_received += packets;
  p->stats.bytes_received += bytes;
  p->stats.last_packet_received = std::max(now_, now);
}

// Candidates

std::vector<candidate> agent::implementation::local_candidates() const {
  std::vector<candidate> out;
  for (const local_candidate& c : locals_.candidates()) out.push_back(c.info);
  return out;
}

std::vector<candidate> agent::implementation::remote_candidates() const {
  std::vector<candidate> out;
  for (const remote_candidate& r : remotes_)
    if (r.was_signalled) out.push_back(r.signalled);
  return out;
}

/// draft-ietf-mmusic-mdns-ice-candidates §3.3.1: the address of one that was learned is told only
/// if signalling has named it too, with whatever port.
candidate agent::implementation::shown(const remote_candidate& r) const {
  candidate out = r.signalled;
  if (r.was_signalled) return out;
  const bool known = std::ranges::any_of(remotes_, [&](const remote_candidate& other) {
    return other.was_signalled && other.signalled.name.empty() &&
           other.address.address == r.address.address;
  });
  if (known) out.address = r.address;
  return out;
}

std::vector<candidate_statistics> agent::implementation::candidate_stats() const {
  std::vector<candidate_statistics> out;
  for (const local_candidate& c : locals_.candidates())
    out.push_back({'L' + std::to_string(c.number), false, c.info});
  for (const remote_candidate& r : remotes_)
    out.push_back({'R' + std::to_string(r.number), true, shown(r)});
  return out;
}

std::vector<candidate_pair_statistics> agent::implementation::pair_stats() const {
  std::vector<candidate_pair_statistics> out;
  for (const auto& p : checklist_.all()) {
    if (p->old && !is_selected(*p)) continue;
    candidate_pair_statistics s = p->stats;
    s.id = 'P' + std::to_string(p->number);
    if (const auto* const local = locals_.shown(p->path.local, p->path.protocol, p->mapped))
      s.local_candidate_id = 'L' + std::to_string(local->number);
    const auto remote = std::ranges::find_if(remotes_, [&](const remote_candidate& r) {
      return r.address == p->path.remote && r.signalled.protocol == p->path.protocol &&
             r.signalled.component == p->component;
    });
    if (remote != remotes_.end()) s.remote_candidate_id = 'R' + std::to_string(remote->number);
    s.component = p->component;
    s.state = p->state;
    s.selected = is_selected(*p);
    s.nominated = p->nominated || s.selected;
    s.priority = p->priority;
    s.current_round_trip = p->round_trip;
    out.push_back(std::move(s));
  }
  return out;
}

}  // namespace weft::ice
