#ifndef WEFT_STUN_TRANSACTION_HPP
#define WEFT_STUN_TRANSACTION_HPP

#include <algorithm>
#include <optional>

#include <weft/core/time.hpp>

namespace weft::stun {

/// When to send a request, when to send it again, and when to give up (RFC 8489 §6.2.1).
///
/// `start` makes the first request due. Whenever `is_due`, send the request and say so with
/// `sent`; give it the time with `handle_timeout`; `stop` it when the response is there.
/// It knows nothing of messages: who owns it keeps the transaction ID.
class retransmission_timer {
 public:
  struct options {
    duration rto = std::chrono::milliseconds{500};  ///< RFC 8489 §6.2.1: the initial RTO.
    int max_requests = 7;                           ///< RFC 8489 §6.2.1: Rc. At least 1.
    int last_wait = 16;  ///< RFC 8489 §6.2.1: Rm, the wait after the last request, in RTOs.

    /// Over TCP: one request and Ti to wait for the answer (RFC 8489 §6.2.2).
    static constexpr options reliable() noexcept {
      return {.rto = std::chrono::milliseconds{39500}, .max_requests = 1, .last_wait = 1};
    }
  };

  constexpr retransmission_timer() = default;
  constexpr explicit retransmission_timer(const options& o) noexcept : options_{o} {}

  /// Makes the first request due and forgets what was before.
  constexpr void start() noexcept {
    state_ = state::due;
    requests_sent_ = 0;
    wait_ = options_.rto;
  }
  constexpr void stop() noexcept { state_ = state::idle; }

  constexpr bool is_running() const noexcept {
    return state_ == state::due || state_ == state::waiting;
  }
  /// A request is to be sent.
  constexpr bool is_due() const noexcept { return state_ == state::due; }
  /// The last wait is over and no `stop` came.
  constexpr bool has_expired() const noexcept { return state_ == state::expired; }

  /// The request has been sent.
  constexpr void sent(time_point now) noexcept {
    if (requests_sent_ == 0) first_sent_ = now;
    ++requests_sent_;
    deadline_ = now + (is_last() ? options_.rto * options_.last_wait : wait_);
    wait_ *= 2;
    state_ = state::waiting;
  }
  constexpr void handle_timeout(time_point now) noexcept {
    if (state_ != state::waiting || now < deadline_) return;
    state_ = is_last() ? state::expired : state::due;
  }
  /// When `handle_timeout` has something to do; nothing while a request is due.
  constexpr std::optional<time_point> deadline() const noexcept {
    return state_ == state::waiting ? std::optional{deadline_} : std::nullopt;
  }

  constexpr int requests_sent() const noexcept { return requests_sent_; }
  /// The round trip that a response arriving now has measured. None after a retransmission,
  /// because nothing tells which sending is answered (Karn's algorithm, RFC 8489 §6.2.1).
  constexpr std::optional<duration> round_trip(time_point now) const noexcept {
    if (requests_sent_ != 1) return std::nullopt;
    return std::max(now - first_sent_, duration{});
  }

 private:
  enum class state : unsigned char { idle, due, waiting, expired };

  constexpr bool is_last() const noexcept { return requests_sent_ >= options_.max_requests; }

  options options_{};
  state state_ = state::idle;
  int requests_sent_ = 0;
  duration wait_{};
  time_point first_sent_{};
  time_point deadline_{};
};

}  // namespace weft::stun

#endif  // WEFT_STUN_TRANSACTION_HPP
