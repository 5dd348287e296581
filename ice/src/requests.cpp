// What the other side asks: RFC 8445 §7.3.
#include <algorithm>
#include <utility>

#include "implementation.hpp"
#include "wire.hpp"

namespace weft::ice {
namespace {

constexpr stun::attribute_set understood{stun::attribute_type::username,
                                         stun::attribute_type::priority,
                                         stun::attribute_type::use_candidate, nomination_of_draft};

/// The value of NOMINATION (draft-thatcher-ice-renomination §4), 0 if there is none.
std::uint32_t nomination_of(const stun::message_view& m) noexcept {
  const auto value = m.find_u32(nomination);
  return value.value_or(m.find_u32(nomination_of_draft).value_or(0)) & 0xffffff;
}

}  // namespace

// Deviation from RFC 8489 §9.1.3: a request that is not authentic gets no error response.
// Whoever sends it knows nothing of this session, and its source may be forged.
void agent::implementation::handle_request(const five_tuple& path,
                                           const stun::message_view& message) {
  const auto username = message.username();
  const std::size_t colon = username ? username->find(':') : std::string_view::npos;
  if (colon == std::string_view::npos) {
    ++stats_.unauthenticated;
    return;
  }
  const auto ours = username->substr(0, colon);
  const bool to_old = previous_ && ours == previous_->local.ufrag;
  const session& s = to_old ? *previous_ : current_;
  if (ours != s.local.ufrag || !stun::verify_integrity(message, s.local_key)) {
    ++stats_.unauthenticated;
    return;
  }
  if (responses_.size() >= options_.max_responses) {
    ++stats_.overflowed;
    return;
  }
  // RFC 8828 §5.2: with the policy `relay`, a host's own addresses are silent.
  if (!to_old && !locals_.find(path.local, path.protocol)->usable) {
    ++stats_.unexpected;
    return;
  }
  ++stats_.requests_received;

  response answer{.path = path,
                  .id = message.id(),
                  .to_old_session = to_old,
                  .sha256 = message.message_integrity_sha256().has_value()};
  if (message.has_unknown(understood)) {
    answer.error = stun::error_code::unknown_attribute;
    answer.unknown_count = message.unknown_to(understood, answer.unknown).size();
    return respond(answer);
  }
  const auto priority = message.priority();
  if (!priority || !is_valid_priority(*priority)) {  // RFC 8445 §7.1.1, §5.1.2
    answer.error = stun::error_code::bad_request;
    return respond(answer);
  }
  if (to_old) {
    for (const component_state& c : components_) {
      if (c.selected == nullptr || c.selected->path != path) continue;
      c.selected->last_request = now_;
      if (is_lite()) c.selected->last_answer = now_;  // It asks nobody.
    }
    return respond(answer);
  }
  if (!repair_role_conflict(message)) {
    answer.error = stun::error_code::role_conflict;
    return respond(answer);
  }
  respond(answer);

  const request r{.path = path,
                  .priority = *priority,
                  .use_candidate = message.use_candidate(),
                  .nomination = nomination_of(message),
                  .network = message.find_u32(network_info),
                  .id = message.id()};
  const auto theirs = username->substr(colon + 1);
  if (current_.remote_key && theirs == current_.remote.ufrag) {
    follow_up(r);
  } else if (!current_.remote_key) {
    remember_early(r, theirs);
  }
}

// RFC 8445 §7.3.1.1.
bool agent::implementation::repair_role_conflict(const stun::message_view& message) {
  if (remote_lite_) return true;
  const auto theirs =
      role_ == ice::role::controlling ? message.ice_controlling() : message.ice_controlled();
  if (!theirs) return true;
  ++stats_.role_conflicts;
  if (is_lite()) return false;  // It cannot control.
  const bool ours_is_greater = tie_breaker_ >= *theirs;
  if (ours_is_greater == (role_ == ice::role::controlling)) return false;
  switch_role();
  return true;
}

void agent::implementation::switch_role() {
  role_ = role_ == ice::role::controlling ? ice::role::controlled : ice::role::controlling;
  checklist_.set_role(role_);
  push(role_changed{role_});
  for (std::uint16_t i = 1; i <= options_.components; ++i) consider_nomination(i);
}

void agent::implementation::respond(response r) {
  if (r.error) ++stats_.refused;
  responses_.push_back(r);
}

void agent::implementation::remember_early(const request& r, std::string_view remote_ufrag) {
  const auto same =
      std::ranges::find_if(early_, [&](const early_request& e) { return e.what.path == r.path; });
  if (same != early_.end()) {
    *same = {r, std::string{remote_ufrag}};
  } else if (early_.size() < options_.max_early_checks && remote_ufrag.size() <= 256) {
    early_.push_back({r, std::string{remote_ufrag}});
  } else {
    ++stats_.overflowed;
  }
}

/// RFC 8445 §7.3.1.3 to §7.3.1.5: what an authentic check teaches.
void agent::implementation::follow_up(const request& r) {
  pair* p = checklist_.find(r.path);
  if (p == nullptr) p = learn_pair(r);
  if (p == nullptr || p->revoked) return;
  ++p->stats.requests_received;
  p->last_request = now_;
  p->last_request_nominated = r.use_candidate || r.nomination != 0;
  if (p->is_tcp()) p->released = false;
  if (r.network) p->remote_cost = static_cast<std::uint16_t>(std::min(*r.network & 0xffff, 999u));
  if (is_lite()) return follow_up_lite(*p, r);
  // Whatever it was doing, it is worth another check at once; unless it is known to be good. After
  // that one every Ta is enough: an authentic request can be repeated by anyone, from anywhere.
  if (!p->valid) checklist_.trigger(*p, p->next_trigger);
  if (p->valid) doubt_selected(*p);
  if (role_ != ice::role::controlled) return;
  if (p->last_request_nominated) {
    accept_nomination(*p, r);
  } else if (is_selected(*p)) {
    choose_nominated(p->component);
  }
}

/// RFC 8445 §7.3.1.3, §7.3.1.4: a pair that nobody has signalled.
pair* agent::implementation::learn_pair(const request& r) {
  const base* const local = locals_.find(r.path.local, r.path.protocol);
  if (local == nullptr) return nullptr;  // It has gone since.
  remote_candidate* remote = find_remote(r.path.remote, r.path.protocol, local->component);
  if (remote == nullptr) {
    if (remotes_.size() >= options_.max_remote_candidates || has_learned_enough(r.path)) {
      ++stats_.overflowed;
      return nullptr;
    }
    candidate learned;
    learned.component = local->component;
    learned.protocol = r.path.protocol;
    learned.priority = r.priority;
    learned.type = candidate_type::peer_reflexive;
    if (local->tcp) learned.tcp = *local->tcp == tcp_type::passive ? tcp_type::active : *local->tcp;
    remotes_.push_back(
        {learned, r.path.remote, ++remote_foundations_, false, ++last_remote_, r.path.local});
    remote = &remotes_.back();
  }
  pair* const p = add_pair(*local, *remote);
  if (p == nullptr) ++stats_.overflowed;
  return p;
}

/// Between two NATs that map by address and port, each check comes from another port and begets
/// one from another port, and none is ever answered from where it went (RFC 8445 §7.2.5.2.1). It
/// must not use up what the paths need that work.
bool agent::implementation::has_learned_enough(const five_tuple& path) noexcept {
  if (path.protocol != transport_protocol::udp) return false;
  const auto in_vain = std::ranges::count_if(remotes_, [&](const remote_candidate& known) {
    if (known.was_signalled || known.learned_at != path.local ||
        known.address.address != path.remote.address)
      return false;
    const pair* const p = checklist_.find({path.local, known.address});
    return p == nullptr || !p->valid;
  });
  return static_cast<std::size_t>(in_vain) >= options_.max_learned_ports;
}

/// RFC 8445 §7.3.2: the other side's checks are all that a lite agent knows of a path.
void agent::implementation::follow_up_lite(pair& p, const request& r) {
  if (!p.valid && !p.last_request_nominated) return;
  if (!p.valid) p.valid_since = now_;
  checklist_.succeed(p);
  p.last_answer = now_;
  if (p.last_request_nominated) accept_nomination(p, r);
}

std::optional<addressed_transmit> agent::implementation::poll_response(mutable_bytes buffer) {
  if (responses_.empty()) return std::nullopt;
  const response& r = responses_.front();
  const stun::integrity_key& key = r.to_old_session ? previous_->local_key : current_.local_key;
  const five_tuple path = r.path;
  const bool to_old = r.to_old_session;
  stun::message_builder message{buffer,
                                r.error ? stun::message_class::error : stun::message_class::success,
                                stun::method::binding, r.id};
  if (r.error) {
    message.add_error(*r.error, to_string(*r.error));
    if (r.unknown_count > 0)
      message.add_unknown_attributes(std::span{r.unknown}.first(r.unknown_count));
  } else {
    message.add_xor_mapped_address(path.remote);
  }
  if (r.sha256) {
    message.add_message_integrity_sha256(key);
  } else {
    message.add_message_integrity(key);
  }
  message.add_fingerprint();
  const const_bytes bytes = message.finish();
  if (bytes.empty()) return std::nullopt;
  responses_.erase(responses_.begin());
  ++stats_.responses_sent;
  for (auto& p : checklist_.all())
    if (p->old == to_old && p->path == path) ++p->stats.responses_sent;
  return on(path, bytes);
}

}  // namespace weft::ice
