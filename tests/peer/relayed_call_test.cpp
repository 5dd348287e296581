#include <doctest/doctest.h>

#include "relayed_call.hpp"

using namespace std::chrono_literals;
using namespace weft::peer;
using weft::peer::test::address;
using weft::peer::test::relay_user;
using weft::peer::test::relayed_call;
using weft::peer::test::side;

namespace {

connection::options through(std::vector<std::string> urls,
                            ice_transport_policy policy = ice_transport_policy::all) {
  connection::options out;
  out.ice_servers = {relay_user(std::move(urls))};
  out.ice_transport_policy = policy;
  return out;
}

/// A call with a channel from A to B, connected.
void begin(relayed_call& c) {
  REQUIRE(c.a.peer.create_data_channel(c.now, "chat"));
  c.negotiate(c.a, c.b);
}

std::vector<connection::ice_candidate_error> errors_of(const side& s) {
  std::vector<connection::ice_candidate_error> out;
  for (const auto& e : s.events)
    if (const auto* failed = std::get_if<connection::ice_candidate_error>(&e))
      out.push_back(*failed);
  return out;
}

std::string lines_with(const std::string& text, std::string_view what) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    const auto line = text.substr(at, end - at);
    if (line.find(what) != std::string::npos) out += line + '\n';
    at = end == std::string::npos ? text.size() : end + 1;
  }
  return out;
}

}  // namespace

TEST_SUITE("peer/relayed_call") {
  TEST_CASE("a call goes through a relay however the server is reached") {
    for (const std::string url : {"turn:192.0.2.1", "turn:192.0.2.1?transport=tcp",
                                  "turns:192.0.2.1", "turns:192.0.2.1?transport=udp"}) {
      CAPTURE(url);
      relayed_call c{1, through({url}), through({url}, ice_transport_policy::relay)};
      begin(c);
      REQUIRE(c.connect(5s));
      CHECK(relayed_call::is_relayed(c.a));
      CHECK(c.talk());
      const std::string big(200'000, 'x');
      REQUIRE(c.a.peer.send(c.now, c.a.opened[0], big));
      CHECK(c.run(30s, [&] { return c.b.messages[c.b.opened[0]].size() == 2; }));
      c.run(20min);  // Refreshes, permissions, channels and consent.
      CHECK(c.talk());
      CHECK(c.a.peer.state() == connection_state::connected);

      c.a.peer.close(c.now);
      c.b.peer.close(c.now);
      c.run(20s);
      CHECK(c.allocations() == 0);
      CHECK_FALSE(c.a.peer.poll_timeout());
    }
  }

  TEST_CASE("relays between both sides take no longer than their round trips") {
    relayed_call c{2, through({"turn:192.0.2.1"}, ice_transport_policy::relay),
                   through({"turn:192.0.2.1"}, ice_transport_policy::relay)};
    begin(c);
    const auto start = c.now;
    REQUIRE(c.connect(5s));
    // With 40 ms to the server and back, and 80 ms from side to side: two for the allocation, one
    // for permissions and two of 80 ms for checks and nomination; and as many for DTLS and SCTP
    // at their usual six flights.
    CHECK(c.now - start < 1200ms);
  }

  TEST_CASE("with the policy `relay` nothing but relays shows in a description") {
    relayed_call c{3, through({"turn:192.0.2.1"}, ice_transport_policy::relay), {}};
    begin(c);
    c.run(2s);
    const auto text = c.a.peer.local_description()->sdp;
    CHECK(text.find("10.0.0.1") == std::string::npos);
    CHECK_FALSE(lines_with(text, "typ relay").empty());
    CHECK(lines_with(text, "typ host").empty());
    CHECK(lines_with(text, "typ srflx").empty());
  }

  TEST_CASE("RFC 8839 §5.1: a relayed candidate is written with its related address") {
    relayed_call c{4, through({"turn:192.0.2.1"}), {}};
    begin(c);
    c.run(2s);
    const auto text = lines_with(c.a.peer.local_description()->sdp, "typ relay");
    CHECK(text.find(" 192.0.2.1 50000 typ relay raddr 10.0.0.1 rport 5000") != std::string::npos);
  }

  TEST_CASE("UDP to the server is blocked: its other URLs connect, and the dead ones are told of") {
    const std::vector<std::string> urls{"stun:192.0.2.1", "turn:192.0.2.1",
                                        "turn:192.0.2.1?transport=tcp", "turns:192.0.2.1:443"};
    relayed_call c{5, through(urls), through(urls)};
    c.udp_to_server = false;
    begin(c);
    REQUIRE(c.connect(3s));
    CHECK(c.talk());
    c.run(60s);
    CHECK(c.a.peer.ice_gathering() == ice_gathering_state::complete);
    std::set<std::string> complained;
    for (const auto& e : errors_of(c.a)) {
      CHECK(e.code == 701);
      CHECK_FALSE(e.text.empty());
      complained.insert(e.url);
    }
    CHECK(complained ==
          std::set<std::string>{"stun:192.0.2.1", "turn:192.0.2.1", "turns:192.0.2.1:443"});
  }

  TEST_CASE("names of servers are looked up, and one that is not found holds nobody up") {
    auto opts = through({"turn:relay.example", "turn:lost.example"});
    opts.ice_servers.push_back({.urls = {"stun:never.example"}});
    relayed_call c{6, opts, opts};
    c.names["relay.example"] = {weft::peer::test::server_address(0).address};
    c.names["lost.example"] = {};
    begin(c);
    REQUIRE(c.connect(3s));
    CHECK(c.a.peer.ice_gathering() == ice_gathering_state::gathering);
    c.run(30s);
    CHECK(c.a.peer.ice_gathering() == ice_gathering_state::complete);
    const auto errors = errors_of(c.a);
    REQUIRE(errors.size() == 2);
    CHECK(errors[0].url == "turn:lost.example");
    CHECK(errors[1].url == "stun:never.example");
  }

  TEST_CASE("wrong credentials are told with the server's code, our address and the URL") {
    connection::options opts;
    opts.ice_servers = {{{"turn:192.0.2.1"}, "user", std::string{"wrong"}}};
    relayed_call c{7, opts, {}};
    begin(c);
    c.run(20s);
    const auto errors = errors_of(c.a);
    REQUIRE(errors.size() == 1);
    CHECK(errors[0].code == 401);
    CHECK(errors[0].url == "turn:192.0.2.1");
    CHECK(errors[0].address == address(1));
    CHECK(c.a.peer.ice_gathering() == ice_gathering_state::complete);
  }

  TEST_CASE("a DTLS server with a certificate that is not trusted is not used") {
    relayed_call c{8, through({"turns:192.0.2.1?transport=udp"}), {}};
    c.trusts = false;
    begin(c);
    c.run(20s);
    REQUIRE(errors_of(c.a).size() == 1);
    CHECK(errors_of(c.a)[0].code == 701);
    CHECK(c.allocations() == 0);
    CHECK(c.a.peer.ice_gathering() == ice_gathering_state::complete);
  }

  TEST_CASE("a URL that is none is told of, and the others are used") {
    auto opts = through({"turn:192.0.2.1", "turn:[bad", "http://192.0.2.1"});
    CHECK_FALSE(check(opts.ice_servers[0]));
    relayed_call c{9, opts, opts};
    begin(c);
    REQUIRE(c.connect(3s));
    CHECK(errors_of(c.a).size() == 2);
  }

  TEST_CASE("a server that forgets its allocations is asked again, and the call finds a new path") {
    relayed_call c{10, through({"turn:192.0.2.1"}, ice_transport_policy::relay),
                   through({"turn:192.0.2.1"}, ice_transport_policy::relay)};
    begin(c);
    REQUIRE(c.connect(3s));
    c.restart_server();
    // Noticed with the next refresh of a permission, then trickled where ICE begins anew.
    c.run(10min);
    CHECK(c.a.count<connection::negotiation_needed>() >= 2);
    c.negotiate(c.a, c.b);
    CHECK(c.run(60s, [&] { return c.a.peer.state() == connection_state::connected; }));
    CHECK(c.talk(20s));
  }

  TEST_CASE("RFC 8489 §10: a server that sends us on is followed, and no restart asks it again") {
    const auto opts = through({"turn:192.0.2.1:3479"}, ice_transport_policy::relay);
    relayed_call c{13, opts, opts};
    begin(c);
    REQUIRE(c.connect(3s));
    CHECK(c.allocations() == 2);
    for (int i = 0; i < 3; ++i) {
      c.a.peer.restart_ice(c.now);
      c.negotiate(c.a, c.b);
      CHECK(c.run(2s, [&] {
        return c.a.peer.ice_gathering() == ice_gathering_state::complete &&
               c.b.peer.ice_gathering() == ice_gathering_state::complete;
      }));
      c.run(20s);
      CHECK(c.allocations() == 2);
    }
    CHECK(errors_of(c.a).empty());
    CHECK(c.talk());
  }

  TEST_CASE("candidates of the pool wait for the description that signals them") {
    auto opts = through({"turn:192.0.2.1"}, ice_transport_policy::relay);
    opts.ice_candidate_pool_size = 1;
    relayed_call c{11, opts, opts};
    c.run(1s);
    CHECK(c.allocations() == 2);
    CHECK(c.a.peer.ice_gathering() == ice_gathering_state::new_);
    CHECK(c.a.candidates.empty());
    REQUIRE(c.a.peer.create_data_channel(c.now, "chat"));
    REQUIRE(c.a.peer.set_local_description(c.now));
    CHECK(c.a.peer.ice_gathering() == ice_gathering_state::complete);
    CHECK(c.a.peer.local_description()->sdp.find("typ relay") != std::string::npos);
    c.run(10ms);
    CHECK(c.a.candidates.size() == 2);  // With the end of them.
  }

  TEST_CASE("the selected interface vanishes: another valid pair takes over at once") {
    relayed_call c{12, {}, {}};
    c.direct = true;
    c.add_address(c.a, address(11));
    begin(c);
    REQUIRE(c.connect(3s));
    c.run(5s);
    const auto selected = c.a.peer.selected_pair()->local;
    if (selected == c.a.local)
      c.lose_first_address(c.a);
    else
      c.remove_address(c.a, selected);
    REQUIRE(c.a.peer.selected_pair());
    CHECK(c.a.peer.selected_pair()->local != selected);
    CHECK(c.talk(1s));
    CHECK(c.a.count<connection::negotiation_needed>() == 1);
  }

  TEST_CASE("from one network to another: the call goes on, and nobody has to do anything") {
    relayed_call c{13, {}, {}};
    c.direct = true;
    begin(c);
    REQUIRE(c.connect(3s));
    c.lose_first_address(c.a);
    CHECK_FALSE(c.a.peer.selected_pair());
    c.run(2s);
    c.add_address(c.a, address(21));
    CHECK(c.run(2s, [&] { return c.a.peer.state() == connection_state::connected; }));
    CHECK(c.talk(5s));
    CHECK(c.a.count<connection::negotiation_needed>() == 1);  // The first.
  }

  TEST_CASE("a network from which no path is found makes the connection ask for a restart") {
    relayed_call c{14, {}, {}};
    c.direct = true;
    begin(c);
    REQUIRE(c.connect(3s));
    c.direct = false;
    c.lose_first_address(c.a);
    c.add_address(c.a, address(21));
    CHECK(c.run(60s, [&] { return c.a.count<connection::negotiation_needed>() == 2; }));
    const std::string before{c.a.peer.local_username_fragment()};
    c.direct = true;
    c.negotiate(c.a, c.b);
    CHECK(c.a.peer.local_username_fragment() != before);
    CHECK(c.run(10s, [&] { return c.a.peer.state() == connection_state::connected; }));
    CHECK(c.talk(20s));
  }

  TEST_CASE("RFC 8016: an allocation moves to another network, and the path over it stays") {
    for (const std::string url :
         {"turn:192.0.2.1", "turn:192.0.2.1?transport=tcp", "turns:192.0.2.1?transport=udp"}) {
      CAPTURE(url);
      auto opts = through({url}, ice_transport_policy::relay);
      opts.turn_mobility = true;
      relayed_call c{16, opts, opts};
      begin(c);
      REQUIRE(c.connect(5s));
      c.run(5s);
      const auto pair = c.a.peer.selected_pair();
      c.lose_first_address(c.a);
      c.run(1s);
      c.add_address(c.a, address(21));
      CHECK(c.talk(3s));
      CHECK(c.a.peer.selected_pair() == pair);
      CHECK(c.allocations() == 2);
      CHECK(c.a.peer.state() == connection_state::connected);
    }
  }

  TEST_CASE("RFC 8016: where no network comes, nothing is tried from the one that is gone") {
    auto opts = through({"turn:192.0.2.1"}, ice_transport_policy::relay);
    opts.turn_mobility = true;
    relayed_call c{24, opts, opts};
    begin(c);
    REQUIRE(c.connect(3s));
    c.lose_first_address(c.a);
    c.run(40min);
    CHECK(errors_of(c.a).empty());
    c.add_address(c.a, address(21));
    c.negotiate(c.a, c.b);
    CHECK(c.run(30s, [&] { return c.a.peer.state() == connection_state::connected; }));
    CHECK(c.talk(20s));
  }

  TEST_CASE("each of many allocations becomes a candidate, and a restart makes no more") {
    const auto opts =
        through({"turn:192.0.2.1", "turn:192.0.2.1?transport=tcp", "turns:192.0.2.1?transport=tcp"},
                ice_transport_policy::relay);
    relayed_call c{25, opts, {}};
    for (std::uint8_t i = 21; i < 24; ++i) c.add_address(c.a, address(i));
    begin(c);
    c.run(20s);
    CHECK(c.allocations() == 12);
    const auto relayed = [&] {
      std::size_t n = 0;
      const auto text = c.a.peer.local_description()->sdp;
      for (auto i = text.find("typ relay"); i != std::string::npos;
           i = text.find("typ relay", i + 1))
        ++n;
      return n;
    };
    CHECK(relayed() == 12);
    c.a.peer.restart_ice(c.now);
    c.negotiate(c.a, c.b);
    c.run(20s);
    CHECK(c.allocations() == 12);
    CHECK(relayed() == 12);
  }

  TEST_CASE("statistics name candidates, the pair in use and the transport") {
    relayed_call c{15, through({"turn:192.0.2.1"}, ice_transport_policy::relay), {}};
    begin(c);
    REQUIRE(c.connect(3s));
    CHECK(c.talk());
    const auto transport = c.a.peer.transport_stats();
    CHECK(transport.packets_sent > 0);
    CHECK(transport.packets_received > 0);
    CHECK(transport.dtls_state == weft::dtls::session::state::connected);
    CHECK_FALSE(transport.dtls_cipher.empty());
    CHECK(transport.selected_candidate_pair_changes >= 1);
    bool found = false;
    for (const auto& pair : c.a.peer.pair_stats()) {
      if (pair.id != transport.selected_candidate_pair_id) continue;
      found = true;
      CHECK(pair.packets_sent == transport.packets_sent);
      for (const auto& candidate : c.a.peer.candidate_stats())
        if (candidate.id == pair.local_candidate_id) {
          CHECK(candidate.info.type == weft::ice::candidate_type::relayed);
          CHECK(candidate.info.server_url == "turn:192.0.2.1");
        }
    }
    CHECK(found);
  }
}
