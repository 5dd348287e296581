#include "local_table.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace weft::ice {
namespace {

/// Peer-reflexive candidates of one base: two NATs in a row, and their ports after a reboot.
constexpr std::size_t max_learned = 4;
constexpr std::uint16_t slots = 1024;

/// draft-ietf-mmusic-mdns-ice-candidates §3.1.1: a version 4 UUID in `.local`.
std::string make_name(random_source& random) {
  std::array<std::uint8_t, 16> bits;
  random.fill(bits);
  bits[6] = static_cast<std::uint8_t>((bits[6] & 0x0f) | 0x40);
  bits[8] = static_cast<std::uint8_t>((bits[8] & 0x3f) | 0x80);
  std::string out;
  for (std::size_t i = 0; i < bits.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    constexpr std::string_view digits = "0123456789abcdef";
    out += digits[bits[i] / 16u];
    out += digits[bits[i] % 16u];
  }
  return out + ".local";
}

std::uint16_t cost_of(const network& n) noexcept {
  if (n.cost) return std::min<std::uint16_t>(*n.cost, 999);
  return n.kind == network_kind::unknown ? std::uint16_t{0} : network_cost(n.kind);
}

/// RFC 8445 §5.1.2.2, RFC 6544 §4.2: rank and slot make 13 bits; what stands beside them depends.
/// `below` tells candidates of one base and type apart.
std::uint16_t local_preference(const base& b, candidate_type type, std::size_t below) noexcept {
  const auto other = static_cast<std::uint16_t>(b.rank << 10 | (slots - 1 - b.slot));
  if (b.tcp) return static_cast<std::uint16_t>(direction_preference(type, *b.tcp) << 13 | other);
  return static_cast<std::uint16_t>(other * 8u + 7 - std::min<std::size_t>(below, 7));
}

std::uint32_t priority_of(const base& b, candidate_type type, std::size_t below = 0) noexcept {
  const std::uint32_t preference = type == candidate_type::relayed
                                       ? type_preference(b.relay)
                                       : type_preference(type, b.protocol);
  return make_priority(preference, local_preference(b, type, below), b.component);
}

}  // namespace

bool can_receive(const ip_address& a) noexcept {
  constexpr std::array<std::uint8_t, 4> broadcast{255, 255, 255, 255};
  return a && !a.is_unspecified() && !a.is_multicast() && !a.is_v4_mapped() &&
         a != ip_address{broadcast};
}

local_table::local_table(const agent::options& opts)
    : max_hosts_{opts.max_local_addresses},
      max_relayed_{opts.max_relayed_addresses},
      max_reflexive_{opts.max_servers + opts.max_relayed_addresses + 1},
      privacy_{opts.host_privacy},
      policy_{opts.candidate_policy},
      kind_{opts.kind},
      components_{opts.components},
      filter_{opts.local_filter},
      rules_{opts.external_addresses} {}

// Adding

result<const base*, error> local_table::add(random_source& random, const local_address& a) {
  const bool tcp = a.protocol == transport_protocol::tcp;
  const bool active = tcp && a.tcp == tcp_type::active;
  endpoint address = a.base;
  if (active) address.port = active_port;
  if (!can_receive(address.address) || address.port == 0 || a.component == 0 ||
      a.component > components_)
    return fail(error::invalid_address);
  if (!filter_.allows(a)) return fail(error::filtered);
  const auto known = std::ranges::find_if(bases_, [&](const base& b) {
    return b.address == address && b.protocol == a.protocol &&
           (!active || b.component == a.component);
  });
  if (known != bases_.end()) return nullptr;
  if (static_cast<std::size_t>(std::ranges::count(bases_, candidate_type::host, &base::type)) >=
      max_hosts_)
    return fail(error::too_many);

  base b{.address = address,
         .protocol = a.protocol,
         .tcp = tcp ? std::optional{a.tcp} : std::nullopt,
         .component = a.component,
         .network_id = a.network.id,
         .network_cost = cost_of(a.network),
         .rank = rank_of(a),
         .net = a.network};
  // RFC 8445 §5.2: a lite agent opens nothing.
  b.usable = policy_ == candidate_policy::all && !(kind_ == implementation_kind::lite && active);
  b.slot = free_slot(b);
  b.priority = priority_of(b, candidate_type::host);
  b.priority_as_learned = priority_of(b, candidate_type::peer_reflexive);
  b.foundation = foundation(candidate_type::host, address.address, a.protocol, "");
  bases_.push_back(std::move(b));
  if (bases_.back().usable) make_host(random, bases_.back());
  return &bases_.back();
}

result<const base*, error> local_table::add(const relayed_address& a) {
  if (!can_receive(a.relayed.address) || a.relayed.port == 0 || a.component == 0 ||
      a.component > components_)
    return fail(error::invalid_address);
  if (find(a.relayed, transport_protocol::udp) != nullptr) return nullptr;
  if (static_cast<std::size_t>(std::ranges::count(bases_, candidate_type::relayed, &base::type)) >=
      max_relayed_)
    return fail(error::too_many);
  base b{.address = a.relayed,
         .component = a.component,
         .type = candidate_type::relayed,
         .network_id = a.network.id,
         .network_cost = cost_of(a.network),
         .rank = 7,
         .net = a.network,
         .relay = a.protocol};
  b.usable = kind_ == implementation_kind::full;
  b.slot = free_slot(b);
  b.priority = priority_of(b, candidate_type::relayed);
  b.priority_as_learned = priority_of(b, candidate_type::peer_reflexive);
  b.foundation =
      foundation(candidate_type::relayed, a.relayed.address, transport_protocol::udp, a.server_url);
  bases_.push_back(std::move(b));
  const base& made = bases_.back();
  if (!made.usable) return &made;
  candidate c = describe(made, candidate_type::relayed);
  c.address = a.relayed;
  c.server_url = a.server_url;
  c.relay = a.protocol;
  // RFC 8839 §5.1 wants a related address; RFC 8445 §5.1.1.2 the mapped one.
  c.related = shown_related(can_receive(a.mapped.address) ? a.mapped : a.relayed);
  signal({.info = std::move(c), .address = a.relayed, .base = a.relayed});
  return &made;
}

/// RFC 8421 §3: what is known to be less reliable comes behind all else.
std::uint16_t local_table::rank_of(const local_address& a) const noexcept {
  if (a.base.address.is_link_local()) return 3;
  switch (a.network.kind) {
    case network_kind::cellular:
      return 2;
    case network_kind::virtual_:
      return 4;
    case network_kind::vpn:
      return 5;
    case network_kind::unknown:
    case network_kind::ethernet:
    case network_kind::wifi:
    case network_kind::loopback:
      break;
  }
  // RFC 6724 §5, rule 7: where there is a temporary address, rather that one.
  const bool beside_temporary =
      a.base.address.is_v6() && !a.network.temporary && std::ranges::any_of(bases_, [&](auto& b) {
        return b.net.temporary && b.net.interface_name == a.network.interface_name;
      });
  return beside_temporary ? 6 : 7;
}

/// RFC 8421 §4: the two families take turns, the one that came first beginning. The best
/// place that is free, among those it has to differ from (RFC 8445 §5.1.2.2).
std::uint16_t local_table::free_slot(const base& b) const noexcept {
  const auto rivals = [&](const base& other) {
    return other.type == b.type && other.protocol == b.protocol && other.tcp == b.tcp &&
           other.component == b.component && other.rank == b.rank;
  };
  const auto first = std::ranges::find_if(bases_, rivals);
  const bool same_family =
      first == bases_.end() ||
      (first->slot % 2 == 0) == (first->address.address.is_v4() == b.address.address.is_v4());
  for (std::uint16_t slot = same_family ? 0 : 1; slot < slots;
       slot = static_cast<std::uint16_t>(slot + 2))
    if (std::ranges::none_of(bases_, [&](const base& o) { return rivals(o) && o.slot == slot; }))
      return slot;
  return slots - 1;
}

candidate local_table::describe(const base& b, candidate_type type) const {
  candidate c;
  c.foundation = std::to_string(b.foundation);
  c.component = b.component;
  c.protocol = b.protocol;
  c.priority = b.priority;
  c.type = type;
  c.tcp = b.tcp;
  c.network_id = b.network_id;
  c.network_cost = b.network_cost;
  return c;
}

void local_table::make_host(random_source& random, const base& b) {
  candidate c = describe(b, candidate_type::host);
  c.address = b.address;
  const external_address_rule* const rule = rule_for(b.address.address);
  if (rule != nullptr && rule->does == external_address_rule::effect::replace_host) {
    c.address.address = rule->external;
  } else if (privacy_ == host_privacy::hide) {
    c.name = name_of(random, b.address.address);
    c.address.address = {};
  }
  signal({.info = std::move(c), .address = b.address, .base = b.address});
  if (rule != nullptr && rule->does == external_address_rule::effect::add_server_reflexive)
    add_reflexive(b, {rule->external, b.address.port}, "", "external address");
}

const external_address_rule* local_table::rule_for(const ip_address& a) const noexcept {
  const auto exact = std::ranges::find(rules_, a, &external_address_rule::local);
  if (exact != rules_.end()) return &*exact;
  const auto any = std::ranges::find_if(rules_, [&](const external_address_rule& r) {
    return !r.local && r.external.is_v4() == a.is_v4();
  });
  return any != rules_.end() ? &*any : nullptr;
}

const std::string& local_table::name_of(random_source& random, const ip_address& a) {
  const auto known = std::ranges::find(names_, a, &hidden_name::address);
  if (known != names_.end()) return known->name;
  names_.push_back({a, make_name(random)});
  events_.push_back(agent::register_name{names_.back().name, a});
  return names_.back().name;
}

/// Numbers, not hashes: a foundation tells nothing of the address behind it.
std::uint32_t local_table::foundation(candidate_type type, const ip_address& from,
                                      transport_protocol protocol, std::string_view origin) {
  for (const foundation_key& k : foundations_)
    if (k.type == type && k.base == from && k.protocol == protocol && k.origin == origin)
      return k.number;
  foundations_.push_back({type, from, protocol, std::string{origin}, ++last_foundation_});
  return last_foundation_;
}

/// RFC 8839 §9.1: where the base is hidden, the related address says nothing.
endpoint local_table::shown_related(const endpoint& e) const noexcept {
  if (!hides()) return e;
  const ip_address nowhere = e.address.is_v4() ? ip_address{std::array<std::uint8_t, 4>{}}
                                               : ip_address{std::array<std::uint8_t, 16>{}};
  return {nowhere, 9};
}

// RFC 8838 §9: one with the address and base of another is redundant. It is not paired: its
// base is, and that pair would be the same (RFC 8445 §6.1.2.4).
void local_table::add_reflexive(const base& from, const endpoint& mapped, std::string_view url,
                                std::string_view origin) {
  if (!can_receive(mapped.address) || mapped.port == 0 || !from.usable) return;
  const auto is_of_base = [&](const local_candidate& c) {
    return c.base == from.address && c.info.protocol == from.protocol;
  };
  auto known = std::ranges::find_if(candidates_, [&](const local_candidate& c) {
    // A hidden address is not redundant with its name (mmusic-mdns-ice-candidates §3.1.2.2).
    return is_of_base(c) &&
           (c.info.address == mapped || (c.address == mapped && c.info.name.empty()));
  });
  if (known != candidates_.end()) {
    if (known->info.type != candidate_type::peer_reflexive) return;
    candidates_.erase(known);  // Now it has a better name.
  }
  const auto is_reflexive = [&](const local_candidate& c) {
    return is_of_base(c) && c.info.type == candidate_type::server_reflexive;
  };
  const auto same_server = std::ranges::find_if(
      candidates_, [&](const auto& c) { return is_reflexive(c) && c.origin == origin; });
  if (same_server != candidates_.end()) {
    withdraw(same_server);  // The NAT has another mapping now.
  } else if (static_cast<std::size_t>(std::ranges::count_if(candidates_, is_reflexive)) >=
             max_reflexive_) {
    withdraw(std::ranges::find_if(candidates_, is_reflexive));
  }

  const auto others = static_cast<std::size_t>(std::ranges::count_if(candidates_, is_reflexive));
  candidate c = describe(from, candidate_type::server_reflexive);
  c.foundation = std::to_string(
      foundation(candidate_type::server_reflexive, from.address.address, from.protocol, origin));
  c.priority = priority_of(from, candidate_type::server_reflexive, others);
  c.address = mapped;
  c.related = shown_related(from.address);
  c.server_url = url;
  signal({.info = std::move(c),
          .address = mapped,
          .base = from.address,
          .origin = std::string{origin}});
}

void local_table::learn(const base& from, const endpoint& mapped) {
  const auto is_of_base = [&](const local_candidate& c) {
    return c.base == from.address && c.info.protocol == from.protocol;
  };
  if (std::ranges::any_of(candidates_, [&](const local_candidate& c) {
        return is_of_base(c) && c.address == mapped;
      }))
    return;
  const auto is_learned = [&](const local_candidate& c) {
    return is_of_base(c) && c.info.type == candidate_type::peer_reflexive;
  };
  if (static_cast<std::size_t>(std::ranges::count_if(candidates_, is_learned)) >= max_learned)
    candidates_.erase(std::ranges::find_if(candidates_, is_learned));
  candidate c = describe(from, candidate_type::peer_reflexive);
  c.foundation = std::to_string(
      foundation(candidate_type::peer_reflexive, from.address.address, from.protocol, ""));
  c.priority = from.priority_as_learned;
  // Whoever hides addresses may sit behind a NAT of its own house.
  if (!hides()) c.address = mapped;
  c.related = shown_related(from.address);
  candidates_.push_back(
      {.info = std::move(c), .address = mapped, .base = from.address, .number = ++last_number_});
}

void local_table::signal(local_candidate c) {
  c.number = ++last_number_;
  events_.push_back(agent::candidate_gathered{c.info});
  candidates_.push_back(std::move(c));
}

// Removing

void local_table::withdraw(std::vector<local_candidate>::iterator at) {
  if (at->info.type != candidate_type::peer_reflexive)
    events_.push_back(agent::candidate_removed{at->info});
  candidates_.erase(at);
}

bool local_table::remove(const endpoint& address, transport_protocol protocol) {
  const bool any = std::erase_if(bases_, [&](const base& b) {
                     return b.address == address && b.protocol == protocol;
                   }) > 0;
  if (!any) return false;
  for (auto at = candidates_.begin(); at != candidates_.end();)
    if (at->base == address && at->info.protocol == protocol) {
      withdraw(at);
      at = candidates_.begin();
    } else {
      ++at;
    }
  forget_address(address.address);
  return true;
}

/// What hung on an IP address, once no base has it.
void local_table::forget_address(const ip_address& a) {
  if (std::ranges::any_of(bases_, [&](const base& b) { return b.address.address == a; })) return;
  std::erase_if(foundations_, [&](const foundation_key& k) { return k.base == a; });
  std::erase_if(names_, [&](const hidden_name& n) {
    if (n.address != a) return false;
    events_.push_back(agent::release_name{n.name});
    return true;
  });
}

void local_table::clear() {
  for (const hidden_name& n : names_) events_.push_back(agent::release_name{n.name});
  names_.clear();
}

void local_table::set_policy(random_source& random, candidate_policy policy) {
  if (policy_ == policy) return;
  policy_ = policy;
  for (base& b : bases_) {
    if (b.type != candidate_type::host) continue;
    b.usable = policy == candidate_policy::all &&
               !(kind_ == implementation_kind::lite && b.tcp == tcp_type::active);
    for (auto at = candidates_.begin(); at != candidates_.end();)
      if (at->base == b.address && at->info.protocol == b.protocol) {
        withdraw(at);
        at = candidates_.begin();
      } else {
        ++at;
      }
    if (b.usable) make_host(random, b);
  }
}

// Asking

const base* local_table::find(const endpoint& address, transport_protocol protocol) const noexcept {
  const auto at = std::ranges::find_if(
      bases_, [&](const base& b) { return b.address == address && b.protocol == protocol; });
  return at == bases_.end() ? nullptr : &*at;
}

const local_candidate* local_table::shown(const endpoint& base, transport_protocol protocol,
                                          const endpoint& mapped) const noexcept {
  const local_candidate* own = nullptr;
  for (const local_candidate& c : candidates_) {
    if (c.base != base || c.info.protocol != protocol) continue;
    if (c.address == mapped) return &c;
    if (own == nullptr) own = &c;
  }
  return own;
}

std::vector<agent::event> local_table::take_events() {
  return std::exchange(events_, {});
}

}  // namespace weft::ice
