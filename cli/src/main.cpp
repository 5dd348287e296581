#include <functional>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "call.hpp"
#include "serve.hpp"

namespace {

using weft::cli::exit_code;

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
  call->add_flag("--json", options->json, "Print the report as JSON");
  call->add_flag("--verbose", options->verbose, "Say on stderr which addresses take part");
  call->callback([options, &chosen] { chosen = [options] { return weft::cli::call(*options); }; });
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
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : static_cast<int>(exit_code::usage);
  }
  return static_cast<int>(chosen());
}
