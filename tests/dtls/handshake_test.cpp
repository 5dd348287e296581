#include <doctest/doctest.h>

#include "pair.hpp"
#include "support/allocation_counter.hpp"
#include "wire.hpp"

namespace {

using namespace weft::dtls;
using namespace weft::dtls::test;
using connected = session::connected;
using closed = session::closed;
using failed = session::failed;

pair srtp_pair(std::vector<srtp_profile> of_client, std::vector<srtp_profile> of_server) {
  auto client = options_for(role::client);
  auto server = options_for(role::server);
  client.srtp_profiles = std::move(of_client);
  server.srtp_profiles = std::move(of_server);
  return pair{1, client, server};
}

}  // namespace

TEST_SUITE("dtls/handshake") {
  TEST_CASE("two sessions that know each other's fingerprints connect and exchange data") {
    pair p;
    CHECK(p.client->current_state() == session::state::fresh);
    p.connect();
    REQUIRE(p.connected());
    CHECK(p.client.poll_event() == session::event{connected{}});
    CHECK(p.server.poll_event() == session::event{connected{}});
    CHECK_FALSE(p.client.poll_event());
    CHECK_FALSE(p.client.poll_timeout());
    CHECK_FALSE(p.server.poll_timeout());

    p.server.handle_input(epoch, protect(p.client, epoch, "up"));
    p.client.handle_input(epoch, protect(p.server, epoch, "down"));
    CHECK(received(p.server) == "up");
    CHECK(received(p.server) == "(nothing)");
    CHECK(received(p.client) == "down");
    CHECK(p.client->cipher_suite() == "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    CHECK(copy(p.client->remote_certificate()) == copy(p.server_certificate.der()));
    CHECK(copy(p.server->remote_certificate()) == copy(p.client_certificate.der()));
    CHECK(p.client->stats().retransmissions == 0);
    CHECK(p.client->stats().records_protected == 1);
    CHECK(p.client->stats().records_received == 1);
  }

  TEST_CASE("libssl lives in the test's time") {
    const std::uint64_t before = weft::test::virtual_time_reads();
    pair p;
    p.start();
    CHECK(weft::test::virtual_time_reads() > before);
  }

  TEST_CASE("RFC 6347 §4.2.4: an unanswered flight goes out again after 50, 100, 200 ms ... 1 s") {
    pair p;
    p.trust();
    p.start();
    std::vector<weft::duration> sent_at;
    weft::time_point now = epoch;
    while (now < epoch + 7s) {
      if (!flight(p.client, now).empty()) sent_at.push_back(now - epoch);
      REQUIRE(p.client.poll_timeout());
      now = *p.client.poll_timeout();
      p.client.handle_timeout(now);
    }
    CHECK(sent_at == std::vector<weft::duration>{0ms, 50ms, 150ms, 350ms, 750ms, 1550ms, 2550ms,
                                                 3550ms, 4550ms, 5550ms, 6550ms});
    CHECK(p.client->stats().retransmissions == 10);
  }

  TEST_CASE("a handshake that stays unanswered is begun anew, and fails after 30 s") {
    pair p;
    p.start();
    weft::time_point now = epoch;
    while (const auto next = p.client.poll_timeout()) {
      REQUIRE(*next >= now);
      now = *next;
      p.client.handle_timeout(now);
      flight(p.client, now);
    }
    CHECK(now == epoch + 30s);
    CHECK(p.client.poll_event() == session::event{failed{error::handshake_timeout}});
    CHECK_FALSE(p.client.poll_event());
    CHECK(p.client->stats().handshakes_begun == 4);
    CHECK(p.client->stats().handshakes_discarded == 3);
    CHECK(flight(p.client, now).empty());
  }

  TEST_CASE("a server that was given up by its client takes the next handshake") {
    pair p;
    p.trust();
    p.start();
    give(p.server, epoch, flight(p.client, epoch));
    flight(p.server, epoch);  // Lost, as is all until the client gives up.
    weft::time_point now = epoch;
    while (p.client->stats().handshakes_begun < 2) {
      now = *p.client.poll_timeout();
      p.client.handle_timeout(now);
      if (p.client->stats().handshakes_begun < 2) flight(p.client, now);
    }
    p.exchange(now);
    CHECK(p.connected());
  }

  TEST_CASE("the last flight goes out again when the client repeats its own") {
    pair p;
    p.trust();
    p.start();
    give(p.server, epoch, flight(p.client, epoch));
    give(p.client, epoch, flight(p.server, epoch));
    for (int lost = 0; lost < 3; ++lost) {
      const auto now = epoch + 1s * lost;
      p.client.handle_timeout(now);
      give(p.server, now, flight(p.client, now));
      CHECK(p.server->current_state() == session::state::connected);
      CHECK_FALSE(flight(p.server, now).empty());
    }
    p.client.handle_timeout(epoch + 5s);
    p.exchange(epoch + 5s);
    CHECK(p.connected());
  }

  TEST_CASE("data that overtakes the last flight is delivered after it") {
    pair p;
    p.trust();
    p.start();
    give(p.server, epoch, flight(p.client, epoch));
    give(p.client, epoch, flight(p.server, epoch));
    give(p.server, epoch, flight(p.client, epoch));
    REQUIRE(p.server->current_state() == session::state::connected);
    p.client.handle_input(epoch, protect(p.server, epoch, "first"));
    CHECK_FALSE(p.client->receive());
    give(p.client, epoch, flight(p.server, epoch));
    CHECK(p.connected());
    CHECK(received(p.client) == "first");
  }

  TEST_CASE("a flight in single records, in any order, completes without a repetition") {
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
      pair p;
      p.trust();
      p.start();
      weft::seeded_random random{seed};
      const auto shuffle_to = [&](machine_under_test& from, machine_under_test& to) {
        std::vector<bytes> singles;
        for (const bytes& d : flight(from, epoch)) {
          for (const seen_record& r : records_in(d))
            singles.emplace_back(d.begin() + static_cast<std::ptrdiff_t>(r.offset),
                                 d.begin() + static_cast<std::ptrdiff_t>(r.offset + r.size));
        }
        for (std::size_t i = singles.size(); i > 1; --i)
          std::swap(singles[i - 1], singles[random.next() % i]);
        give(to, epoch, singles);
      };
      for (int i = 0; i < 2; ++i) {
        shuffle_to(p.client, p.server);
        shuffle_to(p.server, p.client);
      }
      CAPTURE(seed);
      CHECK(p.connected());
    }
  }

  TEST_CASE("several messages in one record are taken, as BoringSSL packs them") {
    pair p;
    p.trust();
    p.start();
    const auto packed = [](const std::vector<bytes>& datagrams) {
      bytes messages;
      bytes rest;
      for (const bytes& d : datagrams) {
        for (const seen_record& r : records_in(d)) {
          const auto first = d.begin() + static_cast<std::ptrdiff_t>(r.offset);
          const auto last = first + static_cast<std::ptrdiff_t>(r.size);
          const bool is_message = r.type == 22 && r.epoch == 0;
          if (is_message) messages.insert(messages.end(), first + 13, last);
          if (!is_message) rest.insert(rest.end(), first, last);
        }
      }
      bytes datagram = record_of(22, 0, 0, messages);
      append(datagram, rest);
      return std::vector<bytes>{datagram};
    };
    give(p.server, epoch, packed(flight(p.client, epoch)));
    give(p.client, epoch, packed(flight(p.server, epoch)));
    give(p.server, epoch, packed(flight(p.client, epoch)));
    p.exchange();
    CHECK(p.connected());
    CHECK(p.client->stats().retransmissions + p.server->stats().retransmissions == 0);
  }

  TEST_CASE("a wall clock that is set back for an hour costs seconds") {
    pair p;
    p.trust();
    weft::test::set_virtual_time(epoch + 1h);
    p.client->start(epoch);
    flight(p.client, epoch);  // Lost; and sets libssl's clock back to `epoch`.
    weft::time_point now = epoch;
    while (p.client->stats().handshakes_begun < 2) {
      REQUIRE(now < epoch + 10s);
      now = *p.client.poll_timeout();
      p.client->handle_timeout(now);  // Not in virtual time: libssl's stands still.
    }
    p.exchange(now);
    CHECK(p.connected());
  }

  TEST_CASE("a server answers a ClientHello that comes before start") {
    pair p;
    p.trust();
    p.client->start(epoch);
    give(p.server, epoch, flight(p.client, epoch));
    CHECK(p.server->current_state() == session::state::fresh);
    p.exchange();
    CHECK(p.connected());
    p.server->start(epoch);
    CHECK(p.connected());
    CHECK_FALSE(p.server.poll_timeout());
  }

  TEST_CASE("a server and a client that was not started keep quiet") {
    pair p;
    p.server->start(epoch);
    CHECK(flight(p.server, epoch).empty());
    CHECK(flight(p.client, epoch).empty());
    CHECK_FALSE(p.client.poll_timeout());
  }

  TEST_CASE("a datagram waits for a buffer that holds it") {
    pair p;
    p.start();
    std::array<std::uint8_t, 40> small;
    CHECK_FALSE(p.client.poll_transmit(epoch, small));
    CHECK(flight(p.client, epoch).size() == 1);
  }

  TEST_CASE("a session moves, handshake and all") {
    pair p;
    p.trust();
    p.start();
    give(p.server, epoch, flight(p.client, epoch));
    session moved = std::move(*p.client);
    *p.client = std::move(moved);
    p.exchange();
    CHECK(p.connected());
  }

  TEST_CASE("peers with RSA certificates connect") {
    // Made by `openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=rsa -days 36500`.
    const auto rsa = certificate::from_pem(
#include "rsa_certificate.inc"
    );
    REQUIRE(rsa);
    weft::test::seeded_openssl randomness{1};
    for (const bool rsa_serves : {true, false}) {
      const certificate ecdsa = make_certificate();
      machine_under_test client{session{rsa_serves ? ecdsa : *rsa, options_for(role::client)}};
      machine_under_test server{session{rsa_serves ? *rsa : ecdsa, options_for(role::server)}};
      client->set_remote_fingerprints(epoch, {(rsa_serves ? *rsa : ecdsa).fingerprint()});
      server->set_remote_fingerprints(epoch, {(rsa_serves ? ecdsa : *rsa).fingerprint()});
      client->start(epoch);
      for (int i = 0; i < 3; ++i) {
        give(server, epoch, flight(client, epoch));
        give(client, epoch, flight(server, epoch));
      }
      CHECK(client->current_state() == session::state::connected);
      CHECK(server->current_state() == session::state::connected);
      CHECK(client->cipher_suite() == (rsa_serves ? "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
                                                  : "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"));
    }
  }
}

TEST_SUITE("dtls/close") {
  TEST_CASE("RFC 5246 §7.2.1: close_notify of either side closes the other, after its data") {
    for (const bool by_client : {true, false}) {
      pair p;
      p.connect();
      auto& one = by_client ? p.client : p.server;
      auto& other = by_client ? p.server : p.client;
      one.poll_event();
      other.poll_event();

      other.handle_input(epoch, protect(one, epoch, "last words"));
      one->close(epoch);
      CHECK(one->current_state() == session::state::closed);
      CHECK(protect(one, epoch, "more").empty());
      const auto alert = flight(one, epoch);
      CHECK(alert.size() == 1);
      give(other, epoch, alert);
      CHECK(other.poll_event() == session::event{closed{}});
      CHECK(other->current_state() == session::state::closed);
      CHECK(received(other) == "last words");
      give(one, epoch, flight(other, epoch));  // Its own close_notify, too late to matter.
      CHECK_FALSE(one.poll_event());
      CHECK_FALSE(one.poll_timeout());
      CHECK_FALSE(other.poll_timeout());
    }
  }

  TEST_CASE("closing during the handshake ends it in silence") {
    pair p;
    p.start();
    p.client->close(epoch);
    CHECK(flight(p.client, epoch).empty());
    CHECK_FALSE(p.client.poll_timeout());
    CHECK_FALSE(p.client.poll_event());
    p.client->start(epoch);
    CHECK(p.client->current_state() == session::state::closed);
  }

  TEST_CASE("close_notify in the clear closes nothing") {
    pair p;
    p.connect();
    p.client.handle_input(epoch, record_of(21, 0, 99, {1, 0}));
    CHECK(p.connected());
    CHECK(p.client->stats().plaintext_alerts_dropped == 1);
  }
}

TEST_SUITE("dtls/srtp") {
  TEST_CASE("RFC 5764 §4.1: the server's first common profile is taken, and known to both") {
    pair p = srtp_pair({srtp_profile::aes128_cm_sha1_80, srtp_profile::aead_aes_256_gcm,
                        srtp_profile::aead_aes_128_gcm},
                       {srtp_profile::aead_aes_128_gcm, srtp_profile::aes128_cm_sha1_80});
    CHECK_FALSE(p.client->negotiated_srtp_profile());
    p.connect();
    CHECK(p.client->negotiated_srtp_profile() == srtp_profile::aead_aes_128_gcm);
    CHECK(p.server->negotiated_srtp_profile() == srtp_profile::aead_aes_128_gcm);
  }

  TEST_CASE("each profile can be agreed on alone") {
    for (const srtp_profile profile :
         {srtp_profile::aes128_cm_sha1_80, srtp_profile::aes128_cm_sha1_32,
          srtp_profile::aead_aes_128_gcm, srtp_profile::aead_aes_256_gcm}) {
      pair p = srtp_pair({profile}, {profile});
      p.connect();
      CHECK(p.client->negotiated_srtp_profile() == profile);
      CHECK(p.server->negotiated_srtp_profile() == profile);
    }
  }

  TEST_CASE("without a common profile, or an offer, there is data and no media") {
    pair none = srtp_pair({srtp_profile::aead_aes_128_gcm}, {srtp_profile::aes128_cm_sha1_80});
    none.connect();
    CHECK(none.connected());
    CHECK_FALSE(none.client->negotiated_srtp_profile());
    pair silent = srtp_pair({}, {srtp_profile::aes128_cm_sha1_80});
    silent.connect();
    CHECK(silent.connected());
    CHECK_FALSE(silent.server->negotiated_srtp_profile());
  }

  TEST_CASE("RFC 5705 §4: both sides export the same, and each label and session its own") {
    pair p;
    CHECK(p.client->export_keying_material("EXTRACTOR-dtls_srtp", 60).error() ==
          error::not_connected);
    p.connect();
    const auto of_client = p.client->export_keying_material("EXTRACTOR-dtls_srtp", 60);
    const auto of_server = p.server->export_keying_material("EXTRACTOR-dtls_srtp", 60);
    REQUIRE(of_client);
    REQUIRE(of_server);
    CHECK(*of_client == *of_server);
    CHECK(of_client->size() == 60);
    CHECK(*p.client->export_keying_material("EXPORTER-other", 60) != *of_client);
    pair another{2};
    another.connect();
    CHECK(*another.client->export_keying_material("EXTRACTOR-dtls_srtp", 60) != *of_client);
    p.client->close(epoch);
    CHECK(p.client->export_keying_material("EXTRACTOR-dtls_srtp", 60).error() ==
          error::not_connected);
  }
}

TEST_SUITE("dtls/protect") {
  TEST_CASE("a record stands at the front of the buffer and is no longer than promised") {
    pair p;
    p.connect();
    std::array<std::uint8_t, 1200> buffer;
    for (std::size_t size = 1; size <= 1200 - session::record_overhead; ++size) {
      const bytes plaintext(size, static_cast<std::uint8_t>(size));
      const auto record = p.client->protect(epoch, plaintext, buffer);
      REQUIRE(record);
      CHECK(record->data() == buffer.data());
      CHECK(record->size() == size + session::record_overhead);
      p.server.handle_input(epoch, *record);
      const auto got = p.server->receive();
      REQUIRE(got);
      CHECK(copy(*got) == plaintext);
    }
  }

  TEST_CASE("the plaintext may lie anywhere in the buffer") {
    pair p;
    p.connect();
    for (std::size_t offset = 0; offset <= session::record_overhead; ++offset) {
      std::array<std::uint8_t, 100> buffer;
      const bytes plaintext(50, static_cast<std::uint8_t>(offset));
      std::copy(plaintext.begin(), plaintext.end(),
                buffer.begin() + static_cast<std::ptrdiff_t>(offset));
      const auto record =
          p.client->protect(epoch, weft::const_bytes{buffer}.subspan(offset, 50), buffer);
      REQUIRE(record);
      p.server.handle_input(epoch, *record);
      CHECK(copy(*p.server->receive()) == plaintext);
    }
  }

  TEST_CASE("what does not fit is refused, and costs nothing") {
    pair p;
    std::array<std::uint8_t, 20'000> buffer;
    const weft::const_bytes text = weft::as_bytes("text");
    CHECK(p.client->protect(epoch, text, buffer).error() == error::not_connected);
    p.connect();
    const auto refused = [&](weft::const_bytes plaintext, std::size_t room) {
      return p.client->protect(epoch, plaintext, weft::mutable_bytes{buffer}.first(room)).error() ==
             error::buffer_too_small;
    };
    CHECK(refused(text, text.size() + session::record_overhead - 1));
    CHECK(refused(text, 0));
    CHECK(refused({}, 100));
    CHECK(refused(bytes(16'385), buffer.size()));
    p.server.handle_input(epoch, *p.client->protect(epoch, bytes(16'384, 7), buffer));
    CHECK(p.server->receive()->size() == 16'384);
  }

  TEST_CASE("after the first records none allocates") {
    pair p;
    p.connect();
    std::array<std::uint8_t, 1200> buffer;
    const bytes plaintext(1150, 7);
    const auto pass = [&] {
      const auto record = p.client->protect(epoch, plaintext, buffer);
      p.server.handle_input(epoch, *record);
      return p.server->receive()->size() == plaintext.size();
    };
    CHECK(pass());
    const std::uint64_t before = weft::test::allocations();
    bool all = true;
    for (int i = 0; i < 100; ++i) all = pass() && all;
    CHECK(weft::test::allocations() == before);
    CHECK(all);
  }

  TEST_CASE("several records in one datagram are received one by one") {
    pair p;
    p.connect();
    bytes datagram;
    for (const char* text : {"one", "two", "three"})
      append(datagram, protect(p.client, epoch, text));
    p.server.handle_input(epoch, datagram);
    CHECK(received(p.server) == "one");
    CHECK(received(p.server) == "two");
    p.server.handle_input(epoch, protect(p.client, epoch, "four"));
    CHECK(received(p.server) == "three");
    CHECK(received(p.server) == "four");
    CHECK(received(p.server) == "(nothing)");
  }
}
