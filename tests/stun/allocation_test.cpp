#include <doctest/doctest.h>

#include <array>

#include <weft/stun/binding_server.hpp>
#include <weft/stun/fingerprint.hpp>
#include <weft/stun/integrity.hpp>

#include "stun/vectors.hpp"
#include "support/allocation_counter.hpp"

using namespace weft::stun;
using namespace weft::test;

TEST_SUITE("stun/allocation") {
  TEST_CASE("parsing, reading, verifying, building and signing allocate nothing") {
    const auto key = integrity_key::short_term(sample_password);
    std::array<std::uint8_t, 256> buffer{};
    const auto before = allocations();
    const auto message = message_view::parse(sample_request);
    const bool authentic = message && verify_integrity(*message, key);
    const bool whole = message && has_valid_fingerprint(*message);
    const bool named = message && message->username() == "evtj:h6vY";
    const auto built =
        message_builder{buffer, message_class::request, method::binding, message->id()}
            .add_username("evtj:h6vY")
            .add_priority(1)
            .add_ice_controlling(2)
            .add_message_integrity(key)
            .add_message_integrity_sha256(key)
            .add_fingerprint()
            .finish();
    const auto after = allocations();
    CHECK(after == before);
    CHECK(authentic);
    CHECK(whole);
    CHECK(named);
    CHECK_FALSE(built.empty());
  }

  TEST_CASE("a server answers without allocating") {
    binding_server server;
    binding_server guarded{{short_term_credentials{"evtj:h6vY", sample_password}}};
    std::array<std::uint8_t, 256> buffer{};
    const weft::endpoint from{weft::ip_address{std::array<std::uint8_t, 4>{192, 0, 2, 1}}, 1};
    const auto before = allocations();
    const bool answered = server.respond(from, sample_request, buffer).has_value();
    const bool refused = guarded.respond(from, sample_request, buffer).has_value();
    const auto after = allocations();
    CHECK(after == before);
    CHECK(answered);
    CHECK(refused);
  }
}
