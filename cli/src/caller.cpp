#include "caller.hpp"

#include <utility>
#include <variant>

#include <fmt/format.h>

namespace weft::cli {
namespace {

using peer::connection;

/// A channel that may lose messages is given so long to return one.
constexpr duration patience = std::chrono::seconds{1};
constexpr duration tick_length = std::chrono::milliseconds{20};
/// A server that has not answered by then is done without: no candidates follow an offer.
constexpr duration gathering_limit = std::chrono::seconds{2};
/// One message of the largest size fits below it.
constexpr std::size_t low_threshold = 256 * 1024;

call_error broken(std::string text) {
  return {exit_code::call_failed, std::move(text)};
}

call_error broken(std::string_view what, const peer::error& e) {
  return broken(fmt::format("{}: {}", what, e.text));
}

}  // namespace

caller::caller(asio::io_context& context, io::peer_runner runner, const plan& p)
    : context_{context},
      runner_{std::move(runner)},
      plan_{p},
      started_{io::now()},
      messages_{p.messages},
      timer_{context} {
  runner_.on_event([this](const connection::event& e) { handle(e); });
  runner_.on_message([this](const peer::data_channel_message& m) {
    if (m.channel != channel_) return;
    messages_.received(io::now(), m.kind, m.payload);
    send_what_may_be();
  });
}

void caller::open_channel() {
  peer::data_channel_options how;
  how.ordered = plan_.messages.ordered;
  how.max_retransmits = plan_.max_retransmits;
  const auto created = runner_.with([&](connection& c, time_point now) {
    auto handle = c.create_data_channel(now, "weft-call", how);
    if (handle) c.set_buffered_amount_low_threshold(*handle, low_threshold);
    return handle;
  });
  if (created)
    channel_ = *created;
  else
    finish(broken("no channel", created.error()));
}

result<std::string, call_error> caller::offer() {
  open_channel();
  if (error_) return fail(*error_);
  return set_local();
}

result<std::string, call_error> caller::answer(const std::string& offer) {
  const auto set = runner_.with([&](connection& c, time_point now) {
    return c.set_remote_description(now, {peer::sdp_type::offer, offer});
  });
  if (!set) return fail(call_error{exit_code::refused, "bad offer: " + set.error().text});
  open_channel();
  if (error_) return fail(*error_);
  return set_local();
}

result<std::string, call_error> caller::set_local() {
  const auto set =
      runner_.with([](connection& c, time_point now) { return c.set_local_description(now); });
  if (!set) return fail(broken("no description", set.error()));
  const time_point end = io::now() + gathering_limit;
  while (runner_.connection().ice_gathering() != peer::ice_gathering_state::complete &&
         io::now() < end)
    context_.run_one_until(end);
  return runner_.connection().local_description()->sdp;
}

result<void, call_error> caller::take_answer(const std::string& answer) {
  const auto set = runner_.with([&](connection& c, time_point now) {
    return c.set_remote_description(now, {peer::sdp_type::answer, answer});
  });
  if (!set) return fail(call_error{exit_code::refused, "bad answer: " + set.error().text});
  return {};
}

result<void, call_error> caller::run(duration limit) {
  times_.signalled = elapsed();
  tick();
  context_.restart();
  context_.run_until(started_ + limit);
  if (error_) return fail(*error_);
  if (finished_) return {};
  return fail(call_error{exit_code::timed_out,
                         fmt::format("timeout in state {}, with {} of {} messages back",
                                     to_string(runner_.connection().state()),
                                     messages_.counts().intact, plan_.messages.count)});
}

void caller::close() {
  runner_.with([](connection& c, time_point now) { c.close(now); });
  context_.restart();
  context_.poll();
}

void caller::handle(const connection::event& event) {
  if (const auto* ice = std::get_if<connection::ice_connection_state_changed>(&event)) {
    const bool there = ice->state == peer::ice_connection_state::connected ||
                       ice->state == peer::ice_connection_state::completed;
    if (there && !times_.ice_connected) times_.ice_connected = elapsed();
  } else if (const auto* whole = std::get_if<connection::connection_state_changed>(&event)) {
    if (whole->state == peer::connection_state::connected && !times_.connected)
      times_.connected = elapsed();
    if (whole->state == peer::connection_state::failed ||
        whole->state == peer::connection_state::closed)
      finish(broken(fmt::format("connection {}: {}", to_string(whole->state), whole->reason)));
  } else if (const auto* opened = std::get_if<connection::data_channel_opened>(&event)) {
    if (opened->channel != channel_) return;
    times_.channel_open = elapsed();
    open_ = true;
  } else if (const auto* closed = std::get_if<connection::data_channel_closed>(&event)) {
    if (closed->channel == channel_)
      finish(broken("the channel closed" + (closed->error.empty() ? "" : ": " + closed->error)));
  }
  send_what_may_be();
}

void caller::send_what_may_be() {
  if (!open_ || finished_) return;
  for (time_point now = io::now(); messages_.may_send() && next_send_ <= now; now = io::now()) {
    auto message = messages_.next();
    const auto sent = runner_.with([&](connection& c, time_point t) {
      return c.send(t, *channel_, message.kind, std::move(message.payload));
    });
    if (!sent && sent.error().code == peer::error_code::resource) return;  // Later.
    if (!sent) return finish(broken("cannot send", sent.error()));
    if (!times_.first_sent) times_.first_sent = elapsed();
    messages_.sent(now);
    next_send_ = now + plan_.interval;
  }
  if (messages_.done()) finish(std::nullopt);
}

void caller::finish(std::optional<call_error> error) {
  if (finished_) return;
  finished_ = true;
  error_ = std::move(error);
  times_.done = elapsed();
  context_.stop();
}

/// Sees to what no datagram brings: the interval, and messages that will not come.
void caller::tick() {
  timer_.expires_after(plan_.interval > duration{} ? std::min(plan_.interval, tick_length)
                                                   : tick_length);
  timer_.async_wait([this](std::error_code cancelled) {
    if (cancelled || finished_) return;
    messages_.expire(io::now(), patience);
    send_what_may_be();
    tick();
  });
}

}  // namespace weft::cli
