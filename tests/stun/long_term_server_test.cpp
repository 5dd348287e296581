#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <string>
#include <vector>

#include <weft/stun/long_term_server.hpp>
#include <weft/stun/response.hpp>

#include "stun/raw_message.hpp"

using namespace std::chrono_literals;
using namespace weft::stun;
using namespace weft::test;

namespace {

const weft::endpoint client_address{*weft::ip_address::parse("198.51.100.9"), 40000};
const weft::five_tuple path{{*weft::ip_address::parse("203.0.113.7"), 3478}, client_address};
constexpr weft::time_point start{1h};

using attribute = attribute_type;

struct world {
  explicit world(long_term_server::options o = {.realm = "example.org"})
      : server{random, users, o} {
    users.set("user", "pass");
  }

  message_view refusal(error_code code, const raw_bytes& request, weft::time_point now = start,
                       const weft::five_tuple& from = path) {
    const auto bytes = server.refuse(now, from, *message_view::parse(request), code, buffer);
    const auto message = message_view::parse(bytes);
    REQUIRE(message);
    CHECK(message->error()->code == code);
    CHECK(message->id() == raw_id);
    CHECK_FALSE(message->has(attribute::username));
    CHECK_FALSE(message->has(attribute::userhash));
    CHECK_FALSE(has_integrity(*message));
    return *message;
  }

  std::string nonce(weft::time_point now = start, const weft::five_tuple& from = path) {
    return std::string{
        *refusal(error_code::unauthenticated, raw_message(message_class::request, {}), now, from)
             .nonce()};
  }

  // 200, or the code of the refusal.
  int judge(const raw_bytes& request, weft::time_point now = start,
            const weft::five_tuple& from = path, const authenticated_user* session = nullptr) {
    const auto message = message_view::parse(request);
    REQUIRE(message);
    last = server.authenticate(now, from, *message, session);
    return last ? 200 : static_cast<int>(last.error());
  }

  weft::seeded_random random{1};
  password_users users{"example.org"};
  long_term_server server;
  std::array<std::uint8_t, 1472> buffer{};
  weft::result<authenticated_user, error_code> last = weft::fail(error_code::server_error);
};

const raw_bytes both_algorithms{0, 2, 0, 0, 0, 1, 0, 0};

struct request_form {
  bool username = true;
  bool userhash = false;
  bool realm = true;
  bool nonce = true;
  raw_bytes algorithms{};  ///< Empty for none.
  raw_bytes algorithm{};
  bool sha1 = true;
  bool sha256 = false;
  std::string user = "user";
  std::string realm_text = "example.org";
  std::string password = "pass";
  password_algorithm derived = password_algorithm::md5;
};

raw_bytes build(const request_form& f, std::string_view nonce) {
  std::array<std::uint8_t, 1472> buffer{};
  message_builder b{buffer, message_class::request, method::binding, raw_id};
  if (f.username) b.add_username(f.user);
  if (f.userhash) b.add_userhash(hash_username(f.user, f.realm_text));
  if (f.realm) b.add_realm(f.realm_text);
  if (f.nonce) b.add_nonce(nonce);
  if (!f.algorithms.empty()) b.add(attribute::password_algorithms, f.algorithms);
  if (!f.algorithm.empty()) b.add(attribute::password_algorithm, f.algorithm);
  const auto key = *long_term_key(f.user, f.realm_text, f.password, f.derived);
  if (f.sha1) b.add_message_integrity(key);
  if (f.sha256) b.add_message_integrity_sha256(key);
  const auto bytes = b.finish();
  REQUIRE_FALSE(bytes.empty());
  return {bytes.begin(), bytes.end()};
}

request_form with_sha256() {
  request_form f;
  f.algorithms = both_algorithms;
  f.algorithm = {0, 2, 0, 0};
  f.sha1 = false;
  f.sha256 = true;
  f.derived = password_algorithm::sha256;
  return f;
}

}  // namespace

TEST_SUITE("stun/long_term_server") {
  TEST_CASE("RFC 8489 §9.2.4: without integrity 401 brings realm, nonce and algorithms") {
    world w;
    const auto request = raw_message(message_class::request, {});
    CHECK(w.judge(request) == 401);
    CHECK(w.server.stats().challenges == 1);
    const auto refusal = w.refusal(error_code::unauthenticated, request);
    CHECK(refusal.realm() == "example.org");
    REQUIRE(refusal.nonce());
    CHECK(read_nonce_cookie(*refusal.nonce()) == security_features{true, false});
    const auto list = refusal.find(attribute::password_algorithms);
    REQUIRE(list);
    CHECK(std::ranges::equal(list->value, both_algorithms));
    CHECK_FALSE(refusal.has(attribute::third_party_authorization));
    CHECK(refusal.bytes().size() == 92);
  }

  TEST_CASE("RFC 8489 §9.2.4: each request gets the answer of the first check it fails") {
    world w;
    const std::string nonce = w.nonce();
    const std::string old = w.nonce(start - 11min);
    struct row {
      const char* what;
      int code;
      std::function<void(request_form&)> change;
    };
    const row rows[] = {
        {"good", 200, [](request_form&) {}},
        {"good by USERHASH", 200, [](request_form& f) { f.username = false, f.userhash = true; }},
        {"both integrities", 200, [](request_form& f) { f.sha256 = true; }},
        {"no integrity", 401, [](request_form& f) { f.sha1 = false; }},
        {"no integrity, no name", 401, [](request_form& f) { f.sha1 = f.username = false; }},
        {"no name", 400, [](request_form& f) { f.username = false; }},
        {"no realm", 400, [](request_form& f) { f.realm = false; }},
        {"no nonce", 400, [](request_form& f) { f.nonce = false; }},
        {"no name, wrong password", 400,
         [](request_form& f) { f.username = false, f.password = "x"; }},
        {"an unknown name", 401, [](request_form& f) { f.user = "nobody"; }},
        {"an unknown hash", 401,
         [](request_form& f) { f.username = false, f.userhash = true, f.user = "nobody"; }},
        {"another realm", 401, [](request_form& f) { f.realm_text = "example.com"; }},
        {"a wrong password", 401, [](request_form& f) { f.password = "x"; }},
        {"SHA-256 with the key of MD5, not negotiated", 200,
         [](request_form& f) { f.sha1 = false, f.sha256 = true; }},
        {"the key of SHA-256, not negotiated", 401,
         [](request_form& f) { f.derived = password_algorithm::sha256; }},
        {"the list alone", 400, [](request_form& f) { f.algorithms = both_algorithms; }},
        {"the choice alone", 400,
         [](request_form& f) {
           f.algorithm = {0, 1, 0, 0};
         }},
        {"a list without SHA-256", 400,
         [](request_form& f) {
           f.algorithms = f.algorithm = {0, 1, 0, 0};
         }},
        {"a list in another order", 400,
         [](request_form& f) {
           f.algorithms = {0, 1, 0, 0, 0, 2, 0, 0};
           f.algorithm = {0, 1, 0, 0};
         }},
        {"a choice that is not on the list", 400,
         [](request_form& f) {
           f.algorithms = both_algorithms, f.algorithm = {0, 3, 0, 0};
         }},
        {"a choice with parameters", 400,
         [](request_form& f) {
           f.algorithms = both_algorithms;
           f.algorithm = {0, 2, 0, 4, 1, 2, 3, 4};
         }},
        {"a choice that is none", 400,
         [](request_form& f) {
           f.algorithms = both_algorithms, f.algorithm = {0, 2};
         }},
        {"MD5 negotiated", 200,
         [](request_form& f) {
           f.algorithms = both_algorithms, f.algorithm = {0, 1, 0, 0};
         }},
        {"SHA-256 negotiated", 200, [](request_form& f) { f = with_sha256(); }},
        {"SHA-256 negotiated, signed with SHA-1", 200,
         [](request_form& f) { f = with_sha256(), f.sha1 = true, f.sha256 = false; }},
        {"SHA-256 negotiated, the key of MD5", 401,
         [](request_form& f) { f = with_sha256(), f.derived = password_algorithm::md5; }},
    };
    for (const row& r : rows) {
      CAPTURE(r.what);
      request_form f;
      r.change(f);
      CHECK(w.judge(build(f, nonce)) == r.code);
      // With a nonce that is stale all is the same but what is else good.
      CHECK(w.judge(build(f, old)) == (r.code == 200 ? 438 : r.code));
    }
    CHECK(w.server.stats().stale_nonces == 7);
    CHECK(w.server.stats().authenticated == 7);
  }

  TEST_CASE("RFC 8489 §9.2.4: responses have SHA-256 if an algorithm was negotiated") {
    world w;
    const std::string nonce = w.nonce();
    CHECK(w.judge(build({}, nonce)) == 200);
    CHECK(w.last->response_integrity == integrity_algorithm::sha1);
    CHECK(w.last->username == "user");
    CHECK(w.last->account == "user");
    CHECK_FALSE(w.last->valid_until);
    CHECK(w.judge(build(with_sha256(), nonce)) == 200);
    CHECK(w.last->response_integrity == integrity_algorithm::sha256);
    CHECK(w.last->algorithm == password_algorithm::sha256);
    std::array<std::uint8_t, 200> buffer{};
    const auto request = raw_message(message_class::request, {});
    for (const auto algorithm : {integrity_algorithm::sha1, integrity_algorithm::sha256}) {
      message_builder response{buffer, message_class::success, method::binding, raw_id};
      const auto message = message_view::parse(
          finish_response(response, *message_view::parse(request), w.last->key, algorithm));
      REQUIRE(message);
      CHECK(message->message_integrity().has_value() == (algorithm == integrity_algorithm::sha1));
      CHECK(verify_integrity(*message, w.last->key));
    }
  }

  TEST_CASE("RFC 8489 §9.2.4: a nonce is for one address, one port and one transport") {
    world w;
    const auto request = build({}, w.nonce());
    CHECK(w.judge(request) == 200);
    weft::five_tuple other = path;
    other.remote.port = 40001;
    CHECK(w.judge(request, start, other) == 438);
    other = path;
    other.remote.address = *weft::ip_address::parse("198.51.100.10");
    CHECK(w.judge(request, start, other) == 438);
    other = path;
    other.protocol = weft::transport_protocol::tcp;
    CHECK(w.judge(request, start, other) == 438);
    CHECK(w.nonce() != w.nonce(start, other));
    other = path;
    other.local.port = 5349;
    CHECK(w.judge(request, start, other) == 200);
  }

  TEST_CASE("a nonce is good for its lifetime, and none is good before it was made") {
    world w;
    const auto request = build({}, w.nonce());
    CHECK(w.judge(request, start + 10min) == 200);
    CHECK(w.judge(request, start + 10min + 1s) == 438);
    CHECK(w.judge(request, start - 1s) == 438);
    CHECK(w.judge(request, start + 1000h) == 438);
    const auto stale = w.refusal(error_code::stale_nonce, request, start + 1h);
    CHECK(stale.realm() == "example.org");
    CHECK(stale.has(attribute::password_algorithms));
    CHECK(w.judge(build({}, *stale.nonce()), start + 1h) == 200);
  }

  TEST_CASE("any one character of a nonce changed makes it stale, also in its cookie") {
    world w;
    const std::string nonce = w.nonce();
    CHECK(nonce.size() == 29);
    for (std::size_t i = 0; i < nonce.size(); ++i) {
      std::string other = nonce;
      other[i] = other[i] == 'B' ? 'C' : 'B';
      CAPTURE(other);
      CHECK(w.judge(build({}, other)) == 438);
    }
    for (const auto* other : {"", "a", "obMatJos2AAAB", "1234567890123456"})
      CHECK(w.judge(build({}, other)) == 438);
    CHECK(w.judge(build({}, nonce + "=")) == 438);
  }

  TEST_CASE("two servers know each other's nonces only if they share the secret") {
    world a, b;
    b.random = weft::seeded_random{2};
    long_term_server::options shared{.realm = "example.org"};
    shared.nonce_secret.emplace().fill(7);
    world c{shared}, d{shared};
    weft::seeded_random other{9};
    long_term_server stranger{other, a.users, {.realm = "example.org"}};
    const auto message = build({}, a.nonce());
    const auto view = message_view::parse(message);
    CHECK(stranger.authenticate(start, path, *view).error() == error_code::stale_nonce);
    CHECK(d.judge(build({}, c.nonce())) == 200);
    CHECK(c.nonce() == d.nonce());
  }

  TEST_CASE("RFC 5389 §10.2: a server that offers no algorithms is as it was before RFC 8489") {
    world w{{.realm = "example.org", .algorithms = {}}};
    const auto refusal =
        w.refusal(error_code::unauthenticated, raw_message(message_class::request, {}));
    CHECK_FALSE(refusal.has(attribute::password_algorithms));
    CHECK(read_nonce_cookie(*refusal.nonce()) == security_features{false, false});
    CHECK(w.judge(build({}, w.nonce())) == 200);
    // What it did not offer does not count.
    CHECK(w.judge(build(with_sha256(), w.nonce())) == 401);
  }

  TEST_CASE("RFC 8489 §9.2.1: username anonymity is told in the nonce") {
    world w{{.realm = "example.org", .username_anonymity = true}};
    CHECK(read_nonce_cookie(w.nonce()) == security_features{true, true});
    request_form f;
    f.username = false;
    f.userhash = true;
    CHECK(w.judge(build(f, w.nonce())) == 200);
    CHECK(w.last->username == "user");
  }

  TEST_CASE("any one bit of a signed request changed, and it is not authenticated") {
    world w;
    for (const auto& form : {request_form{}, with_sha256()}) {
      const auto request = build(form, w.nonce());
      for (std::size_t bit = 0; bit < request.size() * 8; ++bit) {
        raw_bytes other = request;
        other[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
        const auto message = message_view::parse(other);
        if (!message) continue;
        CAPTURE(bit);
        CHECK_FALSE(w.server.authenticate(start, path, *message));
      }
    }
  }

  TEST_CASE("a session's key holds when the user is gone, but only for its username") {
    world w;
    const auto request = build({}, w.nonce());
    REQUIRE(w.judge(request) == 200);
    const authenticated_user session = *w.last;
    w.users.set("other", "pass");
    w.users.remove("user");
    CHECK(w.users.size() == 1);
    CHECK(w.judge(request) == 401);
    CHECK(w.judge(request, start, path, &session) == 200);
    CHECK(w.judge(request, start + 1h, path, &session) == 438);
    request_form hashed;
    hashed.username = false;
    hashed.userhash = true;
    CHECK(w.judge(build(hashed, w.nonce()), start, path, &session) == 200);
    request_form wrong;
    wrong.password = "wrong";
    CHECK(w.judge(build(wrong, w.nonce()), start, path, &session) == 401);
    // Another algorithm needs another key, which the session does not have.
    CHECK(w.judge(build(with_sha256(), w.nonce()), start, path, &session) == 401);
    request_form other;
    other.user = "other";
    CHECK(w.judge(build(other, w.nonce()), start, path, &session) == 200);
    CHECK(w.last->account == "other");
  }

  TEST_CASE("RFC 7635 §7, §9: a session goes on without the token, but not after its end") {
    const access_token_key key{"kid", std::vector<std::uint8_t>(32, 5), token_algorithm::a256gcm};
    const access_token token{raw_bytes(20, 9), wall_clock::date{100h}, 1h};
    const raw_bytes sealed = *seal_token(token, "turn.example.org", key, {1});
    long_term_server::options o{.realm = "example.org", .algorithms = {}};
    o.nonce_lifetime = 10h;
    o.third_party_server = "turn.example.org";
    o.token_keys = {key};
    o.clock = {start, wall_clock::date{100h}};
    world w{o};
    CHECK(w.refusal(error_code::unauthenticated, raw_message(message_class::request, {}))
              .find_text(attribute::third_party_authorization) == "turn.example.org");
    const std::string nonce = w.nonce();
    const auto request = [&](const raw_bytes* with, std::string_view kid = "kid") {
      std::array<std::uint8_t, 512> buffer{};
      message_builder b{buffer, message_class::request, method::binding, raw_id};
      b.add_username(kid);
      if (with != nullptr) b.add(attribute::access_token, *with);
      b.add_realm("example.org")
          .add_nonce(nonce)
          .add_message_integrity(integrity_key{token.mac_key});
      const auto bytes = b.finish();
      return raw_bytes{bytes.begin(), bytes.end()};
    };
    REQUIRE(w.judge(request(&sealed)) == 200);
    const authenticated_user session = *w.last;
    CHECK(session.username == "kid");
    CHECK(session.account.empty());
    CHECK(session.third_party);
    CHECK(session.valid_until == start + 1h + 5s);
    CHECK(w.judge(request(nullptr)) == 401);
    CHECK(w.judge(request(nullptr), start, path, &session) == 200);
    CHECK(w.judge(request(nullptr), start + 1h + 4s, path, &session) == 200);
    CHECK(w.judge(request(nullptr), start + 1h + 5s, path, &session) == 401);
    CHECK(w.judge(request(nullptr, "other"), start, path, &session) == 401);
    // Nor can the token itself be used then, nor one that is none, nor another's kid.
    CHECK(w.judge(request(&sealed), start + 1h + 4s) == 200);
    CHECK(w.judge(request(&sealed), start + 1h + 5s) == 401);
    CHECK(w.judge(request(&sealed, "other")) == 401);
    const raw_bytes broken(sealed.begin(), sealed.end() - 1);
    CHECK(w.judge(request(&broken)) == 401);
    w.server.set_token_keys({});
    CHECK(w.judge(request(&sealed)) == 401);
    w.server.set_token_keys({key});
    w.server.set_clock({start, wall_clock::date{200h}});
    CHECK(w.judge(request(&sealed)) == 401);
  }

  TEST_CASE("a password that changes is the new one from then on") {
    world w;
    w.users.set("user", "new");
    CHECK(w.users.size() == 1);
    request_form f;
    CHECK(w.judge(build(f, w.nonce())) == 401);
    f.password = "new";
    CHECK(w.judge(build(f, w.nonce())) == 200);
    w.users.remove("nobody");
    CHECK(w.users.size() == 1);
  }

  TEST_CASE("RFC 7635 §7: ACCESS-TOKEN where tokens are not offered is an unknown attribute") {
    world w;
    const auto request = raw_message(message_class::request, {{attribute::access_token, {1, 2}}});
    CHECK(w.judge(request) == 420);
    CHECK(w.server.stats().unexpected_tokens == 1);
    const auto refusal = w.refusal(error_code::unknown_attribute, request);
    const auto unknown = refusal.unknown_attributes();
    REQUIRE(unknown);
    REQUIRE(unknown->size() == 1);
    CHECK((*unknown)[0] == attribute::access_token);
    CHECK_FALSE(refusal.has(attribute::nonce));
    CHECK(refusal.bytes().size() * 5 <= request.size() * 8);
  }

  TEST_CASE("a refusal needs no more than its buffer, and a small buffer yields nothing") {
    world w;
    const auto request = raw_message(message_class::request, {});
    for (std::size_t size = 0; size < 92; ++size) {
      std::vector<std::uint8_t> small(size);
      CHECK(w.server
                .refuse(start, path, *message_view::parse(request), error_code::unauthenticated,
                        small)
                .empty());
    }
  }

  TEST_CASE("refusals leave no byte of the buffer in the message as it was") {
    for (const auto code : {error_code::bad_request, error_code::unauthenticated,
                            error_code::unknown_attribute, error_code::stale_nonce}) {
      world w{{.realm = "a", .third_party_server = "odd"}};
      const auto request = raw_message(message_class::request, {});
      std::array<std::uint8_t, 200> zeros{}, ones;
      ones.fill(0xff);
      const auto a = w.server.refuse(start, path, *message_view::parse(request), code, zeros);
      const auto b = w.server.refuse(start, path, *message_view::parse(request), code, ones);
      CHECK(std::ranges::equal(a, b));
    }
  }
}
