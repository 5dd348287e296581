#ifndef WEFT_STUN_URI_HPP
#define WEFT_STUN_URI_HPP

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <weft/core/net.hpp>
#include <weft/core/result.hpp>

namespace weft::stun {

enum class uri_scheme : std::uint8_t { stun, stuns, turn, turns };

/// Why a text is no URI of a STUN or TURN server: the application got it from somewhere, and
/// tells whoever that was.
enum class uri_error : std::uint8_t {
  unknown_scheme,         ///< None of `stun:`, `stuns:`, `turn:` and `turns:`.
  bad_host,               ///< Empty, over 255 characters, or not as RFC 3986 §3.2.2 has it.
  bad_port,               ///< Not a number from 1 to 65535.
  bad_query,              ///< Anything but one `?transport=`, which only TURN's may have.
  unsupported_transport,  ///< Right in form, but neither `udp` nor `tcp`.
};

std::string_view to_string(uri_error e);
std::string_view to_string(uri_scheme s);

/// The URI of a server: `stun:` and `stuns:` (RFC 7064), `turn:` and `turns:` (RFC 7065).
struct server_uri {
  uri_scheme scheme = uri_scheme::stun;
  /// A name, or an address without brackets. Percent-encoding is left as it is.
  std::string host;
  std::optional<std::uint16_t> port{};            ///< As written.
  std::optional<transport_protocol> transport{};  ///< As written.

  /// Reads one, strictly: the whole text, no spaces, no userinfo, no path.
  static result<server_uri, uri_error> parse(std::string_view text);

  bool is_turn() const noexcept {
    return scheme == uri_scheme::turn || scheme == uri_scheme::turns;
  }
  /// Over TLS, or DTLS where `protocol` is UDP.
  bool is_secure() const noexcept {
    return scheme == uri_scheme::stuns || scheme == uri_scheme::turns;
  }
  /// As written, or UDP, or TCP for the secure schemes (RFC 7064 §3.2, RFC 7065 §3.2).
  transport_protocol protocol() const noexcept {
    return transport.value_or(is_secure() ? transport_protocol::tcp : transport_protocol::udp);
  }
  /// As written, or 3478, or 5349 for the secure schemes.
  std::uint16_t port_number() const noexcept { return port.value_or(is_secure() ? 5349 : 3478); }
  /// The address, where the host is one and needs no resolving.
  std::optional<ip_address> address() const { return ip_address::parse(host); }

  friend bool operator==(const server_uri&, const server_uri&) = default;
};

/// As `server_uri::parse` reads it back.
std::string to_string(const server_uri& uri);

}  // namespace weft::stun

#endif  // WEFT_STUN_URI_HPP
