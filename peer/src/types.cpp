#include <weft/peer/types.hpp>

namespace weft::peer {

std::string_view to_string(sdp_type v) {
  switch (v) {
    case sdp_type::offer:
      return "offer";
    case sdp_type::answer:
      return "answer";
  }
  return "";
}

std::string_view to_string(signaling_state v) {
  switch (v) {
    case signaling_state::stable:
      return "stable";
    case signaling_state::have_local_offer:
      return "have-local-offer";
    case signaling_state::have_remote_offer:
      return "have-remote-offer";
    case signaling_state::closed:
      return "closed";
  }
  return "";
}

std::string_view to_string(ice_gathering_state v) {
  switch (v) {
    case ice_gathering_state::new_:
      return "new";
    case ice_gathering_state::gathering:
      return "gathering";
    case ice_gathering_state::complete:
      return "complete";
  }
  return "";
}

std::string_view to_string(ice_connection_state v) {
  switch (v) {
    case ice_connection_state::new_:
      return "new";
    case ice_connection_state::checking:
      return "checking";
    case ice_connection_state::connected:
      return "connected";
    case ice_connection_state::completed:
      return "completed";
    case ice_connection_state::disconnected:
      return "disconnected";
    case ice_connection_state::failed:
      return "failed";
    case ice_connection_state::closed:
      return "closed";
  }
  return "";
}

std::string_view to_string(connection_state v) {
  switch (v) {
    case connection_state::new_:
      return "new";
    case connection_state::connecting:
      return "connecting";
    case connection_state::connected:
      return "connected";
    case connection_state::disconnected:
      return "disconnected";
    case connection_state::failed:
      return "failed";
    case connection_state::closed:
      return "closed";
  }
  return "";
}

std::string_view to_string(data_channel_state v) {
  switch (v) {
    case data_channel_state::connecting:
      return "connecting";
    case data_channel_state::open:
      return "open";
    case data_channel_state::closing:
      return "closing";
    case data_channel_state::closed:
      return "closed";
  }
  return "";
}

std::string_view to_string(error_code v) {
  switch (v) {
    case error_code::invalid_state:
      return "invalid state";
    case error_code::invalid_access:
      return "invalid access";
    case error_code::invalid_modification:
      return "invalid modification";
    case error_code::bad_description:
      return "bad description";
    case error_code::bad_argument:
      return "bad argument";
    case error_code::too_large:
      return "too large";
    case error_code::resource:
      return "out of resources";
    case error_code::not_found:
      return "not found";
  }
  return "";
}

}  // namespace weft::peer
