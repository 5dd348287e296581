#ifndef WEFT_STUN_TRANSMIT_COUNTER_HPP
#define WEFT_STUN_TRANSMIT_COUNTER_HPP

#include <cstdint>
#include <optional>

#include <weft/stun/message.hpp>

namespace weft::stun {

/// TRANSACTION_TRANSMIT_COUNTER (RFC 7982 §3.1): which sending of a request this is, or is
/// answered. It makes a round trip measurable after a retransmission, and hints at which way
/// datagrams were lost.
struct transmit_counter {
  std::uint8_t requests = 0;   ///< Req: how often the request had been sent, this time included.
  std::uint8_t responses = 0;  ///< Resp: how often it had been answered; 0 if nobody counts.

  friend constexpr bool operator==(const transmit_counter&, const transmit_counter&) = default;
};

constexpr std::optional<transmit_counter> find_transmit_counter(
    const message_view& message) noexcept {
  const auto value = message.find_u32(attribute_type::transaction_transmit_counter);
  if (!value) return std::nullopt;
  return transmit_counter{static_cast<std::uint8_t>(*value >> 8),
                          static_cast<std::uint8_t>(*value)};
}

constexpr message_builder& add_transmit_counter(message_builder& message,
                                                const transmit_counter& counter) noexcept {
  return message.add_u32(attribute_type::transaction_transmit_counter,
                         std::uint32_t{counter.requests} << 8 | counter.responses);
}

}  // namespace weft::stun

#endif  // WEFT_STUN_TRANSMIT_COUNTER_HPP
