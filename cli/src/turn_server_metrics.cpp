#include "turn_server_metrics.hpp"

#include <cstdint>
#include <string_view>

#include <fmt/format.h>

namespace weft::cli {
namespace {

class page {
 public:
  void gauge(std::string_view name, std::string_view help, std::uint64_t value) {
    head(name, help, "gauge");
    text_ += fmt::format("weft_turn_{} {}\n", name, value);
  }
  void counter(std::string_view name, std::string_view help, std::uint64_t value) {
    head(name, help, "counter");
    text_ += fmt::format("weft_turn_{} {}\n", name, value);
  }
  /// Several counters of one kind, told apart by a label.
  page& family(std::string_view name, std::string_view help, std::string_view label) {
    head(name, help, "counter");
    name_ = name;
    label_ = label;
    return *this;
  }
  page& value(std::string_view label, std::uint64_t value) {
    text_ += fmt::format("weft_turn_{}{{{}=\"{}\"}} {}\n", name_, label_, label, value);
    return *this;
  }

  std::string text() && { return std::move(text_); }

 private:
  void head(std::string_view name, std::string_view help, std::string_view type) {
    text_ += fmt::format("# HELP weft_turn_{0} {1}\n# TYPE weft_turn_{0} {2}\n", name, help, type);
  }

  std::string text_;
  std::string_view name_;
  std::string_view label_;
};

}  // namespace

std::string to_metrics(const turn_server_figures& f) {
  const auto& m = f.machine;
  page p;
  p.gauge("allocations", "Allocations at the moment.", f.usage.allocations);
  p.gauge("users", "Accounts with an allocation.", f.usage.users);
  p.gauge("relay_sockets", "Relayed addresses, reserved ones too.", f.usage.relays);
  p.gauge("reservations", "Ports kept for a later allocation.", f.usage.reservations);
  p.gauge("streams", "Connections of clients by TCP and TLS.", f.usage.streams);
  p.gauge("idle_streams", "Those without an allocation.", f.usage.idle_streams);
  p.gauge("peer_connections", "Connections to peers by TCP.", f.usage.peer_connections);
  p.gauge("draining", "1 when no new allocations are made.", f.draining ? 1 : 0);

  p.family("requests_total", "Requests by what became of them.", "outcome")
      .value("binding", m.binding_requests)
      .value("success", m.successes)
      .value("error", m.errors)
      .value("challenge", m.challenges)
      .value("failed_login", m.failed_logins)
      .value("bad_request", m.bad_requests)
      .value("wrong_credentials", m.wrong_credentials)
      .value("forbidden_peer", m.forbidden_peers)
      .value("quota_reached", m.quota_reached);
  p.family("allocations_total", "Allocations by what became of them.", "outcome")
      .value("created", m.allocations_created)
      .value("refused", m.allocations_refused)
      .value("expired", m.allocations_expired)
      .value("deleted", m.allocations_deleted)
      .value("moved", m.allocations_moved);
  p.family("relayed_packets_total", "Datagrams relayed.", "to")
      .value("peers", m.packets_to_peers)
      .value("clients", m.packets_to_clients);
  p.family("relayed_bytes_total", "Application data relayed.", "to")
      .value("peers", m.bytes_to_peers)
      .value("clients", m.bytes_to_clients);
  p.counter("icmp_errors_total", "ICMP errors told to clients.", m.icmp_errors);
  p.family("dropped_total", "What was not relayed or answered, and why.", "reason")
      .value("malformed", m.malformed)
      .value("no_allocation", m.no_allocation)
      .value("no_channel", m.no_channel)
      .value("no_permission", m.no_permission)
      .value("over_bandwidth", m.over_bandwidth)
      .value("stranger_limited", m.stranger_limited)
      .value("reply_buffer_full", m.replies_dropped)
      .value("socket_full", f.sockets.datagrams_dropped)
      .value("stream_full", f.sockets.stream_messages_dropped);
  p.counter("audit_events_dropped_total", "Audit events that nobody read.", m.events_dropped);
  p.family("streams_closed_total", "Connections of clients that were closed, and why.", "reason")
      .value("too_many", m.streams_refused)
      .value("idle", m.streams_timed_out)
      .value("handshake_failed", f.sockets.handshakes_failed);
  p.counter("peer_connections_total", "Connections to peers by TCP.", m.peer_connections);
  p.counter("peers_not_accepted_total", "Peers that connected without a permission.",
            m.peers_not_accepted);
  p.family("system_calls_total", "Reads and writes of datagrams.", "kind")
      .value("receive", f.sockets.receive_calls)
      .value("send", f.sockets.send_calls);
  p.family("datagrams_total", "Datagrams read and written.", "kind")
      .value("received", f.sockets.datagrams_received)
      .value("sent", f.sockets.datagrams_sent);
  return std::move(p).text();
}

}  // namespace weft::cli
