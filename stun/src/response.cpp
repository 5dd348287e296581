#include <weft/stun/response.hpp>

namespace weft::stun {

message_builder success_response(mutable_bytes buffer, const message_view& request) noexcept {
  return {buffer, message_class::success, request.type_method(), request.id()};
}

message_builder error_response(mutable_bytes buffer, const message_view& request, error_code code,
                               std::string_view reason) noexcept {
  message_builder response{buffer, message_class::error, request.type_method(), request.id()};
  return response.add_error(code, reason);
}

message_builder unknown_attribute_response(mutable_bytes buffer, const message_view& request,
                                           std::span<const attribute_type> types) noexcept {
  return error_response(buffer, request, error_code::unknown_attribute)
      .add_unknown_attributes(types);
}

const_bytes finish_response(message_builder& response, const message_view& request,
                            const integrity_key* key) noexcept {
  if (key != nullptr) {
    // RFC 8489 §9.1.3: the stronger of what the request had, and only that.
    return finish_response(response, request, *key,
                           request.message_integrity_sha256() ? integrity_algorithm::sha256
                                                              : integrity_algorithm::sha1);
  }
  if (request.fingerprint()) response.add_fingerprint();
  return response.finish();
}

const_bytes finish_response(message_builder& response, const message_view& request,
                            const integrity_key& key, integrity_algorithm algorithm) noexcept {
  if (algorithm == integrity_algorithm::sha256) {
    response.add_message_integrity_sha256(key);
  } else {
    response.add_message_integrity(key);
  }
  if (request.fingerprint()) response.add_fingerprint();
  return response.finish();
}

}  // namespace weft::stun
