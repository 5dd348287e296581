// The examples of the module's README, word for word.
#include <doctest/doctest.h>

#include <array>
#include <optional>

#include <weft/stun/fingerprint.hpp>
#include <weft/stun/integrity.hpp>
#include <weft/stun/long_term_client.hpp>
#include <weft/stun/long_term_server.hpp>
#include <weft/stun/message.hpp>
#include <weft/stun/reply_limiter.hpp>
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

// Answers a Binding request of a user: empty for what gets no answer.
weft::const_bytes answer_user(weft::time_point now, const weft::five_tuple& path,
                              weft::const_bytes datagram, stun::long_term_server& users,
                              stun::reply_limiter& limiter, weft::mutable_bytes buffer) {
  const auto request = stun::message_view::parse(datagram);
  if (!request || request->type_class() != stun::message_class::request) return {};
  if (request->type_method() != stun::method::binding) return {};

  const auto user = users.authenticate(now, path, *request);
  if (!user) {
    const auto refusal = users.refuse(now, path, *request, user.error(), buffer);
    const auto& source = path.remote.address;
    return limiter.permit(now, source, datagram.size(), refusal.size()) ? refusal
                                                                        : weft::const_bytes{};
  }

  limiter.confirm(path.remote.address);
  auto response = stun::success_response(buffer, *request);
  response.add_xor_mapped_address(path.remote);
  return stun::finish_response(response, *request, user->key, user->response_integrity);
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

  TEST_CASE("the README's server answers its users, and no flood") {
    weft::seeded_random random{1};
    stun::password_users store{"example.org"};
    store.set("user", "pass");
    stun::long_term_server users{random, store, {.realm = "example.org"}};
    stun::reply_limiter limiter{random};
    stun::long_term_client client{stun::password_credentials{"user", "pass"}};
    stun::long_term_attempt attempt;
    const weft::time_point now{};
    const weft::five_tuple path{{*weft::ip_address::parse("192.0.2.1"), 3478},
                                {*weft::ip_address::parse("192.0.2.2"), 4000}};
    std::array<std::uint8_t, 512> request{}, buffer{};
    const auto ask = [&] {
      stun::message_builder b{request, stun::message_class::request, stun::method::binding, {}};
      client.sign(b, attempt);
      return answer_user(now, path, b.finish(), users, limiter, buffer);
    };
    const auto first = stun::message_view::parse(ask());
    REQUIRE(first);
    CHECK(client.examine(*first, attempt) == stun::long_term_verdict::challenged);
    const auto second = stun::message_view::parse(ask());
    REQUIRE(second);
    CHECK(client.examine(*second, attempt) == stun::long_term_verdict::accepted);
    CHECK(second->xor_mapped_address() == path.remote);

    client.forget_server();
    int answers = 0;
    for (int i = 0; i < 1000; ++i) answers += !ask().empty();
    CHECK(answers == 4096 / (92 - 32));
  }
}
