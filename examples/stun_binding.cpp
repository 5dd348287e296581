// Asks a STUN server which address it sees us at. The server is here too, on loopback;
// give the address and port of another to ask that one instead.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <variant>

#include <asio/io_context.hpp>

#include <weft/io/system_random.hpp>
#include <weft/io/udp_driver.hpp>
#include <weft/stun/binding_client.hpp>
#include <weft/stun/binding_server.hpp>

namespace {

/// Answers one request after the other.
class server {
 public:
  explicit server(asio::io_context& context)
      : socket_{context, {asio::ip::address_v4::loopback(), 0}} {
    receive();
  }
  weft::endpoint address() const { return weft::io::from_asio(socket_.local_endpoint()); }

 private:
  void receive() {
    socket_.async_receive_from(asio::buffer(in_), from_, [this](std::error_code e, std::size_t n) {
      if (e) return;
      std::array<std::uint8_t, 128> out;
      if (const auto reply = binding_.respond(weft::io::from_asio(from_), {in_.data(), n}, out))
        socket_.send_to(asio::buffer(reply->data(), reply->size()), from_);
      receive();
    });
  }

  asio::ip::udp::socket socket_;
  asio::ip::udp::endpoint from_;
  std::array<std::uint8_t, 1500> in_;
  weft::stun::binding_server binding_;
};

}  // namespace

int main(int argc, char** argv) {
  using weft::stun::binding_client;
  asio::io_context context;
  server own{context};
  weft::endpoint target = own.address();
  if (argc == 3) {
    const auto address = weft::ip_address::parse(argv[1]);
    if (!address) return 2;
    target = {*address, static_cast<std::uint16_t>(std::atoi(argv[2]))};
  }

  weft::io::system_random random;
  binding_client client{random, target};
  int status = 1;
  weft::io::udp_driver driver{
      context.get_executor(), client, [&](weft::time_point) {
        const auto event = client.poll_event();
        if (!event) return;
        if (const auto* found = std::get_if<binding_client::address_discovered>(&*event)) {
          std::printf("seen at %s\n", to_string(found->reflexive).c_str());
          status = 0;
        } else {
          std::printf("%s did not help\n", to_string(target).c_str());
        }
        context.stop();
      }};
  const char* const any = target.address.is_v4() ? "0.0.0.0" : "::";
  if (!driver.open({*weft::ip_address::parse(target.address.is_loopback() ? "127.0.0.1" : any), 0}))
    return 1;
  client.start(weft::io::now());
  driver.wake();
  context.run();
  return status;
}
