#ifndef WEFT_IO_SRC_TURN_SERVER_DTLS_HPP
#define WEFT_IO_SRC_TURN_SERVER_DTLS_HPP

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>

#include <weft/core/net.hpp>
#include <weft/core/result.hpp>
#include <weft/core/time.hpp>
#include <weft/dtls/certificate.hpp>
#include <weft/dtls/cookie.hpp>
#include <weft/dtls/session.hpp>

namespace weft::io {

/// The DTLS sessions of a TURN server's clients (RFC 7350), of one executor.
///
/// Nothing is kept for an address that has not returned a cookie. Times are deadlines that
/// `next_deadline` has the first of.
class turn_server_dtls {
 public:
  struct options {
    duration handshake_timeout{};
    /// Without an authentic record for so long a session is forgotten, unless it is in use.
    duration idle_timeout{};
    std::size_t max_handshakes = 0;
    std::size_t max_sessions = 0;
  };

  /// What they are given is good until they return.
  struct outlets {
    /// A datagram for a client's address.
    std::function<void(const five_tuple&, const_bytes)> send;
    /// What a client has said.
    std::function<void(const five_tuple&, const_bytes)> deliver;
    /// Whether a session without records is worth keeping.
    std::function<bool(const five_tuple&)> is_in_use;
    /// A client's session that was connected has ended, by an alert that only the client can have
    /// sent.
    std::function<void(const five_tuple&)> ended;
  };

  turn_server_dtls(dtls::certificate identity, const options& opts, outlets out);

  void handle_input(time_point now, const five_tuple& client, const_bytes datagram);
  /// Says something to a client, if it is still there.
  void send(time_point now, const five_tuple& client, const_bytes message);
  void handle_timeout(time_point now);
  std::optional<time_point> next_deadline() const;

  std::uint64_t failures() const noexcept { return failures_; }

 private:
  using deadlines = std::multimap<time_point, five_tuple>;
  struct client_session {
    dtls::session session;
    time_point heard{};
    bool connected = false;
    deadlines::iterator due{};
  };
  using sessions = std::unordered_map<five_tuple, client_session>;

  sessions::iterator begin(time_point now, const five_tuple& client);
  /// Sends and delivers what the session has. It may be gone afterwards.
  void attend(time_point now, sessions::iterator at);
  void forget(sessions::iterator at);
  /// Makes room by forgetting a session that has been silent and is not in use.
  void evict();

  dtls::certificate identity_;
  options options_;
  outlets out_;
  dtls::cookie_exchange cookies_;
  sessions sessions_;
  deadlines deadlines_;
  std::size_t handshakes_ = 0;
  std::uint64_t failures_ = 0;
};

/// The identity of a server, out of the two files that TLS has it in.
result<dtls::certificate, std::string> load_certificate(const std::string& certificate_file,
                                                        const std::string& key_file);

}  // namespace weft::io

#endif  // WEFT_IO_SRC_TURN_SERVER_DTLS_HPP
