// Invariants: bytes that nobody sealed are never opened as a token. A block that is sealed
// with the right key is opened exactly if its lengths agree, and what it says sealed again and
// opened is the same. No token is longer than it can be.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

#include <weft/stun/access_token.hpp>
#include <weft/stun/crypto.hpp>

namespace {

using namespace weft::stun;

void require(bool condition) {
  if (!condition) std::abort();
}

constexpr std::string_view server_name = "turn.example.org";
constexpr std::array<std::uint8_t, token_nonce_size> nonce{1, 2, 3};

void open_raw(weft::const_bytes input, const access_token_key& key) {
  require(!open_token(input, server_name, key));
}

// The input is what an authorization server with a mind of its own put into the block.
void open_sealed(weft::const_bytes input, const access_token_key& key) {
  const std::size_t key_size = key.algorithm == token_algorithm::a128gcm ? 16 : 32;
  std::vector<std::uint8_t> token(2 + token_nonce_size + input.size() + 16);
  weft::byte_writer head{token};
  head.u16(token_nonce_size);
  head.bytes(nonce);
  require(aes_gcm_seal(weft::const_bytes{key.key}.first(key_size), nonce,
                       weft::as_bytes(server_name), input,
                       weft::mutable_bytes{token}.subspan(2 + token_nonce_size)));
  const auto opened = open_token(token, server_name, key);

  weft::byte_reader in{input};
  const std::size_t mac_size = in.u16();
  in.skip(mac_size);
  const std::uint64_t timestamp = in.u64();
  in.u32();
  const bool right = in.ok() && in.at_end() && mac_size > 0 && mac_size <= max_token_mac_key &&
                     timestamp >> 16 <= 4'500'000'000;
  require(opened.has_value() == right);
  if (!opened) return;
  require(opened->mac_key.size() == mac_size);

  // Fractions beyond 63,999 say whole seconds in another way, which may be one too many.
  const bool is_last = timestamp >> 16 == 4'500'000'000 && (timestamp & 0xffff) >= 64000;
  if (is_last) return;
  const auto sealed = seal_token(*opened, server_name, key, nonce);
  require(sealed && sealed->size() <= max_token_size);
  const auto again = open_token(*sealed, server_name, key);
  require(again && again->mac_key == opened->mac_key && again->lifetime == opened->lifetime);
  if ((timestamp & 0xffff) < 64000) require(*again == *opened && *sealed == token);
  require(is_current(*opened, opened->issued));
  require(!is_current(*opened, opened->issued + opened->lifetime + token_delta));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const weft::const_bytes input{data + 1, size - 1};
  const auto algorithm = (data[0] & 1) != 0 ? token_algorithm::a128gcm : token_algorithm::a256gcm;
  const access_token_key key{"kid", std::vector<std::uint8_t>(32, 7), algorithm};
  if ((data[0] & 2) != 0) {
    open_raw(input, key);
  } else {
    open_sealed(input, key);
  }
  return 0;
}
