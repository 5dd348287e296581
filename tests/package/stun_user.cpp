// Someone's program that took weft::stun: a client asks a server, in one process.
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <variant>

#include <weft/core/random.hpp>
#include <weft/stun/binding_client.hpp>
#include <weft/stun/binding_server.hpp>

int main() {
  using namespace weft;
  const time_point now{std::chrono::seconds{1}};
  const endpoint us{*ip_address::parse("192.0.2.1"), 5000};
  const endpoint them{*ip_address::parse("198.51.100.1"), 3478};

  seeded_random random{1};
  stun::binding_client client{random, them};
  stun::binding_server server;
  std::array<std::uint8_t, 1200> request;
  std::array<std::uint8_t, 1200> response;

  client.start(now);
  const auto sent = client.poll_transmit(now, request);
  if (!sent) return 1;
  const auto answer = server.respond(us, sent->bytes, response);
  if (!answer || !client.handle_input(now, them, *answer)) return 2;
  const auto event = client.poll_event();
  if (!event) return 3;
  const auto* const found = std::get_if<stun::binding_client::address_discovered>(&*event);
  if (found == nullptr || found->reflexive != us) return 4;
  std::puts("stun: found our own address");
  return 0;
}
