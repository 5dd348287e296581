#include "whip_client.hpp"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>
#include <httplib.h>

namespace weft::cli {
namespace {

constexpr const char* sdp_type = "application/sdp";
/// Of what a server says about a refusal, so much is shown.
constexpr std::size_t max_reason = 300;

httplib::Client connect(const url& to, duration timeout) {
  httplib::Client client{to.host, to.port};
  client.set_connection_timeout(timeout);
  client.set_read_timeout(timeout);
  client.set_write_timeout(timeout);
  client.set_tcp_nodelay(true);
  return client;
}

call_error unreachable(const url& to, httplib::Error error) {
  const bool slow = error == httplib::Error::Read || error == httplib::Error::ConnectionTimeout;
  return {slow ? exit_code::timed_out : exit_code::unreachable,
          fmt::format("{} {}: {}", to.to_string(), slow ? "does not answer" : "cannot be reached",
                      httplib::to_string(error))};
}

/// The first line of a text of theirs, fit for a terminal.
std::string printable(std::string_view text) {
  std::string line{text.substr(0, std::min(max_reason, text.find_first_of("\r\n")))};
  std::ranges::replace_if(
      line, [](char c) { return c >= 0 && (c < ' ' || c == 0x7f); }, '?');
  return line;
}

call_error refused(const url& from, const httplib::Response& response) {
  return {exit_code::refused, fmt::format("{} refused: {} {}", from.to_string(), response.status,
                                          printable(response.body))};
}

bool is_sdp(const httplib::Response& response) {
  const std::string type = response.get_header_value("Content-Type");
  return type.substr(0, type.find(';')) == sdp_type;
}

}  // namespace

result<whip_client::session, call_error> whip_client::post(const std::string& offer) const {
  auto client = connect(endpoint_, timeout_);
  const auto response = offer.empty() ? client.Post(endpoint_.path.c_str())
                                      : client.Post(endpoint_.path.c_str(), offer, sdp_type);
  if (!response) return fail(unreachable(endpoint_, response.error()));
  if (response->status != 201) return fail(refused(endpoint_, *response));
  if (!is_sdp(*response))
    return fail(
        call_error{exit_code::refused,
                   fmt::format("{} answered 201 with '{}' instead of {}", endpoint_.to_string(),
                               printable(response->get_header_value("Content-Type")), sdp_type)});
  auto location = endpoint_.resolve(response->get_header_value("Location"));
  if (!location)
    return fail(call_error{exit_code::refused,
                           fmt::format("{} answered 201 without a usable Location: {}",
                                       endpoint_.to_string(), printable(location.error()))});
  return session{*std::move(location), response->body};
}

result<void, call_error> whip_client::patch_answer(const session& s,
                                                   const std::string& answer) const {
  auto client = connect(s.location, timeout_);
  const auto response = client.Patch(s.location.path.c_str(), answer, sdp_type);
  if (!response) return fail(unreachable(s.location, response.error()));
  if (response->status / 100 != 2) return fail(refused(s.location, *response));
  return {};
}

void whip_client::end(const session& s) const {
  auto client = connect(s.location, timeout_);
  client.Delete(s.location.path.c_str());
}

}  // namespace weft::cli
