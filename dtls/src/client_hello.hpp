#ifndef WEFT_DTLS_CLIENT_HELLO_HPP
#define WEFT_DTLS_CLIENT_HELLO_HPP

#include <cstddef>
#include <optional>
#include <vector>

#include "record.hpp"

namespace weft::dtls {

/// Puts the fragments of a ClientHello together before any handshake exists (RFC 6347 §4.2.3).
///
/// Each ClientHello gets a handshake of its own, which only its random value tells apart from
/// others; and that is in the first fragment alone, which may be the last to come. There is
/// one place: a ClientHello in one piece passes by it, and fragments that contradict what
/// is there take it over, for the peer's own are sent again.
class client_hello_assembler {
 public:
  explicit client_hello_assembler(std::size_t max_size) : max_size_{max_size} {}

  /// Takes a record whose `fragment` is one of a ClientHello. Returns a record with the whole
  /// message in one fragment once that is known; it lives until the next call.
  std::optional<record> add(const record& r, const handshake_fragment& fragment);

 private:
  bool contradicts(const handshake_fragment& fragment) const;
  void restart(const handshake_fragment& fragment);

  std::size_t max_size_;
  std::vector<std::uint8_t> bytes_;  // Room for both headers, then the body.
  std::vector<bool> known_;          // Which bytes of the body.
  std::size_t missing_ = 0;
};

}  // namespace weft::dtls

#endif  // WEFT_DTLS_CLIENT_HELLO_HPP
