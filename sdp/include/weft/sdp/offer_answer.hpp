#ifndef WEFT_SDP_OFFER_ANSWER_HPP
#define WEFT_SDP_OFFER_ANSWER_HPP

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <weft/core/result.hpp>
#include <weft/sdp/attributes.hpp>
#include <weft/sdp/description.hpp>

/// The rules of offer and answer that two texts alone decide (RFC 3264, 8842, 9143, 5888).
namespace weft::sdp {

/// Which rule a description breaks. The receiver should refuse it and stay in its state.
enum class rule : std::uint8_t {
  media_count,         ///< An answer has other than the offer's number of m= lines (RFC 3264 §6).
  media_removed,       ///< A new offer has fewer m= lines than the last (RFC 3264 §8).
  media_kind,          ///< An m= line changes its kind (RFC 3264 §6, §8.3.2).
  media_protocol,      ///< An m= line answers with another protocol (RFC 3264 §6).
  media_mid,           ///< `a=mid` is not the offer's, or changed while in use (RFC 5888 §9.1).
  duplicate_mid,       ///< Two sections have one tag (RFC 5888 §4).
  not_rejected,        ///< A section offered with port 0 is answered with another (RFC 3264 §6).
  format_mismatch,     ///< No format in the answer is one of the offer's (RFC 3264 §6.1).
  direction_mismatch,  ///< The answer sends where the offer does not take (RFC 3264 §6.1).
  setup_mismatch,      ///< The answer's role does not go with the offer's (RFC 4145 §4.1).
  setup_in_answer,     ///< An answer says actpass (RFC 8842 §5.3).
  rtcp_mux_unoffered,  ///< The answer has `a=rtcp-mux`, the offer not (RFC 5761 §5.1.1).
  group_unknown_mid,   ///< A group names a tag no section has (RFC 5888 §5, RFC 9143 §7).
  group_twice,         ///< A section is in two BUNDLE groups (RFC 9143 §7.2).
  group_unoffered,     ///< The answer bundles what the offer did not bundle together (§7.3).
  group_rejected,      ///< A rejected section is in the answer's BUNDLE group (RFC 9143 §7.3.3).
  bundle_only_moved  ///< A bundle-only section is answered outside of its group (RFC 9143 §7.3.2).
};

std::string_view to_string(rule r);

/// A broken rule, and where.
struct rule_violation {
  rule broken;
  /// Of the m= section concerned, from 0; nothing when it concerns the whole.
  std::optional<std::size_t> media_index;

  friend bool operator==(const rule_violation&, const rule_violation&) = default;
};

/// `m= section 2: the answer changes a=mid`.
std::string to_string(const rule_violation& violation);

/// A description by itself: tags and groups (RFC 5888, RFC 9143 §7.2).
result<void, rule_violation> check_offer(const session_description& offer);

/// An answer against its offer (RFC 3264 §6, RFC 9143 §7.3, RFC 4145 §4.1). Tags may be absent
/// from both. Takes time in proportion to both texts, n log n in the number of sections.
result<void, rule_violation> check_answer(const session_description& offer,
                                          const session_description& answer);

/// A new offer against the description last agreed on by the same or the other side (RFC 3264
/// §8): sections keep their places and kinds; one that was rejected may be taken over.
result<void, rule_violation> check_reoffer(const session_description& current,
                                           const session_description& offer);

/// Which end begins the DTLS handshake.
enum class dtls_role : std::uint8_t { client, server };

/// Whether a role may answer an offered one: `actpass` may be answered by `active` or `passive`,
/// `active` by `passive`, `passive` by `active`, and each by `holdconn` (RFC 4145 §4.1).
bool may_answer(setup_role offered, setup_role answered) noexcept;

/// What to answer: to actpass `active`, since then the handshake's first flight need not wait for
/// the answer's arrival (RFC 8842 §5.3, RFC 5763 §5); else the one role there is.
setup_role answer_to(setup_role offered) noexcept;

/// The offerer's part once both are known; nothing when they do not go together, or hold.
std::optional<dtls_role> offerer_role(setup_role offered, setup_role answered) noexcept;
std::optional<dtls_role> answerer_role(setup_role offered, setup_role answered) noexcept;

/// The BUNDLE group that names `tag`, if any.
std::optional<group> bundle_of(const session_description& d, std::string_view tag);

}  // namespace weft::sdp

#endif  // WEFT_SDP_OFFER_ANSWER_HPP
