#include <weft/stun/crypto.hpp>

// Deprecated since OpenSSL 3.0, which has no other way to keep the state of a hash as a
// plain value and start from it: an EVP context costs an allocation and more time than the
// hash of a short message.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/md5.h>
#include <openssl/sha.h>

#include <algorithm>
#include <memory>

namespace weft::stun {
namespace {

constexpr std::size_t block_size = 64;
constexpr std::uint8_t inner_pad = 0x36;  // RFC 2104 §2
constexpr std::uint8_t outer_pad = 0x5c;

struct sha1_hash {
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

struct sha256_hash {
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

constexpr int tag_size = 16;

struct free_context {
  void operator()(EVP_CIPHER_CTX* c) const noexcept { EVP_CIPHER_CTX_free(c); }
};
using cipher_context = std::unique_ptr<EVP_CIPHER_CTX, free_context>;

// Null for what RFC 5116 §5.1 and §5.2 do not have.
const EVP_CIPHER* gcm_cipher(const_bytes key, const_bytes nonce) noexcept {
  if (nonce.size() != 12) return nullptr;
  if (key.size() == 16) return EVP_aes_128_gcm();
  return key.size() == 32 ? EVP_aes_256_gcm() : nullptr;
}

}  // namespace

hmac_sha1_key::hmac_sha1_key(const_bytes key) noexcept : state_{prepare<sha1_hash>(key)} {}

sha1_digest hmac_sha1_key::operator()(const_bytes head, const_bytes tail) const noexcept {
  return sign<sha1_hash>(state_, head, tail);
}

hmac_sha256_key::hmac_sha256_key(const_bytes key) noexcept : state_{prepare<sha256_hash>(key)} {}

sha256_digest hmac_sha256_key::operator()(const_bytes head, const_bytes tail) const noexcept {
  return sign<sha256_hash>(state_, head, tail);
}

md5_digest md5(std::span<const const_bytes> parts) noexcept {
  MD5_CTX c;
  MD5_Init(&c);
  for (const const_bytes part : parts) MD5_Update(&c, part.data(), part.size());
  md5_digest digest;
  MD5_Final(digest.data(), &c);
  return digest;
}

sha256_digest sha256(std::span<const const_bytes> parts) noexcept {
  SHA256_CTX c;
  SHA256_Init(&c);
  for (const const_bytes part : parts) SHA256_Update(&c, part.data(), part.size());
  sha256_digest digest;
  SHA256_Final(digest.data(), &c);
  return digest;
}

bool aes_gcm_seal(const_bytes key, const_bytes nonce, const_bytes associated, const_bytes plain,
                  mutable_bytes sealed) noexcept {
  const EVP_CIPHER* const cipher = gcm_cipher(key, nonce);
  const cipher_context context{EVP_CIPHER_CTX_new()};
  if (cipher == nullptr || !context || sealed.size() != plain.size() + tag_size) return false;
  int size = 0;
  return EVP_EncryptInit_ex(context.get(), cipher, nullptr, key.data(), nonce.data()) == 1 &&
         EVP_EncryptUpdate(context.get(), nullptr, &size, associated.data(),
                           static_cast<int>(associated.size())) == 1 &&
         EVP_EncryptUpdate(context.get(), sealed.data(), &size, plain.data(),
                           static_cast<int>(plain.size())) == 1 &&
         EVP_EncryptFinal_ex(context.get(), sealed.data() + size, &size) == 1 &&
         EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, tag_size,
                             sealed.data() + plain.size()) == 1;
}

bool aes_gcm_open(const_bytes key, const_bytes nonce, const_bytes associated, const_bytes sealed,
                  mutable_bytes plain) noexcept {
  const EVP_CIPHER* const cipher = gcm_cipher(key, nonce);
  const cipher_context context{EVP_CIPHER_CTX_new()};
  if (cipher == nullptr || !context || sealed.size() != plain.size() + tag_size) return false;
  std::array<std::uint8_t, tag_size> tag;
  std::ranges::copy(sealed.last(tag_size), tag.begin());
  int size = 0;
  return EVP_DecryptInit_ex(context.get(), cipher, nullptr, key.data(), nonce.data()) == 1 &&
         EVP_DecryptUpdate(context.get(), nullptr, &size, associated.data(),
                           static_cast<int>(associated.size())) == 1 &&
         EVP_DecryptUpdate(context.get(), plain.data(), &size, sealed.data(),
                           static_cast<int>(plain.size())) == 1 &&
         EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, tag_size, tag.data()) == 1 &&
         EVP_DecryptFinal_ex(context.get(), plain.data() + size, &size) == 1;
}

bool equal_in_constant_time(const_bytes a, const_bytes b) noexcept {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace weft::stun
