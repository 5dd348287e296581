#ifndef WEFT_IO_MDNS_HPP
#define WEFT_IO_MDNS_HPP

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include <weft/core/bytes.hpp>
#include <weft/core/net.hpp>

/// The few bytes of RFC 6762 that asking for one `.local` name takes: pure functions, and
/// `mdns_resolver` for those who want it done.
namespace weft::io::mdns {

/// Where Multicast DNS lives (RFC 6762 §3).
inline constexpr std::uint16_t port = 5353;
inline constexpr ip_address group_v4{std::array<std::uint8_t, 4>{224, 0, 0, 251}};
inline constexpr ip_address group_v6{
    std::array<std::uint8_t, 16>{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfb}};

/// The longest query: header, a name of 255 bytes, type and class.
inline constexpr std::size_t max_query_size = 12 + 255 + 4;

enum class record_type : std::uint16_t { a = 1, aaaa = 28 };

/// Whether this may be asked of the local link: labels of letters, digits, hyphens and
/// underscores, 1 to 63 long, the last of them `local`, 253 characters in all. A dot at the
/// end is allowed. Names of any other domain are not ours to send to everybody on the link.
bool is_local_name(std::string_view name) noexcept;

/// Writes a one-shot query (RFC 6762 §5.1) and returns the bytes written; nothing where the
/// name is not local or the buffer too small. It asks one question, since Chromium's responder
/// takes no message that asks two.
std::optional<const_bytes> build_query(std::string_view name, record_type type, std::uint16_t id,
                                       mutable_bytes buffer);

/// At most this many addresses are taken from one response.
inline constexpr std::size_t max_addresses = 8;

/// The addresses that a response gives for `name`, without regard to letter case (RFC 6762
/// §16). Empty for anything else: a query, another name, a malformed message. Multicast,
/// unspecified and loopback addresses are nobody's own and are left out. Linear time.
std::vector<ip_address> parse_response(const_bytes message, std::string_view name);

}  // namespace weft::io::mdns

#endif  // WEFT_IO_MDNS_HPP
