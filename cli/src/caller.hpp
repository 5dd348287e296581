#ifndef WEFT_CLI_CALLER_HPP
#define WEFT_CLI_CALLER_HPP

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include <weft/io/peer_runner.hpp>

#include "test_messages.hpp"
#include "whip_client.hpp"

namespace weft::cli {

/// The peer of `weft call`: opens a channel, sends test messages and judges their echoes.
class caller {
 public:
  struct plan {
    test_messages::plan messages;
    std::optional<std::uint16_t> max_retransmits;
    /// From one message to the next, at least.
    duration interval{};
  };

  /// When each came, counted from the caller's making.
  struct timings {
    std::optional<duration> signalled;
    std::optional<duration> ice_connected;
    std::optional<duration> connected;
    std::optional<duration> channel_open;
    std::optional<duration> first_sent;
    std::optional<duration> done;
  };

  caller(asio::io_context& context, io::peer_runner runner, const plan& p);

  /// The offer, with all candidates.
  result<std::string, call_error> offer();
  result<void, call_error> take_answer(const std::string& answer);
  /// The answer to the server's offer.
  result<std::string, call_error> answer(const std::string& offer);
  /// Runs until every echo is there, or something breaks, or time is up.
  result<void, call_error> run(duration limit);
  /// Says farewell and lets it leave.
  void close();

  const timings& times() const noexcept { return times_; }
  const test_messages& messages() const noexcept { return messages_; }
  const io::peer_runner& runner() const noexcept { return runner_; }

 private:
  duration elapsed() const { return io::now() - started_; }
  result<std::string, call_error> set_local();
  void open_channel();
  void handle(const peer::connection::event& event);
  void send_what_may_be();
  void finish(std::optional<call_error> error);
  void tick();

  asio::io_context& context_;
  io::peer_runner runner_;
  plan plan_;
  time_point started_;
  test_messages messages_;
  timings times_;
  std::optional<peer::channel_handle> channel_;
  bool open_ = false;
  bool finished_ = false;
  std::optional<call_error> error_;
  time_point next_send_{};
  asio::steady_timer timer_;
};

}  // namespace weft::cli

#endif  // WEFT_CLI_CALLER_HPP
