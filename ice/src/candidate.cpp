#include <weft/ice/candidate.hpp>

#include <algorithm>

namespace weft::ice {
namespace {

/// RFC 8839 §5.1: ice-char.
bool is_ice_char(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
         c == '/';
}

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

std::string_view to_string(role r) noexcept {
  return r == role::controlling ? "controlling" : "controlled";
}

bool is_valid(const credentials& c) noexcept {
  return is_ice_text(c.ufrag, 4) && is_ice_text(c.password, 22);
}

}  // namespace weft::ice
