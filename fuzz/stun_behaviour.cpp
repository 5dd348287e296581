// Invariants, whatever comes in and in whatever order:
// - the server answers from one of its sockets to the address that asked, with a well-formed
//   message of the same transaction; in all no more than 1.6 times what it got and its
//   allowance;
// - the client sends from one of its sockets, ends with one event after a bounded number of
//   requests, and is then silent.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

#include <weft/core/random.hpp>
#include <weft/stun/behaviour_client.hpp>
#include <weft/stun/behaviour_server.hpp>

namespace {

using namespace std::chrono_literals;
using namespace weft::stun;
using weft::endpoint;

void require(bool condition) {
  if (!condition) std::abort();
}

endpoint at(std::uint8_t last, std::uint16_t port) {
  return {weft::ip_address{std::array<std::uint8_t, 4>{192, 0, 2, last}}, port};
}

const endpoint server_one = at(1, 3478), server_two = at(2, 3479);
const endpoint local = at(9, 5000), helper = at(9, 5001);

// Two requests for each test at most, and halvings of five minutes down to a second.
constexpr std::uint64_t max_requests = 4 * (6 + 2 * 10);

class world {
 public:
  world(weft::byte_reader& in, std::uint8_t flags)
      : in_{in},
        server_{random_, server_options(flags)},
        client_{random_, server_one, client_options(flags)} {
    client_.start(now_);
  }

  void step() {
    switch (in_.u8() % 6) {
      case 0:
        now_ += std::chrono::milliseconds{in_.u16()};
        client_.handle_timeout(now_);
        break;
      case 1:
        if (const auto deadline = client_.poll_timeout()) {
          now_ = std::max(now_, *deadline);
          client_.handle_timeout(now_);
        }
        break;
      case 2:
        exchange();
        break;
      case 3:
        forge();
        break;
      case 4:
        serve(local, in_.bytes(std::min<std::size_t>(in_.u16(), in_.rest().size())));
        break;
      case 5:
        client_.handle_input(now_, local, in_.u8() % 2 == 0 ? server_one : server_two,
                             in_.bytes(std::min<std::size_t>(in_.u16(), in_.rest().size())));
        break;
    }
    if (client_.poll_event()) {
      require(!client_.poll_event() && !client_.poll_timeout());
      std::array<std::uint8_t, 256> buffer;
      require(!client_.poll_transmit(now_, buffer));
    }
    require(client_.stats().requests_sent <= max_requests);
  }

 private:
  static behaviour_server::options server_options(std::uint8_t flags) {
    behaviour_server::options o{.primary = server_one};
    if ((flags & 1) == 0) o.alternate = server_two;
    o.response_port = (flags & 2) == 0;
    return o;
  }
  static behaviour_client::options client_options(std::uint8_t flags) {
    behaviour_client::options o{.local = local};
    if ((flags & 4) == 0) o.helper = helper;
    if ((flags & 8) == 0) o.lifetime = behaviour_client::lifetime_options{};
    o.mapping = (flags & 16) == 0;
    o.filtering = (flags & 32) == 0;
    o.fingerprint = (flags & 64) != 0;
    return o;
  }

  // What the client has to say goes to the server, and mostly back.
  void exchange() {
    std::array<std::uint8_t, 256> buffer;
    const auto t = client_.poll_transmit(now_, buffer);
    if (!t) return;
    require(t->local == local || t->local == helper);
    last_.assign(t->bytes.begin(), t->bytes.end());
    const std::uint8_t fate = in_.u8();
    if (fate % 4 == 0) return;
    if (fate % 4 == 1) {
      client_.handle_input(now_, local, t->local, t->bytes);  // as a hairpin
      return;
    }
    serve(t->local, t->bytes);
  }

  // Something with the transaction ID that is awaited.
  void forge() {
    if (last_.size() < header_size) return;
    const std::size_t size = std::min<std::size_t>(in_.u8(), in_.rest().size()) & ~std::size_t{3};
    std::vector<std::uint8_t> message(last_.begin(), last_.begin() + header_size);
    const weft::const_bytes type = in_.bytes(2);
    if (type.size() == 2) std::ranges::copy(type, message.begin());
    const weft::const_bytes body = in_.bytes(std::min(size, in_.rest().size() & ~std::size_t{3}));
    message.insert(message.end(), body.begin(), body.end());
    message[2] = static_cast<std::uint8_t>(body.size() >> 8);
    message[3] = static_cast<std::uint8_t>(body.size());
    const std::uint8_t from = in_.u8();
    client_.handle_input(now_, (from & 1) != 0 ? helper : local,
                         at(static_cast<std::uint8_t>(1 + (from >> 1 & 1)),
                            static_cast<std::uint16_t>(3478 + (from >> 2 & 1))),
                         message);
  }

  void serve(const endpoint& from, weft::const_bytes bytes) {
    const auto sockets = server_.sockets();
    const endpoint to = sockets[in_.u8() % server_.socket_count()];
    std::array<std::uint8_t, 1472> buffer;
    received_ += bytes.size();
    const auto t = server_.respond(now_, to, from, bytes, buffer);
    if (!t) return;
    sent_ += t->bytes.size();
    const auto elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(now_ - start_);
    require(sent_ <=
            received_ * 8 / 5 + 4096 + static_cast<std::size_t>(elapsed.count()) * 512 / 1000 + 1);
    require(std::ranges::find(sockets, t->local) != sockets.end());
    require(t->remote.address == from.address);
    const auto request = message_view::parse(bytes);
    const auto response = message_view::parse(t->bytes);
    require(request && response && response->id() == request->id());
    client_.handle_input(now_, from, t->local, t->bytes);
  }

  weft::byte_reader& in_;
  weft::seeded_random random_{1};
  const weft::time_point start_{1h};
  weft::time_point now_{start_};
  behaviour_server server_;
  behaviour_client client_;
  std::vector<std::uint8_t> last_;
  std::size_t received_ = 0, sent_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  weft::byte_reader in{{data, size}};
  world w{in, in.u8()};
  while (!in.at_end()) w.step();
  return 0;
}
