#include <weft/stun/binding_server.hpp>

#include <array>

#include <weft/stun/fingerprint.hpp>
#include <weft/stun/response.hpp>
#include <weft/stun/transmit_counter.hpp>

namespace weft::stun {
namespace {

// RFC 8489 §14: all that is comprehension-required in it.
constexpr attribute_set understood{attribute_type::mapped_address,
                                   attribute_type::username,
                                   attribute_type::error_code,
                                   attribute_type::unknown_attributes,
                                   attribute_type::realm,
                                   attribute_type::nonce,
                                   attribute_type::userhash,
                                   attribute_type::password_algorithm,
                                   attribute_type::xor_mapped_address};

// A request has to name each unknown type in four bytes, and the answer takes two. The
// bound is for the buffer: who sends more unknown attributes learns of these first.
constexpr std::size_t max_reported_attributes = 16;

}  // namespace

std::optional<const_bytes> binding_server::respond(const endpoint& from, const_bytes datagram,
                                                   mutable_bytes buffer) {
  const auto message = message_view::parse(datagram);
  if (!message || message->type_method() != method::binding ||
      (message->fingerprint() && !has_valid_fingerprint(*message))) {
    ++stats_.dropped;  // RFC 8489 §6.3
    return std::nullopt;
  }
  switch (message->type_class()) {
    case message_class::request:
      break;
    case message_class::indication:
      ++stats_.indications;
      return std::nullopt;
    case message_class::success:
    case message_class::error:
      ++stats_.dropped;
      return std::nullopt;
  }
  const const_bytes response = answer(from, *message, buffer);
  if (response.empty()) return std::nullopt;
  return response;
}

namespace {

// RFC 7982 §3.3. Nobody here counts the responses.
void echo_transmit_counter(message_builder& response, const message_view& request) {
  if (const auto counter = find_transmit_counter(request))
    add_transmit_counter(response, {counter->requests, 0});
}

}  // namespace

// RFC 8489 §6.3: credentials first, then unknown attributes.
const_bytes binding_server::answer(const endpoint& from, const message_view& request,
                                   mutable_bytes buffer) {
  const integrity_key* key = nullptr;
  if (options_.credentials) {
    const auto& expected = *options_.credentials;
    const auto authentic = authenticate(request, [&](std::string_view username) {
      return username == expected.username ? &expected.key : nullptr;
    });
    if (!authentic) {
      ++(authentic.error() == error_code::bad_request ? stats_.bad_requests
                                                      : stats_.unauthenticated);
      message_builder response = error_response(buffer, request, authentic.error());
      echo_transmit_counter(response, request);
      return finish_response(response, request, nullptr);
    }
    key = *authentic;
  }

  if (request.has_unknown(understood)) {
    ++stats_.unknown_attributes;
    std::array<attribute_type, max_reported_attributes> unknown;
    message_builder response =
        unknown_attribute_response(buffer, request, request.unknown_to(understood, unknown));
    echo_transmit_counter(response, request);
    return finish_response(response, request, key);
  }

  ++stats_.successes;
  message_builder response = success_response(buffer, request);
  response.add_xor_mapped_address(from);
  echo_transmit_counter(response, request);
  return finish_response(response, request, key);
}

}  // namespace weft::stun
