#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include <sys/stat.h>

#include <weft/io/network_monitor.hpp>

#include "interface_list.hpp"

namespace weft::io {
namespace {

using ice::network_kind;

bool exists(const std::string& path) {
  struct stat found;
  return stat(path.c_str(), &found) == 0;
}

std::string line_with(const std::string& path, std::string_view beginning) {
  std::ifstream file{path};
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(beginning)) return line.substr(beginning.size());
  return {};
}

/// What is not in sysfs, or not on Linux.
network_kind kind_by_name(std::string_view name) {
  struct prefix {
    std::string_view text;
    network_kind kind;
  };
  static constexpr prefix prefixes[] = {
      {"docker", network_kind::virtual_}, {"br-", network_kind::virtual_},
      {"veth", network_kind::virtual_},   {"virbr", network_kind::virtual_},
      {"vmnet", network_kind::virtual_},  {"vboxnet", network_kind::virtual_},
      {"cni", network_kind::virtual_},    {"flannel", network_kind::virtual_},
      {"tun", network_kind::vpn},         {"tap", network_kind::vpn},
      {"utun", network_kind::vpn},        {"wg", network_kind::vpn},
      {"ipsec", network_kind::vpn},       {"ppp", network_kind::vpn},
      {"tailscale", network_kind::vpn},   {"wwan", network_kind::cellular},
      {"rmnet", network_kind::cellular},  {"wl", network_kind::wifi},
      {"eth", network_kind::ethernet},    {"en", network_kind::ethernet},
  };
  const auto* const at =
      std::ranges::find_if(prefixes, [&](const prefix& p) { return name.starts_with(p.text); });
  return at == std::end(prefixes) ? network_kind::unknown : at->kind;
}

/// What Linux says of an IPv6 address beside where it is: /proc/net/if_inet6 has the IFA_F_ flags
/// of linux/if_addr.h.
constexpr unsigned flag_temporary = 0x01, flag_duplicate = 0x08, flag_deprecated = 0x20,
                   flag_tentative = 0x40;

std::map<ip_address, unsigned> v6_flags() {
  std::map<ip_address, unsigned> all;
  std::ifstream file{"/proc/net/if_inet6"};
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields{line};
    std::string digits, index, length, scope, flags;
    if (!(fields >> digits >> index >> length >> scope >> flags) || digits.size() != 32) continue;
    std::string text;
    for (std::size_t i = 0; i < 32; i += 4) text += (i ? ":" : "") + digits.substr(i, 4);
    if (const auto address = ip_address::parse(text))
      all[*address] = static_cast<unsigned>(std::strtoul(flags.c_str(), nullptr, 16));
  }
  return all;
}

bool same_64(const ip_address& a, const ip_address& b) {
  return a.is_v6() && b.is_v6() && std::ranges::equal(a.octets().first(8), b.octets().first(8));
}

}  // namespace

network_kind kind_of_interface(std::string_view name, const std::string& sys) {
  const std::string folder = sys + '/' + std::string{name} + '/';
  const std::string type = line_with(folder + "type", "");
  const std::string device = line_with(folder + "uevent", "DEVTYPE=");
  if (type == "772") return network_kind::loopback;  // ARPHRD_LOOPBACK of linux/if_arp.h.
  if (device == "wlan" || exists(folder + "wireless")) return network_kind::wifi;
  if (device == "wwan") return network_kind::cellular;
  if (device == "wireguard" || exists(folder + "tun_flags")) return network_kind::vpn;
  if (device == "bridge" || exists(folder + "bridge")) return network_kind::virtual_;
  const network_kind guess = kind_by_name(name);
  // Real hardware has a device behind it.
  if (guess == network_kind::unknown && type == "1" && exists(folder + "device"))
    return network_kind::ethernet;
  return guess;
}

std::vector<network_address> network_addresses(const network_options& opts) {
  const auto interfaces = interface_addresses();
  const auto flags = v6_flags();
  const auto flag = [&](const ip_address& address, unsigned mask) {
    const auto at = flags.find(address);
    return at != flags.end() && (at->second & mask) != 0;
  };
  std::vector<network_address> v6, v4, loopback;
  for (const interface_address& found : interfaces) {
    const ip_address& address = found.address;
    if (!found.running || !is_wanted(address, opts.kinds) ||
        flag(address, flag_tentative | flag_duplicate))
      continue;
    network_address made{address};
    made.network.interface_name = found.name;
    made.network.kind = kind_of_interface(found.name, "/sys/class/net");
    made.network.id = static_cast<std::uint16_t>(found.index);
    made.network.temporary = flag(address, flag_temporary);
    const bool shadowed =
        address.is_v6() && !made.network.temporary &&
        std::ranges::any_of(interfaces, [&](const interface_address& other) {
          return other.index == found.index && same_64(other.address, address) &&
                 flag(other.address, flag_temporary) &&
                 !flag(other.address, flag_tentative | flag_duplicate | flag_deprecated);
        });
    made.preferred = !shadowed && !flag(address, flag_deprecated);
    ice::local_address judged;
    judged.base.address = address;
    judged.network = made.network;
    if (!opts.filter.allows(judged)) continue;
    auto& list = address.is_loopback() ? loopback : address.is_v6() ? v6 : v4;
    if (std::ranges::find(list, address, &network_address::address) == list.end())
      list.push_back(std::move(made));
  }

  std::vector<network_address> ordered;
  for (std::size_t i = 0; i < std::max(v6.size(), v4.size()); ++i) {
    if (i < v6.size()) ordered.push_back(v6[i]);
    if (i < v4.size()) ordered.push_back(v4[i]);
  }
  ordered.insert(ordered.end(), loopback.begin(), loopback.end());
  return ordered;
}

}  // namespace weft::io
