#include "echo_sessions.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <asio/post.hpp>

namespace weft::cli {
namespace {

constexpr const char* sdp_type = "application/sdp";

reply refuse(int status, std::string text) {
  return {.status = status, .body = std::move(text) + '\n', .content_type = "text/plain"};
}

reply no_such_session(const std::string& id) {
  return refuse(404, fmt::format("no session {}; it may have ended", id.substr(0, 64)));
}

reply refuse(const peer::error& e) {
  const bool state = e.code == peer::error_code::invalid_state;
  return refuse(state ? 409 : 400, fmt::format("{}: {}", peer::to_string(e.code), e.text));
}

}  // namespace

echo_sessions::echo_sessions(const asio::any_io_executor& executor, options opts)
    : executor_{executor}, options_{std::move(opts)}, timer_{executor} {}

std::string echo_sessions::random_hex(std::size_t bytes) {
  std::vector<std::uint8_t> raw(bytes);
  random_.fill(raw);
  std::string text;
  for (const std::uint8_t byte : raw) text += fmt::format("{:02x}", byte);
  return text;
}

result<std::unique_ptr<echo_session>, std::string> echo_sessions::make_session(
    const std::string& id) {
  auto certificate = dtls::certificate::generate({.now = std::chrono::system_clock::now()});
  if (!certificate) return fail(std::string{"no certificate could be made"});
  io::peer_runner::options opts = options_.peers;
  opts.connection.always_negotiate_data_channels = true;
  opts.connection.send_buffer = 4 * 1024 * 1024;
  auto runner = io::peer_runner::create(executor_, random_, *std::move(certificate), opts);
  if (!runner) return fail(fmt::format("no socket: {}", runner.error().message()));
  // Not from within its own handlers.
  const auto later = [this, id](auto action) {
    return [this, id, action, alive = alive_] {
      asio::post(executor_, [this, id, action, alive] {
        if (*alive) action(*this, id);
      });
    };
  };
  return std::make_unique<echo_session>(
      *std::move(runner),
      later([](echo_sessions& all, const std::string& which) { all.describe(which); }),
      later([](echo_sessions& all, const std::string& which) {
        all.remove(which, "connection over");
      }));
}

void echo_sessions::create(const std::string& offer, std::optional<std::uint16_t> negotiated,
                           std::function<void(reply)> done) {
  if (!*alive_) return done(refuse(503, "the server is going down"));
  if (entries_.size() >= options_.max_sessions) {
    reply full = refuse(
        503, fmt::format("{} sessions are open, which is all there may be", entries_.size()));
    full.retry_after = 5;
    return done(std::move(full));
  }
  const std::string id = random_hex(16);
  auto session = make_session(id);
  if (!session) return done(refuse(500, session.error()));
  if (negotiated) {
    const auto made = (*session)->add_negotiated(*negotiated);
    if (!made) return done(refuse(made.error()));
  }

  const auto set = offer.empty() ? (*session)->offer() : (*session)->answer(offer);
  if (!set) return done(refuse(set.error()));
  if (options_.log) options_.log(fmt::format("{} {}", id, offer.empty() ? "offers" : "answers"));
  entry& e = entries_[id];
  e.etag = '"' + random_hex(4) + '"';
  e.awaits_answer = offer.empty();
  e.session = *std::move(session);
  e.awaits_candidates = std::move(done);
  watch();
  if (e.session->has_gathered()) return describe(id);
  e.patience = std::make_unique<asio::steady_timer>(executor_, options_.gathering);
  e.patience->async_wait([this, id, alive = alive_](std::error_code error) {
    if (!error && *alive) describe(id);
  });
}

void echo_sessions::describe(const std::string& id) {
  const auto found = entries_.find(id);
  if (found == entries_.end() || !found->second.awaits_candidates) return;
  entry& e = found->second;
  e.patience.reset();
  std::exchange(e.awaits_candidates, {})({.status = 201,
                                          .body = e.session->description(),
                                          .content_type = sdp_type,
                                          .location = "/echo/" + id,
                                          .etag = e.etag});
}

reply echo_sessions::answer(const std::string& id, const std::string& text) {
  const auto found = entries_.find(id);
  if (found == entries_.end()) return no_such_session(id);
  if (!found->second.awaits_answer)
    return refuse(409, "this session awaits no answer: it has answered, or been answered");
  const auto taken = found->second.session->take_answer(text);
  if (!taken) return refuse(taken.error());
  found->second.awaits_answer = false;
  return {.status = 204, .body = {}};
}

reply echo_sessions::trickle(const std::string& id, const std::string& text,
                             const std::optional<std::string>& if_match) {
  const auto found = entries_.find(id);
  if (found == entries_.end()) return no_such_session(id);
  entry& e = found->second;
  const auto fragment = sdp::trickle_fragment::parse(text);
  if (!fragment) return refuse(400, "bad fragment: " + to_string(fragment.error()));

  // RFC 9725 §4.3.3: other credentials, or any ICE session at all, ask for a restart.
  const auto other = [&](const std::string& ufrag) {
    return !ufrag.empty() && ufrag != e.session->remote_ufrag();
  };
  const bool restart =
      other(fragment->ufrag) || std::ranges::any_of(fragment->sections, [&](const auto& section) {
        return other(section.ufrag);
      });
  if (!if_match) return refuse(428, "If-Match with the session's ETag is needed");
  if (*if_match != e.etag && *if_match != "*")
    return refuse(412, "If-Match is not the session's ETag, " + e.etag);
  if (e.awaits_answer) return refuse(409, "candidates come after the answer");
  if (restart) return refuse(422, "ICE restarts are not done here; make a new session");

  const auto added = e.session->trickle(*fragment);
  if (!added) return refuse(added.error());
  return {.status = 204, .body = {}};
}

reply echo_sessions::end(const std::string& id) {
  if (!entries_.contains(id)) return no_such_session(id);
  remove(id, "deleted");
  return {.status = 200, .body = {}};
}

reply echo_sessions::look(const std::string& id) const {
  return entries_.contains(id) ? reply{.status = 204, .body = {}} : no_such_session(id);
}

void echo_sessions::close() {
  *alive_ = false;
  timer_.cancel();
  for (auto& [id, e] : entries_)
    if (e.awaits_candidates) e.awaits_candidates(refuse(503, "the server is going down"));
  entries_.clear();
}

void echo_sessions::remove(const std::string& id, std::string_view why) {
  const auto found = entries_.find(id);
  if (found == entries_.end()) return;
  if (found->second.awaits_candidates) found->second.awaits_candidates(no_such_session(id));
  if (options_.log) {
    const auto& counted = found->second.session->connection().stats();
    options_.log(fmt::format("{} ended: {}; {} messages; dropped {} unknown, {} unvalidated", id,
                             why, counted.messages_received, counted.unknown_datagrams,
                             counted.unvalidated_datagrams));
  }
  entries_.erase(found);
}

time_point echo_sessions::deadline(const entry& e) const {
  const bool connected = e.session->connected();
  return e.session->last_used() + (connected ? options_.idle : options_.setup);
}

/// Looks after the sessions as often as is fitting for the shortest time they are given.
void echo_sessions::watch() {
  const duration step =
      std::clamp<duration>(std::min(options_.idle, options_.setup) / 4,
                           std::chrono::milliseconds{50}, std::chrono::seconds{5});
  timer_.expires_after(step);
  timer_.async_wait([this, alive = alive_](std::error_code cancelled) {
    if (cancelled || !*alive) return;
    const time_point now = io::now();
    std::vector<std::string> over;
    for (const auto& [id, e] : entries_)
      if (deadline(e) <= now) over.push_back(id);
    for (const std::string& id : over)
      remove(id, entries_.at(id).session->connected() ? "idle" : "not connected in time");
    if (!entries_.empty()) watch();
  });
}

}  // namespace weft::cli
