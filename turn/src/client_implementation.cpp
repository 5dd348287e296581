#include "client_implementation.hpp"

#include <algorithm>

namespace weft::turn {

client::implementation::implementation(random_source& random, const endpoint& server,
                                       const options& opts)
    : random_{&random},
      server_{server},
      options_{opts},
      authentication_{opts.credentials
                          ? stun::long_term_client{*opts.credentials, opts.authentication}
                          : stun::long_term_client{}},
      peers_{opts.max_permissions, opts.max_channels},
      frames_{opts.max_frame} {
  if (is_stream()) options_.retransmission = stun::retransmission_timer::options::reliable();
  options_.max_transactions = std::max<std::size_t>(options_.max_transactions, 1);
}

time_point client::implementation::advance(time_point now) {
  return now_ = std::max(now_, now);
}

// Commands

void client::implementation::allocate(time_point now) {
  advance(now);
  if (!std::exchange(continues_, false)) {
    visited_.clear();
    addresses_in_use_ = 0;
  }
  forget_allocation();
  frames_ = stream_assembler{options_.max_frame};
  ask_dont_fragment_ = options_.dont_fragment && options_.relayed == relayed_transport::udp;
  ask_ticket_ = options_.mobility;
  random_->fill(indication_id_);
  phase_ = phase::allocating;
  begin(request_kind::allocate);
}

bool client::implementation::is_live() const noexcept {
  return phase_ == phase::allocated || phase_ == phase::moving || phase_ == phase::detached;
}

result<void, client_error> client::implementation::check_peer(const ip_address& peer) const {
  if (!is_live()) return fail(client_error::no_allocation);
  if (!peer.is_v4() && !peer.is_v6()) return fail(client_error::wrong_family);
  if (!relayed_[peer.is_v6()]) return fail(client_error::wrong_family);
  return {};
}

result<void, client_error> client::implementation::create_permission(time_point now,
                                                                     const ip_address& peer) {
  advance(now);
  if (const auto checked = check_peer(peer); !checked) return checked;
  if (peers_.find(peer) != nullptr) return {};
  permission* const added = peers_.add(peer);
  if (added == nullptr) return fail(client_error::too_many);
  added->due = true;
  return {};
}

result<void, client_error> client::implementation::bind_channel(time_point now,
                                                                const endpoint& peer) {
  advance(now);
  if (const auto checked = check_peer(peer.address); !checked) return checked;
  if (options_.relayed != relayed_transport::udp || ask_dont_fragment_)
    return fail(client_error::not_offered);
  channel_binding* known = peers_.find(peer);
  if (known != nullptr && known->wanted) return {};
  const bool has_entry = peers_.find(peer.address) != nullptr;
  if (!has_entry && peers_.add(peer.address) == nullptr) return fail(client_error::too_many);
  if (known == nullptr) known = peers_.add(now_, peer);
  if (known == nullptr) {
    if (!has_entry) peers_.remove(peer.address);
    return fail(client_error::too_many);
  }
  want(*known);
  return {};
}

// One that was released, or refused, keeps its number.
void client::implementation::want(channel_binding& c) {
  c.wanted = c.due = true;
  c.refused = c.announced = false;
}

void client::implementation::release(time_point now, const ip_address& peer) {
  advance(now);
  peers_.remove(peer);
  peers_.update();
}

result<void, client_error> client::implementation::connect(time_point now, const endpoint& peer) {
  advance(now);
  if (const auto checked = check_peer(peer.address); !checked) return checked;
  if (options_.relayed != relayed_transport::tcp) return fail(client_error::not_offered);
  // RFC 6062 §4.3: no two to one peer at a time.
  const bool under_way = std::ranges::any_of(transactions_, [&](const transaction& t) {
    return t.kind == request_kind::connect && t.peer == peer;
  });
  if (under_way || std::ranges::find(connects_, peer) != connects_.end()) return {};
  if (connects_.size() >= options_.max_permissions) return fail(client_error::too_many);
  connects_.push_back(peer);
  return {};
}

turn::data_connection client::implementation::data_connection(std::uint32_t connection_id) {
  return {*random_, authentication_, connection_id};
}

void client::implementation::set_credentials(time_point now,
                                             stun::long_term_credentials credentials) {
  advance(now);
  authentication_.set_credentials(std::move(credentials));
  suspended_ = false;
}

result<void, client_error> client::implementation::move(time_point now) {
  advance(now);
  if (!is_live()) return fail(client_error::no_allocation);
  if (ticket_.empty()) return fail(client_error::not_offered);
  frames_ = stream_assembler{options_.max_frame};
  finished_ = unread_ = {};
  put_back_all();
  phase_ = phase::moving;
  move_with_ticket_ = true;
  begin(request_kind::move);
  return {};
}

void client::implementation::close(time_point now) {
  advance(now);
  if (phase_ == phase::closing) return;
  // An Allocate that was signed may yet succeed: what follows it deletes what it made.
  const bool may_exist = phase_ == phase::allocated || phase_ == phase::moving ||
                         std::ranges::any_of(transactions_, [](const transaction& t) {
                           return t.kind == request_kind::allocate && t.timer.requests_sent() > 0 &&
                                  t.attempt.is_signed();
                         });
  // The server knows us by our ticket alone if it has not answered from this address yet.
  std::vector<std::uint8_t> ticket;
  if (phase_ == phase::moving && move_with_ticket_) ticket.swap(ticket_);
  forget_allocation();
  continues_ = false;
  if (!may_exist) {
    announce(closed{});
    return;
  }
  ticket_.swap(ticket);
  phase_ = phase::closing;
  begin(request_kind::remove);
}

// The allocation

void client::implementation::forget_allocation() {
  phase_ = phase::idle;
  for (auto& address : relayed_) address.reset();
  ticket_.clear();
  expires_at_.reset();
  refresh_at_.reset();
  refresh_due_ = false;
  peers_.clear();
  connects_.clear();
  transactions_.clear();
  suspended_ = false;
  keepalive_at_.reset();
  keepalive_due_ = false;
  finished_ = unread_ = {};
}

void client::implementation::fail_allocation(stun::error_code code, std::string_view reason,
                                             std::optional<duration> retry_after) {
  allocation_failed e{code, std::string{reason}, retry_after};
  forget_allocation();
  announce(std::move(e));
}

void client::implementation::lose(stun::error_code code, std::string_view reason) {
  allocation_lost e{code, std::string{reason}};
  forget_allocation();
  announce(std::move(e));
}

// The server's time runs from the request on at the latest, so ours does from there.
void client::implementation::set_lifetime(std::chrono::seconds lifetime, time_point since) {
  constexpr std::chrono::seconds longest = std::chrono::hours{24};
  lifetime = std::min(lifetime, longest);
  expires_at_ = since + lifetime;
  // RFC 8656 §8: about a minute before.
  const duration early = std::min<duration>(std::chrono::minutes{1}, lifetime / 2);
  refresh_at_ = *expires_at_ - early;
  refresh_due_ = false;
}

// Time

void client::implementation::handle_timeout(time_point now) {
  advance(now);
  for (std::size_t i = 0; i < transactions_.size();) {
    transaction& t = transactions_[i];
    t.timer.handle_timeout(now_);
    if (!t.timer.has_expired()) {
      ++i;
      continue;
    }
    const transaction expired = std::move(t);
    transactions_.erase(transactions_.begin() + static_cast<std::ptrdiff_t>(i));
    failed(expired, {errors::no_answer, no_answer_reason});
    i = 0;  // What follows from a failure may have ended others.
  }
  if (is_live() && expires_at_ && *expires_at_ <= now_) {
    lose(errors::no_answer, "the allocation has expired");
    return;
  }
  if (phase_ != phase::allocated) return;
  if (refresh_at_ && *refresh_at_ <= now_) {
    refresh_due_ = true;
    refresh_at_.reset();
  }
  peers_.handle_timeout(now_);
  if (!keepalive_at_ || now_ < *keepalive_at_) return;
  // Only now it is asked what was sent meanwhile: so sending moves no deadline.
  keepalive_due_ = last_sent_ + options_.keepalive <= now_;
  keepalive_at_ = (keepalive_due_ ? now_ : last_sent_) + options_.keepalive;
}

std::optional<time_point> client::implementation::poll_timeout() const {
  std::optional<time_point> next = is_live() ? expires_at_ : std::nullopt;
  for (const transaction& t : transactions_) {
    next = earliest(next, t.timer.deadline());
    if (t.timer.is_due() && phase_ != phase::detached) next = earliest(next, t.not_before);
  }
  if (phase_ != phase::allocated) return next;
  next = earliest(next, earliest(refresh_at_, keepalive_at_));
  return earliest(next, peers_.deadline());
}

std::optional<client::event> client::implementation::poll_event() {
  if (events_.empty()) return std::nullopt;
  event next = std::move(events_.front());
  events_.pop_front();
  if (std::holds_alternative<peer_unreachable>(next) ||
      std::holds_alternative<connection_attempt>(next))
    --peer_events_;
  return next;
}

void client::implementation::announce_from_peer(event e) {
  if (peer_events_ >= options_.max_peer_events) {
    ++stats_.events_dropped;
    return;
  }
  ++peer_events_;
  announce(std::move(e));
}

// Input

bool client::implementation::handle_input(time_point now, const_bytes bytes) {
  advance(now);
  finished_ = unread_ = {};
  if (!is_stream()) {
    if (is_channel_data(bytes)) {
      unread_ = bytes;
      return true;
    }
    return stun::is_stun(bytes) && handle_message(bytes);
  }
  if (phase_ == phase::idle || phase_ == phase::detached) return true;
  bool was_begun = frames_.buffered() > 0;
  frames_.push(bytes);
  while (const auto frame = frames_.next()) {
    const bool is_finished = std::exchange(was_begun, false);
    if (takes_data(*frame)) {
      if (is_finished) {
        finished_ = *frame;
      } else if (unread_.empty()) {
        unread_ = *frame;
      } else {
        unread_ = {unread_.data(), frame->data() + frame->size()};
      }
    }
    if (!is_channel_data(*frame)) handle_message(*frame);
    // A message may have ended the stream.
    if (phase_ == phase::idle) return true;
  }
  if (frames_.failed()) handle_disconnected(now);
  return true;
}

void client::implementation::handle_disconnected(time_point now) {
  advance(now);
  constexpr std::string_view reason = "the connection to the server is gone";
  frames_ = stream_assembler{options_.max_frame};
  finished_ = unread_ = {};
  if (phase_ == phase::allocating) {
    fail_allocation(errors::no_answer, reason);
  } else if (phase_ == phase::closing) {
    forget_allocation();
    announce(closed{});
  } else if (is_live() && ticket_.empty()) {
    lose(errors::no_answer, reason);
  } else if (is_live()) {
    put_back_all();
    phase_ = phase::detached;
  }
}

}  // namespace weft::turn
