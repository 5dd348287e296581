// Invariant: whatever commands a transport is given, whatever servers, peers and streams say to
// it, and whether anybody takes what it has to say or not: it does not crash, send
// without end or write past a buffer, and once closed it falls silent.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <weft/peer/ice_transport.hpp>
#include <weft/stun/long_term.hpp>
#include <weft/stun/message.hpp>
#include <weft/turn/attributes.hpp>

#include "input.hpp"

namespace {

using weft::endpoint;
using weft::five_tuple;
using weft::transport_protocol;
using weft::peer::ice_transport;

constexpr std::size_t max_transmits_per_instant = 20'000;

endpoint at(std::uint8_t host, std::uint16_t port) {
  return {weft::ip_address{std::array<std::uint8_t, 4>{10, 0, 0, host}}, port};
}

ice_transport::options make_options(std::uint8_t how) {
  ice_transport::options out;
  out.servers = {
      {{"turn:10.0.0.9", "turn:10.0.0.9?transport=tcp", "turns:relay.example", "stun:10.0.0.9"},
       "user",
       std::string{"password"}}};
  if (how & 1) out.policy = weft::peer::ice_transport_policy::relay;
  if (how & 2) out.candidate_pool_size = 1;
  if (how & 4) out.mobility = true;
  if (how & 8) out.servers.push_back({{"turns:10.0.0.9?transport=udp"}, "u", std::string{"p"}});
  out.max_streams = 4;
  out.max_allocations = 6;
  out.max_received_bytes = 4096;
  return out;
}

/// What the transport asked of a server or, perhaps through a relay, of a peer.
struct request {
  five_tuple path;
  std::vector<std::uint8_t> bytes;
  std::optional<endpoint> behind_relay;
  bool is_framed;  ///< RFC 4571.
};

class world {
 public:
  explicit world(weft::const_bytes data)
      : in_{data}, random_{1}, machine_{random_, make_options(in_.u8())} {}

  void run() {
    while (!in_.empty()) {
      const std::uint8_t what = in_.u8();
      step(what);
      if ((what & 0x80) == 0) drain();  // Or not: nobody has to.
    }
    finish();
  }

 private:
  void step(std::uint8_t what) {
    switch (what & 0x0f) {
      case 0:
        (void)machine_.add_local_address(now_, at(1 + in_.u8() % 3, 5000));
        return;
      case 1:
        (void)machine_.add_local_address(now_,
                                         {.base = at(1, 7000),
                                          .protocol = transport_protocol::tcp,
                                          .tcp = static_cast<weft::ice::tcp_type>(in_.u8() % 3)});
        return;
      case 2:
        return machine_.remove_local_address(now_, at(1 + in_.u8() % 3, 5000));
      case 3:
        return machine_.gather(now_);
      case 4:
        now_ += std::chrono::milliseconds{1u << (in_.u8() % 18)};
        return machine_.handle_timeout(now_);
      case 5:
        return resolve();
      case 6:
        return signal();
      case 7:
        return streams();
      case 8:
        return answer();
      case 9:
      case 10:
        return inject();
      case 11:
        return send();
      case 12:
        if (in_.u8() % 4 == 0) machine_.restart(now_);
        return;
      case 13:
        return machine_.set_servers(now_, make_options(in_.u8()).servers);
      case 14:
        if (in_.u8() == 0xff) machine_.close(now_);
        return;
      default:
        return obey();
    }
  }

  void resolve() {
    const std::array<weft::ip_address, 1> found{at(9, 0).address};
    const bool is_found = in_.u8() & 1;
    machine_.resolve(
        now_, "relay.example",
        is_found ? std::span<const weft::ip_address>{found} : std::span<const weft::ip_address>{});
  }

  void signal() {
    (void)machine_.set_remote_credentials(now_, remote_);
    weft::ice::candidate c;
    c.foundation = "1";
    c.priority = 1u + in_.u8();
    c.address = at(4, 6000);
    if (in_.u8() & 1) {
      c.protocol = transport_protocol::tcp;
      c.tcp = static_cast<weft::ice::tcp_type>(in_.u8() % 3);
    }
    (void)machine_.add_remote_candidate(now_, c);
  }

  void streams() {
    const std::uint8_t what = in_.u8();
    const five_tuple accepted{at(1, 7000), at(4, 1000 + what % 8), transport_protocol::tcp};
    if (what & 0x40) return machine_.handle_connected(now_, accepted);
    if (paths_.empty()) return;
    const five_tuple path = paths_[what % paths_.size()];
    if (what & 0x20)
      machine_.handle_disconnected(now_, path);
    else
      machine_.handle_connected(now_, path);
  }

  /// The last request sent, with a response that fits it but for what the fuzzer writes into it.
  void answer() {
    if (requests_.empty()) return;
    auto response = requests_.back().bytes;
    response[0] |= 1;
    if (in_.u8() & 1) response[1] |= 0x10;
    const auto attributes = in_.bytes(200);
    response.resize(20);
    response.insert(response.end(), attributes.begin(), attributes.end());
    while (response.size() % 4 != 0) response.push_back(0);
    response[2] = static_cast<std::uint8_t>((response.size() - 20) >> 8);
    response[3] = static_cast<std::uint8_t>(response.size() - 20);
    deliver(requests_.back(), response);
  }

  /// Some request answered as it should be, or a peer's own check.
  void obey() {
    const std::uint8_t which = in_.u8();
    if (requests_.empty()) return;
    const request r = requests_[which % requests_.size()];
    if (which & 0x80) return check(r);
    const auto asked = weft::stun::message_view::parse(r.bytes);
    if (!asked) std::abort();
    std::array<std::uint8_t, 600> memory;
    const bool is_challenge =
        asked->type_method() != weft::stun::method::binding && !asked->username();
    weft::stun::message_builder b{
        memory,
        is_challenge ? weft::stun::message_class::error : weft::stun::message_class::success,
        asked->type_method(), asked->id()};
    if (is_challenge) {
      b.add_error(weft::stun::error_code::unauthenticated, "").add_realm("r").add_nonce("n");
    } else if (asked->type_method() == weft::stun::method::binding) {
      b.add_xor_mapped_address(at(1 + which % 5, 5000));
      if (asked->username())
        b.add_message_integrity(weft::stun::integrity_key::short_term(remote_.password));
    } else {
      b.add_xor_mapped_address(at(5, 5000));
      weft::turn::add_relayed_address(b, at(9, 50000u + which % 8));
      weft::turn::add_lifetime(b, std::chrono::seconds{which & 0x40 ? 30 : 600});
      if (which & 0x20) weft::turn::add_mobility_ticket(b, weft::const_bytes{memory}.first(8));
      b.add_message_integrity(
          *weft::stun::long_term_key("user", "r", "password", weft::stun::password_algorithm::md5));
    }
    deliver(r, b.finish());
  }

  /// A check of the peer's, on the path that a request took or from behind the same relay.
  void check(request to) {
    const std::uint8_t how = in_.u8();
    if (how & 1 && !to.behind_relay) to.behind_relay = at(4, 6000);
    std::array<std::uint8_t, 300> memory;
    weft::stun::message_builder b{
        memory, weft::stun::message_class::request, weft::stun::method::binding, {how}};
    b.add_username(machine_.local_credentials().ufrag + ":" + remote_.ufrag);
    b.add_u32(weft::stun::attribute_type::priority, 1u + how);
    b.add_u64(how & 2 ? weft::stun::attribute_type::ice_controlling
                      : weft::stun::attribute_type::ice_controlled,
              how);
    if (how & 4) b.add_flag(weft::stun::attribute_type::use_candidate);
    b.add_message_integrity(
        weft::stun::integrity_key::short_term(machine_.local_credentials().password));
    deliver(to, b.add_fingerprint().finish());
  }

  /// From where a request went, in the form that it went in.
  void deliver(const request& to, weft::const_bytes message) {
    std::array<std::uint8_t, 1200> memory;
    std::vector<std::uint8_t> bytes{message.begin(), message.end()};
    if (to.behind_relay) {
      weft::stun::message_builder b{
          memory, weft::stun::message_class::indication, weft::turn::methods::data, {}};
      weft::turn::add_peer_address(b, *to.behind_relay);
      weft::turn::add_data(b, message);
      const auto wrapped = b.finish();
      bytes.assign(wrapped.begin(), wrapped.end());
    }
    if (to.is_framed)
      bytes.insert(bytes.begin(), {static_cast<std::uint8_t>(bytes.size() >> 8),
                                   static_cast<std::uint8_t>(bytes.size())});
    machine_.handle_input(now_, to.path, bytes);
  }

  void inject() {
    const std::uint8_t what = in_.u8();
    const auto bytes = in_.bytes(200);
    if (what & 1 && !paths_.empty()) {
      machine_.handle_input(now_, paths_[what % paths_.size()], bytes);
    } else {
      machine_.handle_input(now_, at(1 + what % 3, 5000), what & 4 ? at(9, 3478) : at(4, 6000),
                            bytes);
    }
  }

  void send() {
    const auto pair = machine_.selected_pair();
    const five_tuple path =
        pair ? *pair : five_tuple{at(1, 5000), at(4, 6000), transport_protocol::udp};
    std::array<std::uint8_t, 300> buffer{};
    const auto room = machine_.room_for(path);
    const std::size_t size = in_.u8();
    const auto out = machine_.wrap(now_, path, buffer, size);
    if (out && (out->bytes.data() != buffer.data() || out->bytes.size() > buffer.size() ||
                out->bytes.size() < size))
      std::abort();
    if (out && room.before + size > buffer.size()) std::abort();
  }

  void drain() {
    std::array<std::uint8_t, weft::max_datagram_size> buffer;
    std::size_t sent = 0;
    while (const auto t = machine_.poll_transmit(now_, buffer)) {
      if (++sent > max_transmits_per_instant) std::abort();
      if (t->bytes.empty() || t->bytes.size() > buffer.size()) std::abort();
      remember({t->local, t->remote, t->protocol}, t->bytes);
    }
    while (const auto e = machine_.poll_event()) {
      if (const auto* wanted = std::get_if<ice_transport::connect>(&*e))
        paths_.push_back(wanted->path);
      if (const auto* shown = std::get_if<ice_transport::verify_server>(&*e))
        machine_.server_verified(now_, *shown, true);
    }
    if (paths_.size() > 64) paths_.erase(paths_.begin(), paths_.begin() + 32);
    while (machine_.receive()) {
    }
  }

  void remember(const five_tuple& path, weft::const_bytes bytes) {
    request r{path, {}, {}, false};
    auto message = weft::stun::message_view::parse(bytes);
    if (!message && path.protocol == transport_protocol::tcp && bytes.size() > 2) {
      r.is_framed = true;
      message = weft::stun::message_view::parse(bytes = bytes.subspan(2));
    }
    if (message && message->type_class() == weft::stun::message_class::indication) {
      r.behind_relay = weft::turn::find_peer_address(*message);
      bytes = weft::turn::find_data(*message).value_or(weft::const_bytes{});
      message = weft::stun::message_view::parse(bytes);
    }
    if (!message || message->type_class() != weft::stun::message_class::request) return;
    r.bytes.assign(bytes.begin(), bytes.end());
    requests_.push_back(std::move(r));
    if (requests_.size() > 32) requests_.pop_front();
  }

  void finish() {
    machine_.close(now_);
    for (int i = 0; i < 200; ++i) {
      drain();
      const auto next = machine_.poll_timeout();
      if (!next) return;
      now_ = std::max(now_, *next);
      machine_.handle_timeout(now_);
    }
    std::abort();  // It goes on for ever.
  }

  weft::fuzz::input in_;
  weft::seeded_random random_;
  ice_transport machine_;
  weft::time_point now_{};
  std::vector<five_tuple> paths_;
  std::deque<request> requests_;
  const weft::ice::credentials remote_{"remote", "remotepasswordremotepassword"};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  world{{data, size}}.run();
  return 0;
}
