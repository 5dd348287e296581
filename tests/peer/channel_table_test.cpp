#include <doctest/doctest.h>

#include <deque>

#include "../../peer/src/channel_table.hpp"
#include "support/sim.hpp"

using namespace std::chrono_literals;
using namespace weft::peer;

TEST_SUITE("peer/channel_table") {
  TEST_CASE(
      "RFC 6525 §4.4: a stream whose reset is denied ends its channel and is not used again") {
    weft::seeded_random random{1};
    weft::sctp::association ours{random, {}}, theirs{random, {}};
    weft::sim::network there{1}, back{2};
    ours.connect({});
    const auto now = weft::sim::run(ours, theirs, there, back, {}, 1s);
    REQUIRE(ours.state() == weft::sctp::association_state::established);

    std::deque<connection::event> events;
    channel_table channels{events, 10};
    channels.handle_connected(weft::dcep::role::dtls_client, 100);
    const auto first = *channels.create("first", {});
    channels.open_waiting(now, ours, 65536);
    const std::uint16_t stream = *channels.info(&ours, first)->options.id;
    channels.close(now, &ours, first);
    REQUIRE(channels.info(&ours, first)->state == data_channel_state::closing);

    events.clear();
    channels.handle_denied_reset({&stream, 1});
    REQUIRE(events.size() == 1);
    const auto* closed = std::get_if<connection::data_channel_closed>(&events[0]);
    REQUIRE(closed != nullptr);
    CHECK(closed->channel == first);
    CHECK_FALSE(closed->error.empty());

    const auto second = *channels.create("second", {});
    channels.open_waiting(now, ours, 65536);
    CHECK(channels.info(&ours, second)->state == data_channel_state::open);
    CHECK(channels.info(&ours, second)->options.id != stream);
  }
}
