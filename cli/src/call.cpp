#include "call.hpp"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>
#include <asio/io_context.hpp>

#include <weft/io/system_random.hpp>
#include <weft/sdp/candidate.hpp>
#include <weft/sdp/description.hpp>

#include "report.hpp"
#include "whip_client.hpp"

namespace weft::cli {
namespace {

template <class Unit>
duration to_duration(double count) {
  return std::chrono::duration_cast<duration>(std::chrono::duration<double, Unit>{count});
}

/// A server on this machine is called by loopback alone, one elsewhere by all the rest.
io::network_options networks_for(const url& to) {
  const auto address = ip_address::parse(to.host);
  io::network_options networks;
  networks.kinds.loopback = address ? address->is_loopback() : to.host == "localhost";
  if (!networks.kinds.loopback) return networks;
  for (const char* const block : {"127.0.0.0/8", "::1/128"})
    networks.filter.allowed.push_back(*ice::address_prefix::parse(block));
  return networks;
}

std::vector<std::string> candidates_of(const std::string& text) {
  std::vector<std::string> all;
  const auto parsed = sdp::session_description::parse(text);
  for (std::size_t i = 0; parsed && i < parsed->media_count(); ++i) {
    parsed->media(i).for_each(sdp::candidate::name, [&](std::string_view value) {
      const auto c = sdp::candidate::parse(value);
      if (!c) return;
      const auto address = ip_address::parse(c->address);
      all.push_back(address ? to_string(endpoint{*address, c->port})
                            : fmt::format("{}:{}", c->address, c->port));
    });
  }
  return all;
}

caller::plan plan_of(const call_options& options) {
  caller::plan plan;
  plan.messages.count = options.count;
  plan.messages.sizes = options.sizes;
  plan.messages.ordered = !options.unordered;
  plan.messages.reliable = !options.max_retransmits;
  plan.messages.window = options.window;
  plan.max_retransmits = options.max_retransmits;
  plan.interval = to_duration<std::milli>(options.interval_ms);
  return plan;
}

/// Both ends of the selected pair.
std::vector<ice::candidate_statistics> path_of(const peer::connection& connection) {
  const auto pairs = connection.pair_stats();
  const auto selected = std::ranges::find_if(pairs, [](const auto& pair) { return pair.selected; });
  if (selected == pairs.end()) return {};
  std::vector<ice::candidate_statistics> ends;
  const auto candidates = connection.candidate_stats();
  for (const std::string& id : {selected->local_candidate_id, selected->remote_candidate_id})
    std::ranges::copy_if(candidates, std::back_inserter(ends),
                         [&](const auto& candidate) { return candidate.id == id; });
  return ends;
}

class call_run {
 public:
  call_run(const call_options& options, report& r)
      : options_{options},
        report_{r},
        limit_{to_duration<std::ratio<1>>(options.timeout_seconds)} {}

  result<void, call_error> operator()() {
    const auto to = url::parse(options_.url);
    if (!to) return fail(call_error{exit_code::usage, to.error()});
    report_.url = to->to_string();

    auto certificate = dtls::certificate::generate({.now = std::chrono::system_clock::now()});
    if (!certificate) return fail(call_error{exit_code::call_failed, "no certificate"});
    io::peer_runner::options opts;
    opts.networks.networks = networks_for(*to);
    if (const auto applied = apply(options_.ice, opts); !applied)
      return fail(call_error{exit_code::usage, applied.error()});
    auto runner =
        io::peer_runner::create(context_.get_executor(), random_, *std::move(certificate), opts);
    if (!runner)
      return fail(call_error{exit_code::call_failed, "no socket: " + runner.error().message()});
    caller peer{context_, *std::move(runner), plan_of(options_)};
    const whip_client server{*to, limit_};

    std::optional<whip_client::session> session;
    auto done = signal(server, peer, session);
    if (done) done = peer.run(limit_);
    keep(peer);
    peer.close();
    if (session) server.end(*session);
    if (done) done = judge();
    return done;
  }

 private:
  result<void, call_error> signal(const whip_client& server, caller& peer,
                                  std::optional<whip_client::session>& session) {
    std::string offer;
    if (!options_.reverse) {
      auto made = peer.offer();
      if (!made) return fail(made.error());
      offer = *std::move(made);
    }
    auto created = server.post(offer);
    if (!created) return fail(created.error());
    session = *std::move(created);
    report_.session = session->location.to_string();
    report_.remote = candidates_of(session->sdp);
    show_paths(peer);
    if (!options_.reverse) return peer.take_answer(session->sdp);
    const auto answer = peer.answer(session->sdp);
    if (!answer) return fail(answer.error());
    return server.patch_answer(*session, *answer);
  }

  void show_paths(const caller& peer) const {
    if (!options_.verbose) return;
    fmt::print(stderr, "session {}\n", report_.session);
    for (const endpoint& e : peer.runner().local_endpoints())
      fmt::print(stderr, "local {}\n", to_string(e));
    for (const std::string& e : report_.remote) fmt::print(stderr, "remote {}\n", e);
    std::fflush(stderr);
  }

  void keep(const caller& peer) {
    report_.times = peer.times();
    report_.messages = peer.messages().counts();
    report_.round_trips = peer.messages().round_trips();
    report_.local = peer.runner().local_endpoints();
    report_.counters = peer.runner().connection().stats();
    report_.sockets = peer.runner().socket_stats();
    report_.path = path_of(peer.runner().connection());
  }

  result<void, call_error> judge() const {
    const auto& counts = report_.messages;
    if (counts.changed == 0 && counts.intact + counts.lost == options_.count) return {};
    return fail(call_error{exit_code::call_failed,
                           fmt::format("{} of {} messages came back changed or out of order",
                                       counts.changed, options_.count)});
  }

  const call_options& options_;
  report& report_;
  duration limit_;
  asio::io_context context_{1};
  io::system_random random_;
};

}  // namespace

exit_code call(const call_options& options) {
  report r;
  r.url = options.url;
  r.planned = options.count;
  r.sizes = options.sizes;
  const auto done = call_run{options, r}();
  if (!done) r.error = done.error();

  if (options.json)
    fmt::print("{}", to_json(r));
  else if (!r.error || r.times.signalled)
    fmt::print("{}", to_text(r));
  if (!r.error) return exit_code::success;
  fmt::print(stderr, "weft call: {}\n", r.error->text);
  return r.error->code;
}

}  // namespace weft::cli
