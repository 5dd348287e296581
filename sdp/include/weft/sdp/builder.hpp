#ifndef WEFT_SDP_BUILDER_HPP
#define WEFT_SDP_BUILDER_HPP

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <weft/core/result.hpp>
#include <weft/sdp/attributes.hpp>
#include <weft/sdp/description.hpp>
#include <weft/sdp/error.hpp>

namespace weft::sdp {

/// Writes a description from top to bottom.
///
///     sdp::builder b{sdp::origin{.session_id = id, .session_version = 1}};
///     b.add(sdp::group{"BUNDLE", "0"});
///     b.media({.kind = "application", .protocol = "UDP/DTLS/SCTP",
///              .formats = "webrtc-datachannel"});
///     b.add(sdp::mid{"0"}).add(sdp::setup{sdp::setup_role::actpass}).flag("...");
///     auto offer = std::move(b).finish();
///
/// No value can smuggle in a line: NUL, CR or LF in one makes `finish` fail, as does all else that
/// `session_description::parse` would refuse.
class builder {
 public:
  /// Begins with `v=0`, `o=`, `s=-` and `t=0 0` (RFC 9429 §5.2.1).
  explicit builder(const origin& o);

  /// `a=name`.
  builder& flag(std::string_view name);
  /// `a=name:value`.
  builder& attribute(std::string_view name, std::string_view value);
  /// `a=T::name:value`.
  template <class T>
  requires requires(const T& v, std::string& out) { T::name.size(), v.write(out); }
  builder& add(const T& value) {
    begin_line('a');
    d_.text_ += T::name;
    d_.text_ += ':';
    value.write(d_.text_);
    return end_line();
  }
  /// `a=sendrecv` or another.
  builder& direction(media_direction direction) { return flag(to_string(direction)); }

  /// Begins a media section: the m= line, then `c=` with `address`.
  builder& media(const media_line& m, const connection& address);
  /// The same with `c=IN IP4 0.0.0.0`, which goes with ICE without a chosen candidate
  /// (RFC 9429 §5.2.1).
  builder& media(const media_line& m) { return media(m, connection{}); }

  /// Any other line.
  builder& raw(char type, std::string_view value);
  /// Every line of `part` as it stands: how a description is copied with changes.
  builder& copy(const section& part);

  /// The description, or the first thing wrong with what was given.
  result<session_description, parse_error> finish() &&;

 private:
  void begin_line(char type);
  builder& end_line();

  session_description d_;
  std::size_t line_begin_ = 0;
  std::optional<parse_error> error_;
};

/// What one transport says of itself (RFC 9429 §5.2.1). The strings are the caller's; an empty one
/// leaves its attribute out.
struct transport_description {
  std::string_view ufrag{};
  std::string_view pwd{};
  std::string_view ice_options{};
  std::span<const fingerprint> fingerprints{};
  setup_role setup = setup_role::actpass;
  std::string_view tls_id{};
};

/// Appends `a=ice-ufrag`, `a=ice-pwd`, `a=ice-options`, `a=fingerprint`s, `a=setup`, `a=tls-id`.
void add_transport(builder& b, const transport_description& t);

/// Appends a data channel's media section, to which candidates may be added: m=, c=, `a=mid`,
/// `a=sctp-port`, `a=max-message-size` and the transport (RFC 9429 §5.2.1 and §7). With
/// `legacy_syntax` the m= line and `a=sctpmap` are as before RFC 8841, and a size of 0, which was
/// not known then, is left out.
void add_data_section(builder& b, std::string_view mid, const transport_description& t,
                      const sctp_parameters& sctp);

/// Appends the answer to a section that is not wanted (RFC 3264 §6): its kind, protocol and
/// formats with port 0, `a=mid` and `a=inactive`, and nothing else of what was offered. Its tag
/// must stay out of the answer's BUNDLE group (RFC 9143 §7.3.3).
void add_rejected(builder& b, const media_section& offered);

}  // namespace weft::sdp

#endif  // WEFT_SDP_BUILDER_HPP
