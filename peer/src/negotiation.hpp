#ifndef WEFT_PEER_SRC_NEGOTIATION_HPP
#define WEFT_PEER_SRC_NEGOTIATION_HPP

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <weft/core/result.hpp>
#include <weft/dtls/fingerprint.hpp>
#include <weft/peer/types.hpp>
#include <weft/sdp/candidate.hpp>
#include <weft/sdp/description.hpp>

/// Descriptions to values and back: the part of JSEP (RFC 9429) that knows no state.
namespace weft::peer::negotiation {

/// What a remote description says of its data section and of the transport below it.
struct remote_data {
  std::string mid;
  std::size_t index = 0;
  sdp::sctp_parameters sctp;

  std::string ufrag;
  std::string pwd;
  bool ice_lite = false;
  bool renomination = false;  ///< draft-thatcher-ice-renomination §3.
  std::vector<dtls::fingerprint> fingerprints;
  sdp::setup_role setup = sdp::setup_role::actpass;

  std::vector<sdp::candidate> candidates;
  bool end_of_candidates = false;
  /// The section that describes the transport: see `transport_of`.
  std::string transport_mid;
  std::size_t transport_index = 0;
};

/// The section that describes the transport of `data`: itself, or the first of its BUNDLE group
/// where the two may share one. That section cannot be rejected without taking the transport
/// along: it stays, and is inactive (RFC 9143 §7.3.1, §7.3.3).
sdp::media_section transport_of(const sdp::session_description& d, const sdp::media_section& data);

/// The first data section that is not rejected, if any. Fails where it lacks what a transport
/// needs (`invalid_access`) or has it in a form that is wrong (`bad_description`).
result<std::optional<remote_data>, error> read_data(const sdp::session_description& remote);

/// What our own data section says.
struct local_data {
  std::string mid;
  std::string ufrag;
  std::string pwd;
  bool ice_lite = false;
  dtls::fingerprint fingerprint;
  sdp::setup_role setup = sdp::setup_role::actpass;
  std::uint64_t max_message_size = 0;
};

struct session_id {
  std::uint64_t id = 0;
  std::uint64_t version = 0;
};

/// An offer with the sections of `previous`, our last description, in their places, everything
/// but data and its transport rejected (RFC 9429 §5.2). No data section where `data` is empty.
sdp::session_description write_offer(const session_id& id, const std::optional<local_data>& data,
                                     const sdp::session_description* previous);

/// An answer that takes the section of `data->mid`, keeps the one that describes its transport,
/// and rejects every other (RFC 9429 §5.3).
sdp::session_description write_answer(const session_id& id, const std::optional<local_data>& data,
                                      const sdp::session_description& offer);

/// `description` with what has been gathered for the data section of tag `mid`, where its
/// transport is described (RFC 9429 §5.2.2).
sdp::session_description with_candidates(const sdp::session_description& description,
                                         std::string_view mid,
                                         std::span<const sdp::candidate> candidates, bool complete);

/// Parses, and checks what the text alone decides.
result<sdp::session_description, error> parse(std::string_view sdp);

/// A remote description with what came after it (W3C WebRTC §4.4.2, `addIceCandidate`).
sdp::session_description with_trickled(const sdp::session_description& description,
                                       std::string_view transport_mid,
                                       std::span<const sdp::candidate> candidates, bool complete);

}  // namespace weft::peer::negotiation

#endif  // WEFT_PEER_SRC_NEGOTIATION_HPP
