#include "client_hello.hpp"

#include <algorithm>

namespace weft::dtls {

namespace {
constexpr std::size_t body_offset = record_header_size + handshake_header_size;
}

std::optional<record> client_hello_assembler::add(const record& r,
                                                  const handshake_fragment& fragment) {
  if (fragment.length > max_size_ || fragment.body.empty()) return std::nullopt;
  if (fragment.body.size() == fragment.length) return r;

  if (missing_ == 0 || known_.size() != fragment.length || contradicts(fragment)) restart(fragment);
  for (std::size_t i = 0; i < fragment.body.size(); ++i) {
    const std::size_t at = fragment.offset + i;
    if (!known_[at]) --missing_;
    known_[at] = true;
    bytes_[body_offset + at] = fragment.body[i];
  }
  if (missing_ > 0) return std::nullopt;

  // The sequence number is the last fragment's, so the client's next records are newer.
  byte_writer out{bytes_};
  out.u8(static_cast<std::uint8_t>(content_type::handshake));
  out.u16(0xfefd);
  out.u16(r.epoch);
  out.u48(r.sequence_number);
  out.u16(static_cast<std::uint16_t>(handshake_header_size + fragment.length));
  out.u8(fragment.type);
  out.u24(static_cast<std::uint32_t>(fragment.length));
  out.u16(fragment.message_seq);
  out.u24(0);
  out.u24(static_cast<std::uint32_t>(fragment.length));
  return read_record(bytes_);
}

bool client_hello_assembler::contradicts(const handshake_fragment& fragment) const {
  for (std::size_t i = 0; i < fragment.body.size(); ++i) {
    const std::size_t at = fragment.offset + i;
    if (known_[at] && bytes_[body_offset + at] != fragment.body[i]) return true;
  }
  return false;
}

void client_hello_assembler::restart(const handshake_fragment& fragment) {
  bytes_.assign(body_offset + fragment.length, 0);
  known_.assign(fragment.length, false);
  missing_ = fragment.length;
}

}  // namespace weft::dtls
