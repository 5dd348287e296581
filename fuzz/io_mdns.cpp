// Invariant: any bytes as a response and any text as a name are taken without harm; what is
// found is at most eight different addresses that a host can have, and only for names that a
// query can be built for. A query for a name answers nothing. Of a query no more is found than it
// can hold, never in what is a response, and what is answered to it is a response that a resolver
// takes, and no query.
#include <array>
#include <cstdlib>
#include <set>

#include <weft/io/mdns.hpp>

namespace {

void require(bool truth) {
  if (!truth) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace mdns = weft::io::mdns;
  if (size == 0) return 0;
  const weft::const_bytes input{data + 1, size - 1};
  const std::size_t name_size = std::min<std::size_t>(data[0], input.size());
  const auto name = weft::as_text(input.first(name_size));
  const auto message = input.subspan(name_size);

  const auto found = mdns::parse_response(message, name);
  require(found.size() <= mdns::max_addresses);
  require(std::set(found.begin(), found.end()).size() == found.size());
  for (const auto& address : found)
    require(!address.is_multicast() && !address.is_unspecified() && !address.is_loopback());

  std::array<std::uint8_t, mdns::max_query_size> buffer;
  const auto query = mdns::build_query(name, mdns::record_type::a, 1, buffer);
  require(query.has_value() == mdns::is_local_name(name));
  require(found.empty() || query);
  if (query) require(mdns::parse_response(*query, name).empty());
  if (query) require(mdns::parse_query(*query, name) == mdns::question{.id = 1, .a = true});

  const auto asked = mdns::parse_query(message, name);
  require(!asked || (query && found.empty() && (asked->a || asked->aaaa)));
  if (!asked) return 0;
  const weft::ip_address address{std::array<std::uint8_t, 4>{192, 0, 2, 1}};
  for (const auto to : {mdns::audience::everybody, mdns::audience::legacy}) {
    std::array<std::uint8_t, mdns::max_response_size> room;
    const auto response = mdns::build_response(name, address, 120, *asked, to, room);
    require(response.has_value());
    require(!mdns::parse_query(*response, name));
    require(mdns::parse_response(*response, name).size() == (asked->a ? 1 : 0));
  }
  return 0;
}
