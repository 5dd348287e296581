#include "report.hpp"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace weft::cli {
namespace {

using json = nlohmann::ordered_json;

double milliseconds(duration d) {
  return std::chrono::duration<double, std::milli>(d).count();
}

std::optional<duration> exchange_time(const report& r) {
  if (!r.times.first_sent || !r.times.done) return std::nullopt;
  return *r.times.done - *r.times.first_sent;
}

/// Megabytes a second, each way.
double throughput(const report& r) {
  const auto time = exchange_time(r);
  if (!time || *time <= duration{}) return 0;
  return static_cast<double>(r.messages.bytes) / 1e6 / (milliseconds(*time) / 1e3);
}

/// The value below which `percent` of them lie, by nearest rank.
duration percentile(std::vector<duration> all, std::size_t percent) {
  std::ranges::sort(all);
  const std::size_t rank = (all.size() * percent + 99) / 100;
  return all[std::max<std::size_t>(rank, 1) - 1];
}

std::string human_bytes(double bytes) {
  if (bytes < 1e3) return fmt::format("{:.0f} B", bytes);
  if (bytes < 1e6) return fmt::format("{:.1f} kB", bytes / 1e3);
  return fmt::format("{:.1f} MB", bytes / 1e6);
}

json stage(const std::optional<duration>& d) {
  return d ? json(std::round(milliseconds(*d) * 1000) / 1000) : json(nullptr);
}

std::vector<std::string> texts(const std::vector<endpoint>& endpoints) {
  std::vector<std::string> all;
  for (const endpoint& e : endpoints) all.push_back(to_string(e));
  return all;
}

json to_json(const ice::candidate_statistics& end) {
  return {{"type", to_string(end.info.type)}, {"address", to_string(end.info.address)}};
}

}  // namespace

std::string to_text(const report& r) {
  std::string out = fmt::format("weft call {}\n", r.url);
  const auto line = [&](std::string_view name, const std::string& text) {
    out += fmt::format("  {:<13} {}\n", name, text);
  };
  const auto moment = [&](std::string_view name, const std::optional<duration>& d) {
    if (d) line(name, fmt::format("{:9.2f} ms", milliseconds(*d)));
  };
  moment("signalled", r.times.signalled);
  moment("ice connected", r.times.ice_connected);
  moment("connected", r.times.connected);
  moment("channel open", r.times.channel_open);
  if (r.times.channel_open) {
    line("messages",
         fmt::format("{} of {} intact, {} lost, {} changed; sizes {}", r.messages.intact, r.planned,
                     r.messages.lost, r.messages.changed, fmt::join(r.sizes, ", ")));
    const auto time = exchange_time(r);
    if (time)
      line("throughput", fmt::format("{} each way in {:.1f} ms: {:.1f} MB/s",
                                     human_bytes(static_cast<double>(r.messages.bytes)),
                                     milliseconds(*time), throughput(r)));
  }
  if (!r.round_trips.empty())
    line("round trip", fmt::format("p50 {:.2f} ms, p99 {:.2f} ms, max {:.2f} ms",
                                   milliseconds(percentile(r.round_trips, 50)),
                                   milliseconds(percentile(r.round_trips, 99)),
                                   milliseconds(percentile(r.round_trips, 100))));
  line("datagrams", fmt::format("{} sent, {} received; dropped {} unknown, {} unvalidated",
                                r.counters.datagrams_sent, r.counters.datagrams_received,
                                r.counters.unknown_datagrams, r.counters.unvalidated_datagrams));
  if (r.path.size() == 2)
    line("path", fmt::format("{} {} to {} {}", to_string(r.path[0].info.type),
                             to_string(r.path[0].info.address), to_string(r.path[1].info.type),
                             to_string(r.path[1].info.address)));
  line("result", r.error ? r.error->text : "all messages came back intact");
  return out;
}

std::string to_json(const report& r) {
  json out;
  out["url"] = r.url;
  out["session"] = r.session;
  out["ok"] = !r.error;
  out["error"] = r.error ? json(r.error->text) : json(nullptr);
  out["exit_code"] = r.error ? static_cast<int>(r.error->code) : 0;
  out["timings_ms"] = {{"signalled", stage(r.times.signalled)},
                       {"ice_connected", stage(r.times.ice_connected)},
                       {"connected", stage(r.times.connected)},
                       {"channel_open", stage(r.times.channel_open)},
                       {"done", stage(r.times.done)}};
  out["messages"] = {{"planned", r.planned},          {"sent", r.messages.sent},
                     {"intact", r.messages.intact},   {"lost", r.messages.lost},
                     {"changed", r.messages.changed}, {"sizes", r.sizes}};
  out["bytes_each_way"] = r.messages.bytes;
  out["throughput_mb_s"] = throughput(r);
  out["rtt_ms"] = json(nullptr);
  if (!r.round_trips.empty())
    out["rtt_ms"] = {{"p50", milliseconds(percentile(r.round_trips, 50))},
                     {"p99", milliseconds(percentile(r.round_trips, 99))},
                     {"max", milliseconds(percentile(r.round_trips, 100))}};
  out["local"] = texts(r.local);
  out["remote"] = r.remote;
  out["path"] = json(nullptr);
  if (r.path.size() == 2)
    out["path"] = {{"local", to_json(r.path[0])}, {"remote", to_json(r.path[1])}};
  out["datagrams"] = {{"sent", r.counters.datagrams_sent},
                      {"received", r.counters.datagrams_received},
                      {"unknown", r.counters.unknown_datagrams},
                      {"media", r.counters.media_datagrams},
                      {"unvalidated", r.counters.unvalidated_datagrams}};
  out["sockets"] = {{"send_calls", r.sockets.send_calls},
                    {"receive_calls", r.sockets.receive_calls},
                    {"send_errors", r.sockets.send_errors},
                    {"receive_errors", r.sockets.receive_errors}};
  // Texts of the server's may be anything but UTF-8.
  return out.dump(2, ' ', false, json::error_handler_t::replace) + '\n';
}

}  // namespace weft::cli
