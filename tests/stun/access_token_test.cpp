#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <vector>

#include <weft/stun/access_token.hpp>
#include <weft/stun/crypto.hpp>

using namespace std::chrono_literals;
using namespace weft::stun;

namespace {

// RFC 7635 Appendix A.
constexpr std::string_view server_name = "blackdow.carleon.gov";
constexpr std::string_view long_term_key_text = "HGkj32KJGiuy098sdfaqbNjOiaz71923";
constexpr std::string_view mac_key = "ZksjpweoixXmvn67534m";
constexpr std::uint64_t timestamp = 92470300704768;
constexpr std::string_view nonce_text = "h4j3k2l2n4b5";

constexpr std::array<std::uint8_t, 64> sealed_256{
    0x00, 0x0c, 0x68, 0x34, 0x6a, 0x33, 0x6b, 0x32, 0x6c, 0x32, 0x6e, 0x34, 0x62, 0x35, 0x61, 0x7e,
    0xf1, 0x34, 0xa3, 0xd5, 0xe4, 0x4e, 0x9a, 0x19, 0xcc, 0x7d, 0xc1, 0x04, 0xb0, 0xc0, 0x3d, 0x03,
    0xb2, 0xa5, 0x51, 0xd8, 0xfd, 0xf5, 0xcd, 0x3b, 0x6d, 0xca, 0x6f, 0x10, 0xcf, 0xb7, 0x7e, 0x5b,
    0x2d, 0xde, 0xc8, 0x4d, 0x29, 0x3a, 0x5c, 0x50, 0x49, 0x93, 0x59, 0xf0, 0xc2, 0xe2, 0x6f, 0x76};
constexpr std::array<std::uint8_t, 64> sealed_128{
    0x00, 0x0c, 0x68, 0x34, 0x6a, 0x33, 0x6b, 0x32, 0x6c, 0x32, 0x6e, 0x34, 0x62, 0x35, 0x7f, 0xb9,
    0xe9, 0x9f, 0x08, 0x27, 0xbe, 0x3d, 0xf1, 0xe1, 0xbd, 0x65, 0x14, 0x93, 0xd3, 0x03, 0x1d, 0x36,
    0xdf, 0x57, 0x07, 0x97, 0x84, 0xae, 0xe5, 0xea, 0xcb, 0x65, 0xfa, 0xd4, 0xf2, 0x7f, 0xab, 0x1a,
    0x3f, 0x97, 0x97, 0x4b, 0x69, 0xf8, 0x51, 0xb2, 0x4b, 0xf5, 0xaf, 0x09, 0xed, 0xa3, 0x57, 0xe0};

std::vector<std::uint8_t> bytes_of(std::string_view text) {
  const auto bytes = weft::as_bytes(text);
  return {bytes.begin(), bytes.end()};
}

access_token_key key_for(token_algorithm algorithm) {
  return {"kid", bytes_of(long_term_key_text), algorithm};
}

std::array<std::uint8_t, token_nonce_size> sample_nonce() {
  std::array<std::uint8_t, token_nonce_size> nonce;
  std::ranges::copy(weft::as_bytes(nonce_text), nonce.begin());
  return nonce;
}

access_token sample_token() {
  return {bytes_of(mac_key), wall_clock::date{std::chrono::seconds{timestamp >> 16}}, 1h};
}

const std::pair<token_algorithm, weft::const_bytes> samples[] = {
    {token_algorithm::a256gcm, sealed_256}, {token_algorithm::a128gcm, sealed_128}};

}  // namespace

TEST_SUITE("stun/access_token") {
  TEST_CASE("RFC 7635 Appendix A: the sample tickets, sealed and opened") {
    REQUIRE((timestamp & 0xffff) == 0);
    for (const auto& [algorithm, sealed] : samples) {
      const auto made = seal_token(sample_token(), server_name, key_for(algorithm), sample_nonce());
      REQUIRE(made);
      CHECK(std::ranges::equal(*made, sealed));
      const auto opened = open_token(sealed, server_name, key_for(algorithm));
      REQUIRE(opened);
      CHECK(*opened == sample_token());
    }
  }

  TEST_CASE("RFC 7635 §6.2: the timestamp counts 64000ths of a second, and no date is lost") {
    for (const auto fraction : {0us, 15us, 16us, 500'000us, 999'984us, 999'999us}) {
      access_token token = sample_token();
      token.issued += fraction;
      const auto sealed =
          seal_token(token, server_name, key_for(token_algorithm::a256gcm), sample_nonce());
      REQUIRE(sealed);
      const auto opened = open_token(*sealed, server_name, key_for(token_algorithm::a256gcm));
      REQUIRE(opened);
      CHECK(opened->issued <= token.issued);
      CHECK(token.issued - opened->issued < 16us);
    }
  }

  TEST_CASE("RFC 7635 §6.2: a token for another server is not opened") {
    const auto opened =
        open_token(sealed_256, "whitedow.carleon.gov", key_for(token_algorithm::a256gcm));
    REQUIRE_FALSE(opened);
    CHECK(opened.error() == token_error::not_ours);
  }

  TEST_CASE("any one bit changed, and no token is opened") {
    for (const auto& [algorithm, sealed] : samples) {
      for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
        std::vector<std::uint8_t> changed{sealed.begin(), sealed.end()};
        changed[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
        CHECK_FALSE(open_token(changed, server_name, key_for(algorithm)));
      }
    }
  }

  TEST_CASE("no prefix of a token is one, and none is longer than 118 bytes") {
    for (std::size_t size = 0; size < sealed_256.size(); ++size) {
      // In memory of its own, so that a step beyond the end is seen.
      const std::vector<std::uint8_t> alone(sealed_256.begin(), sealed_256.begin() + size);
      CHECK_FALSE(open_token(alone, server_name, key_for(token_algorithm::a256gcm)));
    }
    for (std::size_t size = sealed_256.size() + 1; size < 2000; ++size) {
      std::vector<std::uint8_t> longer(sealed_256.begin(), sealed_256.end());
      longer.resize(size);
      const auto opened = open_token(longer, server_name, key_for(token_algorithm::a256gcm));
      REQUIRE_FALSE(opened);
      CHECK(opened.error() ==
            (size > max_token_size ? token_error::malformed : token_error::not_ours));
    }
  }

  TEST_CASE("every length of nonce but 12 is refused, however long the token") {
    for (unsigned length = 0; length <= 0xffff; ++length) {
      std::vector<std::uint8_t> token(735);
      std::ranges::copy(sealed_256, token.begin());
      token[0] = static_cast<std::uint8_t>(length >> 8);
      token[1] = static_cast<std::uint8_t>(length);
      const auto size = length % 2 == 0 ? token.size() : sealed_256.size();
      const auto opened = open_token(weft::const_bytes{token}.first(size), server_name,
                                     key_for(token_algorithm::a256gcm));
      REQUIRE(opened.has_value() == (length == 12 && size == sealed_256.size()));
    }
  }

  TEST_CASE("keys too short and MAC keys of no use are the caller's mistake") {
    access_token_key short_key = key_for(token_algorithm::a256gcm);
    short_key.key.resize(31);
    CHECK(seal_token(sample_token(), server_name, short_key, sample_nonce()).error() ==
          token_error::unusable_key);
    CHECK(open_token(sealed_256, server_name, short_key).error() == token_error::unusable_key);
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{1}, std::size_t{64}, std::size_t{65}}) {
      access_token token = sample_token();
      token.mac_key.assign(size, 7);
      const auto sealed =
          seal_token(token, server_name, key_for(token_algorithm::a256gcm), sample_nonce());
      CHECK(sealed.has_value() == (size == 1 || size == 64));
      if (!sealed) continue;
      CHECK(sealed->size() <= max_token_size);
      CHECK(open_token(*sealed, server_name, key_for(token_algorithm::a256gcm))->mac_key ==
            token.mac_key);
    }
  }

  TEST_CASE("RFC 7635 §7: a token is good until its lifetime and five seconds are over") {
    const access_token token = sample_token();
    CHECK(is_current(token, token.issued));
    CHECK(is_current(token, token.issued + 1h + 4999ms));
    CHECK_FALSE(is_current(token, token.issued + 1h + 5s));
    CHECK(is_current(token, token.issued - 1h - 4999ms));
    CHECK_FALSE(is_current(token, token.issued - 1h - 5s));
  }

  TEST_CASE("a token whose sealed block says other lengths than it has is refused") {
    // A key owner's mistakes: only who has the key can make them.
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{19}, std::size_t{21}, std::size_t{65535}}) {
      std::vector<std::uint8_t> plain(34);
      plain[0] = static_cast<std::uint8_t>(size >> 8);
      plain[1] = static_cast<std::uint8_t>(size);
      std::vector<std::uint8_t> token(64);
      weft::byte_writer head{token};
      head.u16(12);
      head.bytes(sample_nonce());
      REQUIRE(aes_gcm_seal(weft::as_bytes(long_term_key_text), sample_nonce(),
                           weft::as_bytes(server_name), plain,
                           weft::mutable_bytes{token}.subspan(14)));
      CHECK(open_token(token, server_name, key_for(token_algorithm::a256gcm)).error() ==
            token_error::malformed);
    }
  }
}
