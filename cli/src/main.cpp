#include <functional>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "call.hpp"
#include "config_file.hpp"
#include "serve.hpp"
#include "stun_command.hpp"
#include "turn_command.hpp"
#include "turn_server.hpp"

namespace {

using weft::cli::exit_code;

void add_ice_options(CLI::App& command, weft::cli::ice_options& options) {
  command.add_option("--ice-server", options.servers,
                     "STUN or TURN server: stun:, turn: or turns: URL; may be given again");
  command.add_option("--username", options.username, "For TURN servers");
  command.add_option("--credential", options.credential, "The password that goes with it");
  command.add_flag("--relay", options.relay, "Connect by TURN servers only");
  command.add_flag("--tcp", options.tcp, "Connect by TCP too where UDP does not pass");
  command.add_option("--ca", options.trust_file,
                     "PEM file with further trust anchors for turns: servers");
}

void add_serve(CLI::App& app, std::function<exit_code()>& chosen) {
  auto options = std::make_shared<weft::cli::serve_options>();
  CLI::App* const serve = app.add_subcommand(
      "serve", "Serve a page to call from a browser, and peers that echo at POST /echo");
  serve->add_option("--host", options->host, "Address to listen on")->capture_default_str();
  serve->add_option("--port", options->port, "Port to listen on; 0 lets the system choose")
      ->capture_default_str();
  serve->add_option("--max-sessions", options->max_sessions, "Sessions at a time")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  serve->add_option("--idle", options->idle_seconds, "Seconds without a message that end a session")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  serve->add_option("--setup", options->setup_seconds, "Seconds a session may take to be connected")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  add_ice_options(*serve, options->ice);
  serve->add_flag("--verbose", options->verbose, "Say on stderr what happens to sessions");
  serve->callback(
      [options, &chosen] { chosen = [options] { return weft::cli::serve(*options); }; });
}

void add_call(CLI::App& app, std::function<exit_code()>& chosen) {
  auto options = std::make_shared<weft::cli::call_options>();
  CLI::App* const call = app.add_subcommand(
      "call", "Call a server that echoes, check that messages come back intact, and report");
  call->add_option("url", options->url, "Where to POST the offer: http://host:port/echo")
      ->required();
  call->add_option("--count", options->count, "Messages to send")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  call->add_option("--sizes", options->sizes, "Their sizes in bytes, in turn")
      ->capture_default_str()
      ->delimiter(',')
      ->check(CLI::Range(0, 262144));
  call->add_option("--window", options->window, "Messages under way at a time")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  call->add_option("--interval", options->interval_ms, "Milliseconds between messages")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  call->add_flag("--unordered", options->unordered, "Messages may overtake each other");
  call->add_option("--max-retransmits", options->max_retransmits,
                   "Give a message up after so many retransmissions");
  call->add_flag("--reverse", options->reverse, "Let the server make the offer");
  call->add_option("--timeout", options->timeout_seconds, "Seconds for all of it")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  add_ice_options(*call, options->ice);
  call->add_flag("--json", options->json, "Print the report as JSON");
  call->add_flag("--verbose", options->verbose, "Say on stderr which addresses take part");
  call->callback([options, &chosen] { chosen = [options] { return weft::cli::call(*options); }; });
}

void add_turn_server(CLI::App& app, std::function<exit_code()>& chosen) {
  auto o = std::make_shared<weft::cli::turn_server_options>();
  CLI::App* const turn = app.add_subcommand(
      "turn-server", "Relay for those who have no other way (TURN), and tell addresses (STUN)");
  const auto list = [&](const char* name, std::vector<std::string>& to, const char* what) {
    turn->add_option(name, to, what)->take_all()->allow_extra_args(false);
  };
  const auto number = [&](const char* name, auto& to, const char* what) {
    turn->add_option(name, to, what)->capture_default_str()->check(CLI::NonNegativeNumber);
  };
  list("--listen", o->listen, "ADDRESS:PORT for UDP and TCP; every address and 3478 unless said");
  list("--tls-listen", o->tls_listen,
       "ADDRESS:PORT for TLS and DTLS; every address and 5349 where there is a certificate");
  turn->add_option("--tls-cert", o->tls_certificate, "PEM file with the certificate chain");
  turn->add_option("--tls-key", o->tls_key, "PEM file with its key");
  list("--relay-address", o->relay_addresses,
       "Address to relay from, one of each family; else those that are listened on");
  list("--external-address", o->external_addresses,
       "What a 1:1 NAT makes of it, one of each family");
  turn->add_option("--port-range", o->port_range, "Ports to relay from")->capture_default_str();
  turn->add_option("--realm", o->realm, "Whose users they are")->capture_default_str();
  list("--user", o->users, "NAME:PASSWORD of a user");
  list("--rest-secret", o->rest_secrets,
       "Secret for credentials that expire by themselves (TURN REST)");
  turn->add_flag("--rest-sha256", o->rest_sha256, "With HMAC-SHA-256 instead of SHA-1");
  list("--oauth-key", o->oauth_keys, "KID:KEY for access tokens (RFC 7635), the key in base 64");
  turn->add_option("--server-name", o->server_name,
                   "Whom access tokens are made for; the realm unless said");
  list("--allow-peer", o->allow_peers, "Block of addresses that may be reached nevertheless");
  list("--deny-peer", o->deny_peers, "Block of addresses that may not be reached");
  turn->add_flag("--tcp-relay", o->tcp_relay, "Reach peers by TCP too (RFC 6062)");
  number("--max-allocations", o->max_allocations, "Allocations at a time");
  number("--max-allocations-per-user", o->max_allocations_per_user, "Of one user");
  number("--max-allocations-per-address", o->max_allocations_per_address, "From one address");
  number("--max-bandwidth", o->max_bandwidth, "Bytes a second in all; 0: no limit");
  number("--max-bandwidth-per-user", o->max_bandwidth_per_user, "Of one user; 0: no limit");
  turn->add_option("--max-lifetime", o->max_lifetime, "Seconds until a client has to refresh")
      ->capture_default_str()
      ->check(CLI::Range(60, 86400));
  turn->add_option("--threads", o->threads, "How many cores to use; 0: all")
      ->capture_default_str()
      ->check(CLI::Range(0, 256));
  number("--metrics-port", o->metrics_port, "Prometheus reads http://127.0.0.1:PORT/metrics");
  number("--drain-timeout", o->drain_timeout,
         "Seconds that allocations may last once SIGTERM or SIGINT has come");
  list("--alternate", o->alternates, "ADDRESS:PORT to send new clients to meanwhile");
  CLI::Option* const behaviour =
      turn->add_option("--behaviour,--behavior", o->behaviour,
                       "ADDRESS:PORT that tells clients what their NATs do (RFC 5780), by UDP");
  turn->add_option("--behaviour-alternate", o->behaviour_alternate,
                   "Another ADDRESS:PORT that this takes: both differ")
      ->needs(behaviour);
  turn->add_option("--log", o->log, "File for audit events, a line of JSON each; - is stdout");
  weft::cli::add_config_file(*turn);
  turn->callback([o, &chosen] { chosen = [o] { return weft::cli::turn_server(*o); }; });
}

void add_stun(CLI::App& app, std::function<exit_code()>& chosen) {
  auto o = std::make_shared<weft::cli::stun_options>();
  CLI::App* const stun = app.add_subcommand(
      "stun", "Ask a STUN server which address it sees us at, or what our NAT does");
  stun->add_option("server", o->uri, "stun:HOST, stuns:HOST, with :PORT; or HOST")->required();
  stun->add_flag("--tcp", o->tcp, "By TCP; stuns: is by TLS");
  stun->add_flag("--behaviour,--behavior", o->behaviour,
                 "Find out how the NAT maps and filters (RFC 5780)");
  stun->add_flag("--lifetime", o->lifetime, "And how long it keeps a mapping: takes minutes")
      ->needs("--behaviour");
  stun->add_option("--username", o->username, "Long-term credentials");
  stun->add_option("--credential", o->credential, "The password that goes with it");
  stun->add_option("--ca", o->trust_file, "PEM file with further trust anchors for TLS");
  stun->add_flag("--insecure", o->insecure, "Believe any certificate");
  stun->add_option("--timeout", o->timeout_seconds, "Seconds to wait for answers")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  stun->add_flag("--json", o->json, "Print JSON");
  stun->callback([o, &chosen] { chosen = [o] { return weft::cli::stun(*o); }; });
}

void add_turn(CLI::App& app, std::function<exit_code()>& chosen) {
  auto o = std::make_shared<weft::cli::turn_options>();
  CLI::App* const turn = app.add_subcommand(
      "turn", "Get two allocations from a TURN server and measure the way between them");
  turn->add_option("server", o->uri,
                   "turn:HOST or turns:HOST, with :PORT?transport=udp or tcp; or HOST")
      ->required();
  turn->add_option("--username", o->username, "Long-term credentials");
  CLI::Option* const credential =
      turn->add_option("--credential", o->credential, "The password that goes with it");
  turn->add_option("--rest-secret", o->rest_secret,
                   "Make credentials of this secret instead (TURN REST)")
      ->excludes(credential);
  CLI::Option* const mac_key =
      turn->add_option("--mac-key", o->mac_key, "The key that came with the access token");
  turn->add_option("--access-token", o->access_token,
                   "Access token in base 64 (RFC 7635); --username is its key's id")
      ->excludes(credential)
      ->needs(mac_key);
  turn->add_flag("--ipv6", o->ipv6, "Relay from IPv6 addresses");
  turn->add_flag("--send", o->send, "Send data in indications instead of channels");
  turn->add_option("--count", o->count, "Packets to send")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000000));
  turn->add_option("--size", o->size, "Bytes of each")
      ->capture_default_str()
      ->check(CLI::Range(8, 1400));
  turn->add_option("--interval", o->interval_ms, "Milliseconds between them")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  turn->add_option("--ca", o->trust_file, "PEM file with further trust anchors for TLS, DTLS");
  turn->add_flag("--insecure", o->insecure, "Believe any certificate");
  turn->add_option("--timeout", o->timeout_seconds, "Seconds until packets can be sent")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  turn->add_flag("--json", o->json, "Print JSON");
  turn->callback([o, &chosen] { chosen = [o] { return weft::cli::turn(*o); }; });
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"WebRTC data channels from the command line", "weft"};
  app.set_version_flag("--version", "weft " WEFT_VERSION);
  app.require_subcommand(1);
  app.footer(weft::cli::exit_code_help);
  std::function<exit_code()> chosen;
  add_serve(app, chosen);
  add_call(app, chosen);
  add_stun(app, chosen);
  add_turn(app, chosen);
  add_turn_server(app, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : static_cast<int>(exit_code::usage);
  }
  return static_cast<int>(chosen());
}
