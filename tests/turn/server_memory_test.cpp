#include "support/allocation_counter.hpp"
#include "turn/server_harness.hpp"

using namespace weft;
using namespace weft::server_test;
using namespace weft::turn;

TEST_SUITE("turn/server_memory") {
  TEST_CASE("an allocation with a permission and a channel costs less than 2 KiB in all") {
    for (const transport_protocol protocol : {transport_protocol::udp, transport_protocol::tcp}) {
      server::options opts;
      opts.allocations_per_user = 100'000;
      opts.allocations_per_source = 100'000;
      opts.max_audit_events = 0;
      turn_fixture t{opts};
      auto client = t.udp(1);
      std::int64_t before = 0;
      constexpr int count = 4000;
      const std::string name(40, 'u');  // As TURN REST makes them, about.
      t.users.set(name, "p");
      for (int i = -10; i < count; ++i) {
        if (i == 0) {
          t.opened = {};
          t.open = {};
          t.replies = {};
          before = test::heap_bytes();
        }
        const auto port = static_cast<std::uint16_t>(1000 + i);
        client =
            protocol == transport_protocol::udp ? t.udp(port, name, "p") : t.tcp(port, name, "p");
        t.next_port = static_cast<std::uint16_t>(2000 + i);
        REQUIRE(t.allocate(client) == 200);
        REQUIRE(t.bind(client, 0x4000, peer_a) == 200);
      }
      t.opened = {};
      t.open = {};
      t.replies = {};
      const auto each = (test::heap_bytes() - before) / count;
      MESSAGE("bytes per allocation: " << each);
      CHECK(each > 200);
      CHECK(each <= 2048);

      // And all of it comes back.
      t.wait(601s);
      t.wait(41s);
      t.closed = {};
      t.closed_streams = {};
      CHECK(t.server.usage().allocations == 0);
      CHECK(t.server.usage().streams == 0);
      CHECK((test::heap_bytes() - before) / count < 250);
    }
  }
}
