#include <doctest/doctest.h>

#include <string>

#include <weft/stun/long_term.hpp>
#include <weft/stun/rest_credentials.hpp>

using namespace std::chrono_literals;
using namespace weft::stun;

namespace {

constexpr weft::time_point start{500h};
constexpr wall_clock::date today{std::chrono::seconds{1'700'000'000}};
constexpr wall_clock::date tomorrow = today + 24h;

rest_users make_store(rest_algorithm algorithm = rest_algorithm::sha1) {
  return rest_users{{.secrets = {"new", "old"}, .algorithm = algorithm, .clock = {start, today}}};
}

std::optional<known_user> find(rest_users& users, std::string_view username,
                               std::size_t candidate = 0, weft::time_point now = start) {
  return users.find(now, {username, std::nullopt, "realm", password_algorithm::md5}, candidate);
}

bool same_key(const integrity_key& a, const integrity_key& b) {
  return a.sha1()({}, {}) == b.sha1()({}, {});
}

}  // namespace

TEST_SUITE("stun/rest_credentials") {
  TEST_CASE("the password is the HMAC of the username, as openssl computes it") {
    // printf 1700086400:alice | openssl dgst -sha1 -hmac secret -binary | base64
    const auto sha1 = make_rest_credentials("secret", "alice", tomorrow);
    CHECK(sha1.username == "1700086400:alice");
    CHECK(sha1.password == "bQkkJ09au//1ZGbK+3Pt69JC3qg=");
    const auto sha256 = make_rest_credentials("secret", "alice", tomorrow, rest_algorithm::sha256);
    CHECK(sha256.username == sha1.username);
    CHECK(sha256.password == "V7q+OrmBTwswUm4igDlZma/vl1nVyC3FxmrvEdJtHZY=");
    CHECK(make_rest_credentials("secret", "", tomorrow).username == "1700086400");
  }

  TEST_CASE("a store finds whom its secrets vouch for, with the key of their password") {
    for (const auto algorithm : {rest_algorithm::sha1, rest_algorithm::sha256}) {
      rest_users users = make_store(algorithm);
      for (const std::size_t secret : {0u, 1u}) {
        const auto issued =
            make_rest_credentials(secret == 0 ? "new" : "old", "alice", tomorrow, algorithm);
        const auto user = find(users, issued.username, secret);
        REQUIRE(user);
        CHECK(user->username == issued.username);
        CHECK(user->account == "alice");
        CHECK(user->valid_until == start + 24h);
        CHECK(same_key(user->key, *long_term_key(issued.username, "realm", issued.password,
                                                 password_algorithm::md5)));
      }
      CHECK_FALSE(find(users, "1700086400:alice", 2));
    }
  }

  TEST_CASE("credentials end when they say, whatever the steady clock says") {
    rest_users users = make_store();
    CHECK(find(users, "1700086400:alice", 0, start + 24h - 1s));
    CHECK_FALSE(find(users, "1700086400:alice", 0, start + 24h));
    CHECK_FALSE(find(users, "1699999999:alice"));
    users.set_clock({start, today - 1h});
    CHECK(find(users, "1699999999:alice"));
  }

  TEST_CASE("who has no name has the username as account") {
    rest_users users = make_store();
    CHECK(find(users, "1700086400")->account == "1700086400");
    CHECK(find(users, "1700086400:")->account == "1700086400:");
    CHECK(find(users, "1700086400:a:b")->account == "a:b");
  }

  TEST_CASE("a username that does not begin with a time is nobody's") {
    rest_users users = make_store();
    for (const auto* name : {"", ":", "alice", ":1700086400", "-1700086400", "+1700086400",
                             " 1700086400", "1700086400 :a", "0x6554:a", "1700086400a",
                             "99999999999:a", "9000000001:a", "18446744073709551616:a"}) {
      CAPTURE(name);
      CHECK_FALSE(find(users, name));
    }
    CHECK(find(users, "9000000000:a"));
  }

  TEST_CASE("USERHASH cannot be turned back") {
    rest_users users = make_store();
    CHECK_FALSE(users.find(start,
                           {std::nullopt, hash_username("1700086400:alice", "realm"), "realm",
                            password_algorithm::md5},
                           0));
  }
}
