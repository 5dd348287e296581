// The example of io/README.md, word for word between the two lines.
#include <doctest/doctest.h>

#include <string>

// ---- README
#include <asio/io_context.hpp>

#include <weft/io/peer_runner.hpp>
#include <weft/io/system_random.hpp>

/// Calls `echoed` with what a peer in this process sends back.
template <class Echoed>
void say_hello(asio::io_context& context, Echoed echoed) {
  using weft::peer::connection;
  weft::io::system_random random;
  const auto make_peer = [&] {
    auto certificate = weft::dtls::certificate::generate({.now = std::chrono::system_clock::now()});
    return *weft::io::peer_runner::create(context.get_executor(), random, *std::move(certificate),
                                          {.local = {{*weft::ip_address::parse("127.0.0.1"), 0}}});
  };
  weft::io::peer_runner alice = make_peer(), bob = make_peer();
  const auto describe = [](auto& from, auto& to) {
    return from.with([](connection& c, auto now) { return c.set_local_description(now); }) &&
           to.with([&](connection& c, auto now) {
             return c.set_remote_description(now, *from.connection().local_description());
           });
  };

  const auto chat =
      alice.with([](connection& c, auto now) { return c.create_data_channel(now, "chat"); });
  alice.on_event([&](const connection::event& e) {
    if (std::holds_alternative<connection::data_channel_opened>(e))
      (void)alice.with([&](connection& c, auto now) { return c.send(now, *chat, "hello"); });
  });
  alice.on_message([&](const weft::peer::data_channel_message& m) {
    echoed(weft::as_text(m.payload));
    context.stop();
  });
  bob.on_message([&](const weft::peer::data_channel_message& m) {
    (void)bob.with([&](connection& c, auto now) {
      return c.send(now, m.channel, m.kind, {m.payload.begin(), m.payload.end()});
    });
  });
  if (describe(alice, bob) && describe(bob, alice)) context.run();
}
// ---- README

TEST_CASE("the example of the README says hello and hears it") {
  asio::io_context context;
  std::string heard;
  say_hello(context, [&](std::string_view text) { heard = text; });
  CHECK(heard == "hello");
}
