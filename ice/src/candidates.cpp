// Candidates of both sides, and the pairs they form.
#include <algorithm>

#include "implementation.hpp"

namespace weft::ice {

// Local candidates

result<void, error> agent::implementation::add_local_address(time_point now,
                                                             const local_address& address) {
  if (state_ == ice::state::closed) return fail(error::closed);
  begin(now);
  return use_base(locals_.add(*random_, address));
}

result<void, error> agent::implementation::add_relayed_candidate(time_point now,
                                                                 const relayed_address& address) {
  if (state_ == ice::state::closed) return fail(error::closed);
  begin(now);
  return use_base(locals_.add(address));
}

result<void, error> agent::implementation::use_base(const result<const base*, error>& made) {
  if (!made) return fail(made.error());
  if (*made == nullptr) return {};  // It is known.
  const base& b = **made;
  tell_locals();
  // The owner's addresses are no attack.
  checks_begun_ = std::min(checks_begun_, options_.initial_checks);
  gather_from(b);
  form_pairs_from(b);
  collect_gathered();
  finish();
  return {};
}

void agent::implementation::gather_from(const base& b) {
  if (b.type == candidate_type::host && b.protocol == transport_protocol::udp && b.usable &&
      !is_lite())
    gatherer_.add_base(*random_, b.address);
}

/// Takes addresses out of use, or into it.
void agent::implementation::apply_policy() {
  if (wanted_policy_ == locals_.policy()) return;
  locals_.set_policy(*random_, wanted_policy_);
  tell_locals();
  for (const base& b : locals_.bases()) {
    if (b.protocol == transport_protocol::udp) gatherer_.remove_base(b.address);
    gather_from(b);
    form_pairs_from(b);
  }
  checklist_.drop_if([&](const pair& p) {
    const auto* const from = locals_.find(p.path.local, p.path.protocol);
    return !p.old && !is_selected(p) && (from == nullptr || !from->usable);
  });
}

result<void, error> agent::implementation::add_server_reflexive_candidate(
    time_point now, const endpoint& base, const endpoint& mapped, std::string_view url,
    transport_protocol protocol) {
  if (state_ == ice::state::closed) return fail(error::closed);
  begin(now);
  const auto* const from = locals_.find(base, protocol);
  if (from == nullptr || from->type != candidate_type::host) return fail(error::invalid_address);
  if (!is_lite()) locals_.add_reflexive(*from, mapped, url, url);
  tell_locals();
  finish();
  return {};
}

void agent::implementation::remove_local_address(time_point now, const endpoint& address,
                                                 transport_protocol protocol) {
  if (state_ == ice::state::closed) return;
  begin(now);
  if (!locals_.remove(address, protocol)) return;
  tell_locals();
  if (protocol == transport_protocol::udp) gatherer_.remove_base(address);
  const auto is_on = [&](const five_tuple& path) {
    return path.local == address && path.protocol == protocol;
  };
  std::erase_if(responses_, [&](const response& r) { return is_on(r.path); });
  std::erase_if(early_, [&](const early_request& e) { return is_on(e.what.path); });
  std::vector<std::uint16_t> bereft;
  for (std::uint16_t i = 1; i <= options_.components; ++i) {
    component_state& c = component(i);
    if (c.selected == nullptr || !is_on(c.selected->path)) continue;
    if (c.selected->old) {
      c.lost = true;
    } else {
      bereft.push_back(i);
    }
    c.selected = nullptr;
  }
  checklist_.drop_if([&](const pair& p) { return is_on(p.path); });
  drop_old_session();
  for (const std::uint16_t i : bereft) lose_selected(i);
  for (std::uint16_t i = 1; i <= options_.components; ++i) consider_nomination(i);
  collect_gathered();
  finish();
}

result<void, error> agent::implementation::add_stun_server(time_point now, const server& s) {
  if (state_ == ice::state::closed) return fail(error::closed);
  begin(now);
  const auto added = gatherer_.add_server(*random_, s);
  collect_gathered();
  finish();
  return added;
}

void agent::implementation::gather(time_point now) {
  if (state_ == ice::state::closed) return;
  begin(now);
  if (!gatherer_.has_started()) apply_policy();
  gatherer_.start(*random_);
  collect_gathered();
  finish();
}

void agent::implementation::hold_gathering(time_point now) {
  begin(now);
  gatherer_.hold();
  finish();
}

void agent::implementation::release_gathering(time_point now) {
  begin(now);
  gatherer_.release();
  collect_gathered();
  finish();
}

void agent::implementation::set_candidate_policy(time_point now, candidate_policy policy) {
  begin(now);
  wanted_policy_ = policy;
}

void agent::implementation::collect_gathered() {
  while (const auto found = gatherer_.poll_found()) {
    const auto* const from = locals_.find(found->base, transport_protocol::udp);
    const server& s = gatherer_.servers()[found->server];
    if (from != nullptr)
      locals_.add_reflexive(*from, found->reflexive, s.url, to_string(s.address) + s.url);
  }
  tell_locals();
  while (auto failed = gatherer_.poll_error()) push(*std::move(failed));
  if (!gatherer_.poll_complete()) return;
  has_gathered_ = true;
  push(gathering_complete{});
}

void agent::implementation::tell_locals() {
  for (event& e : locals_.take_events()) push(std::move(e));
}

// The other side's candidates

result<void, error> agent::implementation::add_remote_candidate(time_point now,
                                                                const candidate& remote) {
  if (state_ == ice::state::closed) return fail(error::closed);
  if (remote.component == 0 || remote.component > options_.components || remote_ended_) {
    ++stats_.ignored_candidates;
    return {};
  }
  const bool tcp = remote.protocol == transport_protocol::tcp;
  if (remote.address.port == 0 || !is_valid_priority(remote.priority) ||
      tcp != remote.tcp.has_value())
    return fail(error::invalid_candidate);
  if (!remote.name.empty()) {
    if (!pending_names::is_local_name(remote.name)) {
      ++stats_.ignored_names;
      return fail(error::invalid_candidate);
    }
    begin(now);
    // draft-ietf-mmusic-mdns-ice-candidates §3.2.1, step 2: no relay shall learn of it.
    if (locals_.policy() == candidate_policy::relay) {
      ++stats_.ignored_candidates;
      return {};
    }
    const auto outcome = names_.add(now_, remote);
    if (outcome == pending_names::outcome::refused) return fail(error::too_many);
    if (outcome == pending_names::outcome::ask) push(resolve_name{remote.name});
    finish();
    return {};
  }
  if (!can_receive(remote.address.address)) return fail(error::invalid_candidate);
  begin(now);
  if (!options_.remote_filter.allows(remote.address.address)) {
    ++stats_.ignored_candidates;
    return {};
  }
  const bool known = find_remote(remote.address, remote.protocol, remote.component) != nullptr;
  if (!known && remotes_.size() >= options_.max_remote_candidates) return fail(error::too_many);
  use_remote_address(remote, remote.address);
  finish();
  return {};
}

agent::implementation::remote_candidate* agent::implementation::find_remote(
    const endpoint& address, transport_protocol protocol, std::uint16_t component) noexcept {
  const auto at = std::ranges::find_if(remotes_, [&](const remote_candidate& r) {
    return r.address == address && r.signalled.protocol == protocol &&
           r.signalled.component == component;
  });
  return at == remotes_.end() ? nullptr : &*at;
}

/// A signalled candidate whose address is known by now.
void agent::implementation::use_remote_address(const candidate& remote, const endpoint& address) {
  remote_candidate* known = find_remote(address, remote.protocol, remote.component);
  if (known == nullptr) {
    remotes_.push_back({remote, address, remote_foundation(remote), true, ++last_remote_});
    known = &remotes_.back();
  } else if (known->was_signalled) {
    ++stats_.ignored_candidates;  // RFC 8445 §5.1.3
    return;
  } else {
    // RFC 8445 §7.3.1.3: what a check has shown is now described. Both sides reckon with the
    // priority that was signalled.
    *known = {remote, address, remote_foundation(remote), true, known->number};
    for (auto& p : checklist_.all()) {
      if (p->old || p->path.remote != address || p->path.protocol != remote.protocol ||
          p->component != remote.component)
        continue;
      p->remote_priority = remote.priority;
      p->remote_type = remote.type;
      p->remote_cost = std::min<std::uint16_t>(remote.network_cost, 999);
      p->foundation = (p->foundation >> 32 << 32) | known->foundation;
      checklist_.update_priority(*p, role_);
    }
  }
  form_pairs_to(*known);
}

std::uint32_t agent::implementation::remote_foundation(const candidate& remote) {
  const auto same = std::ranges::find_if(remotes_, [&](const remote_candidate& r) {
    return r.was_signalled && r.signalled.foundation == remote.foundation &&
           r.signalled.protocol == remote.protocol;
  });
  return same != remotes_.end() ? same->foundation : ++remote_foundations_;
}

void agent::implementation::end_of_remote_candidates(time_point now) {
  if (state_ == ice::state::closed) return;
  begin(now);
  remote_ended_ = true;
  finish();
}

void agent::implementation::resolve(time_point now, std::string_view name,
                                    std::span<const ip_address> addresses) {
  if (state_ == ice::state::closed) return;
  begin(now);
  const auto waiting = names_.take(name);
  if (waiting.empty()) ++stats_.ignored_names;
  const auto use_first = [&](const candidate& c, bool v4) {
    const auto at = std::ranges::find_if(
        addresses, [&](const ip_address& a) { return can_receive(a) && a.is_v4() == v4; });
    if (at == addresses.end() || !options_.remote_filter.allows(*at)) return false;
    const endpoint address{*at, c.address.port};
    const bool known = find_remote(address, c.protocol, c.component) != nullptr;
    if (!known && remotes_.size() >= options_.max_remote_candidates) return false;
    use_remote_address(c, address);
    return true;
  };
  for (const candidate& c : waiting) {
    const bool v4 = use_first(c, true);
    const bool v6 = use_first(c, false);
    if (!v4 && !v6) ++stats_.names_failed;
  }
  finish();
}

// Pairs

/// RFC 8445 §6.1.2.2, RFC 8838 §11, RFC 6544 §6.2. Passive candidates take part only in what the
/// other side begins.
bool agent::implementation::may_pair(const base& local, const remote_candidate& remote) noexcept {
  const candidate& r = remote.signalled;
  if (!local.usable || !remote.was_signalled || local.component != r.component ||
      local.protocol != r.protocol || !can_reach(local.address.address, remote.address.address))
    return false;
  // draft-ietf-mmusic-mdns-ice-candidates §3.3.2: the relay would learn what the name hides.
  if (local.type == candidate_type::relayed && !r.name.empty()) return false;
  if (!local.tcp) return true;
  switch (*local.tcp) {
    case tcp_type::active:
      return r.tcp == tcp_type::passive;
    case tcp_type::simultaneous_open:
      return r.tcp == tcp_type::simultaneous_open;
    case tcp_type::passive:
      return false;
  }
  return false;
}

/// For a component that has lost its pair: everything once more.
void agent::implementation::form_pairs() {
  for (const remote_candidate& remote : remotes_) form_pairs_to(remote);
}

/// A new local address is tried whatever is selected: soon it may be the only one.
void agent::implementation::form_pairs_from(const base& local) {
  if (is_lite()) return;
  for (const remote_candidate& remote : remotes_)
    if (may_pair(local, remote)) (void)add_pair(local, remote);
}

/// After a pair is selected none are formed but by checks of the other side: without the
/// extension a session nominates once (RFC 8445 §8.1.1).
void agent::implementation::form_pairs_to(const remote_candidate& remote) {
  if (is_lite() || (component(remote.signalled.component).concluded && !renomination_)) return;
  for (const base& local : locals_.bases())
    if (may_pair(local, remote)) (void)add_pair(local, remote);
}

pair* agent::implementation::add_pair(const base& local, const remote_candidate& remote) {
  return checklist_.add({.path = {local.address, remote.address, local.protocol},
                         .component = local.component,
                         .local_priority = local.priority,
                         .priority_as_learned = local.priority_as_learned,
                         .remote_priority = remote.signalled.priority,
                         .foundation = std::uint64_t{local.foundation} << 32 | remote.foundation,
                         .local_type = local.type,
                         .remote_type = remote.signalled.type,
                         .local_network_id = local.network_id,
                         .local_cost = local.network_cost,
                         .remote_cost = std::min<std::uint16_t>(remote.signalled.network_cost, 999),
                         .opens = local.tcp && *local.tcp != tcp_type::passive},
                        role_);
}

}  // namespace weft::ice
