// Operations over many clients, over datagrams and streams, with a driver that answers as it
// likes. Invariants, whatever comes and in whatever order:
// - what is relayed goes to a peer that the policy allows, or to a relay of the server, and from
//   a relay that is open; what comes from a relay goes to a client that has an allocation there;
// - the machine and its driver agree on which relays, streams and connections there are, and
//   nothing is closed twice;
// - replies are well formed, and go to who asked;
// - limits hold; and when everybody is gone and time has passed nothing is left.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include <weft/core/random.hpp>
#include <weft/stun/long_term_client.hpp>
#include <weft/stun/user_store.hpp>
#include <weft/turn/attributes.hpp>
#include <weft/turn/channel_data.hpp>
#include <weft/turn/server.hpp>

namespace {

using namespace weft;
using namespace weft::turn;

void require(bool condition) {
  if (!condition) std::abort();
}

ip_address ip(std::string_view text) {
  return *ip_address::parse(text);
}

const endpoint listener{ip("5.5.5.1"), 3478};
const ip_address relay_v4 = ip("5.5.5.2"), relay_v6 = ip("2a05::2");

// Reads the input as a list of choices; zeros when it has ended.
class choices {
 public:
  explicit choices(const_bytes data) : in_{data} {}
  bool at_end() const { return in_.at_end(); }
  unsigned below(unsigned count) { return in_.u8() % count; }
  std::uint8_t u8() { return in_.u8(); }
  std::uint16_t u16() { return in_.u16(); }
  std::uint32_t u32() { return in_.u32(); }
  const_bytes bytes(std::size_t most) {
    return in_.bytes(std::min<std::size_t>(in_.u8(), std::min(most, in_.rest().size())));
  }

 private:
  byte_reader in_;
};

server::options options_of(choices& in) {
  server::options o;
  o.authentication.realm = "w";
  const unsigned bits = in.u8();
  o.tcp_allocations = (bits & 1) == 0;
  o.mobility = (bits & 2) == 0;
  o.dont_fragment = (bits & 4) == 0;
  if ((bits & 8) != 0) o.families = {address_family::ipv4};
  if ((bits & 16) != 0) o.bandwidth_per_user = 10'000;
  o.peers = address_policy{{.allow = {*peer_rule::parse("10.0.0.0/8 80")},
                            .deny = {*peer_rule::parse("9.9.9.0/24 53")},
                            .own_endpoints = {listener}}};
  o.allocations_per_user = 6;
  o.max_allocations = 8;
  o.max_reservations = 2;
  o.permissions_per_allocation = 4;
  o.channels_per_allocation = 4;
  o.peer_connections_per_allocation = 3;
  o.max_streams = 4;
  o.max_idle_streams = 2;
  o.max_audit_events = 8;
  o.reply_buffer = 8192;
  return o;
}

struct fuzz_client {
  five_tuple path;
  stun::long_term_client auth;
  bool connected = false;
  std::map<stun::transaction_id, stun::long_term_attempt> attempts{};
};

class world {
 public:
  explicit world(choices& in)
      : in_{in}, options_{options_of(in)}, server_{options_, users_, random_} {
    users_.set("a", "pa");
    users_.set("b", "pb");
    for (std::uint16_t i = 0; i < 9; ++i) {
      const std::string name = i % 3 == 2 ? "b" : "a";
      const auto protocol = i < 5 ? transport_protocol::udp : transport_protocol::tcp;
      const ip_address from = i % 2 == 0 ? ip("7.7.7.7") : ip("2a00::7");
      clients_.push_back({{listener, {from, static_cast<std::uint16_t>(1000 + i)}, protocol},
                          stun::long_term_client{stun::password_credentials{name, "p" + name}}});
    }
  }

  void run() {
    while (!in_.at_end()) {
      operation();
      check();
    }
    finish();
  }

 private:
  void operation() {
    switch (in_.below(16)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return request(pick());
      case 4:
        return give(pick(), in_.bytes(200));
      case 5:
        return channel_data(pick());
      case 6:
        return send(pick());
      case 7:
        return relayed();
      case 8:
        return icmp();
      case 9:
        return pass_time();
      case 10:
        return answer_open();
      case 11:
        return connect(pick());
      case 12:
        return peer_connection();
      case 13:
        if (in_.below(32) == 0) server_.drain(now_, {listener});
        if (in_.below(16) == 0) server_.revoke(now_, in_.below(2) == 0 ? "a" : "b");
        return;
      case 14:
        return poll_events();
      default:
        return poll_transmits();
    }
  }

  fuzz_client& pick() { return clients_[in_.below(static_cast<unsigned>(clients_.size()))]; }

  endpoint any_peer() {
    static constexpr std::string_view addresses[] = {"9.9.9.9",          "8.8.8.8", "127.0.0.1",
                                                     "::ffff:127.0.0.1", "2a00::9", "10.0.0.1",
                                                     "5.5.5.2",          "5.5.5.1", "64:ff9b::1"};
    static constexpr std::uint16_t ports[] = {80, 53, 0, 3478, 50'000, 50'001, 50'002};
    const auto address = addresses[in_.below(static_cast<unsigned>(std::size(addresses)))];
    return {ip(address), ports[in_.below(static_cast<unsigned>(std::size(ports)))]};
  }

  void request(fuzz_client& c) {
    static constexpr stun::method kinds[] = {methods::allocate,          methods::refresh,
                                             methods::create_permission, methods::channel_bind,
                                             methods::connect,           methods::connection_bind,
                                             stun::method::binding,      stun::method{0x00f}};
    const stun::method method = kinds[in_.below(static_cast<unsigned>(std::size(kinds)))];
    stun::transaction_id id{};
    id[0] = in_.u8();  // Few, so that some come again.
    std::array<std::uint8_t, 1400> buffer{};
    stun::message_builder m{buffer, stun::message_class::request, method, id};
    if (method == methods::allocate && in_.below(8) != 0)
      add_requested_transport(m,
                              in_.below(3) == 0 ? relayed_transport::tcp : relayed_transport::udp);
    for (unsigned count = in_.below(5); count > 0; --count) attribute(m);
    auto& attempt = c.attempts[id] = {};
    c.auth.sign(m, attempt);
    if (in_.below(2) == 0) m.add_fingerprint();
    const const_bytes built = m.finish();
    std::vector<std::uint8_t> bytes{built.begin(), built.end()};
    if (!bytes.empty() && in_.below(8) == 0) bytes[in_.u16() % bytes.size()] ^= in_.u8();
    give(c, bytes);
  }

  void attribute(stun::message_builder& m) {
    switch (in_.below(16)) {
      case 0:
      case 1:
        add_peer_address(m, any_peer());
        break;
      case 2:
      case 3:
        add_channel_number(m, static_cast<std::uint16_t>(0x3fff + in_.below(6)));
        break;
      case 4:
        add_lifetime(m, std::chrono::seconds{in_.below(3) == 0 ? 0 : in_.u16()});
        break;
      case 5:
        add_requested_address_family(m, static_cast<address_family>(in_.below(4)));
        break;
      case 6:
        add_additional_address_family(m);
        break;
      case 7:
        add_even_port(m, in_.below(2) == 0 ? even_port::even : even_port::even_and_reserve_next);
        break;
      case 8:
        add_reservation_token(m, token_);
        break;
      case 9:
        add_dont_fragment(m);
        break;
      case 10:
        add_mobility_ticket(m, in_.below(2) == 0 ? const_bytes{} : const_bytes{ticket_});
        break;
      case 11:
        if (!connections_.empty())
          add_connection_id(m, static_cast<std::uint32_t>(any_connection()));
        break;
      default:
        m.add(static_cast<stun::attribute_type>(in_.u8()), in_.bytes(40));
    }
  }

  connection_id any_connection() {
    auto it = connections_.begin();
    std::advance(it, in_.below(static_cast<unsigned>(connections_.size())));
    return *it;
  }

  void give(fuzz_client& c, const_bytes bytes) {
    if (c.path.protocol == transport_protocol::udp) {
      if (const auto forward = server_.handle_input(now_, c.path, bytes)) check(*forward);
      return;
    }
    poll_events();
    if (!c.connected) return;
    const std::size_t cut = bytes.empty() ? 0 : in_.u8() % (bytes.size() + 1);
    for (const_bytes chunk : {bytes.first(cut), bytes.subspan(cut)}) {
      while (!chunk.empty() && c.connected) {
        const auto step = server_.handle_stream(now_, c.path, chunk);
        if (step.forward) check(*step.forward);
        require(step.consumed <= chunk.size());
        chunk = chunk.subspan(step.consumed);
        using next = server::stream_step::next;
        if (step.then == next::close) c.connected = false;
        if (step.then == next::joined) require(connections_.contains(step.connection));
        if (step.then != next::go_on) break;
        require(step.consumed > 0);
      }
    }
  }

  void channel_data(fuzz_client& c) {
    std::array<std::uint8_t, 64> buffer{};
    const const_bytes data = in_.bytes(56);
    write_channel_header(std::span{buffer}.first<4>(),
                         static_cast<std::uint16_t>(0x3fff + in_.below(6)),
                         static_cast<std::uint16_t>(data.size()));
    std::copy(data.begin(), data.end(), buffer.begin() + 4);
    const bool padded = c.path.protocol == transport_protocol::tcp;
    give(c, const_bytes{buffer}.first(4 + (padded ? stun::padded(data.size()) : data.size())));
  }

  void send(fuzz_client& c) {
    std::array<std::uint8_t, 200> buffer{};
    stun::message_builder m{buffer, stun::message_class::indication, methods::send, {}};
    add_data(add_peer_address(m, any_peer()), in_.bytes(40));
    if (in_.below(4) == 0) attribute(m);
    give(c, m.finish());
  }

  void check(const server::to_peer& f) {
    poll_events();  // What has been closed in the meantime is.
    require(open_.contains(f.relay));
    const bool is_relay = std::any_of(open_.begin(), open_.end(),
                                      [&](const auto& relay) { return relay.second == f.peer; });
    // A channel outlives the relay that it was bound to.
    const bool is_own = f.peer.address == relay_v4 || f.peer.address == relay_v6;
    require(is_relay || is_own || !options_.peers.refuses(f.peer.address, f.peer.port));
  }

  std::optional<relay_id> any_relay() {
    if (open_.empty()) return std::nullopt;
    auto it = open_.begin();
    std::advance(it, in_.below(static_cast<unsigned>(open_.size())));
    return it->first;
  }

  void relayed() {
    const auto relay = in_.below(8) == 0 ? relay_id{in_.u8(), in_.u8()} : any_relay();
    if (!relay) return;
    std::array<std::uint8_t, server::headroom> room{};
    const const_bytes data = in_.bytes(64);
    const auto out = server_.handle_relayed(now_, *relay, any_peer(), data, room);
    if (!out) return;
    require(out->payload.data() == data.data() && out->padding < 4);
    require(is_client(out->client));
    std::vector<std::uint8_t> whole{out->header.begin(), out->header.end()};
    whole.insert(whole.end(), data.begin(), data.end());
    whole.resize(whole.size() + out->padding);
    if (is_channel_data(whole)) {
      require(channel_data_view::parse(whole)->data.size() == data.size());
    } else {
      const auto m = stun::message_view::parse(whole);
      require(m && find_data(*m)->size() == data.size() && find_peer_address(*m));
    }
  }

  void icmp() {
    poll_events();
    const auto relay = any_relay();
    if (!relay) return;
    if (in_.below(16) == 0) {
      server_.relay_failed(now_, *relay);
      open_.erase(*relay);
      return;
    }
    server_.handle_icmp(now_, *relay, any_peer(), {in_.u8(), in_.u8(), in_.u32()});
  }

  void pass_time() {
    static constexpr int steps[] = {0, 1, 10, 29, 31, 41, 299, 301, 599, 601, 4000};
    const auto step =
        std::chrono::seconds{steps[in_.below(static_cast<unsigned>(std::size(steps)))]};
    now_ += in_.below(16) == 0 ? -step : step;
    if (in_.below(4) != 0) server_.handle_timeout(now_);
  }

  void answer_open() {
    poll_events();
    if (pending_.empty()) return;
    const server::open_relay e = pending_.front();
    pending_.erase(pending_.begin());
    if (in_.below(4) == 0) {
      server_.relay_failed(now_, e.relay);
      return;
    }
    if (e.even_port) next_port_ = static_cast<std::uint16_t>((next_port_ + 1) & ~1);
    const ip_address address = e.family == address_family::ipv4 ? relay_v4 : relay_v6;
    open_[e.relay] = {address, next_port_};
    server_.relay_opened(now_, e.relay, {address, next_port_++});
    if (e.next) open_[*e.next] = {address, next_port_++};
    if (next_port_ > 50'020) next_port_ = 50'000;
  }

  void connect(fuzz_client& c) {
    if (c.path.protocol != transport_protocol::tcp) return;
    poll_events();
    if (c.connected)
      server_.handle_disconnected(now_, c.path), c.connected = false;
    else
      c.connected = server_.handle_connected(now_, c.path);
  }

  void peer_connection() {
    poll_events();
    if (const auto relay = any_relay(); relay && in_.below(3) == 0) {
      if (const auto c = server_.peer_accepted(now_, *relay, any_peer()))
        require(connections_.insert(*c).second);
      return;
    }
    if (connections_.empty()) return;
    const connection_id c = any_connection();
    switch (in_.below(4)) {
      case 0:
      case 1:
        server_.peer_connected(now_, c);
        break;
      case 2:
        server_.peer_failed(now_, c);
        connections_.erase(c);
        break;
      default:
        server_.count_spliced(c, 10, 20);
    }
  }

  bool is_client(const five_tuple& path) const {
    return std::any_of(clients_.begin(), clients_.end(),
                       [&](const fuzz_client& c) { return c.path == path; });
  }

  void poll_transmits() {
    std::array<std::uint8_t, 1500> buffer;
    while (const auto t = server_.poll_transmit(now_, buffer)) {
      const five_tuple path{t->local, t->remote, t->protocol};
      const auto c = std::find_if(clients_.begin(), clients_.end(),
                                  [&](const fuzz_client& f) { return f.path == path; });
      require(c != clients_.end());
      const auto m = stun::message_view::parse(t->bytes);
      require(m.has_value());
      if (m->type_class() == stun::message_class::indication) continue;
      if (const auto token = find_reservation_token(*m)) token_ = *token;
      if (const auto ticket = find_mobility_ticket(*m))
        ticket_.assign(ticket->begin(), ticket->end());
      const auto attempt = c->attempts.find(m->id());
      if (attempt != c->attempts.end()) (void)c->auth.examine(*m, attempt->second);
    }
  }

  void poll_events() {
    while (const auto e = server_.poll_event())
      std::visit([&](const auto& what) { handle(what); }, *e);
  }
  void handle(const server::open_relay& e) { pending_.push_back(e); }
  void handle(const server::close_relay& e) {
    // The driver's answer may be under way, or that of the one it belongs to.
    if (open_.erase(e.relay) > 0) return;
    for (auto it = pending_.begin(); it != pending_.end(); ++it) {
      if (it->next == e.relay) {
        it->next.reset();
        return;
      }
      if (it->relay != e.relay) continue;
      if (it->next) orphans_.insert(*it->next);
      pending_.erase(it);
      return;
    }
    require(orphans_.erase(e.relay) > 0);
  }
  void handle(const server::connect_peer& e) { require(connections_.insert(e.connection).second); }
  void handle(const server::close_peer& e) { require(connections_.erase(e.connection) > 0); }
  void handle(const server::close_stream& e) {
    const auto c = std::find_if(clients_.begin(), clients_.end(),
                                [&](const fuzz_client& f) { return f.path == e.client; });
    require(c != clients_.end() && c->connected);
    c->connected = false;
  }
  template <class Audit>
  void handle(const Audit&) {}

  void check() {
    poll_events();
    const auto usage = server_.usage();
    require(usage.allocations <= options_.max_allocations);
    require(usage.reservations <= options_.max_reservations);
    require(usage.streams <= options_.max_streams);
    require(usage.idle_streams <= options_.max_idle_streams);
    std::size_t relays = open_.size();
    for (const auto& e : pending_) relays += e.next ? 2 : 1;
    require(usage.relays == relays);
    require(usage.peer_connections == connections_.size());
    const auto connected = std::count_if(clients_.begin(), clients_.end(),
                                         [](const fuzz_client& c) { return c.connected; });
    require(usage.streams == static_cast<std::size_t>(connected));
  }

  void finish() {
    for (fuzz_client& c : clients_) {
      if (c.connected) server_.handle_disconnected(now_, c.path);
      c.connected = false;
      poll_events();
    }
    for (int i = 0; i < 10; ++i) {
      now_ += std::chrono::hours{2};
      server_.handle_timeout(now_);
      poll_events();
      poll_transmits();
    }
    const auto usage = server_.usage();
    require(usage.allocations == 0 && usage.users == 0 && usage.relays == 0 &&
            usage.reservations == 0 && usage.streams == 0 && usage.peer_connections == 0);
    require(open_.empty() && pending_.empty() && connections_.empty() && orphans_.empty());
    require(!server_.poll_timeout());
  }

  choices& in_;
  seeded_random random_{1};
  stun::password_users users_{"w"};
  server::options options_;
  server server_;
  time_point now_{std::chrono::hours{100}};
  std::vector<fuzz_client> clients_;
  std::vector<server::open_relay> pending_;
  std::map<relay_id, endpoint> open_;
  std::set<relay_id> orphans_;
  std::set<connection_id> connections_;
  std::uint16_t next_port_ = 50'000;
  reservation_token token_{};
  std::vector<std::uint8_t> ticket_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  choices in{{data, size}};
  world{in}.run();
  return 0;
}
