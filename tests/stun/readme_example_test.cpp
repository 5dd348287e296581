// The example of the module's README, word for word.
#include <doctest/doctest.h>

#include <array>
#include <optional>

#include <weft/stun/fingerprint.hpp>
#include <weft/stun/integrity.hpp>
#include <weft/stun/message.hpp>
#include <weft/stun/response.hpp>

namespace {

namespace stun = weft::stun;

// Answers a connectivity check of ICE: empty for what is not one.
weft::const_bytes answer_check(const weft::endpoint& from, weft::const_bytes datagram,
                               const stun::integrity_key& key, weft::mutable_bytes buffer) {
  const auto request = stun::message_view::parse(datagram);
  if (!request || request->type_class() != stun::message_class::request) return {};
  if (request->type_method() != stun::method::binding) return {};
  if (!stun::has_valid_fingerprint(*request)) return {};

  const auto signer = stun::authenticate(*request, [&](std::string_view username) {
    return username == "evtj:h6vY" ? &key : nullptr;
  });
  if (!signer) {
    auto refusal = stun::error_response(buffer, *request, signer.error());
    return stun::finish_response(refusal, *request, nullptr);
  }

  auto response = stun::success_response(buffer, *request);
  response.add_xor_mapped_address(from);
  return stun::finish_response(response, *request, *signer);
}

}  // namespace

TEST_SUITE("stun/readme_example") {
  TEST_CASE("the README's example answers a check") {
    const auto key = stun::integrity_key::short_term("VOkJxbRl1RmTxUk/WvJxBt");
    const weft::endpoint from{*weft::ip_address::parse("192.0.2.1"), 32853};
    std::array<std::uint8_t, 256> request{}, buffer{};
    const auto check = [&](const stun::integrity_key& k) {
      return stun::message_builder{request, stun::message_class::request, stun::method::binding, {}}
          .add_username("evtj:h6vY")
          .add_priority(0x6e0001ff)
          .add_ice_controlling(1)
          .add_message_integrity(k)
          .add_fingerprint()
          .finish();
    };
    const auto response = stun::message_view::parse(answer_check(from, check(key), key, buffer));
    REQUIRE(response);
    CHECK(response->xor_mapped_address() == from);
    CHECK(stun::verify_integrity(*response, key));
    CHECK(stun::has_valid_fingerprint(*response));

    const auto guess = stun::integrity_key::short_term("guess");
    const auto refusal = stun::message_view::parse(answer_check(from, check(guess), key, buffer));
    REQUIRE(refusal);
    CHECK(refusal->error()->code == stun::error_code::unauthenticated);
    CHECK(answer_check(from, {}, key, buffer).empty());
  }
}
