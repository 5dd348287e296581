#ifndef WEFT_SDP_ATTRIBUTES_HPP
#define WEFT_SDP_ATTRIBUTES_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
#include <weft/core/bytes.hpp>
#include <weft/core/result.hpp>
#include <weft/sdp/error.hpp>

/// The values of the attributes a WebRTC session needs.
///
/// All have one shape: `name` is what stands before the colon, `inherits` says whether the
/// session level's value holds where a media section has none, `parse` reads what stands
/// behind the colon and `write` appends it. `section::get<T>()` and `builder::add` work for
/// every type of that shape, a caller's own included. String views point into the text that
/// was parsed, or to what the caller set.
namespace weft::sdp {

/// Calls `f(std::string_view)` for each item of a list separated by single spaces.
template <class F>
void for_each_item(std::string_view list, F f) {
  while (!list.empty()) {
    const std::size_t end = list.find(' ');
    if (end != 0) f(list.substr(0, end));
    list.remove_prefix(end == list.npos ? list.size() : end + 1);
  }
}

/// `a=mid:0` (RFC 5888 §4): the identification tag of a media section, a token.
struct mid {
  static constexpr std::string_view name = "mid";
  static constexpr bool inherits = false;
  std::string_view tag{};

  static result<mid, error_code> parse(std::string_view value);
  void write(std::string& out) const;
};

/// `a=group:BUNDLE 0 1` (RFC 5888 §5, RFC 9143 §7): which media sections belong together.
struct group {
  static constexpr std::string_view name = "group";
  static constexpr bool inherits = false;
  /// `BUNDLE`, `LS`, `FID` ...
  std::string_view semantics{};
  /// Tags separated by single spaces; may be empty. Walk it with `for_each_item`.
  std::string_view mids{};

  bool is_bundle() const noexcept { return semantics == "BUNDLE"; }
  bool contains(std::string_view tag) const noexcept;

  static result<group, error_code> parse(std::string_view value);
  void write(std::string& out) const;
};

/// `a=ice-ufrag:8hhY` (RFC 8839 §5.4): 4 to 256 letters, digits, `+` and `/`.
struct ice_ufrag {
  static constexpr std::string_view name = "ice-ufrag";
  static constexpr bool inherits = true;
  std::string_view text{};

  static result<ice_ufrag, error_code> parse(std::string_view value);
  void write(std::string& out) const;
};

/// `a=ice-pwd:...` (RFC 8839 §5.4): 22 to 256 letters, digits, `+` and `/`.
struct ice_pwd {
  static constexpr std::string_view name = "ice-pwd";
  static constexpr bool inherits = true;
  std::string_view text{};

  static result<ice_pwd, error_code> parse(std::string_view value);
  void write(std::string& out) const;
};

/// `a=ice-options:trickle ice2` (RFC 8839 §5.6).
struct ice_options {
  static constexpr std::string_view name = "ice-options";
  static constexpr bool inherits = true;
  /// Tags separated by single spaces. Walk it with `for_each_item`.
  std::string_view tags{};

  bool contains(std::string_view tag) const noexcept;

  static result<ice_options, error_code> parse(std::string_view value);
  void write(std::string& out) const;
};

/// `a=ice-pacing:50` (RFC 8839 §5.5): the wished interval between checks.
struct ice_pacing {
  static constexpr std::string_view name = "ice-pacing";
  static constexpr bool inherits = true;
  std::uint64_t milliseconds = 50;

  static result<ice_pacing, error_code> parse(std::string_view value);
  void write(std::string& out) const;
};

/// `a=fingerprint:sha-256 AF:D5:...` (RFC 8122 §5): the hash of a certificate.
struct fingerprint {
  static constexpr std::string_view name = "fingerprint";
  static constexpr bool inherits = true;
  /// SHA-512 makes the longest that RFC 8122 names.
  static constexpr std::size_t max_size = 64;

  /// The hash function as written, a token compared without regard to case.
  std::string_view algorithm{};
  std::array<std::uint8_t, max_size> octets{};
  std::size_t size = 0;

  const_bytes value() const noexcept { return {octets.data(), size}; }
  /// Whether the hash function is `lower_case_name`, as in `is("sha-256")`.
  bool is(std::string_view lower_case_name) const noexcept;

  /// Takes lower case digits too, as some send them, though RFC 8122 §5 has upper case alone.
  /// The length is not held against the algorithm: compare `value()` whole.
  static result<fingerprint, error_code> parse(std::string_view value);
  void write(std::string& out) const;

  /// Of at most `max_size` octets; more are cut off.
  static fingerprint of(std::string_view algorithm, const_bytes value);
};

/// Who opens the transport or DTLS connection (RFC 4145 §4, RFC 8842 §5).
enum class setup_role : std::uint8_t { actpass, active, passive, holdconn };
std::string_view to_string(setup_role role);

/// `a=setup:actpass`.
struct setup {
  static constexpr std::string_view name = "setup";
  static constexpr bool inherits = true;
  setup_role role = setup_role::actpass;

  static result<setup, error_code> parse(std::string_view value);
  void write(std::string& out) const;
};

/// `a=tls-id:...` (RFC 8842 §4): names one DTLS association; 20 to 255 characters.
struct tls_id {
  static constexpr std::string_view name = "tls-id";
  static constexpr bool inherits = true;
  std::string_view text{};

  static result<tls_id, error_code> parse(std::string_view value);
  void write(std::string& out) const;
};

/// `a=sctp-port:5000` (RFC 8841 §5). 0 says that no association is wanted.
struct sctp_port {
  static constexpr std::string_view name = "sctp-port";
  static constexpr bool inherits = false;
  std::uint16_t port = 5000;

  static result<sctp_port, error_code> parse(std::string_view value);
  void write(std::string& out) const;
};

/// `a=max-message-size:262144` (RFC 8841 §6): the longest message that is taken, in bytes.
struct max_message_size {
  static constexpr std::string_view name = "max-message-size";
  static constexpr bool inherits = false;
  /// What holds when the attribute is absent (RFC 8841 §6.1).
  static constexpr std::uint64_t default_bytes = 65536;
  /// 0 means any size that memory allows.
  std::uint64_t bytes = default_bytes;

  static result<max_message_size, error_code> parse(std::string_view value);
  void write(std::string& out) const;
};

/// `a=sctpmap:5000 webrtc-datachannel 65535`: how drafts before RFC 8841 said it, still sent by
/// some. The m= line then reads `m=application 9 DTLS/SCTP 5000`.
struct sctpmap {
  static constexpr std::string_view name = "sctpmap";
  static constexpr bool inherits = false;
  std::uint16_t port = 5000;
  std::string_view application{};
  std::optional<std::uint32_t> streams{};

  static result<sctpmap, error_code> parse(std::string_view value);
  void write(std::string& out) const;
};

/// `a=rtpmap:111 opus/48000/2` (RFC 8866 §6.6).
struct rtpmap {
  static constexpr std::string_view name = "rtpmap";
  static constexpr bool inherits = false;
  /// 0 to 127.
  std::uint8_t payload_type = 0;
  std::string_view encoding{};
  std::uint32_t clock_rate = 0;
  /// What follows the clock rate: the channels of audio. Empty when absent.
  std::string_view parameters{};

  static result<rtpmap, error_code> parse(std::string_view value);
  void write(std::string& out) const;
};

/// `a=fmtp:111 minptime=10;useinbandfec=1` (RFC 8866 §6.15).
struct fmtp {
  static constexpr std::string_view name = "fmtp";
  static constexpr bool inherits = false;
  /// As on the m= line.
  std::string_view format{};
  /// In the format's own syntax.
  std::string_view parameters{};

  static result<fmtp, error_code> parse(std::string_view value);
  void write(std::string& out) const;
};

/// Which way media flows, from the writer's side (RFC 8866 §6.7).
enum class media_direction : std::uint8_t { sendrecv, sendonly, recvonly, inactive };
std::string_view to_string(media_direction direction);
/// The direction an attribute of that name states.
std::optional<media_direction> parse_direction(std::string_view attribute_name);
/// The same seen from the other side: sendonly for recvonly and back.
media_direction reversed(media_direction direction);

/// `o=- 4323176633301790131 2 IN IP4 127.0.0.1` (RFC 8866 §5.2).
struct origin {
  std::string_view username = "-";
  std::uint64_t session_id = 0;
  std::uint64_t session_version = 0;
  std::string_view network_type = "IN";
  std::string_view address_type = "IP4";
  std::string_view address = "127.0.0.1";

  static result<origin, error_code> parse(std::string_view value);
  void write(std::string& out) const;
};

/// `c=IN IP4 192.0.2.1` (RFC 8866 §5.7).
struct connection {
  std::string_view network_type = "IN";
  std::string_view address_type = "IP4";
  /// With `/ttl` and `/count` where given.
  std::string_view address = "0.0.0.0";

  static result<connection, error_code> parse(std::string_view value);
  void write(std::string& out) const;
};

/// `t=0 0` (RFC 8866 §5.9), in seconds since 1900.
struct timing {
  std::uint64_t start = 0;
  std::uint64_t stop = 0;

  static result<timing, error_code> parse(std::string_view value);
  void write(std::string& out) const;
};

/// `b=AS:128` (RFC 8866 §5.8).
struct bandwidth {
  std::string_view type{};
  std::uint64_t value = 0;

  static result<bandwidth, error_code> parse(std::string_view value);
  void write(std::string& out) const;
};

/// The text of a value, as it stands behind the colon or the equals sign.
template <class T>
requires requires(const T& value, std::string& out) {
  value.write(out);
}
std::string text_of(const T& value) {
  std::string out;
  value.write(out);
  return out;
}

}  // namespace weft::sdp

#endif  // WEFT_SDP_ATTRIBUTES_HPP
