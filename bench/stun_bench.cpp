// An ICE connectivity check, as browsers send it: USERNAME, PRIORITY, ICE-CONTROLLING,
// MESSAGE-INTEGRITY and FINGERPRINT in 100 bytes. And what long-term credentials cost a server.
#include <benchmark/benchmark.h>

#include <array>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include <weft/stun/access_token.hpp>
#include <weft/stun/fingerprint.hpp>
#include <weft/stun/integrity.hpp>
#include <weft/stun/long_term_client.hpp>
#include <weft/stun/long_term_server.hpp>
#include <weft/stun/message.hpp>

#ifdef WEFT_BENCH_LIBNICE
#  include <stun/stunagent.h>
#endif

namespace {

using namespace weft::stun;

constexpr std::string_view username = "evtj:h6vYab12";
constexpr std::string_view password = "VOkJxbRl1RmTxUk/WvJxBt";
constexpr transaction_id id{0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae};
constexpr std::uint32_t priority = 0x6e0001ff;
constexpr std::uint64_t tie_breaker = 0x932ff9b151263b36;

weft::const_bytes build(weft::mutable_bytes buffer, const integrity_key& key) {
  return message_builder{buffer, message_class::request, method::binding, id}
      .add_username(username)
      .add_priority(priority)
      .add_ice_controlling(tie_breaker)
      .add_message_integrity(key)
      .add_fingerprint()
      .finish();
}

struct request {
  request() { bytes = build(memory, integrity_key::short_term(password)); }

  std::array<std::uint8_t, 128> memory{};
  weft::const_bytes bytes;
};

// What an ICE agent reads of a check.
bool read(const message_view& message) {
  return message.username() == username && message.priority() == priority &&
         message.ice_controlling() == tie_breaker && !message.use_candidate();
}

void parse_weft(benchmark::State& state) {
  request request;
  for (auto _ : state) {
    benchmark::DoNotOptimize(request.memory);
    const auto message = message_view::parse(request.bytes);
    benchmark::DoNotOptimize(message);
  }
}
BENCHMARK(parse_weft)->Name("stun/parse/100/weft");

void parse_read_weft(benchmark::State& state) {
  request request;
  for (auto _ : state) {
    benchmark::DoNotOptimize(request.memory);
    const auto message = message_view::parse(request.bytes);
    if (!message || !read(*message)) return state.SkipWithError("not the request");
  }
}
BENCHMARK(parse_read_weft)->Name("stun/parse_read/100/weft");

void parse_verify_weft(benchmark::State& state) {
  request request;
  const auto key = integrity_key::short_term(password);
  for (auto _ : state) {
    benchmark::DoNotOptimize(request.memory);
    const auto message = message_view::parse(request.bytes);
    if (!message || !has_valid_fingerprint(*message) || !verify_integrity(*message, key) ||
        !read(*message))
      return state.SkipWithError("not the request");
  }
}
BENCHMARK(parse_verify_weft)->Name("stun/parse_verify/100/weft");

void build_sign_weft(benchmark::State& state) {
  const auto key = integrity_key::short_term(password);
  std::array<std::uint8_t, 128> memory{};
  for (auto _ : state) {
    const auto bytes = build(memory, key);
    benchmark::DoNotOptimize(bytes);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(build_sign_weft)->Name("stun/build_sign/100/weft");

void crc32_weft(benchmark::State& state) {
  request request;
  for (auto _ : state) {
    benchmark::DoNotOptimize(request.memory);
    benchmark::DoNotOptimize(crc32(request.bytes));
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(request.bytes.size()));
}
BENCHMARK(crc32_weft)->Name("stun/crc32/100/weft");

// A server with one user, and a request of that user's.
struct long_term_exchange {
  explicit long_term_exchange(std::vector<password_algorithm> algorithms)
      : server{random, users, {.realm = "example.org", .algorithms = std::move(algorithms)}} {
    users.set("user", password);
    long_term_client client{password_credentials{"user", std::string{password}}};
    long_term_attempt attempt;
    for (int i = 0; i < 2; ++i) {
      message_builder b{memory, message_class::request, method::binding, id};
      client.sign(b, attempt);
      bytes = b.finish();
      std::array<std::uint8_t, 256> reply;
      const auto request = message_view::parse(bytes);
      client.examine(*message_view::parse(
                         server.refuse({}, path, *request, error_code::unauthenticated, reply)),
                     attempt);
      if (i == 0) challenged.assign(bytes.begin(), bytes.end());
    }
  }

  weft::seeded_random random{1};
  password_users users{"example.org"};
  weft::five_tuple path{{weft::ip_address{std::array<std::uint8_t, 4>{192, 0, 2, 1}}, 3478},
                        {weft::ip_address{std::array<std::uint8_t, 4>{192, 0, 2, 2}}, 4000}};
  long_term_server server;
  std::array<std::uint8_t, 512> memory{};
  weft::const_bytes bytes;
  std::vector<std::uint8_t> challenged;  ///< The request before it was signed.
};

void authenticate_long_term(benchmark::State& state, std::vector<password_algorithm> algorithms) {
  long_term_exchange exchange{std::move(algorithms)};
  for (auto _ : state) {
    benchmark::DoNotOptimize(exchange.memory);
    const auto request = message_view::parse(exchange.bytes);
    const auto user = exchange.server.authenticate({}, exchange.path, *request);
    if (!user) return state.SkipWithError("not authenticated");
  }
}
BENCHMARK_CAPTURE(authenticate_long_term, md5, {})->Name("stun/long_term/md5/weft");
BENCHMARK_CAPTURE(authenticate_long_term, sha256,
                  {password_algorithm::sha256, password_algorithm::md5})
    ->Name("stun/long_term/sha256/weft");

void challenge_weft(benchmark::State& state) {
  long_term_exchange exchange{{password_algorithm::sha256, password_algorithm::md5}};
  std::array<std::uint8_t, 256> reply;
  for (auto _ : state) {
    const auto request = message_view::parse(exchange.challenged);
    const auto user = exchange.server.authenticate({}, exchange.path, *request);
    benchmark::DoNotOptimize(
        exchange.server.refuse({}, exchange.path, *request, user.error(), reply));
  }
}
BENCHMARK(challenge_weft)->Name("stun/challenge/92/weft");

void open_token_weft(benchmark::State& state) {
  const access_token_key key{"kid", std::vector<std::uint8_t>(32, 5), token_algorithm::a256gcm};
  const access_token token{std::vector<std::uint8_t>(20, 9), {}, std::chrono::hours{1}};
  const auto sealed = seal_token(token, "turn.example.org", key, {1});
  for (auto _ : state) {
    const auto opened = open_token(*sealed, "turn.example.org", key);
    if (!opened) return state.SkipWithError("not opened");
  }
}
BENCHMARK(open_token_weft)->Name("stun/open_token/64/weft");

#ifdef WEFT_BENCH_LIBNICE

// What libnice's own agent sets for connectivity checks.
struct nice_agent {
  explicit nice_agent(unsigned flags) {
    stun_agent_init(&agent, STUN_ALL_KNOWN_ATTRIBUTES, STUN_COMPATIBILITY_RFC5389,
                    static_cast<StunAgentUsageFlags>(STUN_AGENT_USAGE_USE_FINGERPRINT | flags));
  }
  StunAgent agent;
};

bool find_password(StunAgent*, StunMessage*, std::uint8_t*, std::uint16_t, std::uint8_t** out,
                   std::size_t* size, void* user_data) {
  *out = static_cast<std::uint8_t*>(user_data);
  *size = password.size();
  return true;
}

bool read(const StunMessage& message) {
  std::uint16_t size = 0;
  std::uint32_t p = 0;
  std::uint64_t t = 0;
  return stun_message_find(&message, STUN_ATTRIBUTE_USERNAME, &size) != nullptr &&
         size == username.size() &&
         stun_message_find32(&message, STUN_ATTRIBUTE_PRIORITY, &p) ==
             STUN_MESSAGE_RETURN_SUCCESS &&
         p == priority &&
         stun_message_find64(&message, STUN_ATTRIBUTE_ICE_CONTROLLING, &t) ==
             STUN_MESSAGE_RETURN_SUCCESS &&
         t == tie_breaker &&
         stun_message_find_flag(&message, STUN_ATTRIBUTE_USE_CANDIDATE) !=
             STUN_MESSAGE_RETURN_SUCCESS;
}

// libnice has no parser apart from this, which only looks at the lengths.
void parse_libnice(benchmark::State& state) {
  request request;
  for (auto _ : state) {
    benchmark::DoNotOptimize(request.memory);
    benchmark::DoNotOptimize(
        stun_message_validate_buffer_length(request.memory.data(), request.bytes.size(), true));
  }
}
BENCHMARK(parse_libnice)->Name("stun/parse/100/libnice");

void parse_verify_libnice(benchmark::State& state) {
  request request;
  nice_agent nice{STUN_AGENT_USAGE_SHORT_TERM_CREDENTIALS};
  std::array<char, 32> secret{};
  password.copy(secret.data(), secret.size());
  for (auto _ : state) {
    benchmark::DoNotOptimize(request.memory);
    StunMessage message;
    const auto status = stun_agent_validate(&nice.agent, &message, request.memory.data(),
                                            request.bytes.size(), find_password, secret.data());
    if (status != STUN_VALIDATION_SUCCESS || !read(message))
      return state.SkipWithError("not the request");
  }
}
BENCHMARK(parse_verify_libnice)->Name("stun/parse_verify/100/libnice");

void build_sign_libnice(benchmark::State& state) {
  nice_agent nice{STUN_AGENT_USAGE_SHORT_TERM_CREDENTIALS};
  std::array<std::uint8_t, 128> memory{};
  for (auto _ : state) {
    StunMessage message;
    stun_agent_init_request(&nice.agent, &message, memory.data(), memory.size(), STUN_BINDING);
    stun_message_append_bytes(&message, STUN_ATTRIBUTE_USERNAME, username.data(), username.size());
    stun_message_append32(&message, STUN_ATTRIBUTE_PRIORITY, priority);
    stun_message_append64(&message, STUN_ATTRIBUTE_ICE_CONTROLLING, tie_breaker);
    const auto size = stun_agent_finish_message(
        &nice.agent, &message, reinterpret_cast<const std::uint8_t*>(password.data()),
        password.size());
    // It remembers a few hundred requests until they are answered, and then refuses.
    StunTransactionId sent;
    stun_message_id(&message, sent);
    if (size == 0 || !stun_agent_forget_transaction(&nice.agent, sent))
      return state.SkipWithError("not built");
    benchmark::ClobberMemory();
  }
}
BENCHMARK(build_sign_libnice)->Name("stun/build_sign/100/libnice");

#endif  // WEFT_BENCH_LIBNICE

}  // namespace
