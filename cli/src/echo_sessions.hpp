#ifndef WEFT_CLI_ECHO_SESSIONS_HPP
#define WEFT_CLI_ECHO_SESSIONS_HPP

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/steady_timer.hpp>

#include <weft/io/system_random.hpp>

#include "echo_session.hpp"

namespace weft::cli {

/// What a request came to, in HTTP's terms.
struct reply {
  int status = 200;
  std::string body;
  std::string content_type = {};
  std::string location = {};
  std::string etag = {};
  std::optional<unsigned> retry_after = {};  ///< Seconds.
};

/// The peers behind `POST /echo`, in WHIP's manner (RFC 9725), bounded in number and in time.
///
/// Threads: everything happens on the executor, a single thread's.
class echo_sessions {
 public:
  struct options {
    /// Each may hold some 6 MiB of messages on their way.
    std::size_t max_sessions = 64;
    /// Without a message for so long a session ends.
    duration idle = std::chrono::minutes{5};
    /// And without a connection for so long, which spans a person's slowest signalling.
    duration setup = std::chrono::seconds{30};
    /// An answer waits so long for candidates, since none can follow it.
    duration gathering = std::chrono::seconds{2};
    io::peer_runner::options peers{};  ///< What they are made with: servers, networks.
    /// Told of what happens, one line each.
    std::function<void(std::string_view line)> log;
  };

  echo_sessions(const asio::any_io_executor& executor, options opts);

  /// An offer makes a session that answers; an empty text one that offers. `negotiated` is the
  /// stream of a channel that both sides make without announcing it, and that echoes too. `done`
  /// is called once, when the candidates are there.
  void create(const std::string& offer, std::optional<std::uint16_t> negotiated,
              std::function<void(reply)> done);
  /// The answer to an offer of ours.
  reply answer(const std::string& id, const std::string& text);
  /// `if_match` is the request's header of that name, nothing where it has none.
  reply trickle(const std::string& id, const std::string& text,
                const std::optional<std::string>& if_match);
  reply end(const std::string& id);
  /// RFC 9725 §4.1: nothing to see, but a session that is there is found.
  reply look(const std::string& id) const;
  /// Ends all and takes no more.
  void close();

 private:
  struct entry {
    std::string etag;
    bool awaits_answer = false;
    std::unique_ptr<echo_session> session;
    std::function<void(reply)> awaits_candidates;  ///< Who does, if anyone.
    std::unique_ptr<asio::steady_timer> patience;
  };

  std::string random_hex(std::size_t bytes);
  result<std::unique_ptr<echo_session>, std::string> make_session(const std::string& id);
  /// Replies to who waits for the description of a session.
  void describe(const std::string& id);
  void remove(const std::string& id, std::string_view why);
  void watch();
  time_point deadline(const entry& e) const;

  asio::any_io_executor executor_;
  options options_;
  io::system_random random_;
  std::map<std::string, entry> entries_;
  asio::steady_timer timer_;
  /// Seen by handlers that come after the end.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace weft::cli

#endif  // WEFT_CLI_ECHO_SESSIONS_HPP
