#ifndef WEFT_STUN_BEHAVIOUR_HPP
#define WEFT_STUN_BEHAVIOUR_HPP

#include <cstdint>
#include <optional>
#include <string_view>

#include <weft/stun/message.hpp>

/// NAT behaviour discovery (RFC 5780): what NATs can be like, and the attributes that tell. The
/// two ends are behaviour_client.hpp and behaviour_server.hpp.
namespace weft::stun {

/// What a NAT's choice of an outside port, or what it lets in, depends on (RFC 4787 §4.1, §5).
enum class dependence : std::uint8_t {
  unknown,  ///< Not tested, or the server could not say.
  endpoint_independent,
  address_dependent,
  address_and_port_dependent,
};

constexpr std::string_view to_string(dependence d) noexcept {
  switch (d) {
    case dependence::unknown:
      return "unknown";
    case dependence::endpoint_independent:
      return "endpoint-independent";
    case dependence::address_dependent:
      return "address-dependent";
    case dependence::address_and_port_dependent:
      return "address-and-port-dependent";
  }
  return "";
}

/// CHANGE-REQUEST (RFC 5780 §7.2): which parts of the server's address are to be the others.
struct change_request {
  bool address = false;
  bool port = false;

  friend constexpr bool operator==(const change_request&, const change_request&) = default;
};

constexpr std::optional<change_request> find_change_request(const message_view& message) noexcept {
  const auto flags = message.find_u32(attribute_type::change_request);
  if (!flags) return std::nullopt;
  return change_request{(*flags & 4) != 0, (*flags & 2) != 0};
}
constexpr message_builder& add_change_request(message_builder& message,
                                              const change_request& change) noexcept {
  return message.add_u32(attribute_type::change_request,
                         (change.address ? 4u : 0u) | (change.port ? 2u : 0u));
}

/// RESPONSE-PORT (RFC 5780 §7.5): a port and two bytes of padding, which some senders count in
/// the length and others do not.
constexpr std::optional<std::uint16_t> find_response_port(const message_view& message) noexcept {
  const auto attribute = message.find(attribute_type::response_port);
  if (!attribute || (attribute->value.size() != 2 && attribute->value.size() != 4))
    return std::nullopt;
  return detail::load_u16(attribute->value.data());
}
constexpr message_builder& add_response_port(message_builder& message,
                                             std::uint16_t port) noexcept {
  const std::uint8_t value[] = {static_cast<std::uint8_t>(port >> 8),
                                static_cast<std::uint8_t>(port)};
  return message.add(attribute_type::response_port, value);
}

}  // namespace weft::stun

#endif  // WEFT_STUN_BEHAVIOUR_HPP
