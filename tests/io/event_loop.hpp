#ifndef WEFT_TESTS_IO_EVENT_LOOP_HPP
#define WEFT_TESTS_IO_EVENT_LOOP_HPP

#include <chrono>

#include <asio/io_context.hpp>

#include <weft/io/asio.hpp>

namespace weft::io::test {

constexpr duration hangs_after = std::chrono::seconds{30};

/// Runs `context` until `done()` or for `limit`. Returns whether it was done.
template <class Done>
bool run_until(asio::io_context& context, Done done, duration limit = hangs_after) {
  const auto end = now() + limit;
  context.restart();
  while (!done() && now() < end) context.run_one_until(end);
  return done();
}

/// What fixtures begin with.
struct event_loop {
  template <class Done>
  bool run_until(Done done, duration limit = hangs_after) {
    return test::run_until(context, done, limit);
  }

  asio::io_context context;
};

}  // namespace weft::io::test

#endif  // WEFT_TESTS_IO_EVENT_LOOP_HPP
