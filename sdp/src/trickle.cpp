#include <weft/sdp/trickle.hpp>

#include <algorithm>
#include <optional>
#include <weft/sdp/attributes.hpp>

#include "text.hpp"

namespace weft::sdp {
namespace {

using namespace detail;

/// Collects lines into a fragment.
class fragment_reader {
 public:
  explicit fragment_reader(const fragment_options& options) : options_{options} {}

  result<void, error_code> read(std::string_view line) {
    using enum error_code;
    if (line.empty()) return fail(empty_line);
    if (line.find_first_of(std::string_view{"\0\r", 2}) != line.npos) return fail(forbidden_byte);
    if (line.size() < 2 || line[1] != '=') return fail(not_a_line);
    const std::string_view value = line.substr(2);
    if (line[0] == 'm') return begin_section();
    // "An Agent MUST ignore any received unknown extension-attribute-fields" (RFC 8840 §9.2), and
    // other lines have no meaning here.
    if (line[0] != 'a') return {};
    const std::size_t colon = std::min(value.find(':'), value.size());
    return read_attribute(value.substr(0, colon), value.substr(std::min(colon + 1, value.size())));
  }

  trickle_fragment take() { return std::move(fragment_); }

 private:
  result<void, error_code> begin_section() {
    // The rest of a pseudo m= line says nothing (RFC 8840 §4.4).
    if (fragment_.sections.size() >= options_.max_media) return fail(error_code::too_many_media);
    fragment_.sections.emplace_back();
    return {};
  }

  result<void, error_code> read_attribute(std::string_view name, std::string_view value) {
    trickle_fragment::media* const section =
        fragment_.sections.empty() ? nullptr : &fragment_.sections.back();
    // Senders owe lower case, receivers owe indifference (RFC 8840 §9.2).
    if (equal_ignoring_case(name, mid::name) && section) {
      const auto read = mid::parse(value);
      if (!read) return fail(read.error());
      section->mid = read->tag;
    } else if (equal_ignoring_case(name, ice_ufrag::name)) {
      const auto read = ice_ufrag::parse(value);
      if (!read) return fail(read.error());
      (section ? section->ufrag : fragment_.ufrag) = read->text;
    } else if (equal_ignoring_case(name, ice_pwd::name)) {
      const auto read = ice_pwd::parse(value);
      if (!read) return fail(read.error());
      (section ? section->pwd : fragment_.pwd) = read->text;
    } else if (equal_ignoring_case(name, "end-of-candidates")) {
      (section ? section->end_of_candidates : fragment_.end_of_candidates) = true;
    } else if (equal_ignoring_case(name, candidate::name)) {
      return read_candidate(section, value);
    }
    return {};
  }

  result<void, error_code> read_candidate(trickle_fragment::media* section,
                                          std::string_view value) {
    if (!section) return fail(error_code::misplaced_line);
    if (++candidates_ > options_.max_candidates) return fail(error_code::too_many_candidates);
    auto read = candidate::parse(value);
    if (read) {
      section->candidates.push_back(*std::move(read));
    } else if (read.error() != error_code::unknown_transport &&
               read.error() != error_code::unknown_type) {
      return fail(read.error());
    }
    return {};
  }

  fragment_options options_;
  trickle_fragment fragment_;
  std::size_t candidates_ = 0;
};

template <class T>
void append(std::string& out, const T& value) {
  ((out += "a=") += T::name) += ':';
  value.write(out);
  out += "\r\n";
}

void append_credentials(std::string& out, std::string_view ufrag, std::string_view pwd) {
  if (!ufrag.empty()) append(out, ice_ufrag{ufrag});
  if (!pwd.empty()) append(out, ice_pwd{pwd});
}

constexpr std::string_view end_line = "a=end-of-candidates\r\n";

}  // namespace

result<trickle_fragment, parse_error> trickle_fragment::parse(std::string_view text,
                                                              const fragment_options& options) {
  if (text.size() > options.max_size) return fail(parse_error{error_code::text_too_long});
  fragment_reader reader{options};
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (end < text.size() && line.ends_with('\r')) line.remove_suffix(1);
    if (const auto read = reader.read(line); !read) return fail(parse_error{read.error(), number});
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return reader.take();
}

std::string trickle_fragment::to_string() const {
  std::string out;
  append_credentials(out, ufrag, pwd);
  if (end_of_candidates) out += end_line;
  for (const media& section : sections) {
    out += "m=audio 9 RTP/AVP 0\r\n";
    if (!section.mid.empty()) append(out, sdp::mid{section.mid});
    append_credentials(out, section.ufrag, section.pwd);
    for (const candidate& c : section.candidates) append(out, c);
    if (section.end_of_candidates) out += end_line;
  }
  return out;
}

}  // namespace weft::sdp
