// Invariant: whatever two sessions and a stranger between them do, in whatever order, nobody
// is connected to a peer whose fingerprint it was not given, nothing is received that a
// connected peer did not send, and no answer is longer than its bounds.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <vector>

#include <weft/dtls/session.hpp>

#include "support/seeded_openssl.hpp"
#include "support/virtual_gettimeofday.hpp"

namespace {

using namespace weft;
using namespace std::chrono_literals;
using dtls::certificate;
using dtls::role;
using dtls::session;
using bytes = std::vector<std::uint8_t>;

void require(bool holds) {
  if (!holds) std::abort();
}

certificate make_certificate() {
  return *certificate::generate({.now = std::chrono::system_clock::time_point{1'700'000'000s}});
}

constexpr std::string_view secret = "what a peer says to its peer";
constexpr std::size_t mtu = 600;

class end {
 public:
  end(const certificate& identity, const certificate& peer, role r)
      : session_{identity, options_for(r)}, peer_{&peer} {}

  /// Nothing, the right fingerprint, the right one among others, or a wrong one.
  void trust(time_point now, unsigned what) {
    using dtls::fingerprint;
    const fingerprint wrong = *fingerprint::from_digest(dtls::hash::sha_256, bytes(32));
    std::vector<fingerprint> given;
    if (what == 2 || what == 3) given.push_back(wrong);
    if (what == 1 || what == 2) given.push_back(peer_->fingerprint());
    // Once connected, later ones change nothing.
    if (session_.current_state() != session::state::connected) right_ = what == 1 || what == 2;
    session_.set_remote_fingerprints(now, given);
    check();
  }

  void input(time_point now, const_bytes datagram) {
    session_.handle_input(now, datagram);
    check();
  }

  void timeout(time_point now) {
    session_.handle_timeout(now);
    check();
  }

  void poll(time_point now, std::deque<bytes>& to) {
    std::array<std::uint8_t, max_datagram_size> buffer;
    std::size_t total = 0;
    while (const auto t = session_.poll_transmit(now, buffer)) {
      require(t->bytes.size() <= mtu);
      total += t->bytes.size();
      if (to.size() < 64) to.emplace_back(t->bytes.begin(), t->bytes.end());
    }
    require(total <= 8 * 4096);
  }

  void say(time_point now, std::deque<bytes>& to) {
    std::array<std::uint8_t, 200> buffer;
    const auto record = session_.protect(now, as_bytes(secret), buffer);
    require(record.has_value() == (session_.current_state() == session::state::connected));
    if (record && to.size() < 64) to.emplace_back(record->begin(), record->end());
  }

  session& get() { return session_; }

 private:
  static session::options options_for(role r) {
    session::options opts;
    opts.role = r;
    opts.mtu = mtu;
    opts.srtp_profiles = {dtls::srtp_profile::aead_aes_128_gcm};
    return opts;
  }

  void check() {
    const bool is_connected = session_.current_state() == session::state::connected;
    if (is_connected) {
      require(right_);
      require(std::ranges::equal(session_.remote_certificate(), peer_->der()));
    }
    require(session_.export_keying_material("EXTRACTOR-dtls_srtp", 60).has_value() == is_connected);
    while (const auto event = session_.poll_event()) {
      if (std::holds_alternative<session::connected>(*event)) require(right_);
    }
    while (const auto data = session_.receive()) require(as_text(*data) == secret);
  }

  session session_;
  const certificate* peer_;
  bool right_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 2000) return 0;
  static const std::array certificates = [] {
    const test::seeded_openssl randomness{1};
    return std::array{make_certificate(), make_certificate()};
  }();
  const auto& [of_client, of_server] = certificates;
  const test::seeded_openssl randomness{2};

  byte_reader in{{data, size}};
  time_point now{};
  test::set_virtual_time(now);
  end client{of_client, of_server, role::client};
  end server{of_server, of_client, role::server};
  std::deque<bytes> up;
  std::deque<bytes> down;
  const auto deliver = [&](std::deque<bytes>& queue, end& to) {
    if (queue.empty()) return;
    to.input(now, queue.front());
    queue.pop_front();
  };

  while (!in.at_end()) {
    const std::uint8_t op = in.u8();
    end& one = (op & 0x80) != 0 ? server : client;
    std::deque<bytes>& to_one = (op & 0x80) != 0 ? up : down;
    std::deque<bytes>& from_one = (op & 0x80) != 0 ? down : up;
    switch (op & 0x0f) {
      case 0:
        one.get().start(now);
        break;
      case 1:
        one.trust(now, in.u8() % 4);
        break;
      case 2:
        one.poll(now, from_one);
        break;
      case 3:
        deliver(to_one, one);
        break;
      case 4:  // A lost one.
        if (!to_one.empty()) to_one.pop_front();
        break;
      case 5:  // A duplicate, or one that waits.
        if (!to_one.empty() && to_one.size() < 64) to_one.push_back(to_one.front());
        break;
      case 6: {  // One with a changed byte.
        const std::size_t at = in.u16();
        const std::uint8_t change = in.u8();
        if (to_one.empty()) break;
        bytes changed = to_one.front();
        changed[at % changed.size()] ^= change;
        one.input(now, changed);
        break;
      }
      case 7: {  // One cut short, or with something else behind it.
        const std::size_t at = in.u16();
        const const_bytes more = in.bytes(std::min<std::size_t>(in.u8(), in.rest().size()));
        if (to_one.empty()) break;
        bytes changed = to_one.front();
        changed.resize(at % changed.size());
        changed.insert(changed.end(), more.begin(), more.end());
        one.input(now, changed);
        break;
      }
      case 8:  // Anything.
        one.input(now, in.bytes(std::min<std::size_t>(in.u8(), in.rest().size())));
        break;
      case 9: {  // Anything in a record, so that it gets further.
        const std::uint8_t kind = in.u8();
        const std::uint8_t sequence_number = in.u8();
        const const_bytes body = in.bytes(std::min<std::size_t>(in.u8(), in.rest().size()));
        std::array<std::uint8_t, 300> buffer;
        byte_writer out{buffer};
        out.u8(static_cast<std::uint8_t>(20 + kind % 4));
        out.u16(0xfefd);
        out.u16(kind / 4 % 3);
        out.u48(sequence_number);
        out.u16(static_cast<std::uint16_t>(body.size()));
        out.bytes(body);
        one.input(now, out.written());
        break;
      }
      case 10:
        now += std::chrono::milliseconds{in.u8()} * 8;
        test::set_virtual_time(now);
        client.timeout(now);
        server.timeout(now);
        break;
      case 11: {  // To the next deadline.
        const auto next = one.get().poll_timeout();
        if (!next) break;
        now = std::max(now, *next);
        test::set_virtual_time(now);
        one.timeout(now);
        break;
      }
      case 12:
        one.say(now, from_one);
        break;
      case 13:
        one.get().close(now);
        break;
      case 14:  // Two change places.
        if (to_one.size() > 1) std::swap(to_one[0], to_one[1]);
        break;
      default:  // A whole round, so that the rest starts from a later state.
        client.poll(now, up);
        while (!up.empty()) deliver(up, server);
        server.poll(now, down);
        while (!down.empty()) deliver(down, client);
    }
  }
  return 0;
}
