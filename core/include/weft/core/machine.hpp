#ifndef WEFT_CORE_MACHINE_HPP
#define WEFT_CORE_MACHINE_HPP

#include <concepts>
#include <cstdint>
#include <optional>

#include <weft/core/bytes.hpp>
#include <weft/core/net.hpp>
#include <weft/core/time.hpp>

namespace weft {

/// What the IP header says beside the addresses: the ECN field (RFC 3168 §5) and
/// the DSCP (RFC 2474 §3). The default is what an unmarked datagram carries.
struct traffic_class {
  ecn mark = ecn::not_ect;
  std::uint8_t dscp = 0;

  friend constexpr bool operator==(const traffic_class&, const traffic_class&) = default;
};

/// A datagram to send. `bytes` stands at the front of the buffer that was given to
/// `poll_transmit` and lives exactly as long as that buffer does.
struct transmit {
  const_bytes bytes;
  traffic_class traffic{};
};

/// The same, for machines that choose where a datagram goes. `local` is the address
/// of the socket to send from; a default `endpoint` leaves the choice to the driver.
///
/// Over TCP the bytes are one whole message of what the connection between `local` and `remote`
/// carries: a driver that cannot take all of them takes none, as if a datagram were lost.
struct addressed_transmit {
  endpoint local;
  endpoint remote;
  const_bytes bytes;
  traffic_class traffic{};
  transport_protocol protocol = transport_protocol::udp;
};

/// What every state machine in the toolkit looks like from outside.
///
/// Commands and `handle_*` functions change state; `poll_*` functions hand out
/// the consequences. Nothing is ever called back, so nothing can be re-entered.
///
/// - `now` never needs to be the real time and may repeat. A `now` earlier than
///   the last one counts as the last one.
/// - `poll_transmit` and `poll_event` are each called until they return nothing,
///   in any order, at any time. Any number of commands may come between polls.
/// - The buffer given to `poll_transmit` holds at least one MTU; the machine asks
///   for no more than `max_datagram_size`. Whether a smaller buffer yields nothing or
///   a smaller datagram is the machine's to say; it never overruns.
/// - `poll_timeout` is a pure question. Its answer holds until the next
///   non-const call. A deadline that has passed means "now".
/// - `handle_timeout` may come early, late or twice. Early calls do nothing.
/// - Whatever a peer sends, no call throws, asserts or blocks. A peer's mistakes
///   show up as events and counters, a caller's as `result`s.
template <class M>
concept machine = std::movable<M> &&
    requires(M m, const M& cm, time_point now, mutable_bytes buffer) {
  typename M::event;
  { m.handle_timeout(now) } -> std::same_as<void>;
  { m.poll_transmit(now, buffer)->bytes } -> std::convertible_to<const_bytes>;
  { cm.poll_timeout() } -> std::same_as<std::optional<time_point>>;
  { m.poll_event() } -> std::same_as<std::optional<typename M::event>>;
};

/// No machine builds a datagram larger than this: the payload of UDP over an
/// Ethernet frame of 1500 bytes and IPv4.
inline constexpr std::size_t max_datagram_size = 1472;

}  // namespace weft

#endif  // WEFT_CORE_MACHINE_HPP
