// Invariant: whatever commands a transport is given, whatever servers, peers and streams say to
// it, and whether anybody takes what it has to say or not: it does not crash, send
// without end or write past a buffer, and once closed it falls silent.
#include <array>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include <weft/peer/ice_transport.hpp>
#include <weft/stun/message.hpp>

namespace {

using weft::endpoint;
using weft::five_tuple;
using weft::transport_protocol;
using weft::peer::ice_transport;

constexpr std::size_t max_transmits_per_instant = 20'000;

/// The fuzzer's bytes as a list of decisions.
class decisions {
 public:
  explicit decisions(weft::const_bytes data) : in_{data} {}
  bool done() const { return in_.at_end(); }
  std::uint8_t next() { return in_.u8(); }
  weft::const_bytes bytes(std::size_t most) { return in_.bytes(std::min(most, in_.rest().size())); }

 private:
  weft::byte_reader in_;
};

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

class world {
 public:
  explicit world(weft::const_bytes data)
      : in_{data}, random_{1}, machine_{random_, make_options(in_.next())} {}

  void run() {
    while (!in_.done()) {
      const std::uint8_t what = in_.next();
      step(what);
      if ((what & 0x80) == 0) drain();  // Or not: nobody has to.
    }
    finish();
  }

 private:
  void step(std::uint8_t what) {
    switch (what & 0x0f) {
      case 0:
        (void)machine_.add_local_address(now_, at(1 + in_.next() % 3, 5000));
        return;
      case 1:
        (void)machine_.add_local_address(now_,
                                         {.base = at(1, 7000),
                                          .protocol = transport_protocol::tcp,
                                          .tcp = static_cast<weft::ice::tcp_type>(in_.next() % 3)});
        return;
      case 2:
        return machine_.remove_local_address(now_, at(1 + in_.next() % 3, 5000));
      case 3:
        return machine_.gather(now_);
      case 4:
        now_ += std::chrono::milliseconds{1u << (in_.next() % 18)};
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
        if (in_.next() % 4 == 0) machine_.restart(now_);
        return;
      case 13:
        return machine_.set_servers(now_, make_options(in_.next()).servers);
      case 14:
        if (in_.next() == 0xff) machine_.close(now_);
        return;
      default:
        return drain();
    }
  }

  void resolve() {
    const std::array<weft::ip_address, 1> found{at(9, 0).address};
    const bool is_found = in_.next() & 1;
    machine_.resolve(
        now_, "relay.example",
        is_found ? std::span<const weft::ip_address>{found} : std::span<const weft::ip_address>{});
  }

  void signal() {
    (void)machine_.set_remote_credentials(now_, {"remote", "remotepasswordremotepassword"});
    weft::ice::candidate c;
    c.foundation = "1";
    c.priority = 1u + in_.next();
    c.address = at(4, 6000);
    if (in_.next() & 1) {
      c.protocol = transport_protocol::tcp;
      c.tcp = static_cast<weft::ice::tcp_type>(in_.next() % 3);
    }
    (void)machine_.add_remote_candidate(now_, c);
  }

  void streams() {
    const std::uint8_t what = in_.next();
    const five_tuple accepted{at(1, 7000), at(4, 1000 + what % 8), transport_protocol::tcp};
    if (what & 0x40) return machine_.handle_connected(now_, accepted);
    if (paths_.empty()) return;
    const five_tuple path = paths_[what % paths_.size()];
    if (what & 0x20)
      machine_.handle_disconnected(now_, path);
    else
      machine_.handle_connected(now_, path);
  }

  /// The last request sent to a server, with a response that fits it but for what the fuzzer
  /// writes into it.
  void answer() {
    if (last_.empty()) return;
    auto response = last_;
    response[0] |= 1;
    if (in_.next() & 1) response[1] |= 0x10;
    const auto attributes = in_.bytes(200);
    response.resize(20);
    response.insert(response.end(), attributes.begin(), attributes.end());
    while (response.size() % 4 != 0) response.push_back(0);
    response[2] = static_cast<std::uint8_t>((response.size() - 20) >> 8);
    response[3] = static_cast<std::uint8_t>(response.size() - 20);
    machine_.handle_input(now_, last_path_, response);
  }

  void inject() {
    const std::uint8_t what = in_.next();
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
    const std::size_t size = in_.next();
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
      last_path_ = {t->local, t->remote, t->protocol};
      if (t->bytes.size() >= 20 && t->bytes[0] < 4) last_.assign(t->bytes.begin(), t->bytes.end());
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

  decisions in_;
  weft::seeded_random random_;
  ice_transport machine_;
  weft::time_point now_{};
  std::vector<five_tuple> paths_;
  std::vector<std::uint8_t> last_;
  five_tuple last_path_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  world{{data, size}}.run();
  return 0;
}
