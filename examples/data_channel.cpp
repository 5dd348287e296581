// Two peers in one process: one opens a data channel and says hello, the other echoes.
#include <cstdio>
#include <cstdlib>

#include <asio/io_context.hpp>

#include <weft/io/peer_runner.hpp>
#include <weft/io/system_random.hpp>

using weft::io::peer_runner;
using weft::peer::connection;

namespace {

/// The value, or the end of the program: an example has nobody to ask.
template <class T, class E>
T must(weft::result<T, E> r) {
  if (!r) std::exit(1);
  if constexpr (!std::is_void_v<T>) return *std::move(r);
}

}  // namespace

int main() {
  asio::io_context context;
  weft::io::system_random random;
  const auto make_peer = [&] {
    auto certificate =
        must(weft::dtls::certificate::generate({.now = std::chrono::system_clock::now()}));
    return must(peer_runner::create(context.get_executor(), random, std::move(certificate),
                                    {.local = {{*weft::ip_address::parse("127.0.0.1"), 0}}}));
  };
  peer_runner alice = make_peer(), bob = make_peer();

  const auto chat =
      must(alice.with([](connection& c, auto now) { return c.create_data_channel(now, "chat"); }));
  alice.on_event([&](const connection::event& e) {
    if (std::holds_alternative<connection::data_channel_opened>(e))
      must(alice.with([&](connection& c, auto now) { return c.send(now, chat, "hello"); }));
  });
  alice.on_message([&](const weft::peer::data_channel_message& m) {
    std::printf("bob sent back: %.*s\n", static_cast<int>(m.payload.size()),
                weft::as_text(m.payload).data());
    context.stop();
  });
  bob.on_message([&](const weft::peer::data_channel_message& m) {
    must(bob.with([&](connection& c, auto now) {
      return c.send(now, m.channel, m.kind, {m.payload.begin(), m.payload.end()});
    }));
  });

  // Signalling: here a function call, elsewhere whatever carries two texts.
  must(alice.with([](connection& c, auto now) { return c.set_local_description(now); }));
  must(bob.with([&](connection& c, auto now) {
    return c.set_remote_description(now, *alice.connection().local_description());
  }));
  must(bob.with([](connection& c, auto now) { return c.set_local_description(now); }));
  must(alice.with([&](connection& c, auto now) {
    return c.set_remote_description(now, *bob.connection().local_description());
  }));
  context.run();
}
