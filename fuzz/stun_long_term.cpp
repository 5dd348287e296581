// Invariants, whatever the network makes of messages between a client and a server and
// whatever commands come in between:
// - the server authenticates nobody but the user it has and bearers of its tokens, and only with
//   a nonce of its own for that path that is not too old;
// - a refusal parses, has the request's transaction ID, and a realm and a nonce exactly where
//   RFC 8489 §9.2.4 wants them; to a source out of allowance none goes;
// - a transaction begins again no more often than the client's options say;
// - a client that has a key signs, one that has none adds nothing, and what it signs fits a
//   datagram.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

#include <weft/core/random.hpp>
#include <weft/stun/long_term_client.hpp>
#include <weft/stun/long_term_server.hpp>
#include <weft/stun/reply_limiter.hpp>
#include <weft/stun/response.hpp>
#include <weft/stun/rest_credentials.hpp>

namespace {

using namespace std::chrono_literals;
using namespace weft::stun;

void require(bool condition) {
  if (!condition) std::abort();
}

constexpr int max_challenges = 3;
constexpr wall_clock calendar{weft::time_point{1h}, wall_clock::date{std::chrono::hours{480'000}}};

class users final : public user_store {
 public:
  std::optional<known_user> find(weft::time_point now, const user_query& query,
                                 std::size_t candidate) override {
    require(candidate < max_candidates);
    require(query.username.has_value() != query.hash.has_value());
    if (auto user = rest_.find(now, query, candidate)) return user;
    return passwords_.find(now, query, candidate);
  }
  password_users passwords_{"realm"};
  rest_users rest_{{.secrets = {"secret"}, .clock = calendar}};
};

class world {
 public:
  world(weft::byte_reader& in, std::uint8_t flags)
      : in_{in},
        token_key_{"kid", std::vector<std::uint8_t>(32, 5), token_algorithm::a256gcm},
        server_{random_, users_, server_options(flags)},
        limiter_{random_, {.table_size = 4}},
        client_{password_credentials{"user", "pass"},
                {.max_challenges = max_challenges, .allow_md5 = (flags & 8) == 0}} {
    users_.passwords_.set("user", "pass");
  }

  void step() {
    switch (in_.u8() % 10) {
      case 0:
        now_ += std::chrono::seconds{in_.u16()};
        return;
      case 1:
        return ask(path_.remote, false);
      case 2:
        return ask(path_.remote, true);
      case 3:
        return ask({path_.remote.address, in_.u16()}, false);
      case 4:
        return change_credentials();
      case 5:
        client_.forget_server();
        return;
      case 6:
        attempt_ = {};
        challenges_ = 0;
        return;
      case 7:
        return serve(in_.bytes(std::min<std::size_t>(in_.u16(), in_.rest().size())), path_);
      case 8:
        return examine(in_.bytes(std::min<std::size_t>(in_.u16(), in_.rest().size())));
      case 9:
        return keep_session();
    }
  }

 private:
  long_term_server::options server_options(std::uint8_t flags) const {
    long_term_server::options o{.realm = "realm"};
    if ((flags & 1) != 0) o.algorithms.clear();
    o.username_anonymity = (flags & 2) != 0;
    if ((flags & 4) != 0) o.third_party_server = "turn.example.org";
    o.token_keys = {token_key_};
    o.clock = calendar;
    return o;
  }

  void change_credentials() {
    const std::uint8_t kind = in_.u8();
    if (kind % 4 == 0) return client_.set_credentials(password_credentials{"user", "pass"});
    if (kind % 4 == 1) return client_.set_credentials(password_credentials{"other", "pass"});
    if (kind % 4 == 2)
      return client_.set_credentials(
          make_rest_credentials("secret", "alice", calendar.at(now_) + 1h));
    const access_token token{std::vector<std::uint8_t>(20, 9), calendar.at(now_), 1h};
    const auto sealed = seal_token(token, "turn.example.org", token_key_, {1});
    require(sealed.has_value());
    client_.set_credentials(token_credentials{"kid", *sealed, token.mac_key});
  }

  // The client's request, with bytes changed on the way if `spoil`.
  void ask(const weft::endpoint& from, bool spoil) {
    std::array<std::uint8_t, 12> id{};
    std::array<std::uint8_t, 1464> buffer;
    message_builder b{buffer, message_class::request, method::binding, id};
    client_.sign(b, attempt_,
                 in_.u8() % 2 == 0 ? long_term_client::token_use::include
                                   : long_term_client::token_use::omit);
    const weft::const_bytes bytes = b.finish();
    require(!bytes.empty());
    require(client_.is_ready() == attempt_.is_signed());
    require(attempt_.is_signed() || bytes.size() == header_size);
    std::vector<std::uint8_t> request{bytes.begin(), bytes.end()};
    if (spoil) change(request);
    weft::five_tuple path = path_;
    path.remote = from;
    serve(request, path);
  }

  void change(std::vector<std::uint8_t>& bytes) {
    for (int i = in_.u8() % 4; i > 0; --i) bytes[in_.u16() % bytes.size()] = in_.u8();
  }

  void serve(weft::const_bytes bytes, const weft::five_tuple& path) {
    const auto request = message_view::parse(bytes);
    if (!request) return;
    const auto user = server_.authenticate(now_, path, *request, session_ ? &*session_ : nullptr);
    std::array<std::uint8_t, 1464> buffer;
    if (user) {
      require(has_integrity(*request) && request->realm() == "realm");
      // In a session the credentials may have ended.
      require(session_ || user->username == "user" || user->username == "kid" ||
              *user->valid_until > now_ - 10s);
      require(user->third_party == user->account.empty());
      last_ = *user;
      limiter_.confirm(path.remote.address);
      message_builder b = success_response(buffer, *request);
      return examine(finish_response(b, *request, user->key, user->response_integrity));
    }
    const weft::const_bytes refusal = server_.refuse(now_, path, *request, user.error(), buffer);
    const auto parsed = message_view::parse(refusal);
    require(parsed && parsed->id() == request->id() && parsed->error()->code == user.error());
    const bool challenge =
        user.error() == error_code::unauthenticated || user.error() == error_code::stale_nonce;
    require(parsed->realm().has_value() == challenge && parsed->nonce().has_value() == challenge);
    require(!has_integrity(*parsed));
    const bool permitted = limiter_.permit(now_, path.remote.address, bytes.size(), refusal.size());
    require(permitted || refusal.size() * 5 > bytes.size() * 8);
    if (!permitted) return;
    std::vector<std::uint8_t> response{refusal.begin(), refusal.end()};
    if (in_.u8() % 8 == 0) change(response);
    examine(response);
  }

  void examine(weft::const_bytes bytes) {
    const auto response = message_view::parse(bytes);
    if (!response) return;
    const auto verdict = client_.examine(*response, attempt_);
    if (verdict != long_term_verdict::challenged) return;
    require(client_.is_ready());
    require(++challenges_ <= max_challenges);
  }

  void keep_session() { session_ = last_; }

  weft::byte_reader& in_;
  weft::seeded_random random_{1};
  users users_;
  access_token_key token_key_;
  long_term_server server_;
  reply_limiter limiter_;
  long_term_client client_;
  long_term_attempt attempt_;
  int challenges_ = 0;
  std::optional<authenticated_user> last_, session_;
  weft::time_point now_{1h};
  weft::five_tuple path_{{weft::ip_address{std::array<std::uint8_t, 4>{192, 0, 2, 1}}, 3478},
                         {weft::ip_address{std::array<std::uint8_t, 4>{198, 51, 100, 9}}, 4000}};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  weft::byte_reader in{{data, size}};
  world w{in, in.u8()};
  while (!in.at_end()) w.step();
  return 0;
}
