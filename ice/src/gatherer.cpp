#include "gatherer.hpp"

#include <algorithm>
#include <utility>
#include <variant>

namespace weft::ice {

bool can_reach(const ip_address& a, const ip_address& b) noexcept {
  if (a.is_v4() != b.is_v4() || a.is_loopback() != b.is_loopback()) return false;
  return a.is_v4() || a.is_link_local() == b.is_link_local();
}

void gatherer::start(random_source& random, const agent::options& opts,
                     const std::vector<endpoint>& bases) {
  stop();
  active_ = true;
  std::vector<std::pair<std::size_t, endpoint>> asked;
  for (std::size_t i = 0; i < opts.stun_servers.size(); ++i) {
    servers_.push_back(
        {.server = opts.stun_servers[i], .text = "no local address can reach the server"});
    for (const endpoint& base : bases) {
      if (!can_reach(base.address, opts.stun_servers[i].address.address)) continue;
      servers_.back().text = "the server did not answer";
      asked.emplace_back(i, base);
    }
  }
  stun::binding_client::options client;
  // RFC 8445 §14.3: the RTO grows with the number of requests.
  client.retransmission = {
      .rto = std::max(opts.rto, opts.ta * static_cast<duration::rep>(asked.size())),
      .max_requests = opts.max_server_requests,
      .last_wait = opts.last_server_wait};
  for (const auto& [server, base] : asked) {
    client.local = base;
    queries_.push_back({server, base, {random, opts.stun_servers[server].address, client}});
  }
}

void gatherer::stop() noexcept {
  queries_.clear();
  servers_.clear();
  found_.clear();
  next_ = 0;
  active_ = due_ = false;
}

void gatherer::begin_next(time_point now) {
  queries_[next_++].client.start(now);
  due_ = true;
}

bool gatherer::handle_input(time_point now, const endpoint& local, const endpoint& remote,
                            const_bytes datagram) {
  for (query& q : queries_) {
    if (q.done || q.base != local || !q.client.handle_input(now, remote, datagram)) continue;
    collect(q);
    return true;
  }
  return false;
}

void gatherer::handle_timeout(time_point now) {
  for (std::size_t i = 0; i < next_; ++i) {
    query& q = queries_[i];
    if (q.done) continue;
    const bool waited = q.client.poll_timeout().has_value();
    q.client.handle_timeout(now);
    collect(q);
    due_ = due_ || (waited && !q.done && !q.client.poll_timeout());
  }
}

void gatherer::collect(query& q) {
  const auto outcome = q.client.poll_event();
  if (!outcome) return;
  q.done = true;
  server_result& server = servers_[q.server];
  if (const auto* good = std::get_if<stun::binding_client::address_discovered>(&*outcome)) {
    server.helped = true;
    found_.push_back({q.base, good->reflexive, q.server});
  } else if (const auto* refused = std::get_if<stun::binding_client::refused>(&*outcome)) {
    server.code = static_cast<std::uint16_t>(refused->code);
    server.text = refused->reason;
  } else if (std::holds_alternative<stun::binding_client::unusable>(*outcome)) {
    server.text = "the server's answer makes no sense";
  }
}

std::optional<addressed_transmit> gatherer::poll_transmit(time_point now, mutable_bytes buffer) {
  if (!due_) return std::nullopt;
  for (std::size_t i = 0; i < next_; ++i)
    if (!queries_[i].done)
      if (const auto out = queries_[i].client.poll_transmit(now, buffer)) return out;
  due_ = buffer.size() < stun::header_size;
  return std::nullopt;
}

std::optional<time_point> gatherer::poll_timeout() const noexcept {
  std::optional<time_point> first;
  for (std::size_t i = 0; i < next_; ++i)
    if (!queries_[i].done) first = earliest(first, queries_[i].client.poll_timeout());
  return first;
}

std::optional<gatherer::found> gatherer::poll_found() {
  if (found_.empty()) return std::nullopt;
  const found first = found_.front();
  found_.erase(found_.begin());
  return first;
}

std::optional<agent::gathering_error> gatherer::poll_error() {
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    server_result& s = servers_[i];
    if (s.told || s.helped) continue;
    if (std::ranges::any_of(queries_, [&](const query& q) { return q.server == i && !q.done; }))
      continue;
    s.told = true;
    return agent::gathering_error{s.server, s.code, s.text};
  }
  return std::nullopt;
}

bool gatherer::poll_complete() noexcept {
  if (!active_ || std::ranges::any_of(queries_, [](const query& q) { return !q.done; }))
    return false;
  stop();
  return true;
}

}  // namespace weft::ice
