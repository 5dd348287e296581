#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <asio/io_context.hpp>

#include <weft/io/asio.hpp>
#include <weft/io/network_monitor.hpp>

#include "authority.hpp"

using namespace std::chrono_literals;
using weft::ice::network_kind;
using weft::io::network_address;
using weft::io::network_monitor;

namespace {

weft::ip_address address(const char* text) {
  return *weft::ip_address::parse(text);
}

/// What the machine has.
struct machine {
  network_monitor::options options() {
    return {.list = [this] { return now; }};
  }
  std::vector<network_address> now{{address("192.0.2.1")}};
};

}  // namespace

TEST_CASE("the handler hears of all addresses when some come or go, and of nothing else") {
  asio::io_context context;
  machine m;
  std::vector<std::vector<network_address>> heard;
  network_monitor monitor{context.get_executor(), m.options(),
                          [&](const auto& all) { heard.push_back(all); }};
  CHECK(monitor.addresses() == m.now);
  monitor.look();
  context.poll();
  CHECK(heard.empty());

  m.now.push_back({address("2001:db8::1")});
  monitor.look();
  CHECK(heard.empty());  // Not from within the call.
  m.now.erase(m.now.begin());
  monitor.look();
  context.poll();
  REQUIRE(heard.size() == 1);  // Two changes, one call with what there is.
  CHECK(heard[0] == m.now);

  m.now[0].preferred = false;
  monitor.look();
  context.poll();
  CHECK(heard.size() == 2);
}

TEST_CASE("a monitor may be destroyed in its handler") {
  asio::io_context context;
  machine m;
  std::optional<network_monitor> monitor;
  int calls = 0;
  monitor.emplace(context.get_executor(), m.options(), [&](const auto&) {
    ++calls;
    monitor.reset();
  });
  m.now.clear();
  monitor->look();
  context.run();  // Ends: nothing is waited for any more.
  CHECK(calls == 1);
}

TEST_CASE("loopback is there if asked for, as what it is") {
  const auto all = weft::io::network_addresses({.kinds = {.loopback = true}});
  const auto at = std::ranges::find(all, address("127.0.0.1"), &network_address::address);
  REQUIRE(at != all.end());
  CHECK(at->network.kind == network_kind::loopback);
  CHECK(at->network.id != 0);
  CHECK_FALSE(at->network.interface_name.empty());
  CHECK(at->preferred);

  const auto without = weft::io::network_addresses({});
  CHECK(std::ranges::none_of(without, [](const auto& a) { return a.address.is_loopback(); }));
}

TEST_CASE("interfaces and addresses can be filtered") {
  const auto count = [](weft::ice::address_filter filter) {
    return weft::io::network_addresses({.kinds = {.loopback = true}, .filter = std::move(filter)})
        .size();
  };
  const std::size_t all = count({});
  REQUIRE(all > 0);
  CHECK(count({.denied_interfaces = {"*"}}) == 0);
  CHECK(count({.denied_interfaces = {"lo"}}) < all);
  CHECK(count({.allowed = {*weft::ice::address_prefix::parse("127.0.0.0/8")}}) == 1);
  CHECK(count({.denied = {*weft::ice::address_prefix::parse("127.0.0.0/8")}}) == all - 1);
}

TEST_CASE("an interface is what the system says it is, or what its name says") {
  const weft::io::test::scratch_folder sys;
  const auto kind = [&](const char* name) { return weft::io::kind_of_interface(name, sys.path()); };
  sys.write("lo/type", "772\n");
  sys.write("anything0/uevent", "INTERFACE=anything0\nDEVTYPE=wlan\n");
  sys.write("modem0/uevent", "DEVTYPE=wwan\n");
  sys.write("office/uevent", "DEVTYPE=wireguard\n");
  sys.write("work/tun_flags", "0x1001\n");
  sys.write("lan/uevent", "DEVTYPE=bridge\n");
  sys.write("port1/type", "1\n");
  sys.write("port1/device/vendor", "0x8086\n");
  sys.write("port2/type", "1\n");
  CHECK(kind("lo") == network_kind::loopback);
  CHECK(kind("anything0") == network_kind::wifi);
  CHECK(kind("modem0") == network_kind::cellular);
  CHECK(kind("office") == network_kind::vpn);
  CHECK(kind("work") == network_kind::vpn);
  CHECK(kind("lan") == network_kind::virtual_);
  CHECK(kind("port1") == network_kind::ethernet);
  CHECK(kind("port2") == network_kind::unknown);

  CHECK(kind("enp3s0") == network_kind::ethernet);
  CHECK(kind("wlp2s0") == network_kind::wifi);
  CHECK(kind("docker0") == network_kind::virtual_);
  CHECK(kind("utun3") == network_kind::vpn);
  CHECK(kind("tailscale0") == network_kind::vpn);
}
