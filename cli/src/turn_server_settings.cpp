#include "turn_server_settings.hpp"

#include <algorithm>
#include <charconv>
#include <thread>

#include <fmt/format.h>

#include <weft/io/interfaces.hpp>
#include <weft/stun/base64.hpp>

namespace weft::cli {
namespace {

constexpr std::uint16_t turn_port = 3478;  // RFC 8656 §15
constexpr std::uint16_t turns_port = 5349;
constexpr std::uint16_t behaviour_port = 3479;  // Next to the port that TURN has.

using transport = io::turn_server_runner::transport;
using failure = std::string;

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return port;
}

/// Every address of this machine where a wildcard asks for them: replies must come from the
/// address that was spoken to.
std::vector<endpoint> expand(const endpoint& e) {
  if (e.address && !e.address.is_unspecified()) return {e};
  std::vector<endpoint> all;
  for (const ip_address& address : io::local_addresses({.loopback = true, .link_local_v4 = true}))
    if (!e.address || address.is_v4() == e.address.is_v4()) all.push_back({address, e.port});
  return all;
}

result<std::vector<endpoint>, failure> endpoints(std::string_view option,
                                                 const std::vector<std::string>& texts,
                                                 std::uint16_t default_port) {
  std::vector<endpoint> all;
  for (const std::string& text : texts) {
    const auto parsed = parse_endpoint(text, default_port);
    if (!parsed) return fail(fmt::format("{}: {} is no address and port", option, text));
    const auto expanded = expand(*parsed);
    all.insert(all.end(), expanded.begin(), expanded.end());
  }
  return all;
}

result<std::vector<ip_address>, failure> addresses(std::string_view option,
                                                   const std::vector<std::string>& texts) {
  std::vector<ip_address> all;
  for (const std::string& text : texts) {
    const auto parsed = ip_address::parse(text);
    if (!parsed || parsed->is_unspecified())
      return fail(fmt::format("{}: {} is no address", option, text));
    all.push_back(*parsed);
  }
  return all;
}

result<std::vector<turn::peer_rule>, failure> rules(std::string_view option,
                                                    const std::vector<std::string>& texts) {
  std::vector<turn::peer_rule> all;
  for (const std::string& text : texts) {
    const auto parsed = turn::peer_rule::parse(text);
    if (!parsed)
      return fail(
          fmt::format("{}: {} is no block of addresses, such as 10.0.0.0/8 or "
                      "'10.0.0.0/8 5000-6000'",
                      option, text));
    all.push_back(*parsed);
  }
  return all;
}

/// Two texts with a colon in between, the first of which may not be empty.
result<std::pair<std::string, std::string>, failure> pair(std::string_view option,
                                                          const std::string& text,
                                                          std::string_view shape) {
  const std::size_t colon = text.find(':');
  if (colon == text.npos || colon == 0) return fail(fmt::format("{}: it takes {}", option, shape));
  return std::pair{text.substr(0, colon), text.substr(colon + 1)};
}

result<stun::access_token_key, failure> token_key(const std::string& text) {
  const auto parts = pair("--oauth-key", text, "kid:key, the key in base 64");
  if (!parts) return fail(parts.error());
  auto key = stun::decode_base64(parts->second);
  if (!key || key->size() < 16)
    return fail(std::string{"--oauth-key: the key is at least 16 bytes in base 64"});
  const auto algorithm =
      key->size() >= 32 ? stun::token_algorithm::a256gcm : stun::token_algorithm::a128gcm;
  return stun::access_token_key{parts->first, std::move(*key), algorithm};
}

result<std::vector<io::turn_server_runner::listener>, failure> listeners(
    const turn_server_options& options) {
  const bool certified = !options.tls_certificate.empty();
  auto plain = options.listen;
  if (plain.empty() && options.tls_listen.empty()) plain = {fmt::format(":{}", turn_port)};
  auto secret = options.tls_listen;
  if (certified && secret.empty()) secret = {fmt::format(":{}", turns_port)};
  if (certified == options.tls_key.empty())
    return fail(std::string{"--tls-cert and --tls-key belong together"});
  if (!secret.empty() && !certified)
    return fail(std::string{"--tls-listen needs --tls-cert and --tls-key"});

  std::vector<io::turn_server_runner::listener> all;
  const auto in_clear = endpoints("--listen", plain, turn_port);
  if (!in_clear) return fail(in_clear.error());
  for (const endpoint& e : *in_clear)
    for (const transport t : {transport::udp, transport::tcp}) all.push_back({e, t});
  const auto encrypted = endpoints("--tls-listen", secret, turns_port);
  if (!encrypted) return fail(encrypted.error());
  for (const endpoint& e : *encrypted)
    for (const transport t : {transport::tls, transport::dtls}) all.push_back({e, t});
  return all;
}

/// The addresses that clients come to where no others are named, loopback last.
std::vector<ip_address> default_relays(
    const std::vector<io::turn_server_runner::listener>& listeners) {
  std::vector<ip_address> all;
  for (const bool loopback : {false, true})
    for (const auto& l : listeners)
      if (l.local.address.is_loopback() == loopback &&
          std::ranges::find(all, l.local.address) == all.end())
        all.push_back(l.local.address);
  return all;
}

result<std::vector<io::turn_server_runner::relay_address>, failure> relays(
    const turn_server_options& options,
    const std::vector<io::turn_server_runner::listener>& listeners) {
  const auto given = addresses("--relay-address", options.relay_addresses);
  if (!given) return fail(given.error());
  const auto external = addresses("--external-address", options.external_addresses);
  if (!external) return fail(external.error());
  std::vector<io::turn_server_runner::relay_address> all;
  for (const ip_address& local : given->empty() ? default_relays(listeners) : *given) {
    const auto seen = std::ranges::find_if(
        *external, [&](const ip_address& a) { return a.is_v4() == local.is_v4(); });
    all.push_back({local, seen == external->end() ? local : *seen});
  }
  return all;
}

result<stun::behaviour_server::options, failure> behaviour(const turn_server_options& options) {
  const auto is_whole = [](const std::optional<endpoint>& e) {
    return e && e->address && !e->address.is_unspecified() && e->port != 0;
  };
  const auto primary = parse_endpoint(options.behaviour, behaviour_port);
  if (!is_whole(primary))
    return fail(fmt::format("--behaviour: {} is no address and port", options.behaviour));
  stun::behaviour_server::options out{.primary = *primary};
  if (options.behaviour_alternate.empty()) return out;
  out.alternate = parse_endpoint(options.behaviour_alternate, behaviour_port + 1);
  if (!is_whole(out.alternate))
    return fail(fmt::format("--behaviour-alternate: {} is no address and port",
                            options.behaviour_alternate));
  if (out.alternate->address == primary->address || out.alternate->port == primary->port ||
      out.alternate->address.is_v4() != primary->address.is_v4())
    return fail(
        std::string{"--behaviour-alternate: it takes another address of the same family, "
                    "and another port"});
  return out;
}

}  // namespace

turn_users::turn_users(std::string_view realm, stun::rest_users::options rest)
    : named_{realm}, vouched_for_{std::move(rest)} {}

void turn_users::set(std::string_view username, std::string_view password) {
  named_.set(username, password);
}

std::optional<stun::known_user> turn_users::find(time_point now, const stun::user_query& query,
                                                 std::size_t candidate) {
  if (auto user = named_.find(now, query, 0))
    return candidate == 0 ? std::move(user) : vouched_for_.find(now, query, candidate - 1);
  return vouched_for_.find(now, query, candidate);
}

std::optional<endpoint> parse_endpoint(std::string_view text, std::uint16_t default_port) {
  std::string_view address = text, port;
  const std::size_t bracket = text.rfind(']'), colon = text.rfind(':');
  const bool one_colon = text.find(':') == colon;
  if (colon != text.npos && (bracket == text.npos ? one_colon : colon > bracket)) {
    address = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  if (address.starts_with('[') && address.ends_with(']'))
    address = address.substr(1, address.size() - 2);
  endpoint e{{}, default_port};
  if (!address.empty()) {
    const auto parsed = ip_address::parse(address);
    if (!parsed) return std::nullopt;
    e.address = *parsed;
  }
  if (port.empty())
    return address.size() == text.size() || text.ends_with(']') ? std::optional{e} : std::nullopt;
  const auto number = parse_port(port);
  if (!number) return std::nullopt;
  e.port = *number;
  return e;
}

result<turn_server_settings, std::string> understand(const turn_server_options& options,
                                                     const stun::wall_clock& clock) {
  turn_server_settings s;
  auto listening = listeners(options);
  if (!listening) return fail(listening.error());
  auto relaying = relays(options, *listening);
  if (!relaying) return fail(relaying.error());
  s.runner.listeners = std::move(*listening);
  s.runner.relays = std::move(*relaying);
  s.runner.certificate_file = options.tls_certificate;
  s.runner.key_file = options.tls_key;

  const std::size_t dash = options.port_range.find('-');
  const auto first = parse_port(std::string_view{options.port_range}.substr(0, dash));
  const auto last = dash == std::string::npos
                        ? std::nullopt
                        : parse_port(std::string_view{options.port_range}.substr(dash + 1));
  if (!first || !last || *first == 0 || *first > *last)
    return fail(std::string{"--port-range: it takes two ports, such as 49152-65535"});
  s.runner.first_relay_port = *first;
  s.runner.last_relay_port = *last;

  for (const std::string& text : options.users) {
    auto user = pair("--user", text, "name:password");
    if (!user) return fail(user.error());
    s.users.push_back(std::move(*user));
  }
  if (options.rest_secrets.size() > stun::user_store::max_candidates)
    return fail(fmt::format("--rest-secret: no more than {}", stun::user_store::max_candidates));
  s.rest = {options.rest_secrets,
            options.rest_sha256 ? stun::rest_algorithm::sha256 : stun::rest_algorithm::sha1, clock};

  turn::server::options& server = s.runner.server;
  server.authentication.realm = options.realm;
  server.authentication.clock = clock;
  for (const std::string& text : options.oauth_keys) {
    auto key = token_key(text);
    if (!key) return fail(key.error());
    server.authentication.token_keys.push_back(std::move(*key));
  }
  if (!options.oauth_keys.empty())
    server.authentication.third_party_server =
        options.server_name.empty() ? options.realm : options.server_name;

  auto allow = rules("--allow-peer", options.allow_peers);
  if (!allow) return fail(allow.error());
  auto deny = rules("--deny-peer", options.deny_peers);
  if (!deny) return fail(deny.error());
  auto alternates = endpoints("--alternate", options.alternates, turn_port);
  if (!alternates) return fail(alternates.error());
  s.alternates = std::move(*alternates);
  if (!options.behaviour.empty()) {
    const auto discovery = behaviour(options);
    if (!discovery) return fail(discovery.error());
    s.behaviour = *discovery;
  }
  // A server that is behind a NAT has two faces, and peers shall reach neither.
  std::vector<endpoint> own;
  for (const auto& r : s.runner.relays)
    for (const auto& l : s.runner.listeners)
      if (r.external != r.local) own.push_back({r.external, l.local.port});
  server.peers = turn::address_policy{{std::move(*allow), std::move(*deny), std::move(own)}};

  server.tcp_allocations = options.tcp_relay;
  server.max_allocations = options.max_allocations;
  server.allocations_per_user = options.max_allocations_per_user;
  server.allocations_per_source = options.max_allocations_per_address;
  server.bandwidth_total = options.max_bandwidth;
  server.bandwidth_per_user = options.max_bandwidth_per_user;
  server.max_lifetime = std::chrono::seconds{options.max_lifetime};
  server.default_lifetime = std::min(server.default_lifetime, server.max_lifetime);
  s.threads =
      options.threads != 0 ? options.threads : std::max(1u, std::thread::hardware_concurrency());
  return s;
}

std::string start_up_line(const turn_server_settings& settings,
                          const std::vector<io::turn_server_runner::listener>& listeners) {
  std::string line = "listening on";
  for (const auto& l : listeners)
    line += fmt::format("{} {} {}", &l == &listeners.front() ? "" : ",", to_string(l.over),
                        to_string(l.local));
  if (settings.behaviour)
    line += fmt::format(", udp {} for behaviour discovery", to_string(settings.behaviour->primary));
  line += "; relaying from";
  for (const auto& r : settings.runner.relays) {
    line +=
        fmt::format("{} {}", &r == &settings.runner.relays.front() ? "" : ",", to_string(r.local));
    if (r.external != r.local) line += fmt::format(" (seen as {})", to_string(r.external));
  }
  line += fmt::format(" ports {}-{}", settings.runner.first_relay_port,
                      settings.runner.last_relay_port);
  const bool nobody = settings.users.empty() && settings.rest.secrets.empty() &&
                      settings.runner.server.authentication.token_keys.empty();
  if (nobody) line += "; no users: STUN alone";
  const auto& rules = settings.runner.server.peers.rules();
  line += "; denying peers at special-purpose addresses (RFC 6890), at this server";
  for (const turn::peer_rule& r : rules.deny) line += fmt::format(", in {}", to_string(r.block));
  for (const turn::peer_rule& r : rules.allow)
    line +=
        fmt::format("{} {}", &r == &rules.allow.front() ? "; allowing" : ",", to_string(r.block));
  return line;
}

}  // namespace weft::cli
