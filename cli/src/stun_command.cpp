#include "stun_command.hpp"

#include <array>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <asio/io_context.hpp>
#include <asio/ip/udp.hpp>
#include <asio/steady_timer.hpp>
#include <nlohmann/json.hpp>

#include <weft/io/asio.hpp>
#include <weft/io/stream_set.hpp>
#include <weft/io/system_random.hpp>
#include <weft/stun/behaviour_client.hpp>
#include <weft/stun/binding_client.hpp>
#include <weft/stun/framing.hpp>
#include <weft/stun/uri.hpp>

#include "server_query.hpp"

namespace weft::cli {
namespace {

using nlohmann::json;
using behaviour_report = stun::behaviour_client::report;

double seconds(duration d) {
  return std::chrono::duration<double>{d}.count();
}

struct findings {
  std::string uri;
  std::string transport;
  std::optional<endpoint> server;
  std::optional<endpoint> reflexive;
  std::optional<duration> round_trip;
  std::vector<std::string> redirections;
  std::optional<behaviour_report> behaviour;
  std::optional<query_failure> error;
};

// The address that packets to a server are sent from.
ip_address source_for(asio::io_context& context, const endpoint& server) {
  asio::error_code error;
  asio::ip::udp::socket socket{context};
  socket.open(server.address.is_v4() ? asio::ip::udp::v4() : asio::ip::udp::v6(), error);
  socket.connect(io::to_asio(server), error);
  const auto local = socket.local_endpoint(error);
  return error ? ip_address{} : io::from_asio(local.address());
}

// Moves the datagrams and the time of one machine until it has its event.
template <class Machine>
class udp_run {
 public:
  udp_run(asio::io_context& context, Machine& machine)
      : context_{context}, machine_{machine}, timer_{context} {}

  // A socket of the machine's; what it is bound to.
  std::optional<endpoint> open(const ip_address& address) {
    asio::error_code error;
    auto port = std::make_unique<socket>(socket{asio::ip::udp::socket{context_}, {}, {}, {}});
    port->udp.open(address.is_v4() ? asio::ip::udp::v4() : asio::ip::udp::v6(), error);
    if (!error) port->udp.bind(io::to_asio(endpoint{address, 0}), error);
    if (error) return std::nullopt;
    port->local = io::from_asio(port->udp.local_endpoint(error));
    sockets_.push_back(std::move(port));
    return sockets_.back()->local;
  }

  // `feed(machine, local, from, bytes)` gives it a datagram, `done(event)` ends the run by true.
  template <class Feed, class Done>
  void run(time_point end, Feed feed, Done done) {
    for (const auto& s : sockets_) receive(*s, feed);
    for (;;) {
      while (const auto event = machine_.poll_event())
        if (done(*event)) return;
      send();
      const time_point now = io::now();
      if (now >= end) return;
      const time_point next = std::min(end, machine_.poll_timeout().value_or(end));
      timer_.expires_at(next);
      timer_.async_wait([](asio::error_code) {});
      context_.restart();
      context_.run_one();
      timer_.cancel();
      machine_.handle_timeout(io::now());
    }
  }

 private:
  struct socket {
    asio::ip::udp::socket udp;
    endpoint local;
    asio::ip::udp::endpoint from;
    std::array<std::uint8_t, 2048> buffer;
  };

  void send() {
    std::array<std::uint8_t, max_datagram_size> buffer;
    while (const auto t = machine_.poll_transmit(io::now(), buffer)) {
      for (const auto& s : sockets_) {
        if (t->local.port != 0 && t->local != s->local) continue;
        asio::error_code ignored;  // a datagram that cannot be sent is a datagram lost
        s->udp.send_to(asio::buffer(t->bytes.data(), t->bytes.size()), io::to_asio(t->remote), 0,
                       ignored);
        break;
      }
    }
  }

  template <class Feed>
  void receive(socket& s, Feed feed) {
    s.udp.async_receive_from(
        asio::buffer(s.buffer), s.from, [this, &s, feed](asio::error_code error, std::size_t size) {
          if (error == asio::error::operation_aborted) return;
          if (!error)
            feed(machine_, s.local, io::from_asio(s.from), const_bytes{s.buffer.data(), size});
          receive(s, feed);
        });
  }

  asio::io_context& context_;
  Machine& machine_;
  asio::steady_timer timer_;
  std::vector<std::unique_ptr<socket>> sockets_;
};

class query {
 public:
  query(const stun_options& options, const stun::server_uri& uri)
      : options_{options}, uri_{uri}, end_{io::now() + to_duration(options.timeout_seconds)} {
    found_.uri = stun::to_string(uri);
    found_.transport = uri.is_secure() ? "tls" : options.tcp ? "tcp" : "udp";
  }

  findings run() {
    // Until something better is known.
    found_.error = query_failure{exit_code::timed_out, "no answer"};
    const auto address = resolve(context_, uri_, end_);
    if (!address) {
      found_.error = query_failure{exit_code::unreachable, "no address of " + uri_.host};
      return std::move(found_);
    }
    const endpoint server{*address, uri_.port_number()};
    found_.server = server;
    if (found_.transport != "udp") {
      ask_by_stream(server);
    } else if (options_.behaviour) {
      discover(server);
    } else {
      ask(server);
    }
    return std::move(found_);
  }

 private:
  stun::binding_client::options client_options() const {
    stun::binding_client::options o;
    o.transmit_counter = true;
    if (!options_.username.empty())
      o.long_term = stun::password_credentials{options_.username, options_.credential};
    return o;
  }

  void ask(const endpoint& server) {
    stun::binding_client client{random_, server, client_options()};
    udp_run run{context_, client};
    if (!run.open(source_for(context_, server))) return cannot_send(server);
    client.start(io::now());
    run.run(
        end_,
        [](stun::binding_client& c, const endpoint&, const endpoint& from, const_bytes bytes) {
          c.handle_input(io::now(), from, bytes);
        },
        [&](const stun::binding_client::event& event) { return take(client, event); });
  }

  void discover(const endpoint& server) {
    stun::behaviour_client::options o;
    const ip_address source = source_for(context_, server);
    // The machine has to know its sockets, and the run the machine.
    auto client = std::make_unique<stun::behaviour_client>(random_, server);
    udp_run run{context_, *client};
    const auto local = run.open(source), helper = run.open(source);
    if (!local || !helper) return cannot_send(server);
    o.local = *local;
    o.helper = helper;
    if (options_.lifetime) o.lifetime = stun::behaviour_client::lifetime_options{};
    *client = stun::behaviour_client{random_, server, o};
    client->start(io::now());
    run.run(
        options_.lifetime ? time_point::max() : end_,
        [](stun::behaviour_client& c, const endpoint& to, const endpoint& from, const_bytes bytes) {
          c.handle_input(io::now(), to, from, bytes);
        },
        [&](const stun::behaviour_client::event& event) {
          take(event);
          return true;
        });
  }

  void cannot_send(const endpoint& server) {
    found_.error = query_failure{exit_code::unreachable, "no way to " + to_string(server)};
  }

  void ask_by_stream(const endpoint& server) {
    io::trust_store::options trust;
    if (!options_.trust_file.empty()) trust.files.push_back(options_.trust_file);
    trust.verify = !options_.insecure;
    const auto store = io::trust_store::load(trust);
    if (!store) {
      found_.error = query_failure{exit_code::usage, "cannot read " + options_.trust_file};
      return;
    }
    auto o = client_options();
    o.protocol = transport_protocol::tcp;
    o.retransmission = stun::retransmission_timer::options::reliable();
    stun::binding_client client{random_, server, o};
    stun::stream_reader reader;
    five_tuple path{{}, server, transport_protocol::tcp};
    std::string name = uri_.host;
    bool connected = false, ended = false;

    io::stream_set streams{
        context_.get_executor(),
        {.connected = [&](const five_tuple&) { connected = true; },
         .disconnected =
             [&](const five_tuple& which) { ended = ended || which.remote == path.remote; },
         .received =
             [&](const five_tuple& which, const_bytes bytes) {
               if (which.remote != path.remote) return;
               while (const auto message = reader.next(bytes))
                 client.handle_input(io::now(), path.remote, *message);
               ended = ended || reader.has_failed();
             }},
        {.trust = *store}};
    streams.connect({.path = path, .tls = uri_.is_secure(), .server_name = name});
    client.start(io::now());
    const auto work = asio::make_work_guard(context_);
    std::array<std::uint8_t, max_datagram_size> buffer;
    for (;;) {
      while (const auto event = client.poll_event()) {
        if (take(client, *event)) return;
        // RFC 8489 §10: on to the next server, by another connection.
        const auto& gone = std::get<stun::binding_client::redirected>(*event);
        streams.disconnect(path);
        path.remote = gone.alternate;
        if (!gone.domain.empty()) name = gone.domain;
        reader = {};
        connected = ended = false;
        streams.connect({.path = path, .tls = uri_.is_secure(), .server_name = name});
      }
      if (ended) {
        const bool untrusted = streams.stats().untrusted > 0;
        found_.error = query_failure{exit_code::unreachable,
                                     untrusted ? "the server's certificate is not trusted"
                                               : "no connection to " + to_string(path.remote)};
        return;
      }
      if (connected)
        while (const auto t = client.poll_transmit(io::now(), buffer)) streams.send(path, t->bytes);
      if (io::now() >= end_) return;
      context_.restart();
      context_.run_one_until(std::min(end_, client.poll_timeout().value_or(end_)));
      client.handle_timeout(io::now());
    }
  }

  // Whether it is over.
  bool take(const stun::binding_client& client, const stun::binding_client::event& event) {
    using client_t = stun::binding_client;
    if (const auto* on = std::get_if<client_t::redirected>(&event)) {
      found_.redirections.push_back(to_string(on->alternate) +
                                    (on->domain.empty() ? "" : " " + on->domain));
      return false;
    }
    found_.server = client.server();
    if (const auto* good = std::get_if<client_t::address_discovered>(&event)) {
      found_.reflexive = good->reflexive;
      found_.round_trip = client.round_trip();
      found_.error.reset();
    } else if (const auto* no = std::get_if<client_t::refused>(&event)) {
      refused(no->code);
      if (const auto& name = client.third_party_server())
        found_.error->text += "; it takes access tokens for " + *name;
    } else if (std::holds_alternative<client_t::unusable>(event)) {
      found_.error = query_failure{exit_code::refused, "the answer has no address"};
    } else if (std::holds_alternative<client_t::integrity_violated>(event)) {
      found_.error = query_failure{exit_code::refused, "no answer was signed with the credential"};
    }
    return true;
  }

  void refused(stun::error_code code) {
    found_.error = query_failure{
        exit_code::refused,
        fmt::format("the server says {} {}", static_cast<int>(code), stun::to_string(code))};
  }

  void take(const stun::behaviour_client::event& event) {
    if (const auto* report = std::get_if<behaviour_report>(&event)) {
      found_.reflexive = report->reflexive;
      found_.behaviour = *report;
      found_.error.reset();
      if (!report->other)
        found_.error =
            query_failure{exit_code::refused, "the server has no other address to test with"};
    } else if (const auto* no = std::get_if<stun::behaviour_client::refused>(&event)) {
      refused(no->code.value_or(stun::error_code::server_error));
    }
  }

  const stun_options& options_;
  const stun::server_uri& uri_;
  asio::io_context context_;
  io::system_random random_;
  time_point end_;
  findings found_;
};

std::string to_words(const std::optional<bool>& b) {
  return b ? *b ? "yes" : "no" : "unknown";
}

std::string to_text(const findings& f) {
  std::string out = fmt::format("weft stun {}\n", f.uri);
  const auto line = [&](std::string_view name, const std::string& text) {
    out += fmt::format("  {:<13} {}\n", name, text);
  };
  for (const std::string& to : f.redirections) line("sent on to", to);
  if (f.server) line("server", fmt::format("{} by {}", to_string(*f.server), f.transport));
  if (f.reflexive) line("address", to_string(*f.reflexive));
  if (f.round_trip) line("round trip", fmt::format("{:.2f} ms", milliseconds(*f.round_trip)));
  if (f.behaviour) {
    const behaviour_report& b = *f.behaviour;
    if (b.other) line("other address", to_string(*b.other));
    line("translated", to_words(b.translated));
    line("rewritten", to_words(b.rewritten));
    line("mapping", std::string{stun::to_string(b.mapping)});
    line("filtering", std::string{stun::to_string(b.filtering)});
    line("hairpin", to_words(b.hairpin));
    if (b.lifetime)
      line("lifetime",
           fmt::format("{:.0f} s and more{}", seconds(b.lifetime->at_least),
                       b.lifetime->less_than
                           ? fmt::format(", less than {:.0f} s", seconds(*b.lifetime->less_than))
                           : std::string{}));
  }
  if (f.error) line("result", f.error->text);
  return out;
}

json or_null(const std::optional<bool>& value) {
  return value ? json(*value) : json(nullptr);
}

std::string to_json(const findings& f) {
  json out;
  out["uri"] = f.uri;
  out["transport"] = f.transport;
  out["ok"] = !f.error;
  out["error"] = f.error ? json(f.error->text) : json(nullptr);
  out["exit_code"] = f.error ? static_cast<int>(f.error->code) : 0;
  out["server"] = text_or_null(f.server);
  out["address"] = text_or_null(f.reflexive);
  out["rtt_ms"] = ms_or_null(f.round_trip);
  out["redirections"] = f.redirections;
  out["behaviour"] = json(nullptr);
  if (f.behaviour) {
    const behaviour_report& b = *f.behaviour;
    out["behaviour"] = {{"other_address", text_or_null(b.other)},
                        {"translated", or_null(b.translated)},
                        {"rewritten", or_null(b.rewritten)},
                        {"mapping", stun::to_string(b.mapping)},
                        {"filtering", stun::to_string(b.filtering)},
                        {"hairpin", or_null(b.hairpin)},
                        {"lifetime_s", nullptr}};
    if (b.lifetime)
      out["behaviour"]["lifetime_s"] = {
          {"at_least", seconds(b.lifetime->at_least)},
          {"less_than",
           b.lifetime->less_than ? json(seconds(*b.lifetime->less_than)) : json(nullptr)}};
  }
  return out.dump(2) + "\n";
}

}  // namespace

exit_code stun(const stun_options& options) {
  const bool has_scheme = options.uri.starts_with("stun:") || options.uri.starts_with("stuns:");
  const auto uri = stun::server_uri::parse(has_scheme ? options.uri : "stun:" + options.uri);
  if (!uri) {
    fmt::print(stderr, "weft stun: {}: {}\n", options.uri, stun::to_string(uri.error()));
    return exit_code::usage;
  }
  if (options.behaviour && (options.tcp || uri->is_secure())) {
    fmt::print(stderr, "weft stun: --behaviour is for UDP\n");
    return exit_code::usage;
  }
  const findings found = query{options, *uri}.run();
  fmt::print("{}", options.json ? to_json(found) : to_text(found));
  return found.error ? found.error->code : exit_code::success;
}

}  // namespace weft::cli
