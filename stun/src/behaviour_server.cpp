#include <weft/stun/behaviour_server.hpp>

#include <algorithm>

#include <weft/stun/fingerprint.hpp>
#include <weft/stun/response.hpp>
#include <weft/stun/transmit_counter.hpp>

namespace weft::stun {
namespace {

// RFC 8489 §14, and RFC 5780 §7 as far as the server has it.
constexpr attribute_set understood_always{attribute_type::mapped_address,
                                          attribute_type::username,
                                          attribute_type::error_code,
                                          attribute_type::unknown_attributes,
                                          attribute_type::realm,
                                          attribute_type::nonce,
                                          attribute_type::userhash,
                                          attribute_type::password_algorithm,
                                          attribute_type::xor_mapped_address,
                                          attribute_type::padding};

constexpr std::size_t max_reported_attributes = 16;

bool asks_for_more(const message_view& request) {
  return request.has(attribute_type::change_request) ||
         request.has(attribute_type::response_port) || request.has(attribute_type::padding);
}

}  // namespace

behaviour_server::behaviour_server(random_source& random, const options& opts)
    : options_{opts}, limiter_{random, opts.limits} {}

std::array<endpoint, 4> behaviour_server::sockets() const {
  const endpoint& one = options_.primary;
  const endpoint two = options_.alternate.value_or(one);
  return {one, endpoint{one.address, two.port}, endpoint{two.address, one.port}, two};
}

std::optional<addressed_transmit> behaviour_server::respond(time_point now, const endpoint& local,
                                                            const endpoint& from,
                                                            const_bytes datagram,
                                                            mutable_bytes buffer) {
  const auto request = message_view::parse(datagram);
  if (!request || request->type_class() != message_class::request ||
      request->type_method() != method::binding ||
      (request->fingerprint() && !has_valid_fingerprint(*request))) {
    ++stats_.dropped;
    return std::nullopt;
  }

  const endpoint& primary = options_.primary;
  const endpoint alternate = options_.alternate.value_or(primary);
  // RFC 5780 §6.1, Table 1
  const bool at_alternate_address = local.address == alternate.address;
  const bool at_alternate_port = local.port == alternate.port;
  const endpoint other{at_alternate_address ? primary.address : alternate.address,
                       at_alternate_port ? primary.port : alternate.port};
  const auto change = find_change_request(*request).value_or(change_request{});
  const endpoint origin{change.address ? other.address : local.address,
                        change.port ? other.port : local.port};
  const auto port = find_response_port(*request);
  const endpoint to{from.address, port.value_or(from.port)};

  const const_bytes refusal = refuse(*request, buffer);
  if (!refusal.empty()) return addressed_transmit{local, from, refusal};

  const_bytes response = describe(*request, from, origin, other, buffer);
  if (response.empty()) return std::nullopt;
  if (!limiter_.permit(now, from.address, datagram.size(), response.size())) {
    if (asks_for_more(*request)) {
      ++stats_.withheld;
      return std::nullopt;
    }
    ++stats_.plain;
    message_builder plain = success_response(buffer, *request);
    response = finish_response(plain.add_xor_mapped_address(from), *request, nullptr);
  }
  ++stats_.successes;
  return addressed_transmit{origin, to, response};
}

// The error response for a request that has what it must not; empty for others.
const_bytes behaviour_server::refuse(const message_view& request, mutable_bytes buffer) {
  std::array<attribute_type, max_reported_attributes> found;
  std::size_t count = 0;
  for (const attribute_type type : request.unknown_to(understood_always, found)) {
    const bool known = (type == attribute_type::change_request && options_.alternate) ||
                       (type == attribute_type::response_port && options_.response_port);
    if (!known) found[count++] = type;
  }
  if (count > 0) {
    ++stats_.unknown_attributes;
    message_builder response =
        unknown_attribute_response(buffer, request, std::span{found}.first(count));
    return finish_response(response, request, nullptr);
  }
  const auto is_bad = [&](attribute_type type, bool good) { return request.has(type) && !good; };
  const auto port = find_response_port(request);
  // RFC 5780 §6.1: never both. Port 0 cannot be sent to.
  if (is_bad(attribute_type::change_request, find_change_request(request).has_value()) ||
      is_bad(attribute_type::response_port, port && *port != 0) ||
      (port && request.has(attribute_type::padding))) {
    ++stats_.bad_requests;
    message_builder response = error_response(buffer, request, error_code::bad_request);
    return finish_response(response, request, nullptr);
  }
  return {};
}

const_bytes behaviour_server::describe(const message_view& request, const endpoint& from,
                                       const endpoint& origin, const endpoint& other,
                                       mutable_bytes buffer) const {
  message_builder response = success_response(buffer, request);
  response.add_xor_mapped_address(from).add_mapped_address(from);
  response.add_address(attribute_type::response_origin, origin);
  if (options_.alternate) response.add_address(attribute_type::other_address, other);
  if (const auto counter = find_transmit_counter(request))
    add_transmit_counter(response, {counter->requests, 0});
  if (const auto padding = request.find(attribute_type::padding)) {
    constexpr std::size_t rest = 4 + 8;  // its own header, and FINGERPRINT
    const std::size_t used = response.finish().size() + rest;
    const std::size_t room = buffer.size() > used ? (buffer.size() - used) & ~std::size_t{3} : 0;
    const std::size_t size = std::min({padding->value.size(), options_.max_padding, room});
    response.add_zeros(attribute_type::padding, size);
  }
  return finish_response(response, request, nullptr);
}

}  // namespace weft::stun
