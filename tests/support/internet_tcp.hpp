#ifndef WEFT_TESTS_SUPPORT_INTERNET_TCP_HPP
#define WEFT_TESTS_SUPPORT_INTERNET_TCP_HPP

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include <weft/core/bytes.hpp>
#include <weft/core/random.hpp>
#include <weft/core/time.hpp>

namespace weft::sim {

/// What a connection carries. A firewall sees the difference.
enum class stream_layer : std::uint8_t { plain, tls };

/// A packet of TCP, with numbers that count segments, not bytes.
struct segment {
  enum class kind : std::uint8_t {
    syn,
    hello,  ///< Stands for a flight of a TLS handshake.
    data,
    fin,
    acknowledgement,
    reset
  };
  segment::kind what = kind::acknowledgement;
  stream_layer layer = stream_layer::plain;
  std::uint64_t number = 0;
  std::uint64_t acknowledges = 0;  ///< All with smaller numbers have come.
  std::vector<std::uint8_t> bytes;
};

/// One end of a TCP connection, as much of it as a NAT and its users notice: a three-way
/// handshake or a simultaneous open (RFC 9293 §3.5), ordered bytes cut anywhere, retransmission
/// with back-off, reset and end. Congestion and flow control are left out. Over TLS one more
/// round trip passes before it is connected.
class tcp_connection {
 public:
  struct event {
    enum class kind : std::uint8_t { connected, bytes, ended };
    kind what;
    std::vector<std::uint8_t> bytes;
  };
  enum class side : std::uint8_t { opening, listening };

  tcp_connection(side s, stream_layer layer);

  /// False, and nothing is taken, if the connection is not open or much has yet to go out.
  bool write(const_bytes bytes, seeded_random& cuts);
  /// Ends it; no event tells.
  void close();

  void receive(time_point now, const segment& s);
  void handle_timeout(time_point now);
  std::optional<segment> poll_segment(time_point now);
  std::optional<time_point> poll_timeout() const { return deadline_; }
  std::optional<event> poll_event();

  bool is_connected() const { return state_ == state::connected; }
  /// Nothing more will come of it.
  bool is_over() const {
    return (state_ == state::closing && unacknowledged_.empty() && !due_) || state_ == state::over;
  }

 private:
  enum class state : std::uint8_t { connecting, connected, closing, over };

  void queue(segment::kind what, const_bytes bytes = {});
  void acknowledge(time_point now, std::uint64_t up_to);
  void take(const segment& s);
  void proceed();
  void end();

  side side_;
  stream_layer layer_;
  state state_ = state::connecting;
  std::deque<segment> unacknowledged_;
  std::uint64_t next_number_ = 0;  ///< Of the next segment that is queued.
  std::size_t sent_ = 0;           ///< So many of the unacknowledged have been sent.
  std::uint64_t expected_ = 0;     ///< The number of the next segment to come.
  std::map<std::uint64_t, segment> early_;
  bool hello_sent_ = false;
  bool hello_seen_ = false;
  bool due_ = false;  ///< An acknowledgement.
  int attempts_ = 0;
  std::optional<time_point> deadline_;
  std::deque<event> events_;
};

}  // namespace weft::sim

#endif  // WEFT_TESTS_SUPPORT_INTERNET_TCP_HPP
