#include <weft/ice/candidate.hpp>

#include <algorithm>

#include <weft/ice/ufrag.hpp>

namespace weft::ice {
namespace {

bool is_ice_text(std::string_view text, std::size_t least) noexcept {
  return text.size() >= least && text.size() <= 256 && std::ranges::all_of(text, is_ice_char);
}

}  // namespace

std::string_view to_string(candidate_type type) noexcept {
  switch (type) {
    case candidate_type::host:
      return "host";
    case candidate_type::server_reflexive:
      return "server-reflexive";
    case candidate_type::peer_reflexive:
      return "peer-reflexive";
    case candidate_type::relayed:
      return "relayed";
  }
  return "";
}

std::string_view to_string(tcp_type type) noexcept {
  switch (type) {
    case tcp_type::active:
      return "active";
    case tcp_type::passive:
      return "passive";
    case tcp_type::simultaneous_open:
      return "so";
  }
  return "";
}

std::string_view to_string(relay_protocol p) noexcept {
  switch (p) {
    case relay_protocol::udp:
      return "udp";
    case relay_protocol::tcp:
      return "tcp";
    case relay_protocol::tls:
      return "tls";
    case relay_protocol::dtls:
      return "dtls";
  }
  return "";
}

std::string_view to_string(role r) noexcept {
  return r == role::controlling ? "controlling" : "controlled";
}

bool is_valid(const credentials& c) noexcept {
  return is_ice_text(c.ufrag, 4) && is_ice_text(c.password, 22);
}

}  // namespace weft::ice
