#ifndef WEFT_IO_SRC_TURN_SERVER_BATCH_HPP
#define WEFT_IO_SRC_TURN_SERVER_BATCH_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <weft/core/bytes.hpp>
#include <weft/core/machine.hpp>
#include <weft/core/net.hpp>
#include <weft/turn/server.hpp>

namespace weft::io {

/// Datagrams on their way through a relay, put in order for few system calls.
///
/// They come in as they arrive, those of many flows mixed; they go out by socket, and those
/// of one flow together: equal lengths, the last of which may be shorter, make one
/// `UDP_SEGMENT` send. The bytes stay where they were read; only where they lie is kept.
/// Within a flow the order of arrival stays.
class turn_server_batch {
 public:
  /// Linux sends no more than 64 datagrams at a time (UDP_MAX_SEGMENTS), and no more bytes
  /// than one UDP datagram could have over IPv4.
  static constexpr std::size_t max_segments = 64;
  static constexpr std::size_t max_bytes = 65507;
  /// What one turn of reading brings at most, at one datagram a slot, and then some.
  static constexpr std::size_t max_datagrams = 512;
  /// Head, body, zeros.
  static constexpr std::size_t max_parts = 3;
  /// The longest header that a relay puts before what a client gets.
  static constexpr std::size_t head_size = turn::server::headroom;

  struct destination {
    std::uint32_t socket = 0;
    endpoint remote;
    traffic_class traffic{};

    friend bool operator==(const destination&, const destination&) = default;
  };

  /// Where a piece of a message lies.
  struct piece {
    const std::uint8_t* data;
    std::size_t size;
  };

  struct message {
    destination to;
    std::size_t segment_size = 0;  ///< All datagrams have this length, save the last.
    std::size_t datagrams = 0;
    std::size_t bytes = 0;
    std::span<const piece> pieces;
  };

  turn_server_batch() noexcept { clear(); }

  bool empty() const noexcept { return datagrams_ == 0; }
  bool full() const noexcept { return datagrams_ == max_datagrams; }
  void clear() noexcept;

  /// Room for the head of the next datagram, if it needs one.
  std::span<std::uint8_t, head_size> head() noexcept { return std::span{heads_[datagrams_]}; }
  /// Takes one datagram of a head, which may be empty, a body, and up to three zeros behind
  /// it. They must stay where they are until the batch is cleared. The batch must not be full.
  void add(const destination& to, const_bytes head, const_bytes body,
           std::size_t zeros = 0) noexcept;

  /// Calls `send(std::span<const message>)` for each socket that has something to send.
  template <class Send>
  void for_each_socket(Send send) {
    lay_out();
    for (std::size_t first = 0; first < group_count_;) {
      std::size_t last = first + 1;
      while (last < group_count_ && messages_[last].to.socket == messages_[first].to.socket) ++last;
      send(std::span<const message>{messages_.data() + first, last - first});
      first = last;
    }
  }

 private:
  static constexpr std::uint16_t none = 0xffff;
  static constexpr std::size_t buckets = 1024;

  struct part {
    piece where;
    std::uint16_t next = none;
  };
  struct group {
    destination to;
    std::size_t segment_size = 0;
    std::size_t bytes = 0;
    std::uint16_t datagrams = 0;
    std::uint16_t first = none;
    std::uint16_t last = none;
    bool closed = false;  ///< A shorter datagram has ended it.
  };

  group& group_for(const destination& to, std::size_t size) noexcept;
  void append(group& g, piece p) noexcept;
  void lay_out() noexcept;

  std::size_t datagrams_ = 0;
  std::size_t group_count_ = 0;
  std::size_t part_count_ = 0;
  std::array<std::uint16_t, buckets> latest_;  ///< The youngest group of a destination's hash.
  std::array<group, max_datagrams> groups_;
  std::array<part, max_parts * max_datagrams> parts_;
  std::array<std::array<std::uint8_t, head_size>, max_datagrams> heads_;
  std::array<message, max_datagrams> messages_;
  std::array<piece, max_parts * max_datagrams> pieces_;
};

}  // namespace weft::io

#endif  // WEFT_IO_SRC_TURN_SERVER_BATCH_HPP
