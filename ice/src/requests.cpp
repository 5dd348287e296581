// What the other side asks: RFC 8445 §7.3.
#include <algorithm>
#include <utility>

#include "implementation.hpp"

namespace weft::ice {
namespace {

constexpr stun::attribute_set understood{stun::attribute_type::username,
                                         stun::attribute_type::priority,
                                         stun::attribute_type::use_candidate};

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
  if (!priority || *priority == 0) {  // RFC 8445 §7.2.2
    answer.error = stun::error_code::bad_request;
    return respond(answer);
  }
  if (to_old) {
    if (selected_ != nullptr && selected_->path == path) selected_->last_request = now_;
    return respond(answer);
  }
  if (!repair_role_conflict(message)) {
    answer.error = stun::error_code::role_conflict;
    return respond(answer);
  }
  respond(answer);

  const request r{path, *priority, message.use_candidate(), message.id()};
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
  const bool ours_is_greater = tie_breaker_ >= *theirs;
  if (ours_is_greater == (role_ == ice::role::controlling)) return false;
  switch_role();
  return true;
}

void agent::implementation::switch_role() {
  role_ = role_ == ice::role::controlling ? ice::role::controlled : ice::role::controlling;
  checklist_.set_role(role_);
  push(role_changed{role_});
  consider_nomination();
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
  auto remote = std::ranges::find(remotes_, r.path.remote, &remote_candidate::address);
  const base* const local = find_base(r.path.local);
  if (remote == remotes_.end()) {
    if (remotes_.size() >= options_.max_remote_candidates) {
      ++stats_.overflowed;
      return;
    }
    candidate learned;
    learned.priority = r.priority;
    remotes_.push_back({learned, r.path.remote, ++remote_foundations_, false});
    remote = remotes_.end() - 1;
  }
  pair* const p = add_pair(*local, *remote);
  if (p == nullptr) {
    ++stats_.overflowed;
    return;
  }
  if (p->revoked) return;
  p->last_request = now_;
  p->last_request_nominated = r.use_candidate;
  // Whatever it was doing, it is worth another check at once; unless it is known to be good. After
  // that one every Ta is enough: an authentic request can be repeated by anyone, from anywhere.
  if (!p->valid) checklist_.trigger(*p, p->next_trigger);
  if (role_ != ice::role::controlled) return;
  if (r.use_candidate) {
    accept_nomination(*p, r.id);
  } else if (p == selected_) {
    choose_nominated();
  }
}

// RFC 8445 §7.3.1.5. A repeated request is not a new nomination.
void agent::implementation::accept_nomination(pair& p, const stun::transaction_id& id) {
  if (!p.nominated || p.nomination_id != id) p.nomination_order = ++nominations_;
  p.nomination_id = id;
  p.nominated = true;
  if (!p.valid) return;
  // It was good long ago. RFC 7675 §5.1: consent comes before data.
  if (&p != selected_ && now_ >= p.last_answer + options_.consent_timeout)
    return checklist_.trigger(p);
  choose_nominated();
}

/// A controlling agent that follows RFC 8445 nominates one pair after the other, and the last one
/// counts. One that nominates with every check (RFC 5245 §8.1.1.2, Chromium) means the best
/// of those it checks (RFC 8445 §8.1.1), while it checks that one at all.
void agent::implementation::choose_nominated() {
  const bool by_priority = selected_ != nullptr && !selected_->old &&
                           selected_->last_request_nominated && !is_quiet(*selected_) &&
                           now_ < selected_->last_request + 2 * options_.disconnected_after;
  pair* best = nullptr;
  for (auto& p : checklist_.all()) {
    if (p->old || !p->valid || !p->nominated || p->state != pair_state::succeeded ||
        now_ >= p->last_answer + options_.consent_timeout)
      continue;
    if (best == nullptr ||
        (by_priority ? p->priority > best->priority : p->nomination_order > best->nomination_order))
      best = p.get();
  }
  if (best != nullptr) select(*best);
}

std::optional<addressed_transmit> agent::implementation::poll_response(mutable_bytes buffer) {
  if (responses_.empty()) return std::nullopt;
  const response& r = responses_.front();
  const stun::integrity_key& key = r.to_old_session ? previous_->local_key : current_.local_key;
  const five_tuple path = r.path;
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
  return addressed_transmit{path.local, path.remote, bytes};
}

}  // namespace weft::ice
