// Invariant: a text that is read as a URI prints as one that is read as the same; its host is
// never empty, and an address of version 6 if it has a colon; and whatever is read as a URI
// has none of the characters that could end one.
#include <cstdlib>
#include <string_view>

#include <weft/stun/uri.hpp>

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weft::stun;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const auto uri = server_uri::parse(text);
  if (!uri) {
    require(!to_string(uri.error()).empty());
    return 0;
  }
  const std::string printed = to_string(*uri);
  const auto again = server_uri::parse(printed);
  require(again && *again == *uri && to_string(*again) == printed);
  require(!uri->host.empty() && uri->host.size() <= 255 && uri->port_number() != 0);
  require((uri->host.find(':') != uri->host.npos) == (uri->address() && uri->address()->is_v6()));
  for (const char c : uri->host) require(c > ' ' && c < 0x7f);
  require(uri->host.find_first_of("/?#@[]\\\"<>") == uri->host.npos);
  require(uri->is_turn() || !uri->transport);
  return 0;
}
