// Invariant: any input either fails to parse, or every chunk lies within it, every accessor of
// every view is safe, and rebuilding the packet chunk by chunk gives the same bytes back where the
// padding is zero.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include <weft/sctp/packet.hpp>

namespace {

using namespace weft::sctp;

std::uint64_t sum = 0;

void read_parameters(weft::const_bytes rest) {
  while (const auto p = take_tlv(rest)) {
    sum += p->value().size();
    if (const auto request = outgoing_reset_request::parse(*p)) sum += request->streams.size();
    if (const auto request = incoming_reset_request::parse(*p)) sum += request->streams.size();
    if (const auto response = reset_response::parse(*p)) sum += response->response;
  }
}

void read(const chunk_view& chunk) {
  if (const auto c = data_chunk::parse(chunk)) sum += c->tsn + c->payload.size();
  if (const auto c = init_chunk::parse(chunk)) read_parameters(c->parameters);
  if (const auto c = sack_chunk::parse(chunk)) {
    for (std::size_t i = 0; i < c->gap_block_count(); ++i) sum += c->block(i).start;
    for (std::size_t i = 0; i < c->duplicate_count(); ++i) sum += c->duplicate(i);
  }
  if (const auto c = forward_tsn_chunk::parse(chunk))
    for (std::size_t i = 0; i < c->stream_count(); ++i) sum += c->stream(i).ssn;
  if (const auto c = parse_shutdown(chunk)) sum += *c;
  read_parameters(chunk.value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto packet = packet_view::parse({data, size});
  if (!packet) return 0;
  (void)packet->has_valid_checksum();
  std::vector<std::uint8_t> buffer(size + 3);
  packet_builder rebuilt{buffer, packet->source_port(), packet->destination_port(),
                         packet->verification_tag()};
  bool canonical = size % 4 == 0;
  std::size_t at = common_header_size;
  packet->for_each_chunk([&](const chunk_view& chunk) {
    read(chunk);
    if (const auto c = data_chunk::parse(chunk);
        c && chunk.type == chunk_type::data && (chunk.flags & 0xf0) == 0) {
      rebuilt.add(*c);
    } else {
      rebuilt.add(chunk.type, chunk.flags, chunk.value());
    }
    const std::size_t end = std::min(at + padded(chunk.bytes.size()), size);
    for (std::size_t i = at + chunk.bytes.size(); i < end; ++i)
      canonical = canonical && data[i] == 0;
    at = end;
    return true;
  });
  if (!canonical) return 0;
  const auto bytes = rebuilt.finish_without_checksum();
  if (!rebuilt.ok() || bytes.size() != size ||
      !std::equal(bytes.begin(), bytes.begin() + 8, data) ||
      !std::equal(bytes.begin() + 12, bytes.end(), data + 12))
    std::abort();
  return 0;
}
