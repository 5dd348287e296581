#ifndef WEFT_TESTS_DTLS_PAIR_HPP
#define WEFT_TESTS_DTLS_PAIR_HPP

#include <array>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/dtls/session.hpp>

#include "support/seeded_openssl.hpp"
#include "support/sim.hpp"
#include "support/virtual_gettimeofday.hpp"

namespace weft::dtls::test {

using namespace std::chrono_literals;
using machine_under_test = weft::test::in_virtual_time<session>;
using bytes = std::vector<std::uint8_t>;

inline constexpr time_point epoch{};

inline certificate make_certificate() {
  return *certificate::generate({.now = std::chrono::system_clock::time_point{1'700'000'000s}});
}

inline session::options options_for(role r) {
  session::options opts;
  opts.role = r;
  return opts;
}

inline bytes copy(const_bytes b) {
  return {b.begin(), b.end()};
}

/// Everything the machine has to send.
inline std::vector<bytes> flight(machine_under_test& m, time_point now) {
  std::array<std::uint8_t, max_datagram_size> buffer;
  std::vector<bytes> datagrams;
  while (const auto t = m.poll_transmit(now, buffer)) datagrams.push_back(copy(t->bytes));
  return datagrams;
}

inline void give(machine_under_test& m, time_point now, const std::vector<bytes>& datagrams) {
  for (const bytes& d : datagrams) m.handle_input(now, d);
}

/// A client and a server that know each other's fingerprints unless a test says otherwise, in
/// a process whose random numbers follow from a seed.
struct pair {
  explicit pair(std::uint64_t seed = 1)
      : pair{seed, options_for(role::client), options_for(role::server)} {}
  pair(std::uint64_t seed, const session::options& client_options,
       const session::options& server_options)
      : randomness{seed},
        client{session{client_certificate, client_options}},
        server{session{server_certificate, server_options}} {
    weft::test::set_virtual_time(epoch);
  }

  void trust() {
    client->set_remote_fingerprints(epoch, {server_certificate.fingerprint()});
    server->set_remote_fingerprints(epoch, {client_certificate.fingerprint()});
  }
  void start(time_point now = epoch) {
    weft::test::set_virtual_time(now);
    client->start(now);
    server->start(now);
  }
  /// Moves everything at once, in order, until both fall silent at `now`.
  void exchange(time_point now = epoch) {
    for (bool moved = true; moved;) {
      const auto up = flight(client, now);
      give(server, now, up);
      const auto down = flight(server, now);
      give(client, now, down);
      moved = !up.empty() || !down.empty();
    }
  }
  void connect() {
    trust();
    start();
    exchange();
  }
  bool connected() const {
    return client->current_state() == session::state::connected &&
           server->current_state() == session::state::connected;
  }

  weft::test::seeded_openssl randomness;
  certificate client_certificate = make_certificate();
  certificate server_certificate = make_certificate();
  machine_under_test client;
  machine_under_test server;
};

inline bytes protect(machine_under_test& m, time_point now, std::string_view text) {
  std::array<std::uint8_t, 2048> buffer;
  const auto r = m->protect(now, as_bytes(text), buffer);
  return r ? copy(*r) : bytes{};
}

/// The next application record as text, or "(nothing)".
inline std::string_view received(machine_under_test& m) {
  const auto r = m->receive();
  return r ? as_text(*r) : "(nothing)";
}

}  // namespace weft::dtls::test

#endif  // WEFT_TESTS_DTLS_PAIR_HPP
