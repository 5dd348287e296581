#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include <weft/stun/long_term_client.hpp>
#include <weft/stun/long_term_server.hpp>
#include <weft/stun/response.hpp>

#include "stun/raw_message.hpp"

using namespace std::chrono_literals;
using namespace weft::stun;
using namespace weft::test;

namespace {

const weft::five_tuple path{{*weft::ip_address::parse("203.0.113.7"), 3478},
                            {*weft::ip_address::parse("198.51.100.9"), 40000}};
constexpr weft::time_point start{1h};

using attribute = attribute_type;
using verdict = long_term_verdict;

const std::string plain_nonce = "1234567890abcdef";
const std::string sha256_nonce = "obMatJos2AAABxyz";
const raw_bytes both_algorithms{0, 2, 0, 0, 0, 1, 0, 0};

raw_bytes text(std::string_view s) {
  const auto bytes = weft::as_bytes(s);
  return {bytes.begin(), bytes.end()};
}

raw_bytes error(int code, std::vector<raw_attribute> more) {
  more.insert(more.begin(), {attribute::error_code,
                             {0, 0, static_cast<std::uint8_t>(code / 100),
                              static_cast<std::uint8_t>(code % 100)}});
  return raw_message(message_class::error, more);
}

raw_bytes challenge(int code = 401, std::string_view nonce = plain_nonce,
                    std::string_view realm = "example.org") {
  return error(code, {{attribute::realm, text(realm)}, {attribute::nonce, text(nonce)}});
}

raw_bytes sha256_challenge(int code = 401, raw_bytes algorithms = both_algorithms) {
  return error(code, {{attribute::realm, text("example.org")},
                      {attribute::nonce, text(sha256_nonce)},
                      {attribute::password_algorithms, std::move(algorithms)}});
}

// One transaction after the other of a client, and the last request it made.
struct exchange {
  exchange() : client{password_credentials{"user", "pass"}} {}
  explicit exchange(const long_term_client::options& o)
      : client{password_credentials{"user", "pass"}, o} {}

  message_view request(long_term_client::token_use use = long_term_client::token_use::include) {
    message_builder b{buffer, message_class::request, method::binding, raw_id};
    client.sign(b, attempt, use);
    const auto bytes = b.finish();
    REQUIRE_FALSE(bytes.empty());
    return *message_view::parse(bytes);
  }
  verdict examine(const raw_bytes& response) {
    return client.examine(*message_view::parse(response), attempt);
  }
  void challenged_with(const raw_bytes& response) {
    request();
    REQUIRE(examine(response) == verdict::challenged);
    request();
  }

  long_term_client client;
  long_term_attempt attempt;
  std::array<std::uint8_t, 2048> buffer{};
};

const integrity_key md5_key =
    *long_term_key("user", "example.org", "pass", password_algorithm::md5);
const integrity_key sha256_key =
    *long_term_key("user", "example.org", "pass", password_algorithm::sha256);

enum class seal { none, sha1, sha256 };

raw_bytes response(message_class c, const integrity_key& key, seal s, int code = 0,
                   std::string_view nonce = {}) {
  std::array<std::uint8_t, 256> buffer{};
  message_builder b{buffer, c, method::binding, raw_id};
  if (code != 0) b.add_error(static_cast<error_code>(code), "");
  if (!nonce.empty()) b.add_nonce(nonce);
  if (s == seal::sha1) b.add_message_integrity(key);
  if (s == seal::sha256) b.add_message_integrity_sha256(key);
  const auto bytes = b.finish();
  return {bytes.begin(), bytes.end()};
}

}  // namespace

TEST_SUITE("stun/long_term_client") {
  TEST_CASE("RFC 8489 §9.2.3.1: the first request has nothing of credentials") {
    exchange e;
    const auto request = e.request();
    CHECK(request.bytes().size() == header_size);
    CHECK_FALSE(e.attempt.is_signed());
    CHECK_FALSE(e.client.is_ready());
    CHECK(e.client.has_credentials());
    CHECK(e.examine(response(message_class::success, md5_key, seal::none)) == verdict::accepted);
  }

  TEST_CASE("RFC 8489 §9.2.5: the answer to a 401 of RFC 5389") {
    exchange e;
    e.request();
    CHECK(e.examine(challenge()) == verdict::challenged);
    CHECK(e.client.is_ready());
    CHECK(e.client.realm() == "example.org");
    const auto request = e.request();
    CHECK(e.attempt.is_signed());
    CHECK(request.username() == "user");
    CHECK(request.realm() == "example.org");
    CHECK(request.nonce() == plain_nonce);
    CHECK_FALSE(request.has(attribute::userhash));
    CHECK_FALSE(request.has(attribute::password_algorithm));
    CHECK_FALSE(request.has(attribute::password_algorithms));
    CHECK_FALSE(request.message_integrity_sha256());
    CHECK(verify_message_integrity(request, md5_key));
  }

  TEST_CASE("RFC 8489 §9.2.5: the answer to a 401 with PASSWORD-ALGORITHMS") {
    exchange e;
    e.challenged_with(sha256_challenge());
    const auto request = e.request();
    CHECK(request.username() == "user");
    CHECK(request.nonce() == sha256_nonce);
    const auto list = request.find(attribute::password_algorithms);
    REQUIRE(list);
    CHECK(std::ranges::equal(list->value, both_algorithms));
    CHECK(request.password_algorithm()->algorithm == password_algorithm::sha256);
    CHECK_FALSE(request.message_integrity());
    CHECK(verify_message_integrity_sha256(request, sha256_key));
  }

  TEST_CASE("RFC 8489 §9.2.5: the first algorithm that is known is chosen, and the list echoed") {
    exchange e;
    const raw_bytes list{0, 9, 0, 3, 1, 2, 3, 0, 0, 1, 0, 0, 0, 2, 0, 0};
    e.challenged_with(sha256_challenge(401, list));
    const auto request = e.request();
    CHECK(request.password_algorithm()->algorithm == password_algorithm::md5);
    CHECK(std::ranges::equal(request.find(attribute::password_algorithms)->value, list));
    CHECK(verify_message_integrity_sha256(request, md5_key));
  }

  TEST_CASE("RFC 8489 §9.2.5: USERHASH if the nonce asks for it") {
    exchange e;
    e.challenged_with(challenge(401, "obMatJos2AAACxyz"));
    const auto request = e.request();
    CHECK_FALSE(request.has(attribute::username));
    CHECK(request.userhash() == hash_username("user", "example.org"));
    CHECK(verify_message_integrity(request, md5_key));
  }

  TEST_CASE(
      "RFC 8489 §9.2.5: a challenge without the algorithms its nonce tells of is a bid-down") {
    for (const int code : {401, 438}) {
      exchange e;
      e.request();
      CHECK(e.examine(challenge(code, sha256_nonce)) == verdict::bid_down);
      CHECK_FALSE(e.client.is_ready());
      // Not a list is no list.
      CHECK(e.examine(sha256_challenge(code, {})) == verdict::bid_down);
      CHECK(e.examine(sha256_challenge(code, {0, 2, 0})) == verdict::bid_down);
      CHECK(e.examine(sha256_challenge(code, {0, 2, 0, 1})) == verdict::bid_down);
    }
  }

  TEST_CASE("RFC 8489 §9.2.5: SHA-256 once is SHA-256 for good") {
    for (const int code : {401, 438}) {
      exchange e;
      e.challenged_with(sha256_challenge());
      CHECK(e.examine(challenge(code, plain_nonce, "example.com")) == verdict::bid_down);
      CHECK(e.client.realm() == "example.org");
      // Unless the server is another one.
      e.client.forget_server();
      e.attempt = {};
      e.request();
      CHECK(e.examine(challenge(code)) == verdict::challenged);
    }
  }

  TEST_CASE("RFC 8489 §9.2.5: no algorithm in common ends it") {
    exchange e;
    e.request();
    CHECK(e.examine(sha256_challenge(401, {0, 3, 0, 0})) == verdict::no_algorithm);
    CHECK(e.examine(sha256_challenge(401, raw_bytes(132))) == verdict::no_algorithm);
    exchange strict{{.allow_md5 = false}};
    strict.request();
    CHECK(strict.examine(challenge()) == verdict::no_algorithm);
    CHECK(strict.examine(sha256_challenge(401, {0, 1, 0, 0})) == verdict::no_algorithm);
    strict.challenged_with(sha256_challenge(401, {0, 1, 0, 0, 0, 2, 0, 0}));
    CHECK(verify_message_integrity_sha256(strict.request(), sha256_key));
  }

  TEST_CASE("RFC 8489 §9.2.5: what is believed of the responses to a signed request") {
    const integrity_key wrong = *long_term_key("user", "example.org", "x", password_algorithm::md5);
    struct row {
      const char* what;
      raw_bytes challenge;
      raw_bytes response;
      verdict expected;
    };
    const auto good = message_class::success;
    const auto bad = message_class::error;
    const row rows[] = {
        {"success", challenge(), response(good, md5_key, seal::sha1), verdict::accepted},
        {"success with SHA-256", challenge(), response(good, md5_key, seal::sha256),
         verdict::accepted},
        {"unsigned", challenge(), response(good, md5_key, seal::none), verdict::discard},
        {"another key", challenge(), response(good, wrong, seal::sha1), verdict::discard},
        {"an error", challenge(), response(bad, md5_key, seal::sha1, 486), verdict::accepted},
        {"an unsigned error", challenge(), response(bad, md5_key, seal::none, 486),
         verdict::discard},
        {"an unsigned 400", challenge(), response(bad, md5_key, seal::none, 400), verdict::discard},
        {"a signed 400", challenge(), response(bad, md5_key, seal::sha1, 400), verdict::accepted},
        {"an unsigned 300", challenge(), response(bad, md5_key, seal::none, 300), verdict::discard},
        {"a nonce that tells of algorithms, but none", challenge(),
         response(good, md5_key, seal::sha1, 0, sha256_nonce), verdict::discard},
        {"negotiated", sha256_challenge(), response(good, sha256_key, seal::sha256),
         verdict::accepted},
        {"negotiated, SHA-1", sha256_challenge(), response(good, sha256_key, seal::sha1),
         verdict::discard},
        {"negotiated, the key of MD5", sha256_challenge(), response(good, md5_key, seal::sha256),
         verdict::discard},
        {"an error without a code", challenge(), raw_message(bad, {}), verdict::discard},
    };
    for (const row& r : rows) {
      CAPTURE(r.what);
      exchange e;
      e.challenged_with(r.challenge);
      CHECK(e.examine(r.response) == r.expected);
    }
  }

  TEST_CASE("RFC 8489 §9.2.5: a 401 to a signed request is the end, if nothing has changed") {
    exchange e;
    e.challenged_with(challenge());
    CHECK(e.examine(challenge(401, "anothernonce")) == verdict::refused);
    CHECK(e.examine(challenge(401, "anothernonce", "example.com")) == verdict::challenged);
    CHECK(e.client.realm() == "example.com");
    e.request();
    e.client.set_credentials(password_credentials{"user", "other"});
    CHECK(e.examine(challenge(401, "third", "example.com")) == verdict::challenged);
    CHECK(verify_message_integrity(
        e.request(), *long_term_key("user", "example.com", "other", password_algorithm::md5)));
  }

  TEST_CASE("RFC 8489 §9.2.5: a stale nonce is replaced, also without a realm") {
    exchange e;
    e.challenged_with(challenge());
    CHECK(e.examine(error(438, {{attribute::nonce, text("fresh")}})) == verdict::challenged);
    const auto request = e.request();
    CHECK(request.nonce() == "fresh");
    CHECK(request.realm() == "example.org");
    CHECK(verify_message_integrity(request, md5_key));
    CHECK(e.examine(response(message_class::success, md5_key, seal::sha1)) == verdict::accepted);
  }

  TEST_CASE("endless challenges of any kind end after as many as the options say") {
    for (const bool with_realm : {false, true}) {
      for (const int limit : {0, 1, 3, 10}) {
        exchange e{{.max_challenges = limit}};
        int requests = 0;
        verdict v = verdict::challenged;
        while (v == verdict::challenged && requests < 100) {
          e.request();
          ++requests;
          const std::string number = std::to_string(requests);
          v = with_realm ? e.examine(challenge(401, "n" + number, "r" + number))
                         : e.examine(challenge(438, "n" + number));
        }
        CHECK(v == verdict::too_many_challenges);
        CHECK(requests == limit + 1);
        // The next transaction may try again.
        e.attempt = {};
        e.request();
        if (limit > 0) CHECK(e.examine(challenge(438, "again")) == verdict::challenged);
      }
    }
  }

  TEST_CASE("many transactions share what one has learned, and each has its own count") {
    exchange e;
    e.challenged_with(challenge());
    std::vector<long_term_attempt> attempts(20);
    for (long_term_attempt& a : attempts) {
      e.attempt = a;
      e.request();
      a = e.attempt;
    }
    for (long_term_attempt& a : attempts) {
      e.attempt = a;
      CHECK(e.examine(challenge(438, "fresh")) == verdict::challenged);
    }
  }

  TEST_CASE("without credentials a 401 is refused, and tells where tokens are to be had") {
    long_term_client client;
    long_term_attempt attempt;
    auto bytes = error(401, {{attribute::realm, text("example.org")},
                             {attribute::nonce, text(plain_nonce)},
                             {attribute::third_party_authorization, text("turn1@example.com")}});
    CHECK(client.examine(*message_view::parse(bytes), attempt) == verdict::refused);
    CHECK(client.third_party_server() == "turn1@example.com");
    CHECK(client.examine(*message_view::parse(challenge()), attempt) == verdict::refused);
    CHECK_FALSE(client.third_party_server());
    client.set_credentials(password_credentials{"user", "pass"});
    CHECK_FALSE(client.is_ready());
    CHECK(client.examine(*message_view::parse(challenge()), attempt) == verdict::challenged);
    CHECK(client.is_ready());
  }

  TEST_CASE("a challenge that cannot be answered is not one") {
    for (const auto& bytes :
         {error(401, {}), error(401, {{attribute::realm, text("example.org")}}),
          error(401, {{attribute::nonce, text("n")}}), challenge(401, std::string(128, 'n')),
          challenge(401, std::string(764, 'n')), challenge(401, "n", std::string(128, 'r')),
          challenge(438, "n", ""), challenge(401, "")}) {
      exchange e;
      e.request();
      CHECK(e.examine(bytes) == verdict::refused);
      CHECK_FALSE(e.client.is_ready());
      CHECK(e.request().bytes().size() == header_size);
    }
    exchange e;
    e.challenged_with(challenge());
    CHECK(e.examine(error(438, {})) == verdict::discard);
    CHECK(e.examine(challenge(438, std::string(128, 'n'))) == verdict::discard);
  }

  TEST_CASE("the longest challenge that is taken makes a request that fits a datagram") {
    std::string wide;
    for (int i = 0; i < 127; ++i) wide += "\xf0\x9f\xa6\x86";  // four bytes each
    raw_bytes algorithms{0, 2, 0, 120};
    algorithms.resize(124);
    exchange e;
    e.client.set_credentials(password_credentials{std::string(508, 'u'), "pass"});
    e.request();
    auto longest = error(401, {{attribute::realm, text(wide)},
                               {attribute::nonce, text("obMatJos2AAAB" + std::string(114, 'n'))},
                               {attribute::password_algorithms, algorithms}});
    REQUIRE(e.examine(longest) == verdict::challenged);
    CHECK(e.request().bytes().size() + 8 <= 1472);
    CHECK(e.examine(challenge(438, "obMatJos2AAAA" + std::string(114, 'n'), wide + "x")) ==
          verdict::bid_down);
  }

  TEST_CASE("credentials that change keep what was learned, and responses under way count") {
    exchange e;
    e.challenged_with(challenge());
    e.client.set_credentials(password_credentials{"new", "secret"});
    CHECK(e.client.is_ready());
    CHECK(e.examine(response(message_class::success, md5_key, seal::sha1)) == verdict::accepted);
    const auto request = e.request();
    CHECK(request.username() == "new");
    CHECK(request.nonce() == plain_nonce);
    const auto new_key = *long_term_key("new", "example.org", "secret", password_algorithm::md5);
    CHECK(verify_message_integrity(request, new_key));
    CHECK(e.examine(response(message_class::success, new_key, seal::sha1)) == verdict::accepted);
    CHECK(e.examine(response(message_class::success, md5_key, seal::sha1)) == verdict::discard);
  }

  TEST_CASE("RFC 7635 §5: a token goes with its kid and signs with the MAC key itself") {
    const raw_bytes mac_key(20, 7);
    for (const bool negotiated : {false, true}) {
      exchange e;
      e.client.set_credentials(token_credentials{"kid", {1, 2, 3}, mac_key});
      e.challenged_with(negotiated ? sha256_challenge() : challenge());
      const auto request = e.request();
      CHECK(request.username() == "kid");
      const auto token = request.find(attribute::access_token);
      REQUIRE(token);
      CHECK(std::ranges::equal(token->value, raw_bytes{1, 2, 3}));
      CHECK(request.message_integrity_sha256().has_value() == negotiated);
      CHECK(verify_integrity(request, integrity_key{mac_key}));
      const auto without = e.request(long_term_client::token_use::omit);
      CHECK(without.username() == "kid");
      CHECK_FALSE(without.has(attribute::access_token));
      CHECK(verify_integrity(without, integrity_key{mac_key}));
    }
  }

  TEST_CASE("RFC 7635 §5: USERNAME carries the kid even where names are hidden") {
    exchange e;
    e.client.set_credentials(token_credentials{"kid", {1}, raw_bytes(20, 7)});
    e.challenged_with(challenge(401, "obMatJos2AAACxyz"));
    CHECK(e.request().username() == "kid");
  }

  TEST_CASE("client and server agree in every configuration, until the nonce is stale and after") {
    weft::seeded_random random{1};
    password_users users{"example.org"};
    users.set("user", "pass");
    const access_token_key token_key{"kid", std::vector<std::uint8_t>(32, 5),
                                     token_algorithm::a256gcm};
    const access_token token{std::vector<std::uint8_t>(20, 9), wall_clock::date{100h}, 1h};
    const std::vector<std::vector<password_algorithm>> lists{
        {}, {password_algorithm::md5}, {password_algorithm::sha256, password_algorithm::md5}};
    for (const auto& list : lists) {
      for (const bool anonymous : {false, true}) {
        for (const bool third_party : {false, true}) {
          CAPTURE(list.size());
          CAPTURE(anonymous);
          CAPTURE(third_party);
          long_term_server::options options{
              .realm = "example.org", .algorithms = list, .username_anonymity = anonymous};
          options.clock = {start, wall_clock::date{100h + 30min}};
          if (third_party) options.third_party_server = "turn.example.org";
          options.token_keys = {token_key};
          long_term_server server{random, users, options};
          exchange e;
          if (third_party) {
            const auto sealed = seal_token(token, "turn.example.org", token_key, {1});
            e.client.set_credentials(token_credentials{"kid", *sealed, token.mac_key});
          }
          const auto ask = [&](weft::time_point now) {
            std::array<std::uint8_t, 512> reply{};
            for (int requests = 1;; ++requests) {
              const auto request = e.request();
              const auto user = server.authenticate(now, path, request);
              weft::const_bytes bytes;
              if (user) {
                auto b = success_response(reply, request);
                bytes = finish_response(b, request, user->key, user->response_integrity);
              } else {
                bytes = server.refuse(now, path, request, user.error(), reply);
              }
              const auto v = e.client.examine(*message_view::parse(bytes), e.attempt);
              if (v == verdict::challenged) continue;
              CHECK(v == verdict::accepted);
              if (user) CHECK(user->third_party == third_party);
              CHECK(user);
              return requests;
            }
          };
          CHECK(ask(start) == 2);
          CHECK(ask(start + 1min) == 1);
          e.attempt = {};
          CHECK(ask(start + 20min) == 2);
          if (third_party) CHECK(e.client.third_party_server() == "turn.example.org");
        }
      }
    }
  }

  TEST_CASE(
      "RFC 8489 §9.2.1: whatever an attacker strips, no request is signed with MD5 for long") {
    weft::seeded_random random{1};
    password_users users{"example.org"};
    users.set("user", "pass");
    long_term_server server{random, users, {.realm = "example.org"}};
    // Takes PASSWORD-ALGORITHMS away, and makes the nonce one that does not tell.
    exchange e;
    int requests = 0;
    verdict v = verdict::challenged;
    while (v == verdict::challenged && ++requests < 100) {
      const auto request = e.request();
      const auto user = server.authenticate(start, path, request);
      REQUIRE_FALSE(user);  // never accepted
      std::array<std::uint8_t, 512> reply{};
      const auto refusal =
          *message_view::parse(server.refuse(start, path, request, user.error(), reply));
      std::string nonce{*refusal.nonce()};
      nonce[12] = 'A';
      v = e.examine(challenge(static_cast<int>(user.error()), nonce));
    }
    CHECK(v == verdict::too_many_challenges);
    CHECK(requests == 4);
  }

  TEST_CASE("every verdict has words") {
    for (int i = 0; i <= static_cast<int>(verdict::too_many_challenges); ++i)
      CHECK_FALSE(to_string(static_cast<verdict>(i)).empty());
  }
}
