// Someone's program that took the format alone: one header, and no library to link.
#include <array>
#include <cstdio>

#include <weft/stun/message.hpp>

int main() {
  using namespace weft;
  std::array<std::uint8_t, 128> buffer{};
  const stun::transaction_id id{1, 2, 3};
  const endpoint seen{*ip_address::parse("2001:db8::1"), 4242};

  stun::message_builder builder{buffer, stun::message_class::success, stun::method::binding, id};
  builder.add_xor_mapped_address(seen);
  const auto message = stun::message_view::parse(builder.finish());
  if (!message || message->id() != id || message->xor_mapped_address() != seen) return 1;
  if (stun::message_view::parse(message->bytes().first(30))) return 2;
  std::puts("stun wire format: written and read back");
  return 0;
}
