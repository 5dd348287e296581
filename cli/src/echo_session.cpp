#include "echo_session.hpp"

#include <utility>
#include <variant>

#include <weft/sdp/description.hpp>

namespace weft::cli {
namespace {

/// Below this much unsent the next message fits, however large.
constexpr std::size_t low_threshold = 512 * 1024;

}  // namespace

echo_session::echo_session(io::peer_runner runner, std::function<void()> gathered,
                           std::function<void()> ended)
    : runner_{std::move(runner)},
      gathered_{std::move(gathered)},
      ended_{std::move(ended)},
      last_used_{io::now()} {
  runner_.on_event([this](const peer::connection::event& e) { handle(e); });
  runner_.on_message([this](const peer::data_channel_message& m) { echo(m); });
}

result<void, peer::error> echo_session::add_negotiated(std::uint16_t id) {
  return runner_.with([&](peer::connection& c, time_point now) -> result<void, peer::error> {
    peer::data_channel_options opts;
    opts.negotiated = true;
    opts.id = id;
    const auto channel = c.create_data_channel(now, "negotiated", opts);
    if (!channel) return fail(channel.error());
    c.set_buffered_amount_low_threshold(*channel, low_threshold);
    return {};
  });
}

result<void, peer::error> echo_session::answer(const std::string& offer) {
  const auto set = set_remote(peer::sdp_type::offer, offer);
  return set ? set_local() : set;
}

result<void, peer::error> echo_session::offer() {
  return set_local();
}

result<void, peer::error> echo_session::set_local() {
  return runner_.with([](peer::connection& c, time_point now) -> result<void, peer::error> {
    const auto set = c.set_local_description(now);
    if (!set) return fail(set.error());
    return {};
  });
}

result<void, peer::error> echo_session::take_answer(const std::string& answer) {
  return set_remote(peer::sdp_type::answer, answer);
}

result<void, peer::error> echo_session::set_remote(peer::sdp_type type, const std::string& text) {
  const auto set = runner_.with([&](peer::connection& c, time_point now) {
    return c.set_remote_description(now, {type, text});
  });
  if (!set) return set;
  const auto parsed = sdp::session_description::parse(text);
  for (std::size_t i = 0; parsed && i < parsed->media_count(); ++i) {
    const auto ufrag = parsed->media(i).get<sdp::ice_ufrag>();
    if (remote_ufrag_.empty() && ufrag && *ufrag) remote_ufrag_ = (*ufrag)->text;
  }
  return set;
}

result<void, peer::error> echo_session::trickle(const sdp::trickle_fragment& fragment) {
  for (std::size_t i = 0; i < fragment.sections.size(); ++i) {
    const auto& section = fragment.sections[i];
    peer::ice_candidate candidate;
    candidate.sdp_mid = section.mid;
    if (section.mid.empty()) candidate.sdp_mline_index = static_cast<std::uint16_t>(i);
    candidate.username_fragment = section.ufrag.empty() ? fragment.ufrag : section.ufrag;
    for (const sdp::candidate& c : section.candidates) {
      candidate.candidate = sdp::to_string(c);
      const auto added = add_candidate(candidate);
      if (!added) return added;
    }
    if (section.end_of_candidates || fragment.end_of_candidates) {
      candidate.candidate.clear();
      const auto added = add_candidate(candidate);
      if (!added) return added;
    }
  }
  return {};
}

result<void, peer::error> echo_session::add_candidate(const peer::ice_candidate& candidate) {
  return runner_.with(
      [&](peer::connection& c, time_point now) { return c.add_ice_candidate(now, candidate); });
}

bool echo_session::connected() const {
  return runner_.connection().state() == peer::connection_state::connected;
}

bool echo_session::has_gathered() const {
  return runner_.connection().ice_gathering() == peer::ice_gathering_state::complete;
}

std::string echo_session::description() const {
  return runner_.connection().local_description()->sdp;
}

void echo_session::handle(const peer::connection::event& event) {
  using peer::connection;
  if (const auto* changed = std::get_if<connection::connection_state_changed>(&event)) {
    if (changed->state == peer::connection_state::failed ||
        changed->state == peer::connection_state::closed)
      ended_();
  } else if (std::holds_alternative<connection::ice_gathering_state_changed>(event)) {
    if (has_gathered()) gathered_();
  } else if (const auto* added = std::get_if<connection::data_channel_added>(&event)) {
    runner_.with([&](connection& c, time_point) {
      c.set_buffered_amount_low_threshold(added->channel, low_threshold);
    });
  } else if (std::holds_alternative<connection::buffered_amount_low>(event) ||
             std::holds_alternative<connection::data_channel_closed>(event)) {
    retry();
  }
}

void echo_session::echo(const peer::data_channel_message& received) {
  last_used_ = io::now();
  message m{received.channel, received.kind, {received.payload.begin(), received.payload.end()}};
  if (send(m)) return;
  waiting_ = std::move(m);
  runner_.pause_messages();
}

bool echo_session::send(message& m) {
  const auto sent = runner_.with([&](peer::connection& c, time_point now) {
    return c.send(now, m.channel, m.kind, std::move(m.payload));
  });
  // A channel that has closed meanwhile, or takes less than it sends: nothing to wait for.
  return sent || sent.error().code != peer::error_code::resource;
}

void echo_session::retry() {
  if (!waiting_ || !send(*waiting_)) return;
  waiting_.reset();
  runner_.resume_messages();
}

}  // namespace weft::cli
