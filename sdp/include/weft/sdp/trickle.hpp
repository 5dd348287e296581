#ifndef WEFT_SDP_TRICKLE_HPP
#define WEFT_SDP_TRICKLE_HPP

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>
#include <weft/core/result.hpp>
#include <weft/sdp/candidate.hpp>
#include <weft/sdp/error.hpp>

namespace weft::sdp {

struct fragment_options {
  /// In bytes.
  std::size_t max_size = std::size_t{64} << 10;
  /// More than any agent pairs (RFC 8445 §6.1.2.5 has 100 pairs).
  std::size_t max_candidates = 256;
  std::size_t max_media = 256;
};

/// Candidates on their way after offer or answer: `application/trickle-ice-sdpfrag` (RFC 8840 §9),
/// as WHIP's PATCH carries it (RFC 9725 §4.3).
struct trickle_fragment {
  static constexpr std::string_view media_type = "application/trickle-ice-sdpfrag";

  struct media {
    /// Empty when the section lacks the `a=mid` it owes (RFC 8840 §4.4).
    std::string mid{};
    /// Where the section has its own; else empty.
    std::string ufrag{};
    std::string pwd{};
    std::vector<candidate> candidates{};
    bool end_of_candidates = false;

    friend bool operator==(const media&, const media&) = default;
  };

  /// Of the session level, which hold for sections without their own.
  std::string ufrag{};
  std::string pwd{};
  /// Holds for every section.
  bool end_of_candidates = false;
  std::vector<media> sections{};

  /// Reads a fragment. Candidates of an unknown transport or type and attributes that are not
  /// understood are skipped (RFC 8839 §5.1, RFC 8840 §9.2).
  static result<trickle_fragment, parse_error> parse(std::string_view text,
                                                     const fragment_options& options);
  static result<trickle_fragment, parse_error> parse(std::string_view text) {
    return parse(text, fragment_options{});
  }

  /// The fragment's text. The pseudo m= lines read `m=audio 9 RTP/AVP 0`, whatever the section
  /// is, as they may (RFC 8840 §4.4).
  std::string to_string() const;

  friend bool operator==(const trickle_fragment&, const trickle_fragment&) = default;
};

}  // namespace weft::sdp

#endif  // WEFT_SDP_TRICKLE_HPP
