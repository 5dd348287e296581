#ifndef WEFT_PEER_TYPES_HPP
#define WEFT_PEER_TYPES_HPP

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <weft/core/bytes.hpp>

/// The W3C's vocabulary (WebRTC: Real-Time Communication in Browsers) in our spelling.
/// `to_string` of every enumeration gives the W3C's own word, such as "have-local-offer".
namespace weft::peer {

/// RTCSdpType, less "pranswer" and "rollback", which are not supported.
enum class sdp_type : std::uint8_t { offer, answer };

/// RTCSessionDescription.
struct session_description {
  sdp_type type = sdp_type::offer;
  std::string sdp{};

  bool operator==(const session_description&) const = default;
};

/// RTCIceCandidate, as it travels through signalling.
struct ice_candidate {
  std::string candidate{};  ///< "candidate:..."; empty for the end of candidates.
  std::string sdp_mid{};
  std::optional<std::uint16_t> sdp_mline_index{};
  std::string username_fragment{};

  bool operator==(const ice_candidate&) const = default;
};

enum class signaling_state : std::uint8_t { stable, have_local_offer, have_remote_offer, closed };
enum class ice_gathering_state : std::uint8_t { new_, gathering, complete };
enum class ice_connection_state : std::uint8_t {
  new_,
  checking,
  connected,
  completed,
  disconnected,
  failed,
  closed
};
/// RTCPeerConnectionState: what ICE and DTLS come to together.
enum class connection_state : std::uint8_t {
  new_,
  connecting,
  connected,
  disconnected,
  failed,
  closed
};
enum class data_channel_state : std::uint8_t { connecting, open, closing, closed };

std::string_view to_string(sdp_type);
std::string_view to_string(signaling_state);
std::string_view to_string(ice_gathering_state);
std::string_view to_string(ice_connection_state);
std::string_view to_string(connection_state);
std::string_view to_string(data_channel_state);

/// What the W3C makes an exception of; the name says which.
enum class error_code : std::uint8_t {
  invalid_state,         ///< Not now: read the state and the text. InvalidStateError.
  invalid_access,        ///< A description that lacks what it must have. InvalidAccessError.
  invalid_modification,  ///< A local description other than the one created.
                         ///< InvalidModificationError.
  bad_description,  ///< SDP that does not parse or does not answer; the text has line and reason.
                    ///< RTCError "sdp-syntax-error".
  bad_argument,     ///< Out of range, or both of two things of which one is allowed. TypeError.
  too_large,        ///< A message beyond what the other side takes. TypeError.
  resource,   ///< A bound of ours or no stream left; try later or close something. OperationError.
  not_found,  ///< No such channel: it never was, or is closed already. Drop it.
};
std::string_view to_string(error_code);

struct error {
  error_code code;
  std::string text;  ///< One sentence for a person.
};

/// RTCDataChannelInit.
struct data_channel_options {
  bool ordered = true;
  /// Milliseconds after which a message is given up. Excludes `max_retransmits`.
  std::optional<std::uint16_t> max_packet_life_time{};
  /// Retransmissions after which a message is given up. Excludes `max_packet_life_time`.
  std::optional<std::uint16_t> max_retransmits{};
  std::string protocol{};
  /// Both sides create the channel with one and the same `id`, and nothing is announced in band.
  bool negotiated = false;
  /// The SCTP stream, 0 to 65534: needed with `negotiated`, not allowed without.
  std::optional<std::uint16_t> id{};
};

/// Names a channel of one connection, from creation on, before its stream is known.
/// Never used again for another channel.
enum class channel_handle : std::uint32_t {};

/// What RTCDataChannel's attributes say.
struct data_channel_info {
  std::string label;
  data_channel_options options;  ///< `id` is empty until the stream is known.
  data_channel_state state = data_channel_state::connecting;
  std::size_t buffered_amount = 0;  ///< Bytes of payload sent and not yet given to the network.
  std::size_t buffered_amount_low_threshold = 0;
};

enum class message_kind : std::uint8_t { text, binary };

/// One message of a data channel. The payload is valid until the next non-const call.
struct data_channel_message {
  channel_handle channel;
  message_kind kind;
  const_bytes payload;
};

}  // namespace weft::peer

#endif  // WEFT_PEER_TYPES_HPP
