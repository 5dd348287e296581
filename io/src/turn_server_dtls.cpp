#include "turn_server_dtls.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <iterator>
#include <variant>

namespace weft::io {

turn_server_dtls::turn_server_dtls(dtls::certificate identity, const options& opts, outlets out)
    : identity_{std::move(identity)}, options_{opts}, out_{std::move(out)} {}

void turn_server_dtls::handle_input(time_point now, const five_tuple& client,
                                    const_bytes datagram) {
  auto at = sessions_.find(client);
  if (at == sessions_.end()) {
    std::array<std::uint8_t, dtls::cookie_exchange::max_reply_size> buffer;
    const auto answer = cookies_.check(now, client, datagram, buffer);
    if (answer.verdict == dtls::cookie_exchange::verdict::reply) out_.send(client, answer.reply);
    if (answer.verdict != dtls::cookie_exchange::verdict::accept) return;
    if (sessions_.size() >= options_.max_sessions) evict();
    if (handshakes_ >= options_.max_handshakes || sessions_.size() >= options_.max_sessions) return;
    at = begin(now, client);
  }
  client_session& c = at->second;
  const auto records = c.session.stats().records_received;
  c.session.handle_input(now, datagram);
  if (c.session.stats().records_received != records) c.heard = now;
  attend(now, at);
}

turn_server_dtls::sessions::iterator turn_server_dtls::begin(time_point now,
                                                             const five_tuple& client) {
  dtls::session session{identity_,
                        {.role = dtls::role::server,
                         .path_validation = dtls::path_validation::cookie,
                         .client_identity = dtls::client_identity::none,
                         .initial_retransmission = std::chrono::milliseconds{500},
                         .handshake_timeout = options_.handshake_timeout}};
  session.start(now);
  ++handshakes_;
  const auto at = sessions_.emplace(client, client_session{std::move(session)}).first;
  at->second.heard = now;
  at->second.due = deadlines_.emplace(now, client);
  return at;
}

void turn_server_dtls::attend(time_point now, sessions::iterator at) {
  const five_tuple client = at->first;
  client_session& c = at->second;
  std::array<std::uint8_t, max_datagram_size> buffer;
  while (const auto t = c.session.poll_transmit(now, buffer)) out_.send(client, t->bytes);
  while (const auto data = c.session.receive()) out_.deliver(client, *data);

  bool over = false;
  while (const auto e = c.session.poll_event()) {
    if (std::holds_alternative<dtls::session::connected>(*e)) {
      c.connected = true;
      --handshakes_;
    } else {
      over = true;
    }
  }
  if (over) {
    const bool was_connected = c.connected;
    forget(at);
    if (was_connected) out_.ended(client);
    return;
  }
  const time_point idle = c.heard + options_.idle_timeout;
  const time_point due = std::min(c.session.poll_timeout().value_or(idle), idle);
  // One that comes too early asks again.
  if (due >= c.due->first && c.due->first > now) return;
  deadlines_.erase(c.due);
  c.due = deadlines_.emplace(due, client);
}

void turn_server_dtls::forget(sessions::iterator at) {
  if (!at->second.connected) {
    --handshakes_;
    ++failures_;
  }
  deadlines_.erase(at->second.due);
  sessions_.erase(at);
}

void turn_server_dtls::evict() {
  constexpr int tries = 16;
  auto next = deadlines_.begin();
  for (int i = 0; i < tries && next != deadlines_.end(); ++i, ++next) {
    const auto at = sessions_.find(next->second);
    if (at->second.connected && !out_.is_in_use(at->first)) return forget(at);
  }
}

void turn_server_dtls::send(time_point now, const five_tuple& client, const_bytes message) {
  const auto at = sessions_.find(client);
  if (at == sessions_.end()) return;
  std::array<std::uint8_t, 65536> record;
  if (const auto sealed = at->second.session.protect(now, message, record))
    out_.send(client, *sealed);
}

void turn_server_dtls::handle_timeout(time_point now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const auto at = sessions_.find(deadlines_.begin()->second);
    if (now >= at->second.heard + options_.idle_timeout) {
      if (!out_.is_in_use(at->first)) {
        forget(at);
        continue;
      }
      at->second.heard = now;
    }
    at->second.session.handle_timeout(now);
    attend(now, at);
  }
}

std::optional<time_point> turn_server_dtls::next_deadline() const {
  if (deadlines_.empty()) return std::nullopt;
  return deadlines_.begin()->first;
}

result<dtls::certificate, std::string> load_certificate(const std::string& certificate_file,
                                                        const std::string& key_file) {
  std::string pem;
  for (const std::string& name : {key_file, certificate_file}) {
    std::ifstream file{name};
    if (!file) return fail(name + ": cannot be read");
    pem.append(std::istreambuf_iterator<char>{file}, {});
    pem += '\n';
  }
  auto loaded = dtls::certificate::from_pem(pem);
  if (!loaded) return fail(certificate_file + ": " + std::string{to_string(loaded.error())});
  return std::move(*loaded);
}

}  // namespace weft::io
