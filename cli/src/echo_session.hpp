#ifndef WEFT_CLI_ECHO_SESSION_HPP
#define WEFT_CLI_ECHO_SESSION_HPP

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <asio/any_io_executor.hpp>

#include <weft/io/peer_runner.hpp>
#include <weft/sdp/trickle.hpp>

namespace weft::cli {

/// A peer that sends every data-channel message back to where it came from.
///
/// When the other side does not take its messages back as fast as it sends them, this one
/// stops reading, and the receive window tells the other to wait.
class echo_session {
 public:
  /// Both are called from the event loop: `gathered` when no more candidates come, perhaps
  /// more than once; `ended` once, when the connection is over.
  echo_session(io::peer_runner runner, std::function<void()> gathered, std::function<void()> ended);

  /// A channel on this stream that the other side makes too, before any description.
  result<void, peer::error> add_negotiated(std::uint16_t id);
  result<void, peer::error> answer(const std::string& offer);
  result<void, peer::error> offer();
  result<void, peer::error> take_answer(const std::string& answer);
  result<void, peer::error> trickle(const sdp::trickle_fragment& fragment);

  /// Of the other side; empty before its description is known.
  const std::string& remote_ufrag() const noexcept { return remote_ufrag_; }
  bool connected() const;
  bool has_gathered() const;
  /// The local description with the candidates there are.
  std::string description() const;
  /// When it last had a message, or was made.
  time_point last_used() const noexcept { return last_used_; }
  const peer::connection& connection() const { return runner_.connection(); }

 private:
  struct message {
    peer::channel_handle channel;
    peer::message_kind kind;
    std::vector<std::uint8_t> payload;
  };

  void handle(const peer::connection::event& event);
  void echo(const peer::data_channel_message& received);
  /// Whether the message is done with: sent, or never to be sent.
  bool send(message& m);
  void retry();
  result<void, peer::error> set_remote(peer::sdp_type type, const std::string& text);
  result<void, peer::error> add_candidate(const peer::ice_candidate& candidate);

  result<void, peer::error> set_local();

  io::peer_runner runner_;
  std::function<void()> gathered_;
  std::function<void()> ended_;
  std::string remote_ufrag_;
  time_point last_used_;
  std::optional<message> waiting_;  ///< Read, and no room to send it yet.
};

}  // namespace weft::cli

#endif  // WEFT_CLI_ECHO_SESSION_HPP
