#include <weft/sctp/association.hpp>

namespace weft::sctp {

std::string_view to_string(send_error error) noexcept {
  switch (error) {
    case send_error::empty_payload:
      return "empty payload";
    case send_error::message_too_large:
      return "message too large";
    case send_error::no_such_stream:
      return "no such stream";
    case send_error::stream_resetting:
      return "stream resetting";
    case send_error::buffer_full:
      return "buffer full";
    case send_error::closed:
      return "closed";
  }
  return "unknown";
}

std::string_view to_string(reset_error error) noexcept {
  switch (error) {
    case reset_error::not_connected:
      return "not connected";
    case reset_error::not_supported:
      return "not supported by the peer";
    case reset_error::no_such_stream:
      return "no such stream";
  }
  return "unknown";
}

std::string_view to_string(association_state state) noexcept {
  switch (state) {
    case association_state::closed:
      return "closed";
    case association_state::cookie_wait:
      return "cookie-wait";
    case association_state::cookie_echoed:
      return "cookie-echoed";
    case association_state::established:
      return "established";
    case association_state::shutdown_pending:
      return "shutdown-pending";
    case association_state::shutdown_sent:
      return "shutdown-sent";
    case association_state::shutdown_received:
      return "shutdown-received";
    case association_state::shutdown_ack_sent:
      return "shutdown-ack-sent";
  }
  return "unknown";
}

std::string_view to_string(close_reason reason) noexcept {
  switch (reason) {
    case close_reason::shutdown:
      return "shutdown";
    case close_reason::aborted_locally:
      return "aborted locally";
    case close_reason::aborted_by_peer:
      return "aborted by the peer";
    case close_reason::handshake_timeout:
      return "handshake timeout";
    case close_reason::peer_unreachable:
      return "peer unreachable";
    case close_reason::shutdown_timeout:
      return "shutdown timeout";
    case close_reason::refused:
      return "handshake refused";
    case close_reason::protocol_violation:
      return "protocol violation";
    case close_reason::message_too_large:
      return "message too large";
  }
  return "unknown";
}

}  // namespace weft::sctp
