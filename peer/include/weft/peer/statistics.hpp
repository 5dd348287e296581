#ifndef WEFT_PEER_STATISTICS_HPP
#define WEFT_PEER_STATISTICS_HPP

#include <cstdint>
#include <string>

#include <weft/dtls/session.hpp>
#include <weft/ice/agent.hpp>

namespace weft::peer {

/// RTCTransportStats (webrtc-stats §8.17). What stands for candidates and pairs is ICE's own
/// (`ice::candidate_statistics`, `ice::candidate_pair_statistics`).
struct transport_statistics {
  // Application data and its handshakes, without STUN and what relays put around it.
  std::uint64_t packets_sent = 0;
  std::uint64_t packets_received = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;

  ice::role ice_role = ice::role::controlling;
  ice::state ice_state = ice::state::new_;
  std::string ice_local_username_fragment{};
  /// The `id` of one in `connection::pair_stats`; empty where there is none.
  std::string selected_candidate_pair_id{};
  std::uint64_t selected_candidate_pair_changes = 0;

  dtls::session::state dtls_state = dtls::session::state::fresh;
  dtls::role dtls_role = dtls::role::client;  ///< Once `dtls_state` is not `fresh`.
  std::string dtls_cipher{};                  ///< IANA's name, once connected.
};

}  // namespace weft::peer

#endif  // WEFT_PEER_STATISTICS_HPP
