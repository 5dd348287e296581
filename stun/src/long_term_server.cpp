#include <weft/stun/long_term_server.hpp>

#include <algorithm>
#include <utility>

#include <weft/stun/base64.hpp>
#include <weft/stun/response.hpp>

namespace weft::stun {
namespace {

constexpr std::size_t nonce_seal_size = 8;

hmac_sha256_key make_nonce_key(random_source& random,
                               const std::optional<std::array<std::uint8_t, 32>>& given) {
  std::array<std::uint8_t, 32> secret;
  if (given) {
    secret = *given;
  } else {
    random.fill(secret);
  }
  return hmac_sha256_key{secret};
}

// Whole seconds are enough for a nonce, and fit 32 bits for 136 years of a steady clock.
std::uint32_t seconds_of(time_point now) {
  return static_cast<std::uint32_t>(
      std::chrono::floor<std::chrono::seconds>(now.time_since_epoch()).count());
}

std::vector<std::uint8_t> list_algorithms(const std::vector<password_algorithm>& algorithms) {
  std::vector<std::uint8_t> list(algorithms.size() * 4);
  byte_writer out{list};
  for (const password_algorithm a : algorithms) {
    out.u16(static_cast<std::uint16_t>(a));
    out.u16(0);
  }
  return list;
}

bool same_name(const message_view& request, const authenticated_user& session,
               std::string_view realm) {
  if (const auto name = request.username()) return *name == session.username;
  const auto hash = request.userhash();
  return hash && *hash == hash_username(session.username, realm);
}

}  // namespace

long_term_server::long_term_server(random_source& random, user_store& users, const options& opts)
    : users_{&users},
      options_{opts},
      features_{.password_algorithms = !opts.algorithms.empty(),
                .username_anonymity = opts.username_anonymity},
      offered_{list_algorithms(opts.algorithms)},
      nonce_key_{make_nonce_key(random, opts.nonce_secret)} {}

void long_term_server::set_token_keys(std::vector<access_token_key> keys) {
  options_.token_keys = std::move(keys);
}

void long_term_server::set_clock(const wall_clock& clock) {
  options_.clock = clock;
}

result<authenticated_user, error_code> long_term_server::authenticate(
    time_point now, const five_tuple& path, const message_view& request,
    const authenticated_user* session) {
  auto user = check(now, path, request, session);
  if (user) {
    ++stats_.authenticated;
    return user;
  }
  switch (user.error()) {
    case error_code::bad_request:
      ++stats_.bad_requests;
      break;
    case error_code::stale_nonce:
      ++stats_.stale_nonces;
      break;
    case error_code::unknown_attribute:
      ++stats_.unexpected_tokens;
      break;
    default:
      ++(has_integrity(request) ? stats_.unauthenticated : stats_.challenges);
  }
  return user;
}

result<authenticated_user, error_code> long_term_server::check(
    time_point now, const five_tuple& path, const message_view& request,
    const authenticated_user* session) const {
  // RFC 7635 §7: where no tokens are offered none is known
  const auto token = request.find(attribute_type::access_token);
  if (token && options_.third_party_server.empty()) return fail(error_code::unknown_attribute);

  // RFC 8489 §9.2.4, in its order
  if (!has_integrity(request)) return fail(error_code::unauthenticated);
  const auto realm = request.realm();
  const auto nonce = request.nonce();
  if (!(request.username() || request.userhash()) || !realm || !nonce)
    return fail(error_code::bad_request);
  const auto negotiated = negotiated_algorithm(request, *nonce);
  if (!negotiated) return fail(negotiated.error());
  if (*realm != options_.realm) return fail(error_code::unauthenticated);

  const password_algorithm algorithm = negotiated->value_or(password_algorithm::md5);
  auto user = [&]() -> result<authenticated_user, error_code> {
    if (token) return check_token(now, request, token->value);
    const bool same_key =
        session != nullptr && same_name(request, *session, options_.realm) &&
        (session->third_party ? now < session->valid_until : session->algorithm == algorithm);
    if (!same_key) return check_password(now, request, algorithm);
    if (!verify_integrity(request, session->key)) return fail(error_code::unauthenticated);
    return *session;
  }();
  if (!user) return user;
  if (!is_fresh(now, path, *nonce)) return fail(error_code::stale_nonce);

  user->algorithm = algorithm;
  user->response_integrity = *negotiated ? integrity_algorithm::sha256 : integrity_algorithm::sha1;
  return user;
}

// What PASSWORD-ALGORITHM says; nothing where the request is to be taken as if it said MD5.
result<std::optional<password_algorithm>, error_code> long_term_server::negotiated_algorithm(
    const message_view& request, std::string_view nonce) const {
  const auto features = read_nonce_cookie(nonce);
  if (!features || !features->password_algorithms) return std::optional<password_algorithm>{};
  const auto list = request.find(attribute_type::password_algorithms);
  const bool has_one = request.has(attribute_type::password_algorithm);
  if (!list && !has_one) return std::optional<password_algorithm>{};
  const auto chosen = request.password_algorithm();
  const bool offered_so = list && std::ranges::equal(list->value, offered_);
  const bool is_offered =
      chosen && chosen->parameters.empty() &&
      std::ranges::find(options_.algorithms, chosen->algorithm) != options_.algorithms.end();
  if (!offered_so || !is_offered) return fail(error_code::bad_request);
  return std::optional{chosen->algorithm};
}

result<authenticated_user, error_code> long_term_server::check_password(
    time_point now, const message_view& request, password_algorithm algorithm) const {
  const user_query query{request.username(), request.username() ? std::nullopt : request.userhash(),
                         options_.realm, algorithm};
  for (std::size_t i = 0; i < user_store::max_candidates; ++i) {
    auto user = users_->find(now, query, i);
    if (!user) break;
    if (!verify_integrity(request, user->key)) continue;
    return authenticated_user{.username = std::move(user->username),
                              .account = std::move(user->account),
                              .key = user->key,
                              .valid_until = user->valid_until};
  }
  return fail(error_code::unauthenticated);
}

// RFC 7635 §7
result<authenticated_user, error_code> long_term_server::check_token(time_point now,
                                                                     const message_view& request,
                                                                     const_bytes token) const {
  const std::string_view id = request.username().value_or("");
  for (const access_token_key& key : options_.token_keys) {
    if (key.id != id) continue;
    const auto opened = open_token(token, options_.third_party_server, key);
    if (!opened || !is_current(*opened, options_.clock.at(now))) continue;
    const integrity_key mac_key{opened->mac_key};
    if (!verify_integrity(request, mac_key)) continue;
    return authenticated_user{
        .username = std::string{id},
        .account = {},
        .key = mac_key,
        .valid_until = options_.clock.when(opened->issued + opened->lifetime + token_delta),
        .third_party = true};
  }
  return fail(error_code::unauthenticated);
}

const_bytes long_term_server::refuse(time_point now, const five_tuple& path,
                                     const message_view& request, error_code code,
                                     mutable_bytes buffer) const {
  message_builder response = error_response(buffer, request, code);
  if (code == error_code::unknown_attribute)
    response.add_unknown_attributes(std::array{attribute_type::access_token});
  if (code == error_code::unauthenticated || code == error_code::stale_nonce) {
    const nonce_text nonce = make_nonce(seconds_of(now), path);
    response.add_realm(options_.realm).add_nonce({nonce.data(), nonce.size()});
    if (!offered_.empty()) response.add(attribute_type::password_algorithms, offered_);
    if (code == error_code::unauthenticated && !options_.third_party_server.empty())
      response.add_text(attribute_type::third_party_authorization, options_.third_party_server);
  }
  return finish_response(response, request, nullptr);
}

// A nonce is the cookie, and in base 64 the second it was made in and an HMAC of that, the
// cookie and who it is for. So one whose features were changed on the way is not fresh.
long_term_server::nonce_text long_term_server::make_nonce(std::uint32_t seconds,
                                                          const five_tuple& path) const {
  const auto cookie = nonce_cookie(features_);
  std::array<std::uint8_t, 4 + nonce_cookie_size + 1 + 2 + 1 + 16> input{};
  byte_writer in{input};
  in.u32(seconds);
  in.bytes(as_bytes({cookie.data(), cookie.size()}));
  in.u8(static_cast<std::uint8_t>(path.protocol));
  in.u16(path.remote.port);
  in.u8(path.remote.address.is_v4() ? 4 : 6);
  in.bytes(path.remote.address.octets());
  const sha256_digest seal = nonce_key_(in.written(), {});

  std::array<std::uint8_t, 4 + nonce_seal_size> body;
  byte_writer out{body};
  out.u32(seconds);
  out.bytes(const_bytes{seal}.first(nonce_seal_size));
  const std::string text = encode_base64(body);
  nonce_text nonce;
  std::ranges::copy(text, std::ranges::copy(cookie, nonce.begin()).out);
  return nonce;
}

bool long_term_server::is_fresh(time_point now, const five_tuple& path,
                                std::string_view nonce) const {
  if (nonce.size() != nonce_text{}.size()) return false;
  const auto body = decode_base64(nonce.substr(nonce_cookie_size));
  if (!body) return false;
  const std::uint32_t made = byte_reader{*body}.u32();
  const nonce_text right = make_nonce(made, path);
  if (!equal_in_constant_time(as_bytes({right.data(), right.size()}), as_bytes(nonce)))
    return false;
  // Unsigned, so that the count may wrap; one from the future is as old as can be.
  const std::chrono::seconds age{std::uint32_t{seconds_of(now) - made}};
  return age <= options_.nonce_lifetime;
}

}  // namespace weft::stun
