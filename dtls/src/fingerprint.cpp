#include <weft/dtls/fingerprint.hpp>

namespace weft::dtls {

namespace {

constexpr std::array all_hashes{hash::sha_1, hash::sha_224, hash::sha_256, hash::sha_384,
                                hash::sha_512};

constexpr char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::optional<hash> parse_hash(std::string_view name) {
  const auto equal = [](char a, char b) { return lower(a) == b; };
  for (const hash h : all_hashes) {
    if (std::ranges::equal(name, to_string(h), equal)) return h;
  }
  return std::nullopt;
}

std::optional<unsigned> parse_digit(char c) {
  c = lower(c);
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  return std::nullopt;
}

}  // namespace

std::optional<fingerprint> fingerprint::parse(std::string_view text) {
  const std::size_t space = text.find(' ');
  if (space == text.npos) return std::nullopt;
  const auto algorithm = parse_hash(text.substr(0, space));
  text.remove_prefix(space + 1);
  if (!algorithm || text.size() != digest_size(*algorithm) * 3 - 1) return std::nullopt;

  fingerprint f;
  f.algorithm_ = *algorithm;
  for (std::size_t i = 0; i < digest_size(*algorithm); ++i) {
    if (i > 0 && text[3 * i - 1] != ':') return std::nullopt;
    const auto high = parse_digit(text[3 * i]);
    const auto low = parse_digit(text[3 * i + 1]);
    if (!high || !low) return std::nullopt;
    f.digest_[i] = static_cast<std::uint8_t>(*high << 4 | *low);
  }
  return f;
}

std::string to_string(const fingerprint& f) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string text{to_string(f.algorithm())};
  char separator = ' ';
  for (const std::uint8_t byte : f.digest()) {
    text += separator;
    text += digits[byte >> 4];
    text += digits[byte & 0x0f];
    separator = ':';
  }
  return text;
}

}  // namespace weft::dtls
