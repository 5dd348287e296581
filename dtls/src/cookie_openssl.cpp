#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <weft/dtls/cookie.hpp>

#include "record.hpp"

namespace weft::dtls {
namespace {

using cookie = std::array<std::uint8_t, 32>;

constexpr std::uint8_t hello_verify_request_type = 3;

/// What of a ClientHello the exchange is about (RFC 6347 §4.2.1).
struct hello {
  hello_random random;
  const_bytes cookie;
};

std::optional<hello> read_hello(const handshake_fragment& fragment) {
  const auto random = read_random(fragment);
  if (!random) return std::nullopt;
  byte_reader in{fragment.body};
  in.skip(2 + random->size());
  in.skip(in.u8());  // The session's id.
  const const_bytes shown = in.bytes(in.u8());
  if (!in.ok()) return std::nullopt;
  return hello{*random, shown};
}

void write(byte_writer& out, const endpoint& e) {
  const auto octets = e.address.octets();
  out.bytes(octets);
  out.zeros(16 - octets.size());
  out.u8(static_cast<std::uint8_t>(octets.size()));
  out.u16(e.port);
}

/// Nothing but what names the client and its ClientHello: all else of it may be in another
/// fragment.
std::optional<cookie> make_cookie(const_bytes secret, const five_tuple& path,
                                  const hello_random& random) {
  std::array<std::uint8_t, 2 * 19 + 1 + 32> text;
  byte_writer out{text};
  write(out, path.local);
  write(out, path.remote);
  out.u8(static_cast<std::uint8_t>(path.protocol));
  out.bytes(random);
  cookie made;
  unsigned size = 0;
  if (HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), text.data(), text.size(),
           made.data(), &size) == nullptr)
    return std::nullopt;
  return made;
}

bool same(const_bytes shown, const std::optional<cookie>& expected) {
  return expected && shown.size() == expected->size() &&
         CRYPTO_memcmp(shown.data(), expected->data(), expected->size()) == 0;
}

const_bytes write_request(const cookie& c, std::uint64_t sequence_number, mutable_bytes buffer) {
  constexpr std::size_t body_size = 2 + 1 + std::tuple_size_v<cookie>;
  byte_writer out{buffer};
  out.u8(static_cast<std::uint8_t>(content_type::handshake));
  // RFC 6347 §4.2.1: DTLS 1.0, whatever will be agreed on; and the client's own number.
  out.u16(0xfeff);
  out.u16(0);
  out.u48(sequence_number);
  out.u16(handshake_header_size + body_size);
  out.u8(hello_verify_request_type);
  out.u24(body_size);
  out.u16(0);
  out.u24(0);
  out.u24(body_size);
  out.u16(0xfeff);
  out.u8(std::tuple_size_v<cookie>);
  out.bytes(c);
  return out.ok() ? out.written() : const_bytes{};
}

}  // namespace

cookie_exchange::cookie_exchange() : cookie_exchange{options{}} {}
cookie_exchange::cookie_exchange(const options& opts) : rotation_{opts.rotation} {}

void cookie_exchange::rotate(time_point now) {
  if (next_rotation_ && now < *next_rotation_) return;
  // After a long silence nobody holds a cookie of either.
  const bool keep = next_rotation_ && now < *next_rotation_ + rotation_;
  previous_ = current_;
  if (RAND_bytes(current_.data(), static_cast<int>(current_.size())) != 1) return;
  if (!keep) previous_ = current_;
  next_rotation_ = now + rotation_;
}

cookie_exchange::answer cookie_exchange::check(time_point now, const five_tuple& path,
                                               const_bytes datagram, mutable_bytes buffer) {
  const auto r = read_record(datagram);
  if (!r || r->type != content_type::handshake || r->epoch != 0) return {};
  const auto fragment = read_handshake(r->fragment);
  if (!fragment || fragment->type != client_hello_type) return {};
  const auto said = read_hello(*fragment);
  if (!said) return {};
  rotate(now);
  if (!next_rotation_) return {};  // The library has no random numbers.

  const auto expected = make_cookie(current_, path, said->random);
  if (fragment->message_seq == 1 &&
      (same(said->cookie, expected) ||
       same(said->cookie, make_cookie(previous_, path, said->random))))
    return {verdict::accept};
  // A second ClientHello with a stale cookie is a minute late. A second request would be the
  // client's message 1, which few clients expect; it begins anew.
  if (!expected || fragment->message_seq != 0) return {};
  const const_bytes reply = write_request(*expected, r->sequence_number, buffer);
  if (reply.empty() || reply.size() > datagram.size()) return {};
  return {verdict::reply, reply};
}

}  // namespace weft::dtls
