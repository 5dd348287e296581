#include <algorithm>

#include <weft/stun/fingerprint.hpp>

#include "client_implementation.hpp"

namespace weft::turn {
namespace {

// What a response or an indication may have that must be understood (RFC 8489 §14).
constexpr stun::attribute_set understood{stun::attribute_type::mapped_address,
                                         stun::attribute_type::username,
                                         stun::attribute_type::error_code,
                                         stun::attribute_type::unknown_attributes,
                                         stun::attribute_type::realm,
                                         stun::attribute_type::nonce,
                                         stun::attribute_type::password_algorithm,
                                         stun::attribute_type::userhash,
                                         stun::attribute_type::xor_mapped_address,
                                         attributes::channel_number,
                                         attributes::lifetime,
                                         attributes::xor_peer_address,
                                         attributes::data,
                                         attributes::xor_relayed_address,
                                         attributes::requested_address_family,
                                         attributes::even_port,
                                         attributes::requested_transport,
                                         attributes::dont_fragment,
                                         attributes::reservation_token,
                                         attributes::connection_id};

// RFC 8489 §6.3.4: after a 5xx at most four more requests. The first waits a second.
constexpr int max_server_errors = 4;
constexpr duration server_error_wait = std::chrono::seconds{1};

constexpr int max_addresses_in_use = 3;                            // RFC 8656 §7.4, 437
constexpr duration address_in_use_wait = std::chrono::minutes{2};  // RFC 8656 §7.4, 437
constexpr duration capacity_wait = std::chrono::minutes{1};        // RFC 8656 §7.4, 486 and 508
constexpr duration channel_retry_wait = std::chrono::minutes{1};

constexpr bool is_method_of_turn(stun::method m) noexcept {
  const auto number = static_cast<unsigned>(m);
  return number >= 0x003 && number <= 0x00c && number != 0x005;
}

// What may pass by itself.
constexpr bool is_passing(stun::error_code code) noexcept {
  const auto number = static_cast<unsigned>(code);
  return code == errors::allocation_quota_reached || (number >= 500 && number < 600) ||
         code == errors::no_answer;
}

}  // namespace

bool client::implementation::handle_message(const_bytes bytes) {
  const auto message = stun::message_view::parse(bytes);
  if (!message) {
    ++stats_.dropped;
    return true;
  }
  // Binding is some other's business who shares the socket.
  if (!is_method_of_turn(message->type_method())) {
    if (is_stream()) ++stats_.dropped;
    return false;
  }
  switch (message->type_class()) {
    case stun::message_class::request:
      ++stats_.dropped;
      break;
    case stun::message_class::indication:
      if (!handle_indication(*message)) ++stats_.dropped;
      break;
    case stun::message_class::success:
    case stun::message_class::error:
      handle_response(*message);
      break;
  }
  return true;
}

// RFC 8489 §6.3.2, §7.
bool client::implementation::is_sound(const stun::message_view& indication) {
  return !indication.has_unknown(understood) &&
         (!indication.fingerprint() || stun::has_valid_fingerprint(indication));
}

bool client::implementation::handle_indication(const stun::message_view& message) {
  if (!is_sound(message)) return false;
  const auto peer = find_peer_address(message);
  if (!peer) return false;
  if (message.type_method() == methods::data) {
    const auto icmp = find_icmp(message);
    if (!icmp) {
      // Data: `receive` looks at it again.
      if (!is_stream()) unread_ = message.bytes();
      return true;
    }
    if (!may_receive_from(peer->address)) {
      ++stats_.unpermitted;
      return true;
    }
    announce_from_peer(peer_unreachable{*peer, *icmp});
    return true;
  }
  const auto id = find_connection_id(message);
  if (message.type_method() != methods::connection_attempt || !id ||
      options_.relayed != relayed_transport::tcp || !is_live())
    return false;
  if (!may_receive_from(peer->address)) {
    ++stats_.unpermitted;
    return true;
  }
  announce_from_peer(connection_attempt{*peer, *id});
  return true;
}

void client::implementation::handle_response(const stun::message_view& message) {
  const auto id = message.id();
  const auto found = std::ranges::find(transactions_, id, &transaction::id);
  const auto method_of = [](request_kind kind) {
    switch (kind) {
      case request_kind::allocate:
        return methods::allocate;
      case request_kind::refresh:
      case request_kind::move:
      case request_kind::remove:
      case request_kind::abandon:
        return methods::refresh;
      case request_kind::permissions:
        return methods::create_permission;
      case request_kind::channel:
        return methods::channel_bind;
      case request_kind::connect:
        return methods::connect;
    }
    return methods::connect;
  };
  if ((message.fingerprint() && !stun::has_valid_fingerprint(message)) ||
      found == transactions_.end() || found->timer.requests_sent() == 0 ||
      method_of(found->kind) != message.type_method()) {
    ++stats_.dropped;
    return;
  }
  act_on(message, static_cast<std::size_t>(found - transactions_.begin()));
}

void client::implementation::act_on(const stun::message_view& response, std::size_t place) {
  transaction& pending = transactions_[place];
  const auto verdict = authentication_.examine(response, pending.attempt);
  if (verdict == stun::long_term_verdict::challenged) {
    restart(pending);
    return;
  }
  if (verdict == stun::long_term_verdict::discard) {
    ++stats_.unauthenticated;
    // Over TCP no other answer can follow (RFC 8489 §9.2.5).
    if (!is_stream()) return;
  }
  if (const auto measured = pending.timer.round_trip(now_)) round_trip_ = measured;
  if (verdict == stun::long_term_verdict::accepted &&
      response.type_class() == stun::message_class::error) {
    const auto error = response.error();
    const auto number = error ? static_cast<unsigned>(error->code) : 0;
    if (number >= 500 && error->code != errors::insufficient_capacity && number < 600 &&
        pending.server_errors < max_server_errors) {
      retry_later(pending);
      return;
    }
  }

  const transaction t = std::move(pending);
  transactions_.erase(transactions_.begin() + static_cast<std::ptrdiff_t>(place));
  const auto error = response.error();
  switch (verdict) {
    case stun::long_term_verdict::accepted:
      if (response.has_unknown(understood)) {
        failed(t, {errors::no_answer, "the answer holds what is not understood", &response});
      } else if (response.type_class() == stun::message_class::success) {
        succeeded(t, response);
      } else if (!error) {
        failed(t, {errors::no_answer, "the answer holds no error code", &response});
      } else if (error->code == errors::wrong_credentials && t.kind != request_kind::allocate) {
        refuse_credentials(t, response, error->reason);
      } else {
        failed(t, {error->code, error->reason, &response});
      }
      return;
    case stun::long_term_verdict::refused:
      if (t.kind == request_kind::allocate) {
        failed(t, {stun::error_code::unauthenticated,
                   error && !error->reason.empty() ? error->reason : stun::to_string(verdict)});
      } else {
        refuse_credentials(t, response, stun::to_string(verdict));
      }
      return;
    case stun::long_term_verdict::discard:
    case stun::long_term_verdict::challenged:
    case stun::long_term_verdict::bid_down:
    case stun::long_term_verdict::no_algorithm:
    case stun::long_term_verdict::too_many_challenges:
      failed(t, {error ? error->code : errors::no_answer, stun::to_string(verdict), &response});
      return;
  }
}

void client::implementation::retry_later(transaction& t) {
  t.not_before = now_ + server_error_wait * (1 << t.server_errors);
  ++t.server_errors;
  restart(t);
}

// The work is as due as before, but waits for other credentials.
void client::implementation::refuse_credentials(transaction t, const stun::message_view& response,
                                                std::string_view reason) {
  if (t.kind == request_kind::remove || t.kind == request_kind::abandon ||
      t.kind == request_kind::move) {
    failed(t, {stun::error_code::unauthenticated, reason});
    return;
  }
  put_back(t);
  if (std::exchange(suspended_, true)) return;
  const auto error = response.error();
  announce(credentials_refused{error ? error->code : stun::error_code::unauthenticated,
                               std::string{error ? error->reason : reason},
                               authentication_.third_party_server()});
}

// Success

void client::implementation::succeeded(const transaction& t, const stun::message_view& response) {
  switch (t.kind) {
    case request_kind::allocate:
      allocated_by(response, t);
      return;
    case request_kind::refresh:
    case request_kind::move:
      refreshed_by(response, t);
      return;
    case request_kind::remove:
      forget_allocation();
      announce(closed{});
      return;
    case request_kind::abandon:
      return;
    case request_kind::permissions:
      permissions_installed_by(t);
      return;
    case request_kind::channel:
      channel_bound_by(t);
      return;
    case request_kind::connect:
      connected_by(response, t);
      return;
  }
}

void client::implementation::allocated_by(const stun::message_view& response,
                                          const transaction& t) {
  const auto lifetime = find_lifetime(response);
  const auto mapped = response.xor_mapped_address();
  const auto ipv4 = find_relayed_address(response, address_family::ipv4);
  const auto ipv6 = find_relayed_address(response, address_family::ipv6);
  if (!lifetime || lifetime->count() == 0 || !mapped || (!ipv4 && !ipv6)) {
    fail_allocation(errors::no_answer, "the server's allocation is of no use");
    begin(request_kind::abandon);  // RFC 8656 §7.3
    return;
  }
  phase_ = phase::allocated;
  relayed_[0] = ipv4;
  relayed_[1] = ipv6;
  mapped_ = *mapped;
  visited_.clear();
  addresses_in_use_ = 0;
  set_lifetime(*lifetime, t.first_sent);
  if (!is_stream() && options_.keepalive > duration{}) keepalive_at_ = now_ + options_.keepalive;
  if (const auto ticket = find_mobility_ticket(response); ticket && ask_ticket_)
    ticket_.assign(ticket->begin(), ticket->end());
  announce(allocated{ipv4, ipv6, mapped_, *lifetime, find_reservation_token(response),
                     !ticket_.empty()});
  if (const auto refused = find_address_error(response))
    if (refused->family == address_family::ipv4 || refused->family == address_family::ipv6)
      announce(family_refused{refused->family, refused->code});
}

void client::implementation::refreshed_by(const stun::message_view& response,
                                          const transaction& t) {
  const auto lifetime = find_lifetime(response);
  if (!lifetime || lifetime->count() == 0) {
    lose(errors::no_answer, "the server has ended the allocation");
    return;
  }
  set_lifetime(*lifetime, t.first_sent);
  if (t.kind != request_kind::move) return;
  if (const auto ticket = find_mobility_ticket(response); ticket && !ticket->empty())
    ticket_.assign(ticket->begin(), ticket->end());
  phase_ = phase::allocated;
  if (!is_stream() && options_.keepalive > duration{}) keepalive_at_ = now_ + options_.keepalive;
  if (const auto mapped = response.xor_mapped_address()) mapped_ = *mapped;
  announce(moved{mapped_});
}

void client::implementation::permissions_installed_by(const transaction& t) {
  for (permission& p : peers_.permissions()) {
    if (p.request != t.number) continue;
    p.request = 0;
    p.alone = false;
    p.expires = t.first_sent + peer_table::permission_lifetime;
    p.refresh = t.first_sent + peer_table::permission_refresh;
    if (!std::exchange(p.announced, true)) announce(permission_created{p.address});
  }
  peers_.update();
}

void client::implementation::channel_bound_by(const transaction& t) {
  channel_binding* const c = peers_.find(t.peer);
  if (c == nullptr || c->request != t.number) return;
  c->request = 0;
  c->expires = t.first_sent + peer_table::channel_lifetime;
  c->reserved = now_ + peer_table::channel_lifetime + peer_table::channel_quarantine;
  c->refresh.reset();
  if (c->wanted) {
    c->refresh = t.first_sent + peer_table::channel_refresh;
    // RFC 8656 §12.3: the permission is there too.
    if (permission* const p = peers_.find(t.peer.address); p != nullptr && p->request == 0) {
      p->due = false;
      p->expires = t.first_sent + peer_table::permission_lifetime;
      p->refresh = t.first_sent + peer_table::permission_refresh;
      if (!std::exchange(p->announced, true)) announce(permission_created{p->address});
    }
    if (!std::exchange(c->announced, true)) announce(channel_bound{c->peer, peers_.number_of(*c)});
  }
  peers_.update();
}

void client::implementation::connected_by(const stun::message_view& response,
                                          const transaction& t) {
  if (const auto id = find_connection_id(response)) {
    announce(connected{t.peer, *id});
  } else {
    announce(connect_failed{t.peer, errors::no_answer});
  }
}

// Failure

void client::implementation::failed(const transaction& t, const failure& why) {
  const bool is_gone = why.code == errors::allocation_mismatch;
  switch (t.kind) {
    case request_kind::allocate:
      allocate_failed(why);
      return;
    case request_kind::refresh:
      refresh_failed(why);
      return;
    case request_kind::move:
      move_failed(why);
      return;
    case request_kind::remove:
      // Either the allocation is gone (RFC 8656 §8.3), or there is nothing more to do about it.
      forget_allocation();
      announce(closed{});
      return;
    case request_kind::abandon:
      return;
    case request_kind::permissions:
      if (is_gone) return lose(why.code, why.reason);
      permissions_failed(t, why);
      return;
    case request_kind::channel:
      if (is_gone) return lose(why.code, why.reason);
      channel_failed_by(t, why);
      return;
    case request_kind::connect:
      if (is_gone) return lose(why.code, why.reason);
      announce(connect_failed{t.peer, why.code});
      return;
  }
}

void client::implementation::allocate_failed(const failure& why) {
  if (why.code == stun::error_code::try_alternate) return try_alternate(why);
  if (allocate_otherwise(why)) return;
  if (why.code == errors::allocation_mismatch) {
    if (++addresses_in_use_ < max_addresses_in_use) {
      forget_allocation();
      continues_ = true;
      announce(address_in_use{});
      return;
    }
    return fail_allocation(why.code, why.reason, address_in_use_wait);
  }
  std::optional<duration> retry_after;
  if (why.code == errors::allocation_quota_reached || why.code == errors::insufficient_capacity)
    retry_after = capacity_wait;
  fail_allocation(why.code, why.reason, retry_after);
}

// Whether what the server refused could be left out, and is now.
bool client::implementation::allocate_otherwise(const failure& why) {
  if (why.code == errors::mobility_forbidden && ask_ticket_) {
    ask_ticket_ = false;
  } else if (why.code == stun::error_code::unknown_attribute && ask_dont_fragment_ &&
             why.response != nullptr) {
    const auto unknown = why.response->unknown_attributes();
    bool is_listed = false;
    for (std::size_t i = 0; unknown && i < unknown->size(); ++i)
      is_listed = is_listed || (*unknown)[i] == attributes::dont_fragment;
    if (!is_listed) return false;
    ask_dont_fragment_ = false;
  } else {
    return false;
  }
  begin(request_kind::allocate);
  return true;
}

// RFC 8489 §10.
void client::implementation::try_alternate(const failure& why) {
  const auto alternate =
      why.response == nullptr ? std::nullopt : why.response->alternate_to(server_);
  visited_.push_back(server_);
  if (!alternate ||
      visited_.size() > static_cast<std::size_t>(std::max(options_.max_redirects, 0)) ||
      std::ranges::find(visited_, *alternate) != visited_.end())
    return fail_allocation(why.code, why.reason);
  alternate_server e{*alternate, {}};
  if (const auto domain = why.response->alternate_domain()) e.domain = *domain;
  forget_allocation();
  server_ = *alternate;
  authentication_.forget_server();
  continues_ = true;
  announce(std::move(e));
}

void client::implementation::refresh_failed(const failure& why) {
  if (why.code == errors::allocation_mismatch || why.response == nullptr)
    return lose(why.code, why.reason);
  // The allocation is still there. Each further time waits for half of what is left of it.
  if (expires_at_) refresh_at_ = now_ + (*expires_at_ - now_) / 2;
  if (refresh_at_ && *refresh_at_ - now_ < std::chrono::seconds{1}) refresh_at_.reset();
}

void client::implementation::move_failed(const failure& why) {
  // RFC 8016 §3.2.2: the server sees us where it always did; a NAT hides that we moved.
  if (why.code == stun::error_code::bad_request && std::exchange(move_with_ticket_, false)) {
    begin(request_kind::move);
    return;
  }
  lose(why.code, why.reason);
}

void client::implementation::permissions_failed(const transaction& t, const failure& why) {
  auto& all = peers_.permissions();
  const auto asked = [&](const permission& p) { return p.request == t.number; };
  if (std::ranges::count_if(all, asked) > 1 && why.code != errors::no_answer) {
    // One of them is to blame, and the server does not say which.
    for (permission& p : all) {
      if (!asked(p)) continue;
      p.request = 0;
      p.due = p.alone = true;
    }
  } else {
    for (auto p = std::ranges::find_if(all, asked); p != all.end();
         p = std::ranges::find_if(all, asked)) {
      const ip_address address = p->address;
      peers_.remove(address);
      announce(permission_failed{address, why.code});
    }
  }
  peers_.update();
}

void client::implementation::channel_failed_by(const transaction& t, const failure& why) {
  channel_binding* const c = peers_.find(t.peer);
  if (c == nullptr || c->request != t.number) return;
  c->request = 0;
  c->refresh.reset();
  // Unanswered, the request may yet have been obeyed.
  if (why.code == errors::no_answer)
    c->reserved = now_ + peer_table::channel_lifetime + peer_table::channel_quarantine;
  // The permission may be had without.
  if (permission* const p = peers_.find(t.peer.address);
      p != nullptr && !p->announced && p->request == 0)
    p->due = true;
  if (!c->wanted) return peers_.update();
  if (is_passing(why.code)) {
    c->refresh = now_ + channel_retry_wait;
  } else {
    c->wanted = false;
    c->refused = true;
  }
  const endpoint peer = c->peer;
  peers_.update();
  announce(channel_failed{peer, why.code});
}

// What a request asked for is due again.
void client::implementation::put_back(const transaction& t) {
  if (t.kind == request_kind::refresh) refresh_due_ = true;
  if (t.kind == request_kind::connect) connects_.push_back(t.peer);
  for (permission& p : peers_.permissions()) {
    if (p.request != t.number) continue;
    p.request = 0;
    p.due = true;
  }
  for (channel_binding& c : peers_.channels()) {
    if (c.request != t.number) continue;
    c.request = 0;
    c.due = c.wanted;
  }
  peers_.update();
}

void client::implementation::put_back_all() {
  for (const transaction& t : transactions_) put_back(t);
  transactions_.clear();
}

}  // namespace weft::turn
