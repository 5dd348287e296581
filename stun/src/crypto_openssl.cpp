#include <weft/stun/crypto.hpp>

// Deprecated since OpenSSL 3.0, which has no other way to keep the state of a hash as a
// plain value and start from it: an EVP context costs an allocation and more time than the
// hash of a short message.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>

namespace weft::stun {
namespace {

constexpr std::size_t block_size = 64;
constexpr std::uint8_t inner_pad = 0x36;  // RFC 2104 §2
constexpr std::uint8_t outer_pad = 0x5c;

struct sha1 {
  using context = SHA_CTX;
  using digest = sha1_digest;
  static constexpr std::size_t words = 5;

  static void init(context& c) { SHA1_Init(&c); }
  static void update(context& c, const_bytes data) { SHA1_Update(&c, data.data(), data.size()); }
  static void transform(context& c, const std::uint8_t* block) { SHA1_Transform(&c, block); }
  static void final(context& c, digest& out) { SHA1_Final(out.data(), &c); }
  static void save(const context& c, std::uint32_t* out) {
    const std::array<std::uint32_t, words> chaining{c.h0, c.h1, c.h2, c.h3, c.h4};
    std::ranges::copy(chaining, out);
  }
  static void load(context& c, const std::uint32_t* in) {
    c.h0 = in[0];
    c.h1 = in[1];
    c.h2 = in[2];
    c.h3 = in[3];
    c.h4 = in[4];
  }
};

struct sha256 {
  using context = SHA256_CTX;
  using digest = sha256_digest;
  static constexpr std::size_t words = 8;

  static void init(context& c) { SHA256_Init(&c); }
  static void update(context& c, const_bytes data) { SHA256_Update(&c, data.data(), data.size()); }
  static void transform(context& c, const std::uint8_t* block) { SHA256_Transform(&c, block); }
  static void final(context& c, digest& out) { SHA256_Final(out.data(), &c); }
  static void save(const context& c, std::uint32_t* out) { std::copy_n(c.h, words, out); }
  static void load(context& c, const std::uint32_t* in) { std::copy_n(in, words, c.h); }
};

template <class Hash>
typename Hash::context after_pad(const std::array<std::uint8_t, block_size>& key,
                                 std::uint8_t pad) {
  std::array<std::uint8_t, block_size> block;
  std::ranges::transform(key, block.begin(),
                         [&](std::uint8_t b) { return static_cast<std::uint8_t>(b ^ pad); });
  typename Hash::context c;
  Hash::init(c);
  Hash::update(c, block);
  return c;
}

template <class Hash>
std::array<std::uint32_t, 16> prepare(const_bytes key) {
  std::array<std::uint8_t, block_size> padded{};
  if (key.size() > block_size) {  // RFC 2104 §2
    typename Hash::context c;
    typename Hash::digest hashed;
    Hash::init(c);
    Hash::update(c, key);
    Hash::final(c, hashed);
    std::ranges::copy(hashed, padded.begin());
  } else {
    std::ranges::copy(key, padded.begin());
  }
  std::array<std::uint32_t, 16> state{};
  Hash::save(after_pad<Hash>(padded, inner_pad), state.data());
  Hash::save(after_pad<Hash>(padded, outer_pad), state.data() + Hash::words);
  OPENSSL_cleanse(padded.data(), padded.size());
  return state;
}

// A context that stands behind the one block of padded key.
template <class Hash>
typename Hash::context resume(const std::uint32_t* chaining) {
  typename Hash::context c;
  Hash::init(c);
  Hash::load(c, chaining);
  c.Nl = block_size * 8;
  return c;
}

template <class Hash>
typename Hash::digest sign(const std::array<std::uint32_t, 16>& state, const_bytes head,
                           const_bytes tail) {
  typename Hash::digest digest;
  auto inner = resume<Hash>(state.data());
  Hash::update(inner, head);
  Hash::update(inner, tail);
  Hash::final(inner, digest);

  // The outer hash has one block to go, and padding it here (FIPS 180-4 §5.1.1) saves a
  // tenth of the whole for a short message.
  constexpr std::size_t bits = (block_size + std::tuple_size_v<typename Hash::digest>)*8;
  std::array<std::uint8_t, block_size> block{};
  *std::ranges::copy(digest, block.begin()).out = 0x80;
  block[block_size - 2] = bits >> 8;
  block[block_size - 1] = bits & 0xff;
  auto outer = resume<Hash>(state.data() + Hash::words);
  Hash::transform(outer, block.data());
  std::array<std::uint32_t, Hash::words> chaining;
  Hash::save(outer, chaining.data());
  byte_writer out{digest};
  for (const std::uint32_t word : chaining) out.u32(word);
  return digest;
}

}  // namespace

hmac_sha1_key::hmac_sha1_key(const_bytes key) noexcept : state_{prepare<sha1>(key)} {}

sha1_digest hmac_sha1_key::operator()(const_bytes head, const_bytes tail) const noexcept {
  return sign<sha1>(state_, head, tail);
}

hmac_sha256_key::hmac_sha256_key(const_bytes key) noexcept : state_{prepare<sha256>(key)} {}

sha256_digest hmac_sha256_key::operator()(const_bytes head, const_bytes tail) const noexcept {
  return sign<sha256>(state_, head, tail);
}

bool equal_in_constant_time(const_bytes a, const_bytes b) noexcept {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace weft::stun
