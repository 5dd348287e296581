#include <doctest/doctest.h>

#include <array>
#include <optional>
#include <string>
#include <vector>

#include <asio/ip/udp.hpp>

#include <weft/io/asio.hpp>
#include <weft/io/mdns_resolver.hpp>
#include <weft/io/mdns_responder.hpp>

#include "event_loop.hpp"

using namespace std::chrono_literals;
using udp = asio::ip::udp;
using weft::io::mdns_resolver;
using weft::io::mdns_responder;
namespace mdns = weft::io::mdns;

namespace {

const weft::ip_address here = *weft::ip_address::parse("192.0.2.9");

/// A port of this machine that nobody has.
weft::endpoint free_port(asio::io_context& context) {
  const udp::socket probe{context, {asio::ip::address_v4::loopback(), 0}};
  return weft::io::from_asio(probe.local_endpoint());
}

/// Stands in for the link: questions go to one address, and the answers for everybody too.
struct segment : weft::io::test::event_loop {
  weft::endpoint group = free_port(context);
};

}  // namespace

TEST_CASE("what the responder has, the resolver finds, and no longer when it is withdrawn") {
  segment l;
  mdns_responder responder{l.context.get_executor(), {.groups = {l.group}}};
  mdns_resolver resolver{l.context.get_executor(),
                         {.timeout = 100ms, .retry = 20ms, .groups = {l.group}}};
  REQUIRE(responder.add("1b2d3c4e.local", here));
  const auto find = [&](const char* name) {
    std::optional<std::vector<weft::ip_address>> found;
    resolver.resolve(name, [&](std::string_view, std::span<const weft::ip_address> a) {
      found.emplace(a.begin(), a.end());
    });
    REQUIRE(l.run_until([&] { return found.has_value(); }));
    return *found;
  };
  CHECK(find("1B2D3C4E.local") == std::vector{here});
  CHECK(find("other.local").empty());
  responder.remove("1b2d3c4e.local");
  CHECK(find("1b2d3c4e.local").empty());
}

TEST_CASE("names are bounded, and only local ones are answered for") {
  segment l;
  mdns_responder responder{l.context.get_executor(), {.max_names = 2, .groups = {l.group}}};
  CHECK_FALSE(responder.add("www.example.com", here));
  CHECK_FALSE(responder.add("none.local", {}));
  CHECK(responder.add("a.local", here));
  CHECK(responder.add("b.local", here));
  CHECK_FALSE(responder.add("c.local", here));
  responder.remove("a.local");
  CHECK(responder.add("c.local", here));
}

TEST_CASE("answers to single askers are bounded") {
  segment l;
  mdns_responder responder{l.context.get_executor(),
                           {.max_unicast_per_second = 3, .groups = {l.group}}};
  REQUIRE(responder.add("a.local", here));
  udp::socket asker{l.context, {asio::ip::address_v4::loopback(), 0}};
  std::array<std::uint8_t, mdns::max_query_size> buffer;
  const auto query = mdns::build_query("a.local", mdns::record_type::a, 7, buffer);
  REQUIRE(query.has_value());
  for (int i = 0; i < 10; ++i)
    asker.send_to(asio::buffer(query->data(), query->size()), weft::io::to_asio(l.group));
  REQUIRE(l.run_until([&] { return responder.stats().questions == 10; }));
  // A second may have begun in between.
  CHECK(responder.stats().unicast_sent >= 3);
  CHECK(responder.stats().unicast_sent <= 6);
  CHECK(responder.stats().unicast_sent + responder.stats().suppressed == 10);
}

TEST_CASE("what is no question costs nothing") {
  segment l;
  mdns_responder responder{l.context.get_executor(), {.groups = {l.group}}};
  REQUIRE(responder.add("a.local", here));
  udp::socket asker{l.context, {asio::ip::address_v4::loopback(), 0}};
  std::array<std::uint8_t, mdns::max_response_size> buffer;
  const auto response =
      mdns::build_response("a.local", here, 120, {.a = true}, mdns::audience::everybody, buffer);
  REQUIRE(response.has_value());
  asker.send_to(asio::buffer(response->data(), response->size()), weft::io::to_asio(l.group));
  asker.send_to(asio::buffer("x", 1), weft::io::to_asio(l.group));
  std::array<std::uint8_t, mdns::max_query_size> last;
  const auto query = mdns::build_query("a.local", mdns::record_type::aaaa, 7, last);
  asker.send_to(asio::buffer(query->data(), query->size()), weft::io::to_asio(l.group));
  REQUIRE(l.run_until([&] { return responder.stats().questions > 0; }));
  CHECK(responder.stats().questions == 1);
  CHECK(responder.stats().unicast_sent == 1);
}

TEST_CASE("a responder may be destroyed with names that are known, and the loop then ends") {
  segment l;
  std::optional<mdns_responder> responder;
  responder.emplace(l.context.get_executor(), mdns_responder::options{.groups = {l.group}});
  REQUIRE(responder->add("a.local", here));
  responder.reset();
  l.context.run();
}
