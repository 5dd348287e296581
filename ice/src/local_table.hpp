#ifndef WEFT_ICE_SRC_LOCAL_TABLE_HPP
#define WEFT_ICE_SRC_LOCAL_TABLE_HPP

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <weft/core/random.hpp>
#include <weft/ice/agent.hpp>

namespace weft::ice {

/// What pairs are formed from: a host's socket or an address at a relay. Reflexive candidates are
/// not paired; their base is (RFC 8445 §6.1.2.4).
struct base {
  endpoint address;
  transport_protocol protocol = transport_protocol::udp;
  std::optional<tcp_type> tcp{};
  std::uint16_t component = 1;
  candidate_type type = candidate_type::host;
  std::uint32_t priority = 0;
  std::uint32_t priority_as_learned = 0;  ///< Of a peer-reflexive candidate with this base.
  std::uint32_t foundation = 0;
  std::uint16_t network_id = 0;
  std::uint16_t network_cost = 0;
  /// Whether this session may use it; a host's own may not where only relays may be.
  bool usable = true;

  // Where in the order it stands, so that its place can be given to another

  std::uint16_t rank = 0;  ///< The kind of network: 7 is the best.
  std::uint16_t slot = 0;  ///< Among those of one rank: 0 is the best.
  network net{};
  relay_protocol relay = relay_protocol::udp;
};

/// A candidate of ours: as it may be shown, and what it really is.
struct local_candidate {
  candidate info;
  endpoint address;
  endpoint base;
  std::uint64_t number = 0;  ///< Never used again.
  std::string origin{};      ///< The server behind a reflexive one.
};

/// The local candidates (RFC 8445 §5.1): makes them, orders them, hides what is to be hidden, and
/// forgets them with their addresses. Everything in it is bounded by its owner's addresses and
/// servers, however often these are gathered for. Knows nothing of pairs.
class local_table {
 public:
  explicit local_table(const agent::options& opts);

  /// Adds a base and its candidates, unless it is known. The result is where they
  /// are to be paired from.
  result<const base*, error> add(random_source& random, const local_address& a);
  result<const base*, error> add(const relayed_address& a);
  /// One for each base and server: a new one takes the place of the old one.
  void add_reflexive(const base& from, const endpoint& mapped, std::string_view url,
                     std::string_view origin);
  /// RFC 8445 §7.2.5.3.1. Nothing is paired with it, and it is not signalled.
  void learn(const base& from, const endpoint& mapped);
  bool remove(const endpoint& address, transport_protocol protocol);
  void clear();

  void set_policy(random_source& random, candidate_policy policy);
  candidate_policy policy() const noexcept { return policy_; }

  const base* find(const endpoint& address, transport_protocol protocol) const noexcept;
  const std::vector<base>& bases() const noexcept { return bases_; }
  const std::vector<local_candidate>& candidates() const noexcept { return candidates_; }
  /// The candidate that the other side sees behind a base: the one mapped to, if known.
  const local_candidate* shown(const endpoint& base, transport_protocol protocol,
                               const endpoint& mapped) const noexcept;

  /// What has to be told, in this order.
  std::vector<agent::event> take_events();

 private:
  struct foundation_key {
    candidate_type type;
    ip_address base;
    transport_protocol protocol;
    std::string origin;
    std::uint32_t number;
  };
  struct hidden_name {
    ip_address address;
    std::string name;
  };

  bool hides() const noexcept {
    return privacy_ == host_privacy::hide || policy_ == candidate_policy::relay;
  }
  void place(base& b) const;
  std::uint16_t rank_of(const local_address& a) const noexcept;
  std::uint16_t free_slot(const base& b) const noexcept;
  std::uint32_t foundation(candidate_type type, const ip_address& from, transport_protocol protocol,
                           std::string_view origin);
  void make_host(random_source& random, const base& b);
  candidate describe(const base& b, candidate_type type) const;
  const external_address_rule* rule_for(const ip_address& a) const noexcept;
  const std::string& name_of(random_source& random, const ip_address& a);
  void signal(local_candidate c);
  void withdraw(std::vector<local_candidate>::iterator at);
  void forget_address(const ip_address& a);
  endpoint shown_related(const endpoint& e) const noexcept;

  std::size_t max_hosts_;
  std::size_t max_relayed_;
  std::size_t max_reflexive_;
  host_privacy privacy_;
  candidate_policy policy_;
  implementation_kind kind_;
  std::uint16_t components_;
  address_filter filter_;
  std::vector<external_address_rule> rules_;

  std::vector<base> bases_;
  std::vector<local_candidate> candidates_;
  std::vector<foundation_key> foundations_;
  std::vector<hidden_name> names_;
  std::vector<agent::event> events_;
  std::uint32_t last_foundation_ = 0;
  std::uint64_t last_number_ = 0;
};

/// Whether anything can be received at an address.
bool can_receive(const ip_address& a) noexcept;

}  // namespace weft::ice

#endif  // WEFT_ICE_SRC_LOCAL_TABLE_HPP
