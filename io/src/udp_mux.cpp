#include <weft/io/udp_mux.hpp>

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <weft/ice/ufrag.hpp>
#include <weft/io/asio.hpp>
#include <weft/stun/message.hpp>

#include "mux_fragments.hpp"

namespace weft::io {
namespace {

using transaction = std::array<std::uint8_t, 12>;

/// RFC 8489 §5: type, length, magic cookie, transaction id.
constexpr std::size_t header_size = 20;
constexpr std::uint16_t class_mask = 0x0110;
constexpr std::uint16_t request_class = 0x0000, success_class = 0x0100;

struct stun_header {
  std::uint16_t message_class;
  transaction id;
};

std::optional<stun_header> read_header(const_bytes datagram) {
  byte_reader in{datagram};
  const std::uint16_t type = in.u16();
  in.u16();
  const std::uint32_t cookie = in.u32();
  const const_bytes id = in.bytes(12);
  if (!in.ok() || (type & 0xc000) != 0 || cookie != 0x2112a442) return std::nullopt;
  stun_header out{static_cast<std::uint16_t>(type & class_mask), {}};
  std::ranges::copy(id, out.id.begin());
  return out;
}

}  // namespace

class udp_mux::state : public std::enable_shared_from_this<state> {
 public:
  state(udp_socket socket, const options& opts) : socket_{std::move(socket)}, options_{opts} {}

  void start() { wait(); }

  void close() { closed_ = true; }

  void join(member& m) { members_.try_emplace(&m); }

  void leave(member& m) {
    const auto at = members_.find(&m);
    if (at == members_.end()) return;
    for (const endpoint& address : at->second.addresses) addresses_.erase(address);
    for (const request& r : at->second.requests) requests_.erase(r.id);
    fragments_.release(m);
    members_.erase(at);
  }

  void claim(member& m, std::string_view fragment) { fragments_.claim(m, fragment); }

  std::size_t send(member& from, std::span<send_batch::run> runs) {
    for (const send_batch::run& r : runs) {
      const_bytes rest = r.bytes;
      while (rest.size() >= header_size) {
        note(from, r.remote, rest);
        rest = rest.subspan(std::min(rest.size(), r.segment_size));
      }
    }
    return socket_.send(runs);
  }

  udp_socket& socket() noexcept { return socket_; }
  const counters& stats() const noexcept { return stats_; }

 private:
  struct request {
    transaction id;
    endpoint to;
  };
  struct membership {
    std::deque<request> requests;
    std::deque<endpoint> addresses;
  };
  struct sent_request {
    member* from;
    endpoint to;
  };

  /// A request leaves: its answer is for the same member.
  void note(member& from, const endpoint& to, const_bytes datagram) {
    const auto header = read_header(datagram);
    if (!header || header->message_class != request_class) return;
    const auto at = members_.find(&from);
    if (at == members_.end()) return;
    // A retransmission, or somebody else's by a chance of 2^-96.
    if (!requests_.try_emplace(header->id, sent_request{&from, to}).second) return;
    auto& requests = at->second.requests;
    requests.push_back({header->id, to});
    if (requests.size() > options_.max_requests_per_member) {
      requests_.erase(requests.front().id);
      requests.pop_front();
    }
  }

  /// Nobody but who got the request can answer it, so the address is the member's from now on,
  /// unless it is somebody else's.
  void learn(member& m, const endpoint& from) {
    if (!addresses_.try_emplace(from, &m).second) return;
    auto& addresses = members_.at(&m).addresses;
    addresses.push_back(from);
    if (addresses.size() > options_.max_addresses_per_member) {
      addresses_.erase(addresses.front());
      addresses.pop_front();
    }
  }

  member* find(const endpoint& from, const_bytes datagram) {
    const auto header = read_header(datagram);
    if (header && header->message_class == request_class) {
      const auto fragment = ice::local_ufrag(datagram);
      member* const m = fragment ? fragments_.find(*fragment) : nullptr;
      if (m != nullptr) ++stats_.by_fragment;
      return m;
    }
    if (header) {
      if (const auto at = requests_.find(header->id); at != requests_.end()) {
        ++stats_.by_transaction;
        if (header->message_class == success_class && at->second.to == from)
          learn(*at->second.from, from);
        return at->second.from;
      }
    }
    const auto at = addresses_.find(from);
    if (at == addresses_.end()) return nullptr;
    ++stats_.by_address;
    return at->second;
  }

  void wait() {
    socket_.async_wait_readable([weak = weak_from_this()](std::error_code error) {
      const auto self = weak.lock();
      if (!self || self->closed_ || error) return;
      self->read();
      if (!self->closed_) self->wait();
    });
  }

  void read() {
    std::vector<member*> touched;
    {
      borrowed<receive_batch> batch;
      socket_.receive(*batch);
      const time_point now = io::now();
      batch->for_each([&](const endpoint& from, const_bytes datagram, traffic_class) {
        member* const m = find(from, datagram);
        if (m == nullptr) {
          ++stats_.dropped;
          return;
        }
        m->receive(now, from, datagram);
        if (std::ranges::find(touched, m) == touched.end()) touched.push_back(m);
      });
    }
    for (member* const m : touched)
      if (members_.contains(m)) m->after_read();
  }

  struct hash {
    std::size_t operator()(const transaction& id) const noexcept {
      return std::hash<std::string_view>{}(as_text(id));
    }
  };

  udp_socket socket_;
  options options_;
  std::map<member*, membership> members_;
  mux_fragments<member> fragments_;
  std::unordered_map<transaction, sent_request, hash> requests_;
  std::unordered_map<endpoint, member*> addresses_;
  counters stats_;
  bool closed_ = false;
};

result<udp_mux, std::error_code> udp_mux::open(const asio::any_io_executor& executor,
                                               const endpoint& local) {
  return open(executor, local, options{});
}

result<udp_mux, std::error_code> udp_mux::open(const asio::any_io_executor& executor,
                                               const endpoint& local, const options& opts) {
  auto socket = udp_socket::open(executor, local, opts.socket);
  if (!socket) return fail(socket.error());
  auto made = std::make_shared<state>(*std::move(socket), opts);
  made->start();
  return udp_mux{std::move(made)};
}

udp_mux::udp_mux(std::shared_ptr<state> s) : state_{std::move(s)} {}
udp_mux::udp_mux(udp_mux&&) noexcept = default;

udp_mux& udp_mux::operator=(udp_mux&& other) noexcept {
  if (state_) state_->close();
  state_ = std::move(other.state_);
  return *this;
}

udp_mux::~udp_mux() {
  if (state_) state_->close();
}

const endpoint& udp_mux::local() const noexcept {
  return state_->socket().local();
}
const udp_mux::counters& udp_mux::stats() const noexcept {
  return state_->stats();
}
void udp_mux::join(member& m) {
  state_->join(m);
}
void udp_mux::leave(member& m) {
  state_->leave(m);
}
void udp_mux::claim(member& m, std::string_view fragment) {
  state_->claim(m, fragment);
}
std::size_t udp_mux::send(member& from, std::span<send_batch::run> runs) {
  return state_->send(from, runs);
}
udp_socket& udp_mux::socket() noexcept {
  return state_->socket();
}

}  // namespace weft::io
