#ifndef WEFT_IO_BEHAVIOUR_SERVER_RUNNER_HPP
#define WEFT_IO_BEHAVIOUR_SERVER_RUNNER_HPP

#include <memory>
#include <system_error>

#include <asio/any_io_executor.hpp>

#include <weft/core/random.hpp>
#include <weft/core/result.hpp>
#include <weft/stun/behaviour_server.hpp>

namespace weft::io {

/// A `stun::behaviour_server` on UDP sockets of its own: two addresses with two ports each.
///
/// Threads: lives on the executor, one thread or a strand; call it from there.
class behaviour_server_runner {
 public:
  /// Opens all sockets. The error is the system's, such as `address_in_use` or, for an address
  /// this machine does not have, `address_not_available`. No wildcards, no port 0: clients are
  /// told these addresses.
  static result<behaviour_server_runner, std::error_code> create(
      const asio::any_io_executor& executor, random_source& random,
      const stun::behaviour_server::options& opts);
  behaviour_server_runner(behaviour_server_runner&&) noexcept;
  behaviour_server_runner& operator=(behaviour_server_runner&&) noexcept;
  ~behaviour_server_runner();

  const stun::behaviour_server::counters& stats() const noexcept;

 private:
  struct state;
  explicit behaviour_server_runner(std::unique_ptr<state> s);

  std::unique_ptr<state> state_;
};

}  // namespace weft::io

#endif  // WEFT_IO_BEHAVIOUR_SERVER_RUNNER_HPP
