#include "turn_command.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <nlohmann/json.hpp>

#include <weft/io/asio.hpp>
#include <weft/io/system_random.hpp>
#include <weft/stun/base64.hpp>
#include <weft/stun/rest_credentials.hpp>
#include <weft/stun/uri.hpp>
#include <weft/turn/client.hpp>

#include "server_query.hpp"
#include "turn_leg.hpp"

namespace weft::cli {
namespace {

using nlohmann::json;

constexpr std::size_t packet_header = 8;  // A number and a check of it.
constexpr std::uint32_t packet_mark = 0x77656674;

struct findings {
  std::string uri;
  std::string transport;
  std::optional<endpoint> server;
  std::optional<endpoint> mapped;
  std::array<std::optional<endpoint>, 2> relayed;
  std::optional<duration> round_trip;
  std::optional<duration> time_to_allocate;
  int sent = 0;
  int changed = 0;
  int duplicated = 0;
  std::vector<duration> delays;  ///< Of the packets that arrived, sorted.
  std::optional<query_failure> error;

  duration delay_at(double share) const {
    const auto last = static_cast<double>(delays.size() - 1);
    return delays[static_cast<std::size_t>(share * last)];
  }
};

class measurement {
 public:
  measurement(const turn_options& options, const stun::server_uri& uri)
      : options_{options}, uri_{uri}, end_{io::now() + to_duration(options.timeout_seconds)} {
    found_.uri = stun::to_string(uri);
    const bool is_udp = uri.protocol() == transport_protocol::udp;
    found_.transport = uri.is_secure() ? (is_udp ? "dtls" : "tls") : (is_udp ? "udp" : "tcp");
  }

  findings run() {
    if (open() && allocate() && permit()) exchange();
    close();
    std::ranges::sort(found_.delays);
    return std::move(found_);
  }

 private:
  void fail(exit_code code, std::string text) {
    if (!found_.error) found_.error = query_failure{code, std::move(text)};
  }

  bool open() {
    const auto address = resolve(context_, uri_, end_);
    if (!address) return fail(exit_code::unreachable, "no address of " + uri_.host), false;
    const endpoint server{*address, uri_.port_number()};
    found_.server = server;

    io::trust_store::options trust;
    if (!options_.trust_file.empty()) trust.files.push_back(options_.trust_file);
    trust.verify = !options_.insecure;
    const auto store = io::trust_store::load(trust);
    if (!store) return fail(exit_code::usage, "cannot read " + options_.trust_file), false;

    turn::client::options o;
    o.transport = uri_.protocol();
    if (!options_.access_token.empty()) {
      auto token = stun::decode_base64(options_.access_token);
      if (!token) return fail(exit_code::usage, "--access-token is not base 64"), false;
      const const_bytes key = as_bytes(options_.mac_key);
      o.credentials =
          stun::token_credentials{options_.username, std::move(*token), {key.begin(), key.end()}};
    } else {
      o.credentials = password();
    }
    o.families = options_.ipv6 ? turn::client::families::ipv6 : turn::client::families::any;
    o.channels = turn::client::channel_use::on_request;
    for (auto& l : legs_) {
      l = std::make_unique<turn_leg>(context_, random_, server, o);
      if (!l->open(uri_, *store))
        return fail(exit_code::unreachable, "no way to " + to_string(server)), false;
    }
    return true;
  }

  stun::password_credentials password() const {
    if (options_.rest_secret.empty()) return {options_.username, options_.credential};
    const auto expiry = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()) +
                        std::chrono::hours{1};
    return stun::make_rest_credentials(options_.rest_secret, options_.username, expiry);
  }

  // Runs until `done`, a failure, or the time.
  template <class Done>
  bool run_until(time_point end, Done done) {
    const auto work = asio::make_work_guard(context_);
    for (;;) {
      time_point next = end;
      for (auto& l : legs_) {
        l->drive();
        if (!l->failure().empty()) fail(exit_code::unreachable, l->failure());
        take_events(l->client);
        next = std::min(next, l->poll_timeout().value_or(end));
      }
      if (found_.error) return false;
      if (done()) return true;
      if (io::now() >= end) return false;
      context_.restart();
      context_.run_one_until(next);
    }
  }

  void take_events(turn::client& from) {
    using client = turn::client;
    while (const auto event = from.poll_event()) {
      if (const auto* yes = std::get_if<client::allocated>(&*event)) {
        found_.mapped = yes->mapped;
        if (!found_.round_trip) found_.round_trip = from.round_trip();
      } else if (const auto* no = std::get_if<client::allocation_failed>(&*event)) {
        allocation_failed(no->code, no->reason);
      } else if (const auto* lost = std::get_if<client::allocation_lost>(&*event)) {
        allocation_failed(lost->code, lost->reason);
      } else if (const auto* denied = std::get_if<client::permission_failed>(&*event)) {
        fail(exit_code::refused, "the server does not relay to itself: " + words(denied->code));
      } else if (const auto* on = std::get_if<client::alternate_server>(&*event)) {
        fail(exit_code::refused, "the server sends on to " + to_string(on->server));
      } else if (std::holds_alternative<client::address_in_use>(*event)) {
        fail(exit_code::refused, words(turn::errors::allocation_mismatch));
      }
    }
  }

  static std::string words(stun::error_code code) {
    return fmt::format("{} {}", static_cast<int>(code), turn::name_of(code));
  }
  void allocation_failed(stun::error_code code, const std::string& reason) {
    if (code == turn::errors::no_answer) {
      fail(exit_code::unreachable, reason);
    } else {
      fail(exit_code::refused, "the server says " + words(code));
    }
  }

  bool allocate() {
    const time_point start = io::now();
    for (auto& l : legs_) l->client.allocate(start);
    const auto all = [&](auto has) { return std::ranges::all_of(legs_, has); };
    if (!run_until(end_, [&] { return all([](auto& l) { return l->client.is_allocated(); }); }))
      return fail(exit_code::timed_out, "no allocation in time"), false;
    found_.time_to_allocate = io::now() - start;
    const auto family = options_.ipv6 ? turn::address_family::ipv6 : turn::address_family::ipv4;
    for (std::size_t i = 0; i < 2; ++i)
      found_.relayed[i] = legs_[i]->client.relayed_address(family);
    if (!found_.relayed[0] || !found_.relayed[1])
      return fail(exit_code::refused, "the server relays from another family"), false;
    return true;
  }

  bool permit() {
    for (std::size_t i = 0; i < 2; ++i) {
      const endpoint& peer = *found_.relayed[1 - i];
      if (options_.send)
        (void)legs_[i]->client.create_permission(io::now(), peer.address);
      else
        (void)legs_[i]->client.bind_channel(io::now(), peer);
    }
    const auto is_permitted = [&](std::size_t i) {
      const endpoint& peer = *found_.relayed[1 - i];
      return options_.send ? legs_[i]->client.has_permission(peer.address)
                           : legs_[i]->client.channel(peer).has_value();
    };
    if (!run_until(end_, [&] { return is_permitted(0) && is_permitted(1); }))
      return fail(exit_code::timed_out, "no way between the allocations in time"), false;
    return true;
  }

  void exchange() {
    const auto count = static_cast<std::size_t>(options_.count);
    std::vector<std::optional<time_point>> sent(count);
    std::vector<bool> arrived(count);
    legs_[1]->on_data = [&](time_point now, const endpoint& from, const_bytes bytes) {
      byte_reader in{bytes};
      const std::uint32_t mark = in.u32(), number = in.u32();
      const bool good = from == *found_.relayed[0] && in.ok() && mark == packet_mark &&
                        bytes.size() == packet_size() && number < count && sent[number];
      if (!good) {
        ++found_.changed;
      } else if (arrived[number]) {
        ++found_.duplicated;
      } else {
        arrived[number] = true;
        found_.delays.push_back(now - *sent[number]);
      }
    };
    const duration interval = to_duration(options_.interval_ms / 1e3);
    time_point next = io::now();
    for (std::size_t i = 0; i < count && !found_.error; ++i, next += interval) {
      run_until(next, [] { return false; });
      sent[i] = io::now();
      send_packet(static_cast<std::uint32_t>(i));
      ++found_.sent;
    }
    // What is still on its way has a second.
    run_until(io::now() + std::chrono::seconds{1}, [&] { return found_.delays.size() == count; });
    legs_[1]->on_data = {};
    if (found_.delays.empty()) fail(exit_code::call_failed, "nothing that was sent arrived");
  }

  std::size_t packet_size() const {
    return std::max(packet_header, static_cast<std::size_t>(options_.size));
  }

  void send_packet(std::uint32_t number) {
    std::array<std::uint8_t, 2048> buffer{};
    auto& client = legs_[0]->client;
    const std::size_t room = client.headroom(*found_.relayed[1]);
    byte_writer out{mutable_bytes{buffer}.subspan(room)};
    out.u32(packet_mark);
    out.u32(number);
    const auto message =
        client.encapsulate(io::now(), *found_.relayed[1], buffer, room, packet_size());
    if (message) legs_[0]->send(*message);
  }

  void close() {
    if (!legs_[0] || !legs_[1]) return;
    for (auto& l : legs_) l->close();
    // The answers do not matter; that the requests have gone does.
    const auto work = asio::make_work_guard(context_);
    context_.restart();
    context_.run_for(std::chrono::milliseconds{50});
  }

  const turn_options& options_;
  const stun::server_uri& uri_;
  asio::io_context context_;
  io::system_random random_;
  time_point end_;
  std::array<std::unique_ptr<turn_leg>, 2> legs_;
  findings found_;
};

std::string to_text(const findings& f) {
  std::string out = fmt::format("weft turn {}\n", f.uri);
  const auto line = [&](std::string_view name, const std::string& text) {
    out += fmt::format("  {:<13} {}\n", name, text);
  };
  if (f.server) line("server", fmt::format("{} by {}", to_string(*f.server), f.transport));
  if (f.mapped) line("address", to_string(*f.mapped));
  if (f.relayed[0] && f.relayed[1])
    line("relayed", to_string(*f.relayed[0]) + " and " + to_string(*f.relayed[1]));
  if (f.round_trip) line("round trip", fmt::format("{:.2f} ms", milliseconds(*f.round_trip)));
  if (f.time_to_allocate)
    line("allocated in", fmt::format("{:.2f} ms", milliseconds(*f.time_to_allocate)));
  if (f.sent > 0) {
    const auto arrived = static_cast<int>(f.delays.size());
    line("packets", fmt::format("{} sent, {} arrived, {:.1f} % lost", f.sent, arrived,
                                100.0 * (f.sent - arrived) / f.sent));
  }
  if (!f.delays.empty())
    line("one way", fmt::format("p50 {:.2f} ms, p90 {:.2f} ms, p99 {:.2f} ms, longest {:.2f} ms",
                                milliseconds(f.delay_at(0.5)), milliseconds(f.delay_at(0.9)),
                                milliseconds(f.delay_at(0.99)), milliseconds(f.delays.back())));
  if (f.error) line("result", f.error->text);
  return out;
}

std::string to_json(const findings& f) {
  json out;
  out["uri"] = f.uri;
  out["transport"] = f.transport;
  out["ok"] = !f.error;
  out["error"] = f.error ? json(f.error->text) : json(nullptr);
  out["exit_code"] = f.error ? static_cast<int>(f.error->code) : 0;
  out["server"] = text_or_null(f.server);
  out["address"] = text_or_null(f.mapped);
  out["relayed"] = {text_or_null(f.relayed[0]), text_or_null(f.relayed[1])};
  out["rtt_ms"] = ms_or_null(f.round_trip);
  out["allocate_ms"] = ms_or_null(f.time_to_allocate);
  out["sent"] = f.sent;
  out["arrived"] = f.delays.size();
  out["changed"] = f.changed;
  out["duplicated"] = f.duplicated;
  out["one_way_ms"] = json(nullptr);
  if (!f.delays.empty())
    out["one_way_ms"] = {{"p50", milliseconds(f.delay_at(0.5))},
                         {"p90", milliseconds(f.delay_at(0.9))},
                         {"p99", milliseconds(f.delay_at(0.99))},
                         {"max", milliseconds(f.delays.back())}};
  return out.dump(2) + "\n";
}

}  // namespace

exit_code turn(const turn_options& options) {
  const bool has_scheme = options.uri.starts_with("turn:") || options.uri.starts_with("turns:");
  const auto uri = stun::server_uri::parse(has_scheme ? options.uri : "turn:" + options.uri);
  if (!uri) {
    fmt::print(stderr, "weft turn: {}: {}\n", options.uri, stun::to_string(uri.error()));
    return exit_code::usage;
  }
  const findings found = measurement{options, *uri}.run();
  fmt::print("{}", options.json ? to_json(found) : to_text(found));
  return found.error ? found.error->code : exit_code::success;
}

}  // namespace weft::cli
