#ifndef WEFT_SDP_ERROR_HPP
#define WEFT_SDP_ERROR_HPP

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace weft::sdp {

/// Why a text was refused. Whoever received the text should reject the whole offer or answer
/// with the reason; nothing was applied.
enum class error_code : std::uint8_t {
  // Of the whole text.
  text_too_long,           ///< Longer than `parse_options::max_size`.
  too_many_lines,          ///< More lines than `parse_options::max_lines`.
  session_level_too_long,  ///< More before the first m= than `parse_options::max_session_size`.
  too_many_media,          ///< More m= lines than `parse_options::max_media`.
  missing_version,         ///< The first line is not `v=0`.
  missing_origin,          ///< The second line is not an o= line.
  missing_session_name,    ///< The third line is not an s= line.
  missing_timing,          ///< No t= line before the first m= line or the end.
  // Of one line.
  empty_line,            ///< A line without any character.
  not_a_line,            ///< Not of the form `<letter>=<text>`.
  forbidden_byte,        ///< NUL, or CR or LF inside a value (RFC 8866 §9, byte-string).
  misplaced_line,        ///< v=, o= or s= twice or in a media section; t= in a media section.
  bad_origin,            ///< o= has not its six fields.
  bad_timing,            ///< t= has not its two numbers.
  bad_connection,        ///< c= has not its three fields.
  bad_bandwidth,         ///< b= is not `type:number`.
  bad_media_line,        ///< m= has not kind, port, protocol and at least one format.
  empty_attribute_name,  ///< `a=` or `a=:value`.
  // Of one value.
  missing_value,       ///< An attribute that needs a value has none.
  bad_syntax,          ///< The value does not have the form its definition gives it.
  bad_character,       ///< A character its definition does not allow.
  bad_length,          ///< Shorter or longer than its definition allows.
  bad_number,          ///< Not an unsigned decimal number: empty, signed, or with other characters.
  out_of_range,        ///< A number beyond the range its definition gives it.
  unknown_transport,   ///< Candidate of a transport not known here: ignore it (RFC 8839 §5.1).
  unknown_type,        ///< Candidate of a type not known here: ignore it (RFC 8839 §5.1).
  too_many_candidates  ///< More candidates than `fragment_options::max_candidates`.
};

/// The reason in a few English words, without position.
std::string_view to_string(error_code code);

/// Why a text was refused, and where.
struct parse_error {
  error_code code;
  /// Counted from 1. 0 when the reason lies in no line.
  std::size_t line = 0;

  friend bool operator==(const parse_error&, const parse_error&) = default;
};

/// `line 12: not an unsigned decimal number`.
std::string to_string(const parse_error& error);

}  // namespace weft::sdp

#endif  // WEFT_SDP_ERROR_HPP
