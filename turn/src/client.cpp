#include <weft/turn/client.hpp>

namespace weft::turn {

std::string_view to_string(client_error e) noexcept {
  switch (e) {
    case client_error::no_allocation:
      return "no allocation";
    case client_error::no_permission:
      return "no permission for the peer";
    case client_error::wrong_family:
      return "no relayed address of the peer's family";
    case client_error::moving:
      return "moving to another address";
    case client_error::too_many:
      return "a bound is reached";
    case client_error::too_large:
      return "does not fit";
    case client_error::not_offered:
      return "not offered";
  }
  return "";
}

}  // namespace weft::turn
