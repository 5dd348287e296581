#include <weft/sdp/error.hpp>

namespace weft::sdp {

std::string_view to_string(error_code code) {
  switch (code) {
    using enum error_code;
    case text_too_long:
      return "longer than the limit";
    case too_many_lines:
      return "more lines than the limit";
    case session_level_too_long:
      return "session level longer than the limit";
    case too_many_media:
      return "more media sections than the limit";
    case missing_version:
      return "expected v=0";
    case missing_origin:
      return "expected an o= line";
    case missing_session_name:
      return "expected an s= line";
    case missing_timing:
      return "expected a t= line";
    case empty_line:
      return "empty line";
    case not_a_line:
      return "not of the form <letter>=<text>";
    case forbidden_byte:
      return "NUL, or CR or LF inside a value";
    case misplaced_line:
      return "a line of this type cannot stand here";
    case bad_origin:
      return "o= needs username, two numbers and an address";
    case bad_timing:
      return "t= needs two numbers";
    case bad_connection:
      return "c= needs network type, address type and address";
    case bad_bandwidth:
      return "b= needs a type and a number";
    case bad_media_line:
      return "m= needs kind, port, protocol and formats";
    case empty_attribute_name:
      return "attribute without a name";
    case missing_value:
      return "a value is missing";
    case bad_syntax:
      return "the value is not of the defined form";
    case bad_character:
      return "a character that is not allowed here";
    case bad_length:
      return "shorter or longer than allowed";
    case bad_number:
      return "not an unsigned decimal number";
    case out_of_range:
      return "number out of range";
    case unknown_transport:
      return "candidate of an unknown transport";
    case unknown_type:
      return "candidate of an unknown type";
    case too_many_candidates:
      return "more candidates than the limit";
  }
  return "unknown error";
}

std::string to_string(const parse_error& error) {
  std::string out;
  if (error.line > 0) out = "line " + std::to_string(error.line) + ": ";
  return out += to_string(error.code);
}

}  // namespace weft::sdp
