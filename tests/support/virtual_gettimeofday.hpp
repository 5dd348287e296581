#ifndef WEFT_TESTS_SUPPORT_VIRTUAL_GETTIMEOFDAY_HPP
#define WEFT_TESTS_SUPPORT_VIRTUAL_GETTIMEOFDAY_HPP

#include <cstdint>
#include <optional>
#include <utility>

#include <weft/core/bytes.hpp>
#include <weft/core/machine.hpp>
#include <weft/core/time.hpp>

/// libssl reads `gettimeofday` for its retransmission timer. A program that is built with
/// `support/virtual_gettimeofday.cpp` defines that symbol, which takes precedence over the C
/// library's in libssl too, and so has libssl live in the test's time.
namespace weft::test {

/// What `gettimeofday` says from now on, in this program: an arbitrary date plus `now`.
void set_virtual_time(time_point now) noexcept;

/// How often `gettimeofday` was called: a test asks it that virtual time has any effect.
std::uint64_t virtual_time_reads() noexcept;

/// A machine that tells libssl the time at which it is called. Commands go through `->`, and
/// need `set_virtual_time` before them if they start or stop a timer.
template <machine M>
class in_virtual_time {
 public:
  using event = typename M::event;

  explicit in_virtual_time(M machine) : machine_{std::move(machine)} {}

  M& operator*() noexcept { return machine_; }
  M* operator->() noexcept { return &machine_; }
  const M* operator->() const noexcept { return &machine_; }

  bool handle_input(time_point now, const_bytes datagram) {
    set_virtual_time(now);
    return machine_.handle_input(now, datagram);
  }
  void handle_timeout(time_point now) {
    set_virtual_time(now);
    machine_.handle_timeout(now);
  }
  auto poll_transmit(time_point now, mutable_bytes buffer) {
    set_virtual_time(now);
    return machine_.poll_transmit(now, buffer);
  }
  std::optional<time_point> poll_timeout() const { return machine_.poll_timeout(); }
  std::optional<event> poll_event() { return machine_.poll_event(); }

 private:
  M machine_;
};

}  // namespace weft::test

#endif  // WEFT_TESTS_SUPPORT_VIRTUAL_GETTIMEOFDAY_HPP
