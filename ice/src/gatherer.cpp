#include "gatherer.hpp"

#include <algorithm>
#include <utility>
#include <variant>

namespace weft::ice {

bool can_reach(const ip_address& a, const ip_address& b) noexcept {
  if (a.is_v4() != b.is_v4() || a.is_loopback() != b.is_loopback()) return false;
  return a.is_v4() || a.is_link_local() == b.is_link_local();
}

gatherer::gatherer(const agent::options& opts)
    : ta_{opts.ta},
      rto_{std::max<duration>(opts.rto, std::chrono::milliseconds{500})},
      keepalive_{opts.keepalive},
      max_servers_{opts.max_servers} {
  client_.retransmission = {
      .rto = rto_, .max_requests = opts.max_server_requests, .last_wait = opts.last_server_wait};
  for (const agent::server& s : opts.stun_servers) {
    if (servers_.size() >= max_servers_) break;
    servers_.push_back(s);
    outcomes_.push_back({.text = "no local address can reach the server"});
  }
}

// What is asked

result<void, error> gatherer::add_server(random_source& random, const agent::server& s) {
  if (std::ranges::find(servers_, s) != servers_.end()) return {};
  if (servers_.size() >= max_servers_) return fail(error::too_many);
  servers_.push_back(s);
  outcomes_.push_back({.text = "no local address can reach the server"});
  if (!started_) return {};
  unfinished_ = true;
  for (const endpoint& base : bases_) ask(random, servers_.size() - 1, base);
  return {};
}

void gatherer::add_base(random_source& random, const endpoint& address) {
  bases_.push_back(address);
  if (!started_) return;
  unfinished_ = true;
  for (std::size_t i = 0; i < servers_.size(); ++i) ask(random, i, address);
}

void gatherer::remove_base(const endpoint& address) {
  std::erase(bases_, address);
  std::erase_if(found_, [&](const found& f) { return f.base == address; });
  queue_.clear();
  std::erase_if(queries_, [&](const query& q) { return q.base == address; });
  for (std::size_t i = 0; i < queries_.size(); ++i)
    if (queries_[i].now == query::phase::queued) queue_.push_back(i);
}

void gatherer::start(random_source& random) {
  started_ = unfinished_ = true;
  for (outcome& o : outcomes_) {
    o.helped = o.told = false;
    o.code = 701;
  }
  for (std::size_t i = 0; i < servers_.size(); ++i)
    for (const endpoint& base : bases_) ask(random, i, base);
}

void gatherer::stop() noexcept {
  queries_.clear();
  queue_.clear();
  found_.clear();
  started_ = unfinished_ = due_ = false;
  holds_ = 0;
}

void gatherer::release() noexcept {
  if (holds_ > 0) --holds_;
}

void gatherer::ask(random_source& random, std::size_t server, const endpoint& base) {
  if (!can_reach(base.address, servers_[server].address.address)) return;
  outcome& o = outcomes_[server];
  o.reachable = true;
  if (o.code == 701) o.text = "the server did not answer";
  auto known = std::ranges::find_if(
      queries_, [&](const query& q) { return q.server == server && q.base == base; });
  if (known == queries_.end()) {
    client_.local = base;
    // RFC 8445 §14.3: the RTO grows with the number of requests.
    client_.retransmission.rto =
        std::max(rto_, ta_ * static_cast<duration::rep>(queries_.size() + 1));
    queries_.push_back({server, base, {random, servers_[server].address, client_}});
    known = queries_.end() - 1;
  } else if (known->is_awaited()) {
    return;  // It is being asked.
  }
  known->refreshing = false;
  enqueue(static_cast<std::size_t>(known - queries_.begin()));
}

void gatherer::enqueue(std::size_t which) {
  query& q = queries_[which];
  q.client.cancel();
  q.now = query::phase::queued;
  q.refresh.reset();
  if (std::ranges::find(queue_, which) == queue_.end()) queue_.push_back(which);
}

void gatherer::begin_next(time_point now) {
  query& q = queries_[queue_.front()];
  queue_.erase(queue_.begin());
  q.now = query::phase::running;
  q.client.start(now);
  due_ = true;
}

void gatherer::set_keeping(time_point now, bool keeping) {
  if (keeping_ == keeping) return;
  keeping_ = keeping;
  for (query& q : queries_)
    if (q.now == query::phase::done && outcomes_[q.server].helped) q.refresh = now + keepalive_;
}

bool gatherer::is_active() const noexcept {
  return holds_ > 0 || std::ranges::any_of(queries_, &query::is_awaited);
}

// What comes of it

bool gatherer::handle_input(time_point now, const endpoint& local, const endpoint& remote,
                            const_bytes datagram) {
  for (query& q : queries_) {
    if (q.now != query::phase::running || q.base != local ||
        !q.client.handle_input(now, remote, datagram))
      continue;
    collect(now, q);
    return true;
  }
  return false;
}

void gatherer::handle_timeout(time_point now) {
  for (std::size_t i = 0; i < queries_.size(); ++i) {
    query& q = queries_[i];
    if (q.now == query::phase::running) {
      const bool waited = q.client.poll_timeout().has_value();
      q.client.handle_timeout(now);
      collect(now, q);
      due_ = due_ || (waited && q.now == query::phase::running && !q.client.poll_timeout());
    } else if (q.now == query::phase::done && keeping_ && q.refresh && *q.refresh <= now) {
      q.refreshing = true;
      enqueue(i);
    }
  }
}

void gatherer::collect(time_point now, query& q) {
  const auto ended = q.client.poll_event();
  if (!ended) return;
  const bool quiet = std::exchange(q.refreshing, false);
  q.now = query::phase::done;
  outcome& server = outcomes_[q.server];
  if (const auto* good = std::get_if<stun::binding_client::address_discovered>(&*ended)) {
    server.helped = true;
    q.refresh = now + keepalive_;
    found_.push_back({q.base, good->reflexive, q.server});
    return;
  }
  if (quiet) {
    q.refresh = now + keepalive_;
  } else if (const auto* refused = std::get_if<stun::binding_client::refused>(&*ended)) {
    server.code = static_cast<std::uint16_t>(refused->code);
    server.text = refused->reason;
  } else if (std::holds_alternative<stun::binding_client::unusable>(*ended)) {
    server.text = "the server's answer makes no sense";
  }
}

std::optional<addressed_transmit> gatherer::poll_transmit(time_point now, mutable_bytes buffer) {
  if (!due_) return std::nullopt;
  for (query& q : queries_)
    if (q.now == query::phase::running)
      if (const auto out = q.client.poll_transmit(now, buffer)) return out;
  due_ = buffer.size() < stun::header_size;
  return std::nullopt;
}

std::optional<time_point> gatherer::poll_timeout() const noexcept {
  std::optional<time_point> first;
  for (const query& q : queries_) {
    if (q.now == query::phase::running) first = earliest(first, q.client.poll_timeout());
    if (q.now == query::phase::done && keeping_) first = earliest(first, q.refresh);
  }
  return first;
}

std::optional<gatherer::found> gatherer::poll_found() {
  if (found_.empty()) return std::nullopt;
  const found first = found_.front();
  found_.erase(found_.begin());
  return first;
}

std::optional<agent::gathering_error> gatherer::poll_error() {
  if (!started_) return std::nullopt;
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    outcome& o = outcomes_[i];
    if (o.told || o.helped) continue;
    if (std::ranges::any_of(queries_,
                            [&](const query& q) { return q.server == i && q.is_awaited(); }))
      continue;
    // Before there is any address it is too early to complain.
    if (!o.reachable && bases_.empty() && holds_ > 0) continue;
    o.told = true;
    return agent::gathering_error{servers_[i], o.code, o.text};
  }
  return std::nullopt;
}

bool gatherer::poll_complete() noexcept {
  if (!unfinished_ || is_active()) return false;
  unfinished_ = false;
  return true;
}

}  // namespace weft::ice
