#ifndef WEFT_CLI_TURN_SERVER_SETTINGS_HPP
#define WEFT_CLI_TURN_SERVER_SETTINGS_HPP

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/result.hpp>
#include <weft/io/turn_server_runner.hpp>
#include <weft/stun/behaviour_server.hpp>
#include <weft/stun/rest_credentials.hpp>
#include <weft/stun/user_store.hpp>

#include "turn_server.hpp"

namespace weft::cli {

/// Those named one by one, and those that a secret vouches for.
class turn_users final : public stun::user_store {
 public:
  turn_users(std::string_view realm, stun::rest_users::options rest);

  void set(std::string_view username, std::string_view password);
  void set_clock(const stun::wall_clock& clock) { vouched_for_.set_clock(clock); }

  std::optional<stun::known_user> find(time_point now, const stun::user_query& query,
                                       std::size_t candidate) override;

 private:
  stun::password_users named_;
  stun::rest_users vouched_for_;
};

/// What `weft turn-server` was told, understood.
struct turn_server_settings {
  io::turn_server_runner::options runner;
  std::vector<endpoint> alternates;
  std::optional<stun::behaviour_server::options> behaviour;
  stun::rest_users::options rest;
  std::vector<std::pair<std::string, std::string>> users;
  unsigned threads = 1;
};

/// The error is a sentence that names the option.
result<turn_server_settings, std::string> understand(const turn_server_options& options,
                                                     const stun::wall_clock& clock);

/// The line that says what is listened on, from where it is relayed, and what is denied.
std::string start_up_line(const turn_server_settings& settings,
                          const std::vector<io::turn_server_runner::listener>& listeners);

/// `address:port`, `[address]:port`, or an address alone, where the default port is meant.
/// Without an address, `:port`, or with `0.0.0.0` or `[::]`, it is a wildcard.
std::optional<endpoint> parse_endpoint(std::string_view text, std::uint16_t default_port);

}  // namespace weft::cli

#endif  // WEFT_CLI_TURN_SERVER_SETTINGS_HPP
