#ifndef WEFT_TESTS_SDP_SAMPLES_HPP
#define WEFT_TESTS_SDP_SAMPLES_HPP

#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <weft/sdp/description.hpp>

namespace weft::sdp::test {

/// The text of `data/<name>.sdp`.
inline std::string sample(std::string_view name) {
  std::string path{WEFT_TEST_DATA_DIR};
  ((path += '/') += name) += ".sdp";
  std::ifstream file{path, std::ios::binary};
  std::string text{std::istreambuf_iterator<char>{file}, {}};
  REQUIRE_MESSAGE(!text.empty(), path);
  return text;
}

/// Parses what must parse.
inline session_description parsed(std::string_view text) {
  auto d = session_description::parse(text);
  REQUIRE_MESSAGE(d.has_value(), (d ? std::string{} : to_string(d.error())));
  return *std::move(d);
}

inline session_description parsed_sample(std::string_view name) {
  return parsed(sample(name));
}

/// The shortest session level there is, as its lines; line 5 comes next.
inline constexpr std::string_view head = "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";

/// `head` and `lines`.
inline std::string with_head(std::string_view lines) {
  return std::string{head} += lines;
}

/// Why a text is refused.
inline parse_error refusal(std::string_view text, const parse_options& options = {}) {
  const auto d = session_description::parse(text, options);
  REQUIRE_FALSE(d.has_value());
  return d.error();
}

}  // namespace weft::sdp::test

#endif  // WEFT_TESTS_SDP_SAMPLES_HPP
