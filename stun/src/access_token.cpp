#include <weft/stun/access_token.hpp>

#include <algorithm>

#include <weft/stun/crypto.hpp>

namespace weft::stun {
namespace {

constexpr std::size_t tag_size = 16;
constexpr std::size_t head_size = 2 + token_nonce_size;
constexpr std::size_t block_size(std::size_t mac_key_size) {
  return 2 + mac_key_size + 8 + 4;
}

// The timestamp counts seconds in its upper 48 bits and 64000ths in its lower 16.
constexpr std::int64_t fractions = 64000;
using fraction = std::chrono::duration<std::int64_t, std::ratio<1, fractions>>;

// A date counts nanoseconds in 64 bits. Until the year 2112 the longest lifetime fits, too.
constexpr std::uint64_t max_seconds = 4'500'000'000;

std::uint64_t encode(wall_clock::date date) {
  const auto whole = std::max(date.time_since_epoch(), wall_clock::date::duration{});
  const auto seconds = std::chrono::floor<std::chrono::seconds>(whole);
  const auto rest = std::chrono::floor<fraction>(whole - seconds);
  return static_cast<std::uint64_t>(seconds.count()) << 16 |
         static_cast<std::uint64_t>(rest.count());
}

wall_clock::date decode(std::uint64_t timestamp) {
  const std::chrono::seconds seconds{static_cast<std::int64_t>(timestamp >> 16)};
  const fraction rest{static_cast<std::int64_t>(timestamp & 0xffff)};
  return wall_clock::date{} + std::chrono::duration_cast<wall_clock::date::duration>(seconds) +
         std::chrono::ceil<wall_clock::date::duration>(rest);
}

// The part of a key that its algorithm takes; empty if there is too little.
const_bytes cipher_key(const access_token_key& key) {
  const std::size_t size = key.algorithm == token_algorithm::a128gcm ? 16 : 32;
  return key.key.size() < size ? const_bytes{} : const_bytes{key.key}.first(size);
}

}  // namespace

std::string_view to_string(token_error e) {
  switch (e) {
    case token_error::malformed:
      return "not an access token";
    case token_error::not_ours:
      return "sealed with another key or for another server";
    case token_error::not_current:
      return "expired, or not yet good";
    case token_error::unusable_key:
      return "a key of a size that cannot be";
  }
  return "";
}

result<std::vector<std::uint8_t>, token_error> seal_token(
    const access_token& token, std::string_view server_name, const access_token_key& key,
    const std::array<std::uint8_t, token_nonce_size>& nonce) {
  if (token.mac_key.empty() || token.mac_key.size() > max_token_mac_key)
    return fail(token_error::unusable_key);
  std::array<std::uint8_t, block_size(max_token_mac_key)> plain;
  byte_writer block{plain};
  block.u16(static_cast<std::uint16_t>(token.mac_key.size()));
  block.bytes(token.mac_key);
  block.u64(encode(token.issued));
  block.u32(
      static_cast<std::uint32_t>(std::clamp<std::int64_t>(token.lifetime.count(), 0, 0xffffffff)));

  std::vector<std::uint8_t> sealed(head_size + block.size() + tag_size);
  byte_writer head{sealed};
  head.u16(token_nonce_size);
  head.bytes(nonce);
  if (!aes_gcm_seal(cipher_key(key), nonce, as_bytes(server_name), block.written(),
                    mutable_bytes{sealed}.subspan(head_size)))
    return fail(token_error::unusable_key);
  return sealed;
}

result<access_token, token_error> open_token(const_bytes sealed, std::string_view server_name,
                                             const access_token_key& key) {
  byte_reader head{sealed};
  const std::uint16_t nonce_size = head.u16();
  const const_bytes nonce = head.bytes(token_nonce_size);
  const const_bytes block = head.rest();
  if (!head.ok() || nonce_size != token_nonce_size || sealed.size() > max_token_size ||
      block.size() < block_size(1) + tag_size)
    return fail(token_error::malformed);

  std::array<std::uint8_t, block_size(max_token_mac_key)> plain;
  const mutable_bytes opened = mutable_bytes{plain}.first(block.size() - tag_size);
  const const_bytes usable = cipher_key(key);
  if (usable.empty()) return fail(token_error::unusable_key);
  if (!aes_gcm_open(usable, nonce, as_bytes(server_name), block, opened))
    return fail(token_error::not_ours);

  byte_reader in{opened};
  const std::uint16_t size = in.u16();
  const const_bytes mac_key = in.bytes(size);
  const std::uint64_t timestamp = in.u64();
  const std::uint32_t lifetime = in.u32();
  if (!in.ok() || !in.at_end() || size == 0 || timestamp >> 16 > max_seconds)
    return fail(token_error::malformed);
  return access_token{
      {mac_key.begin(), mac_key.end()}, decode(timestamp), std::chrono::seconds{lifetime}};
}

bool is_current(const access_token& token, wall_clock::date today) noexcept {
  const auto distance = today < token.issued ? token.issued - today : today - token.issued;
  return token.lifetime + token_delta > distance;
}

}  // namespace weft::stun
