#ifndef WEFT_IO_MDNS_HPP
#define WEFT_IO_MDNS_HPP

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include <weft/core/bytes.hpp>
#include <weft/core/net.hpp>

/// The few bytes of RFC 6762 that asking for one `.local` name and answering for one take: pure
/// functions; `mdns_resolver` and `mdns_responder` for those who want it done.
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

/// What a message asks of whoever has a name.
struct question {
  std::uint16_t id = 0;
  bool a = false;
  bool aaaa = false;
  /// The answer may go to the one who asked alone (RFC 6762 §5.4).
  bool unicast = false;

  friend bool operator==(const question&, const question&) = default;
};

/// What of a query is about `name`, all its questions together; ANY asks for both types. Nothing
/// for anything else: a response, a malformed message, other names. At most `max_questions` are
/// read. Answers that the asker knows already (RFC 6762 §7.1) do not silence anybody: one who
/// looks for a candidate has none. Linear time.
std::optional<question> parse_query(const const_bytes message, std::string_view name);
inline constexpr std::size_t max_questions = 32;

/// For whom an answer is.
enum class audience : std::uint8_t {
  everybody,  ///< To the group, or to one who asked from port 5353: bears no question.
  legacy,     ///< To one who asked from a port of its own: repeats the question (RFC 6762 §6.7).
};

/// The longest response: a name twice at most, beside two records of less than 40 bytes.
inline constexpr std::size_t max_response_size = 12 + 2 * (255 + 4) + 80;

/// Writes what there is to say to `asked`: the address of `name`, or that it has none of the type
/// asked for (NSEC, RFC 6762 §6.1), and returns the bytes written. `time_to_live` 0 is a goodbye
/// (§10.1); to legacy askers no more than ten seconds are told (§6.7). Nothing where the name is
/// not local or the buffer too small.
std::optional<const_bytes> build_response(std::string_view name, const ip_address& address,
                                          std::uint32_t time_to_live, const question& asked,
                                          audience to, mutable_bytes buffer);

}  // namespace weft::io::mdns

#endif  // WEFT_IO_MDNS_HPP
