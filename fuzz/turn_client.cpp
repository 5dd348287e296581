// A client and a server that the input plays: it answers requests well, badly and not at all,
// sends data and rubbish, and lets time pass.
//
// Invariants: no call fails or hangs; what is sent is STUN or ChannelData and well formed; in one
// instant a client sends no more than a bound; what it relays to a peer is unwrapped as it was;
// received data lies in what came last, or in the client, and comes from a peer with permission;
// after a deadline and all polls the next one lies ahead; what waits stays bounded.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <vector>

#include <weft/stun/long_term.hpp>
#include <weft/turn/client.hpp>

#include "input.hpp"

namespace {

using namespace weft;
using namespace std::chrono_literals;

void require(bool condition) {
  if (!condition) std::abort();
}

const endpoint server{ip_address{std::array<std::uint8_t, 4>{203, 0, 113, 7}}, 3478};

endpoint peer(std::uint8_t n) {
  if (n % 8 == 7) {
    std::array<std::uint8_t, 16> octets{0x20, 0x01};
    octets[15] = n;
    return {ip_address{octets}, n};
  }
  return {ip_address{std::array<std::uint8_t, 4>{198, 51, 100, static_cast<std::uint8_t>(n / 2)}},
          static_cast<std::uint16_t>(1 + n % 2)};
}

turn::client::options make_options(std::uint8_t how) {
  turn::client::options o;
  o.credentials = stun::password_credentials{"u", "p"};
  if (how & 1) o.transport = transport_protocol::tcp;
  if (how & 2) o.families = turn::client::families::both;
  if (how & 4) o.mobility = true;
  if (how & 8) o.dont_fragment = true;
  if (how & 16) o.channels = turn::client::channel_use::on_request;
  if ((how & 33) == 33) o.relayed = turn::relayed_transport::tcp;
  if (how & 64) o.fingerprint = true;
  if (how & 128) o.even_port = turn::even_port::even_and_reserve_next;
  o.max_permissions = 6;
  o.max_channels = 5;
  o.max_transactions = 3;
  o.max_frame = 2000;
  o.max_peer_events = 4;
  return o;
}

class run {
 public:
  run(fuzz::input in, std::uint8_t how)
      : in_{in},
        is_stream_{(how & 1) != 0},
        client_{random_, server, make_options(how)},
        key_{*stun::long_term_key("u", "r", "p", stun::password_algorithm::md5)} {}

  void go() {
    for (int steps = 0; !in_.empty() && steps < 500; ++steps) step();
    for (int i = 0; i < 50; ++i) wait();
  }

 private:
  void step() {
    const std::uint8_t op = in_.u8();
    const std::uint8_t argument = op >> 4;
    switch (op & 15) {
      case 0:
        client_.allocate(now_);
        requests_.clear();
        break;
      case 1:
        (void)client_.create_permission(now_, peer(argument).address);
        break;
      case 2:
        (void)client_.bind_channel(now_, peer(argument));
        break;
      case 3:
        client_.release(now_, peer(argument).address);
        break;
      case 4:
        send(peer(argument));
        break;
      case 5:
        drain();
        break;
      case 6:
        succeed(argument);
        break;
      case 7:
        refuse(argument);
        break;
      case 8:
        relay(argument);
        break;
      case 9:
        now_ += std::chrono::milliseconds{in_.u8()} * (argument * argument * argument);
        client_.handle_timeout(now_);
        break;
      case 10:
        wait();
        break;
      case 11:
        (void)client_.connect(now_, peer(argument));
        break;
      case 12:
        if (argument < 8) (void)client_.move(now_);
        if (argument == 8) client_.handle_disconnected(now_);
        if (argument > 8)
          client_.set_credentials(now_, stun::password_credentials{"u", argument & 1 ? "p" : "q"});
        break;
      case 13:
        if (argument == 0) client_.close(now_);
        break;
      case 14:
        deliver(in_.bytes(in_.u8()));
        break;
      case 15:
        mangle(argument);
        break;
    }
    collect_events();
  }

  // Sending

  void drain() {
    std::array<std::uint8_t, max_datagram_size> buffer;
    int sent = 0;
    while (const auto t = client_.poll_transmit(now_, buffer)) {
      require(++sent < 200);
      const auto message = stun::message_view::parse(t->bytes);
      require(message.has_value() && t->bytes.data() == buffer.data());
      if (message->type_class() != stun::message_class::request) continue;
      requests_.emplace_back(t->bytes.begin(), t->bytes.end());
      if (requests_.size() > 8) requests_.pop_front();
    }
  }

  void send(const endpoint& to) {
    const std::size_t size = in_.u8() * 3u;
    const std::size_t offset = in_.u8();
    std::vector<std::uint8_t> buffer(std::size_t{in_.u8()} * 4);
    const std::size_t room = client_.headroom(to);
    require(room <= turn::client::max_headroom);
    for (std::size_t i = 0; i < size && offset + i < buffer.size(); ++i)
      buffer[offset + i] = static_cast<std::uint8_t>(i);
    const auto message = client_.encapsulate(now_, to, buffer, offset, size);
    if (!message) return;
    require(message->data() == buffer.data());
    const_bytes data;
    if (const auto channel = turn::channel_data_view::parse(*message)) {
      require(client_.channel(to) == channel->channel && room == 4);
      data = channel->data;
    } else {
      const auto view = stun::message_view::parse(*message);
      require(view.has_value() && turn::find_peer_address(*view) == to && turn::find_data(*view));
      data = *turn::find_data(*view);
    }
    require(!is_stream_ || message->size() % 4 == 0);
    require(data.size() == size);
    for (std::size_t i = 0; i < size; ++i) require(data[i] == static_cast<std::uint8_t>(i));
    require(client_.is_allocated() && (client_.channel(to) || client_.has_permission(to.address)));
  }

  // Answering

  template <class Add>
  void answer(stun::message_class c, std::uint8_t how, Add add) {
    if (requests_.empty()) return;
    const auto request = stun::message_view::parse(requests_.back());
    std::array<std::uint8_t, 1400> memory;
    stun::message_builder b{memory, c, request->type_method(), request->id()};
    const bool is_signed = request->username().has_value();
    if (c == stun::message_class::success || is_signed) add(b, *request);
    if (is_signed && (how & 1) == 0) b.add_message_integrity(key_);
    const const_bytes bytes = b.finish();
    if ((how & 8) == 0) requests_.pop_back();
    deliver(std::vector<std::uint8_t>(bytes.begin(), bytes.end()));
  }

  void succeed(std::uint8_t how) {
    if (requests_.empty()) return;
    if (!stun::message_view::parse(requests_.back())->username()) return challenge();
    const std::uint8_t wishes = in_.u8();
    answer(stun::message_class::success, how, [&](auto& b, const stun::message_view& request) {
      if (request.type_method() == turn::methods::allocate) {
        b.add_xor_mapped_address(peer(2));
        if ((wishes & 1) == 0) turn::add_relayed_address(b, {server.address, 50000});
        if (wishes & 2) turn::add_relayed_address(b, {peer(7).address, 50000});
        if (wishes & 4)
          turn::add_address_error(b, turn::address_family::ipv6,
                                  turn::errors::insufficient_capacity);
      }
      if ((wishes & 8) == 0) turn::add_lifetime(b, std::chrono::seconds{wishes * 10});
      if (wishes & 16) turn::add_mobility_ticket(b, requests_.front());
      if ((wishes & 32) == 0) turn::add_connection_id(b, wishes);
      if (wishes & 64) turn::add_reservation_token(b, {});
    });
  }

  void challenge() {
    const auto request = stun::message_view::parse(requests_.back());
    std::array<std::uint8_t, 200> memory;
    stun::message_builder b{memory, stun::message_class::error, request->type_method(),
                            request->id()};
    b.add_error(stun::error_code::unauthenticated, "").add_realm("r").add_nonce("n");
    const const_bytes bytes = b.finish();
    requests_.pop_back();
    deliver(std::vector<std::uint8_t>(bytes.begin(), bytes.end()));
  }

  void refuse(std::uint8_t how) {
    constexpr std::uint16_t codes[] = {300, 400, 401, 403, 405, 420, 437, 438,
                                       440, 441, 443, 446, 447, 486, 500, 508};
    const std::uint8_t which = in_.u8();
    answer(stun::message_class::error, how, [&](auto& b, const stun::message_view&) {
      b.add_error(static_cast<stun::error_code>(codes[which & 15]), "no");
      if (which & 16) b.add_realm("r").add_nonce(which & 32 ? "m" : "n");
      if (which & 64) b.add_alternate_server(peer(which & 3));
      const stun::attribute_type unknown[] = {turn::attributes::dont_fragment};
      if (which & 128) b.add_unknown_attributes(unknown);
    });
  }

  // Data and rubbish

  void relay(std::uint8_t how) {
    std::array<std::uint8_t, 1400> memory;
    const const_bytes payload = in_.bytes(how * 5u);
    if (how & 1) {
      const std::size_t size = turn::channel_header_size + payload.size();
      turn::write_channel_header(std::span{memory}.first<4>(),
                                 static_cast<std::uint16_t>(turn::first_channel + (how >> 1)),
                                 static_cast<std::uint16_t>(payload.size()));
      std::copy(payload.begin(), payload.end(), memory.begin() + 4);
      std::fill_n(memory.begin() + static_cast<std::ptrdiff_t>(size), 3, std::uint8_t{0});
      deliver(const_bytes{memory}.first(is_stream_ ? stun::padded(size) : size));
      return;
    }
    stun::message_builder b{memory,
                            stun::message_class::indication,
                            how == 2 ? turn::methods::connection_attempt : turn::methods::data,
                            {}};
    turn::add_peer_address(b, peer(how));
    if (how == 2) turn::add_connection_id(b, 9);
    if (how == 4) {
      turn::add_icmp(b, {3, 3, 0});
    } else {
      turn::add_data(b, payload);
    }
    deliver(b.finish());
  }

  void mangle(std::uint8_t how) {
    if (last_.empty()) return;
    std::vector<std::uint8_t> bytes = last_;
    bytes[in_.u8() % bytes.size()] = in_.u8();
    if (how & 1) bytes.resize(bytes.size() / 2);
    deliver(bytes);
  }

  void deliver(const_bytes bytes) {
    last_.assign(bytes.begin(), bytes.end());
    const std::uint64_t before = client_.stats().datagrams_received;
    client_.handle_input(now_, last_);
    std::uint64_t got = 0;
    while (const auto data = client_.receive()) {
      ++got;
      require(data->peer.address.is_v4() || data->peer.address.is_v6());
      if (is_stream_) continue;
      require(data->bytes.empty() ||
              (data->bytes.data() >= last_.data() &&
               data->bytes.data() + data->bytes.size() <= last_.data() + last_.size()));
    }
    require(client_.stats().datagrams_received == before + got);
    require(is_stream_ || got <= 1);
  }

  // Time and events

  void wait() {
    client_.handle_timeout(now_);  // An answer may have come too late to be of use.
    drain();
    collect_events();
    const auto deadline = client_.poll_timeout();
    if (!deadline) return;
    require(*deadline > now_);
    now_ = *deadline;
    client_.handle_timeout(now_);
  }

  void collect_events() {
    int events = 0;
    while (client_.poll_event()) require(++events < 200);
  }

  fuzz::input in_;
  bool is_stream_;
  seeded_random random_{1};
  turn::client client_;
  stun::integrity_key key_;
  time_point now_{};
  std::deque<std::vector<std::uint8_t>> requests_;
  std::vector<std::uint8_t> last_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::input in{{data, size}};
  const std::uint8_t how = in.u8();
  run{in, how}.go();
  return 0;
}
