// Invariant: whatever value a parser takes, writing it and reading that again gives the same
// value; a trickle fragment likewise. The first byte of the input chooses the parser.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <weft/core/bytes.hpp>
#include <weft/sdp/attributes.hpp>
#include <weft/sdp/candidate.hpp>
#include <weft/sdp/description.hpp>
#include <weft/sdp/trickle.hpp>

namespace {

using namespace weft::sdp;

void require(bool holds) {
  if (!holds) std::abort();
}

template <class T>
void check(std::string_view text) {
  const auto value = T::parse(text);
  if (!value) {
    require(!to_string(value.error()).empty());
    return;
  }
  const std::string written = text_of(*value);
  const auto again = T::parse(written);
  require(again && text_of(*again) == written);
}

void check_candidate(std::string_view text) {
  check<candidate>(text);
  const auto c = parse_candidate_line(text);
  if (!c) return;
  const auto again = parse_candidate_line(to_string(*c));
  require(again && *again == *c);
}

void check_fragment(std::string_view text) {
  const auto fragment = trickle_fragment::parse(text);
  if (!fragment) return;
  const auto again = trickle_fragment::parse(fragment->to_string());
  require(again && *again == *fragment);
}

constexpr std::array parsers{
    check_candidate,         check_fragment,    check<mid>,         check<group>,
    check<ice_ufrag>,        check<ice_pwd>,    check<ice_options>, check<ice_pacing>,
    check<fingerprint>,      check<setup>,      check<tls_id>,      check<sctp_port>,
    check<max_message_size>, check<sctpmap>,    check<rtpmap>,      check<fmtp>,
    check<origin>,           check<connection>, check<timing>,      check<bandwidth>,
    check<media_line>};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  parsers[data[0] % parsers.size()](weft::as_text({data + 1, size - 1}));
  return 0;
}
