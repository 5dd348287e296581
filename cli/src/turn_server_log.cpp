#include "turn_server_log.hpp"

#include <chrono>
#include <variant>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace weft::cli {
namespace {

using json = nlohmann::ordered_json;

std::string now_text() {
  const auto now =
      std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto fraction = now.time_since_epoch().count() % 1000;
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(now)), fraction);
}

json about(std::string_view date, std::string_view what, const five_tuple& client) {
  return {{"time", date},
          {"event", what},
          {"client", to_string(client.remote)},
          {"server", to_string(client.local)},
          {"protocol", client.protocol == transport_protocol::udp ? "udp" : "tcp"}};
}

json to_json(std::string_view date, const turn::server::allocation_created& e) {
  json line = about(date, "allocation_created", e.client);
  line["allocation"] = static_cast<std::uint64_t>(e.allocation);
  line["username"] = e.username;
  line["account"] = e.account;
  line["transport"] = e.transport == turn::relayed_transport::udp ? "udp" : "tcp";
  json& relayed = line["relayed"] = json::array();
  if (e.relayed_ipv4) relayed.push_back(to_string(*e.relayed_ipv4));
  if (e.relayed_ipv6) relayed.push_back(to_string(*e.relayed_ipv6));
  line["lifetime"] = e.lifetime.count();
  return line;
}

json to_json(std::string_view date, const turn::server::allocation_refused& e) {
  json line = about(date, "allocation_refused", e.client);
  line["username"] = e.username;
  line["account"] = e.account;
  line["reason"] = to_string(e.reason);
  return line;
}

json to_json(std::string_view date, const turn::server::allocation_deleted& e) {
  json line = about(date, "allocation_deleted", e.client);
  line["allocation"] = static_cast<std::uint64_t>(e.allocation);
  line["username"] = e.username;
  line["account"] = e.account;
  line["reason"] = to_string(e.reason);
  line["seconds"] = std::chrono::duration<double>(e.age).count();
  line["bytes_to_peers"] = e.bytes_to_peers;
  line["bytes_to_client"] = e.bytes_to_client;
  line["packets_to_peers"] = e.packets_to_peers;
  line["packets_to_client"] = e.packets_to_client;
  return line;
}

json to_json(std::string_view date, const turn::server::peer_refused& e) {
  json line = about(date, "peer_refused", e.client);
  line["allocation"] = static_cast<std::uint64_t>(e.allocation);
  line["account"] = e.account;
  line["peer"] = to_string(e.peer);
  line["reason"] = to_string(e.reason);
  return line;
}

}  // namespace

std::optional<std::string> audit_line(std::string_view date, const turn::server::event& e) {
  return std::visit(
      [&](const auto& what) -> std::optional<std::string> {
        if constexpr (requires { to_json(date, what); })
          // Names are whatever bytes a client chose.
          return to_json(date, what).dump(-1, ' ', false, json::error_handler_t::replace);
        else
          return std::nullopt;
      },
      e);
}

std::unique_ptr<turn_server_log> turn_server_log::open(const std::string& path) {
  std::FILE* const file = path == "-" ? stdout : std::fopen(path.c_str(), "ae");
  if (file == nullptr) return nullptr;
  return std::unique_ptr<turn_server_log>{new turn_server_log{file}};
}

void turn_server_log::write(const turn::server::event& e) {
  const auto line = audit_line(now_text(), e);
  if (!line) return;
  const std::lock_guard held{mutex_};
  std::fputs((*line + '\n').c_str(), file_.get());
  std::fflush(file_.get());
}

}  // namespace weft::cli
