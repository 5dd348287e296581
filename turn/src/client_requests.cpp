#include <algorithm>

#include <weft/turn/address_policy.hpp>

#include "client_implementation.hpp"

namespace weft::turn {
namespace {

// Whoever closes does not want to wait: 3 requests over 3.5 s, or one over TCP.
constexpr int close_requests = 3;
constexpr int close_last_wait = 4;
constexpr duration close_wait_over_stream = std::chrono::seconds{3};

// Most servers forbid such peers, and with one of them the whole request.
bool may_be_forbidden(const ip_address& peer) {
  return address_policy{}.refuses(peer, std::nullopt).has_value();
}

}  // namespace

client::implementation::transaction& client::implementation::begin(request_kind kind) {
  stun::retransmission_timer::options schedule = options_.retransmission;
  if (kind == request_kind::remove || kind == request_kind::abandon) {
    schedule.max_requests = std::min(schedule.max_requests, close_requests);
    schedule.last_wait = std::min(schedule.last_wait, close_last_wait);
    if (is_stream()) schedule.rto = close_wait_over_stream;
  }
  if (++last_request_ == 0) ++last_request_;
  transaction& t = transactions_.emplace_back(transaction{
      .kind = kind, .number = last_request_, .timer = stun::retransmission_timer{schedule}});
  restart(t);
  return t;
}

void client::implementation::restart(transaction& t) {
  random_->fill(t.id);
  t.timer.start();
}

bool client::implementation::has(request_kind kind) const noexcept {
  return std::ranges::find(transactions_, kind, &transaction::kind) != transactions_.end();
}

// What is due and not yet asked for; null if nothing is, or nothing may be now.
client::implementation::transaction* client::implementation::begin_next() {
  if (phase_ != phase::allocated || suspended_) return nullptr;
  if (transactions_.size() >= options_.max_transactions) return nullptr;
  if (refresh_due_ && !has(request_kind::refresh)) {
    refresh_due_ = false;
    return &begin(request_kind::refresh);
  }
  if (transaction* const t = begin_connect()) return t;
  if (transaction* const t = begin_permissions()) return t;
  return begin_channel();
}

client::implementation::transaction* client::implementation::begin_connect() {
  if (connects_.empty()) return nullptr;
  transaction& t = begin(request_kind::connect);
  t.peer = connects_.front();
  connects_.erase(connects_.begin());
  return &t;
}

client::implementation::transaction* client::implementation::begin_permissions() {
  auto& all = peers_.permissions();
  const auto first = std::ranges::find_if(all, &permission::due);
  if (first == all.end()) return nullptr;
  transaction& t = begin(request_kind::permissions);
  const bool is_doubtful = may_be_forbidden(first->address);
  std::size_t count = 0;
  for (permission& p : all) {
    if (!p.due || (p.alone && count > 0) || may_be_forbidden(p.address) != is_doubtful) continue;
    p.due = false;
    p.request = t.number;
    if (++count == peer_table::max_in_request || p.alone) break;
  }
  peers_.update();
  return &t;
}

client::implementation::transaction* client::implementation::begin_channel() {
  auto& all = peers_.channels();
  const auto next = std::ranges::find_if(all, &channel_binding::due);
  if (next == all.end()) return nullptr;
  transaction& t = begin(request_kind::channel);
  t.peer = next->peer;
  next->due = false;
  next->request = t.number;
  peers_.update();
  return &t;
}

// Building

void client::implementation::add_allocate_attributes(stun::message_builder& message) const {
  add_requested_transport(message, options_.relayed);
  if (options_.lifetime) add_lifetime(message, *options_.lifetime);
  const bool is_udp = options_.relayed == relayed_transport::udp;
  if (is_udp && options_.token) {
    // RFC 8656 §7.1: neither families nor EVEN-PORT beside it.
    add_reservation_token(message, *options_.token);
  } else {
    const bool reserves = options_.even_port == turn::even_port::even_and_reserve_next;
    if (options_.families == families::ipv4)
      add_requested_address_family(message, address_family::ipv4);
    if (options_.families == families::ipv6)
      add_requested_address_family(message, address_family::ipv6);
    // RFC 8656 §7.1: there is one token, so two ports cannot be kept.
    if (options_.families == families::both && !(is_udp && reserves))
      add_additional_address_family(message);
    if (is_udp && options_.even_port) add_even_port(message, *options_.even_port);
  }
  if (ask_dont_fragment_) add_dont_fragment(message);
  if (ask_ticket_) add_mobility_ticket(message, {});
}

void client::implementation::add_refresh_attributes(stun::message_builder& message,
                                                    request_kind kind) const {
  if (kind == request_kind::remove || kind == request_kind::abandon) {
    add_lifetime(message, std::chrono::seconds{0});
    if (phase_ == phase::closing && !ticket_.empty()) add_mobility_ticket(message, ticket_);
    return;
  }
  if (options_.lifetime && options_.lifetime->count() > 0)
    add_lifetime(message, *options_.lifetime);
  if (kind == request_kind::move && move_with_ticket_) add_mobility_ticket(message, ticket_);
}

const_bytes client::implementation::build(transaction& t, mutable_bytes buffer) {
  const auto request = [&](stun::method m) {
    return stun::message_builder{buffer, stun::message_class::request, m, t.id};
  };
  const auto finish = [&](stun::message_builder& message, bool is_about_allocation) {
    using use = stun::long_term_client::token_use;
    if (is_about_allocation && !options_.software.empty()) message.add_software(options_.software);
    // RFC 7635 §9: the token need not go into the rest.
    authentication_.sign(message, t.attempt, is_about_allocation ? use::include : use::omit);
    if (options_.fingerprint) message.add_fingerprint();
    return message.finish();
  };
  switch (t.kind) {
    case request_kind::allocate: {
      auto message = request(methods::allocate);
      add_allocate_attributes(message);
      return finish(message, true);
    }
    case request_kind::refresh:
    case request_kind::move:
    case request_kind::remove:
    case request_kind::abandon: {
      auto message = request(methods::refresh);
      add_refresh_attributes(message, t.kind);
      return finish(message, true);
    }
    case request_kind::permissions: {
      auto message = request(methods::create_permission);
      for (const permission& p : peers_.permissions())
        if (p.request == t.number) add_peer_address(message, {p.address, 0});
      return finish(message, false);
    }
    case request_kind::channel: {
      auto message = request(methods::channel_bind);
      if (const channel_binding* const c = peers_.find(t.peer))
        add_channel_number(message, peers_.number_of(*c));
      add_peer_address(message, t.peer);
      return finish(message, false);
    }
    case request_kind::connect: {
      auto message = request(methods::connect);
      add_peer_address(message, t.peer);
      return finish(message, false);
    }
  }
  return {};
}

// Sending

std::optional<transmit> client::implementation::poll_transmit(time_point now,
                                                              mutable_bytes buffer) {
  advance(now);
  if (phase_ == phase::detached) return std::nullopt;
  for (transaction& t : transactions_)
    if (t.timer.is_due() && (!t.not_before || *t.not_before <= now_)) return send(t, buffer);
  if (buffer.size() < max_datagram_size) return std::nullopt;
  if (transaction* const next = begin_next()) return send(*next, buffer);
  if (keepalive_due_) return send_keepalive(buffer);
  return std::nullopt;
}

std::optional<transmit> client::implementation::send(transaction& t, mutable_bytes buffer) {
  const const_bytes message = build(t, buffer);
  if (message.empty()) {
    if (buffer.size() < max_datagram_size) return std::nullopt;
    // The server's nonce and realm leave no room: there is no use in waiting.
    const transaction hopeless = t;
    std::erase_if(transactions_, [&](const transaction& u) { return u.number == hopeless.number; });
    failed(hopeless, {errors::no_answer, "the request is too long for a datagram"});
    return poll_transmit(now_, buffer);
  }
  if (t.timer.requests_sent() == 0) t.first_sent = now_;
  t.timer.sent(now_);
  t.not_before.reset();
  last_sent_ = now_;
  ++stats_.requests_sent;
  return transmit{message};
}

// RFC 8489 §6.2: an indication needs no answer, and NATs do not care what it is.
std::optional<transmit> client::implementation::send_keepalive(mutable_bytes buffer) {
  keepalive_due_ = false;
  last_sent_ = now_;
  stun::transaction_id id;
  random_->fill(id);
  stun::message_builder message{buffer, stun::message_class::indication, stun::method::binding, id};
  if (options_.fingerprint) message.add_fingerprint();
  return transmit{message.finish()};
}

}  // namespace weft::turn
