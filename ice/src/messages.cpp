// What the agent reads and writes: checks, their responses, consent, and STUN servers.
#include <algorithm>
#include <array>
#include <utility>

#include <weft/stun/fingerprint.hpp>

#include "agent_impl.hpp"

namespace weft::ice {
namespace {

using stun::attribute_type;

/// RFC 8445 §16.1. Others that must be understood are refused with 420.
constexpr stun::attribute_set understood_in_request{
    attribute_type::username, attribute_type::priority, attribute_type::use_candidate};

/// RFC 8489 §14.8, ERROR-CODE, and the addresses.
constexpr stun::attribute_set understood_in_response{
    attribute_type::xor_mapped_address, attribute_type::mapped_address, attribute_type::error_code,
    attribute_type::unknown_attributes};

}  // namespace

bool agent::impl::handle_input(time_point now, const endpoint& local, const endpoint& remote,
                               const_bytes datagram) {
  if (!stun::is_stun(datagram)) return false;
  now = advance(now);
  if (state_ == ice::state::closed) return true;
  const auto m = stun::message_view::parse(datagram);
  if (!m || (m->fingerprint() && !stun::has_valid_fingerprint(*m))) {
    ++stats_.malformed;
    return true;
  }
  if (m->type_method() != stun::method::binding || !index_of_base(local)) {
    ++stats_.unexpected;
    return true;
  }
  switch (m->type_class()) {
    case stun::message_class::request:
      handle_request(now, {local, remote}, *m);
      break;
    case stun::message_class::success:
    case stun::message_class::error:
      handle_response(now, {local, remote}, *m);
      break;
    case stun::message_class::indication:
      ++stats_.unexpected;
      break;
  }
  update_state(now);
  return true;
}

// Requests

/// The generation whose password signs what has this USERNAME (RFC 8445 §7.2.2: ours comes first).
generation* agent::impl::generation_of(std::string_view username) noexcept {
  const auto ours = username.substr(0, username.find(':'));
  if (ours.size() == username.size()) return nullptr;
  if (ours == current_.local.ufrag) return &current_;
  if (previous_ && ours == previous_->local.ufrag) return &*previous_;
  return nullptr;
}

/// Deviation from RFC 8445 §7.3 and RFC 8489 §9.1.3, which have 400 and 401: who does not know
/// the password gets no answer, so nobody can make us send to somebody else.
void agent::impl::handle_request(time_point now, const endpoint_pair& path,
                                 const stun::message_view& m) {
  const auto username = m.username();
  generation* const g = username ? generation_of(*username) : nullptr;
  if (g == nullptr || !stun::verify_integrity(m, g->local_key)) {
    ++stats_.unauthenticated;
    return;
  }
  ++stats_.checks_received;
  owed_response response{
      .path = path, .id = m.id(), .key = g->local_key, .error = {}, .unknown = {}};

  std::array<attribute_type, 8> unknown;
  const auto found = m.unknown_to(understood_in_request, unknown);
  const auto priority = m.priority();
  if (!found.empty()) {
    response.error = stun::error_code::unknown_attribute;
    response.unknown.assign(found.begin(), found.end());
  } else if (!priority) {
    response.error = stun::error_code::bad_request;
  } else if (g == &current_ && !settle_role(m)) {
    response.error = stun::error_code::role_conflict;
  }
  const bool good = !response.error;
  owe(std::move(response));
  if (good && g == &current_) handle_check(now, {path, *priority, m.use_candidate()});
}

void agent::impl::owe(owed_response response) {
  if (owed_.size() >= options_.max_pending_responses) {
    ++stats_.over_limit;
    return;
  }
  owed_.push_back(std::move(response));
}

/// RFC 8445 §7.3.1.1. False if the other side has to change its role.
bool agent::impl::settle_role(const stun::message_view& m) {
  const auto theirs = role_ == ice::role::controlling ? m.ice_controlling() : m.ice_controlled();
  if (!theirs) return true;
  ++stats_.role_conflicts;
  const bool we_are_larger = tie_breaker_ >= *theirs;
  if (role_ == ice::role::controlling) {
    if (we_are_larger) return false;
    set_new_role(ice::role::controlled);
    return true;
  }
  if (!we_are_larger) return false;
  set_new_role(ice::role::controlling);
  return true;
}

std::optional<addressed_transmit> agent::impl::send_response(mutable_bytes buffer) {
  const auto response = std::move(owed_.front());
  owed_.pop_front();
  stun::message_builder out{
      buffer, response.error ? stun::message_class::error : stun::message_class::success,
      stun::method::binding, response.id};
  if (response.error)
    out.add_error(*response.error, stun::to_string(*response.error));
  else
    out.add_xor_mapped_address(response.path.remote);
  if (!response.unknown.empty()) out.add_unknown_attributes(response.unknown);
  const auto bytes = out.add_message_integrity(response.key).add_fingerprint().finish();
  ++stats_.responses_sent;
  return addressed_transmit{response.path.local, response.path.remote, bytes};
}

// Responses

void agent::impl::handle_response(time_point now, const endpoint_pair& path,
                                  const stun::message_view& m) {
  const auto id = m.id();
  for (auto& pair : current_.pairs)
    if (pair.timer.is_running() && pair.id == id) return handle_check_response(now, path, pair, m);
  if (handle_consent_response(now, path, m)) return;
  const auto request = std::ranges::find(gathering_, id, &gathering_request::id);
  if (request != gathering_.end() && request->local == path.local &&
      options_.stun_servers[request->server_index].address == path.remote)
    return handle_gathering_response(*request, m);
  ++stats_.unexpected;
}

void agent::impl::handle_check_response(time_point now, const endpoint_pair& path,
                                        candidate_pair& pair, const stun::message_view& m) {
  if (!stun::verify_integrity(m, *current_.remote_key)) {
    ++stats_.unauthenticated;
    return;
  }
  ++stats_.responses_received;
  if (path != pair.path) {  // RFC 8445 §7.2.5.2.1
    ++stats_.asymmetric;
    return handle_check_failure(now, pair);
  }
  if (m.type_class() == stun::message_class::success) {
    if (m.has_unknown(understood_in_response) || !m.xor_mapped_address())
      return handle_check_failure(now, pair);
    return handle_check_success(now, pair);
  }
  const auto error = m.error();
  if (!error || error->code != stun::error_code::role_conflict)
    return handle_check_failure(now, pair);
  // RFC 8445 §7.2.5.1. Several checks may meet one conflict: the first switches the role.
  ++stats_.role_conflicts;
  if (pair.checked_as == role_) {
    set_new_role(role_ == ice::role::controlling ? ice::role::controlled : ice::role::controlling);
    draw_tie_breaker();
  }
  pair.nominate = false;
  trigger(pair);
}

bool agent::impl::handle_consent_response(time_point now, const endpoint_pair& path,
                                          const stun::message_view& m) {
  if (!path_) return false;
  const auto at = std::ranges::find(path_->ids, m.id());
  if (at == path_->ids.end()) return false;
  if (path != path_->path) {
    ++stats_.asymmetric;
    return true;
  }
  if (!stun::verify_integrity(m, path_->key)) {
    ++stats_.unauthenticated;
    return true;
  }
  ++stats_.responses_received;
  if (m.type_class() != stun::message_class::success) return true;
  const auto sent_at = path_->sent_at[static_cast<std::size_t>(at - path_->ids.begin())];
  *at = {};
  path_->round_trip = now - sent_at;
  path_->last_heard = now;
  path_->disconnected = false;
  path_->next_request = now + randomised(options_.consent_interval);
  return true;
}

void agent::impl::handle_gathering_response(const gathering_request& request,
                                            const stun::message_view& m) {
  const auto mapped = m.xor_mapped_address();
  if (m.type_class() == stun::message_class::error) {
    const auto error = m.error();
    fail_gathering(request, error ? static_cast<std::uint16_t>(error->code) : 500,
                   error ? "the server refused" : "the server sent a broken response");
  } else if (mapped && mapped->address && mapped->port != 0) {
    add_server_reflexive(request, *mapped);
  } else {
    ++stats_.malformed;  // The retransmissions may find a better one.
    return;
  }
  std::erase_if(gathering_, [id = request.id](const auto& r) { return r.id == id; });
  finish_gathering_if_done();
}

// Requests of ours

std::optional<addressed_transmit> agent::impl::send_triggered(time_point now,
                                                              mutable_bytes buffer) {
  if (!current_.remote) return std::nullopt;
  while (!current_.triggered.empty()) {
    auto* const pair = find_pair(current_.triggered.front());
    current_.triggered.pop_front();
    if (pair != nullptr && pair->state == check_state::waiting)
      return begin_check(now, *pair, buffer);
  }
  return std::nullopt;
}

std::optional<addressed_transmit> agent::impl::send_retransmission(time_point now,
                                                                   mutable_bytes buffer) {
  for (auto& pair : current_.pairs) {
    pair.timer.handle_timeout(now);
    if (pair.timer.is_due()) return send_check(now, pair, buffer);
  }
  return std::nullopt;
}

/// RFC 8445 §14: new transactions, one each pacing interval, checks before gathering.
std::optional<addressed_transmit> agent::impl::send_paced(time_point now, mutable_bytes buffer) {
  for (auto& request : gathering_) {  // Retransmissions have a pace of their own.
    request.timer.handle_timeout(now);
    if (request.timer.is_due() && request.timer.requests_sent() > 0)
      return send_gathering(now, request, buffer);
  }
  if (now < next_paced_) return std::nullopt;
  if (checks_ordinary()) {
    if (auto* const pair = next_ordinary()) {
      next_paced_ = now + options_.pacing;
      return begin_check(now, *pair, buffer);
    }
  }
  for (auto& request : gathering_) {
    if (!request.timer.is_due()) continue;
    next_paced_ = now + options_.pacing;
    return send_gathering(now, request, buffer);
  }
  return std::nullopt;
}

std::optional<addressed_transmit> agent::impl::begin_check(time_point now, candidate_pair& pair,
                                                           mutable_bytes buffer) {
  const auto under_way = std::ranges::count_if(current_.pairs, [](const auto& p) {
    return p.state == check_state::waiting || p.state == check_state::in_progress;
  });
  random_->fill(pair.id);
  pair.state = check_state::in_progress;
  pair.checked_as = role_;
  pair.nominating = role_ == ice::role::controlling && pair.nominate;
  // RFC 8445 §14.3: the more checks share the pace, the longer each may take.
  pair.timer =
      stun::retransmission_timer{{.rto = std::max(options_.check_rto, options_.pacing * under_way),
                                  .max_requests = options_.check_requests}};
  pair.timer.start();
  return send_check(now, pair, buffer);
}

std::optional<addressed_transmit> agent::impl::send_check(time_point now, candidate_pair& pair,
                                                          mutable_bytes buffer) {
  stun::message_builder out{buffer, stun::message_class::request, stun::method::binding, pair.id};
  out.add_username(current_.remote->ufrag + ':' + current_.local.ufrag);
  add_role(out, pair.checked_as);
  if (pair.nominating) out.add_use_candidate();
  // RFC 8445 §7.1.1: what a peer-reflexive candidate learned from this check would have.
  out.add_priority(candidate_priority(candidate_type::peer_reflexive, pair.local_preference, 1));
  const auto bytes = out.add_message_integrity(*current_.remote_key).add_fingerprint().finish();
  pair.timer.sent(now);
  ++stats_.checks_sent;
  return addressed_transmit{pair.path.local, pair.path.remote, bytes};
}

void agent::impl::add_role(stun::message_builder& out, ice::role as) const {
  if (as == ice::role::controlling)
    out.add_ice_controlling(tie_breaker_);
  else
    out.add_ice_controlled(tie_breaker_);
}

/// RFC 7675 §5.1: each request for consent is a transaction of its own and is not sent again.
std::optional<addressed_transmit> agent::impl::send_consent(time_point now, mutable_bytes buffer) {
  if (!path_ || now < path_->next_request) return std::nullopt;
  auto& id = path_->ids[path_->next_id];
  path_->sent_at[path_->next_id] = now;
  path_->next_id = (path_->next_id + 1) % path_->ids.size();
  random_->fill(id);
  path_->next_request = now + randomised(options_.consent_retry);

  stun::message_builder out{buffer, stun::message_class::request, stun::method::binding, id};
  out.add_username(path_->username);
  add_role(out, role_);
  const auto base = index_of_base(path_->path.local).value_or(0);
  out.add_priority(candidate_priority(candidate_type::peer_reflexive,
                                      static_cast<std::uint16_t>(65535 - base), 1));
  const auto bytes = out.add_message_integrity(path_->key).add_fingerprint().finish();
  ++stats_.consent_requests_sent;
  return addressed_transmit{path_->path.local, path_->path.remote, bytes};
}

std::optional<addressed_transmit> agent::impl::send_gathering(time_point now,
                                                              gathering_request& request,
                                                              mutable_bytes buffer) {
  stun::message_builder out{buffer, stun::message_class::request, stun::method::binding,
                            request.id};
  const auto bytes = out.add_fingerprint().finish();
  request.timer.sent(now);
  return addressed_transmit{request.local, options_.stun_servers[request.server_index].address,
                            bytes};
}

}  // namespace weft::ice
