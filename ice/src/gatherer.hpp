#ifndef WEFT_ICE_SRC_GATHERER_HPP
#define WEFT_ICE_SRC_GATHERER_HPP

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <weft/core/machine.hpp>
#include <weft/core/random.hpp>
#include <weft/ice/agent.hpp>
#include <weft/stun/binding_client.hpp>

namespace weft::ice {

/// Whether a datagram from one of these can be meant for the other: one family, and
/// loopback and IPv6 link-local addresses (RFC 8445 §6.1.2.2) among themselves.
bool can_reach(const ip_address& a, const ip_address& b) noexcept;

/// Asks every STUN server from every address, each in a transaction of its own, so that
/// none waits for another (RFC 8445 §5.1.1.2). Servers and addresses may come at any time.
class gatherer {
 public:
  struct found {
    endpoint base;
    endpoint reflexive;
    std::size_t server;
  };

  explicit gatherer(const agent::options& opts);

  result<void, error> add_server(random_source& random, const agent::server& s);
  const std::vector<agent::server>& servers() const noexcept { return servers_; }
  void add_base(random_source& random, const endpoint& address);
  void remove_base(const endpoint& address);

  /// A new round: everybody is asked (again).
  void start(random_source& random);
  void stop() noexcept;
  void hold() noexcept { ++holds_; }
  void release() noexcept;
  /// Asked for at all, so that whoever comes late is asked as well.
  bool has_started() const noexcept { return started_; }
  /// Answers are awaited, or somebody else holds the end.
  bool is_active() const noexcept;

  /// Whether a first request waits for its turn.
  bool has_queued() const noexcept { return !queue_.empty(); }
  void begin_next(time_point now);
  /// RFC 8445 §5.1.1.4: whether servers that have answered are asked from time to time, so
  /// that NATs do not forget.
  void set_keeping(time_point now, bool keeping);

  bool handle_input(time_point now, const endpoint& local, const endpoint& remote,
                    const_bytes datagram);
  void handle_timeout(time_point now);
  std::optional<addressed_transmit> poll_transmit(time_point now, mutable_bytes buffer);
  bool has_transmit() const noexcept { return due_; }
  std::optional<time_point> poll_timeout() const noexcept;

  std::optional<found> poll_found();
  std::optional<agent::gathering_error> poll_error();
  /// Once for every time that something was begun, when all has been answered or given up.
  bool poll_complete() noexcept;

 private:
  struct query {
    enum class phase : std::uint8_t { queued, running, done };

    std::size_t server;
    endpoint base;
    stun::binding_client client;
    phase now = phase::queued;
    bool refreshing = false;  ///< Nobody waits for the answer.
    std::optional<time_point> refresh{};

    bool is_awaited() const noexcept { return now != phase::done && !refreshing; }
  };
  /// What has come of a server, of whom people hear at most once a round.
  struct outcome {
    bool reachable = false;
    bool helped = false;
    bool told = false;
    std::uint16_t code = 701;
    std::string text;
  };

  void ask(random_source& random, std::size_t server, const endpoint& base);
  void enqueue(std::size_t query);
  void collect(time_point now, query& q);

  stun::binding_client::options client_;
  duration ta_;
  duration rto_;
  duration keepalive_;
  std::size_t max_servers_;

  std::vector<agent::server> servers_;
  std::vector<outcome> outcomes_;
  std::vector<endpoint> bases_;
  std::vector<query> queries_;
  std::vector<std::size_t> queue_;
  std::vector<found> found_;
  std::size_t holds_ = 0;
  bool started_ = false;
  bool unfinished_ = false;  ///< The end of what was begun has not been told.
  bool keeping_ = false;
  bool due_ = false;
};

}  // namespace weft::ice

#endif  // WEFT_ICE_SRC_GATHERER_HPP
