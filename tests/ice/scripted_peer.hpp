#ifndef WEFT_TESTS_ICE_SCRIPTED_PEER_HPP
#define WEFT_TESTS_ICE_SCRIPTED_PEER_HPP

#include <doctest/doctest.h>

#include <array>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <weft/ice/agent.hpp>
#include <weft/stun/fingerprint.hpp>
#include <weft/stun/integrity.hpp>

#include "world.hpp"

namespace weft::ice::test {

using bytes = std::vector<std::uint8_t>;

/// A datagram as it left the agent.
struct sent {
  endpoint local;
  endpoint remote;
  bytes datagram;
  transport_protocol protocol = transport_protocol::udp;

  stun::message_view message() const { return *stun::message_view::parse(datagram); }
  five_tuple path() const { return {local, remote, protocol}; }
  bool is_request() const { return message().type_class() == stun::message_class::request; }
};

/// What a check of the scripted side says.
struct check {
  endpoint from;
  endpoint to = at("10.0.0.1");
  std::uint32_t priority = candidate_priority(candidate_type::peer_reflexive, 0xffff);
  bool use_candidate = false;
  std::optional<std::uint64_t> controlling{};
  std::optional<std::uint64_t> controlled{};
  std::optional<std::string> password{};  ///< Instead of the right one.
  std::optional<std::string> username{};
  std::uint8_t id = 1;
  std::optional<std::uint16_t> extra{};  ///< One more attribute.
  bool integrity = true;
  bool with_priority = true;
  transport_protocol protocol = transport_protocol::udp;
  std::optional<std::uint32_t> nomination{};
  std::uint16_t nomination_attribute = 0xc001;
  std::optional<std::uint32_t> network{};
};

/// One agent, and its other side played by the test.
class scripted_peer {
 public:
  explicit scripted_peer(role r) : scripted_peer{r, agent::options{}} {}
  scripted_peer(role r, agent::options opts) : ice{random, with_role(opts, r)} {
    REQUIRE(ice.add_local_address(now, at("10.0.0.1")));
  }
  /// Without any address yet.
  explicit scripted_peer(const agent::options& opts) : ice{random, opts} {}

  void meet() { REQUIRE(ice.set_remote_credentials(now, theirs)); }
  /// Credentials and one host candidate.
  void meet(const endpoint& remote) {
    meet();
    add(remote);
  }
  void add(const endpoint& remote, std::uint16_t preference = 0xffff) {
    REQUIRE(ice.add_remote_candidate(now, host(remote, preference)));
  }
  static candidate host(const endpoint& remote, std::uint16_t preference = 0xffff) {
    candidate c;
    c.foundation = "h" + std::to_string(preference);
    c.priority = candidate_priority(candidate_type::host, preference);
    c.address = remote;
    return c;
  }

  std::vector<sent> poll() {
    std::vector<sent> out;
    std::array<std::uint8_t, 600> buffer;
    while (auto t = ice.poll_transmit(now, buffer))
      out.push_back({t->local, t->remote, {t->bytes.begin(), t->bytes.end()}, t->protocol});
    return out;
  }
  /// The one datagram that is due.
  sent poll_one() {
    auto all = poll();
    REQUIRE(all.size() == 1);
    return all.front();
  }
  std::vector<sent> wait(duration d) {
    std::vector<sent> out;
    const time_point end = now + d;
    for (;;) {
      for (auto& s : poll()) out.push_back(std::move(s));
      const auto next = ice.poll_timeout();
      if (!next || *next > end) break;
      now = std::max(now, *next);
      ice.handle_timeout(now);
    }
    now = end;
    ice.handle_timeout(now);
    for (auto& s : poll()) out.push_back(std::move(s));
    return out;
  }

  bytes make_check(const check& c) const {
    std::array<std::uint8_t, 1200> buffer;
    stun::message_builder m{buffer, stun::message_class::request, stun::method::binding, {c.id}};
    m.add_username(c.username.value_or(ice.local_credentials().ufrag + ':' + theirs.ufrag));
    if (c.with_priority) m.add_priority(c.priority);
    if (c.controlling) m.add_ice_controlling(*c.controlling);
    if (c.controlled) m.add_ice_controlled(*c.controlled);
    if (c.use_candidate) m.add_use_candidate();
    if (c.nomination)
      m.add_u32(static_cast<stun::attribute_type>(c.nomination_attribute), *c.nomination);
    if (c.network) m.add_u32(stun::attribute_type{0xc057}, *c.network);
    if (c.extra) m.add(static_cast<stun::attribute_type>(*c.extra), std::array<std::uint8_t, 4>{});
    if (c.integrity)
      m.add_message_integrity(
          stun::integrity_key::short_term(c.password.value_or(ice.local_credentials().password)));
    m.add_fingerprint();
    const auto out = m.finish();
    return {out.begin(), out.end()};
  }
  void send_check(const check& c) {
    ice.handle_input(now, {c.to, c.from, c.protocol}, make_check(c));
  }

  bytes make_answer(const sent& request, std::optional<stun::error_code> error = {},
                    std::optional<std::string> password = {}) const {
    std::array<std::uint8_t, 1200> buffer;
    stun::message_builder m{buffer,
                            error ? stun::message_class::error : stun::message_class::success,
                            stun::method::binding, request.message().id()};
    if (error) {
      m.add_error(*error, "");
    } else {
      m.add_xor_mapped_address(mapped.value_or(request.local));
    }
    m.add_message_integrity(stun::integrity_key::short_term(password.value_or(theirs.password)));
    m.add_fingerprint();
    const auto out = m.finish();
    return {out.begin(), out.end()};
  }
  void answer(const sent& request, std::optional<stun::error_code> error = {}) {
    ice.handle_input(now, request.path(), make_answer(request, error));
  }
  /// Answers for a time what the agent asks of those that `who` says.
  template <class Who>
  void answer_for(duration d, Who who) {
    for (const time_point end = now + d; now < end;)
      for (const sent& s : wait(std::min<duration>(end - now, std::chrono::milliseconds{10})))
        if (s.is_request() && who(s)) answer(s);
  }
  void answer_for(duration d) {
    answer_for(d, [](const sent&) { return true; });
  }
  /// Answers everything the agent asks until it falls silent within `d`.
  void answer_all(duration d = std::chrono::milliseconds{100}) {
    for (auto out = wait(d); !out.empty(); out = wait(d))
      for (const sent& s : out)
        if (s.is_request()) answer(s);
  }

  template <class Event>
  std::vector<Event> take() {
    std::vector<Event> out;
    while (auto e = ice.poll_event())
      if (auto* found = std::get_if<Event>(&*e)) out.push_back(*found);
    return out;
  }

  time_point now{};
  seeded_random random{7};
  agent ice;
  credentials theirs{"RUFR", "remotepasswordremotepass"};
  std::optional<endpoint> mapped;

 private:
  static agent::options with_role(agent::options opts, role r) {
    opts.role = r;
    return opts;
  }
};

}  // namespace weft::ice::test

#endif  // WEFT_TESTS_ICE_SCRIPTED_PEER_HPP
