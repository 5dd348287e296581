#ifndef WEFT_STUN_RESPONSE_HPP
#define WEFT_STUN_RESPONSE_HPP

#include <span>
#include <string_view>

#include <weft/stun/integrity.hpp>
#include <weft/stun/message.hpp>

/// Responses to a request: right method, class and transaction ID, to which the caller
/// adds what the usage asks for before `finish_response`.
///
/// None of these adds a SOFTWARE attribute or a reason phrase unasked: a response to a
/// source that may be forged should not be much longer than the request.
namespace weft::stun {

message_builder success_response(mutable_bytes buffer, const message_view& request) noexcept;

/// With ERROR-CODE: for 400, 401, 438, 487 and the rest. `to_string(code)` is the usual reason.
message_builder error_response(mutable_bytes buffer, const message_view& request, error_code code,
                               std::string_view reason = {}) noexcept;

/// 420 with UNKNOWN-ATTRIBUTES (RFC 8489 §6.3.1); `types` as of `message_view::unknown_to`.
message_builder unknown_attribute_response(mutable_bytes buffer, const message_view& request,
                                           std::span<const attribute_type> types) noexcept;

/// Finishes a response to a request that was authenticated with `key`, null if it was not:
/// adds the one integrity attribute that RFC 8489 §9.1.3 wants, and FINGERPRINT if the
/// request had one. Empty if the buffer is too small.
const_bytes finish_response(message_builder& response, const message_view& request,
                            const integrity_key* key) noexcept;

/// The same with the integrity attribute that a mechanism prescribes, such as
/// `authenticated_user::response_integrity`.
const_bytes finish_response(message_builder& response, const message_view& request,
                            const integrity_key& key, integrity_algorithm algorithm) noexcept;

}  // namespace weft::stun

#endif  // WEFT_STUN_RESPONSE_HPP
