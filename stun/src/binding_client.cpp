#include <weft/stun/binding_client.hpp>

#include <algorithm>
#include <utility>

#include <weft/stun/fingerprint.hpp>

namespace weft::stun {

static_assert(machine<binding_client>);

namespace {

// What a Binding response may have that must be understood (RFC 8489 §14).
constexpr attribute_set understood{attribute_type::mapped_address,
                                   attribute_type::xor_mapped_address,
                                   attribute_type::username,
                                   attribute_type::error_code,
                                   attribute_type::unknown_attributes,
                                   attribute_type::realm,
                                   attribute_type::nonce,
                                   attribute_type::userhash,
                                   attribute_type::password_algorithm};

}  // namespace

binding_client::binding_client(random_source& random, const endpoint& server)
    : binding_client{random, server, options{}} {}

binding_client::binding_client(random_source& random, const endpoint& server, const options& opts)
    : random_{&random}, server_{server}, options_{opts}, timer_{opts.retransmission} {}

time_point binding_client::advance(time_point now) {
  return now_ = std::max(now_, now);
}

void binding_client::start(time_point now) {
  advance(now);
  random_->fill(id_);
  timer_.start();
  round_trip_.reset();
  claimed_error_.reset();
  saw_unauthentic_ = false;
  outcome_.reset();
}

void binding_client::cancel() {
  timer_.stop();
  outcome_.reset();
}

bool binding_client::handle_input(time_point now, const endpoint& from, const_bytes datagram) {
  advance(now);
  if (from != server_ || !is_stun(datagram)) return false;
  const auto message = message_view::parse(datagram);
  if (message && (message->type_class() == message_class::request ||
                  message->type_class() == message_class::indication))
    return false;
  if (!message || !timer_.is_running() || timer_.requests_sent() == 0 || message->id() != id_ ||
      message->type_method() != method::binding ||
      (message->fingerprint() && !has_valid_fingerprint(*message))) {
    ++stats_.dropped;
    return true;
  }
  if (options_.credentials && !is_authentic(*message)) {
    ++stats_.unauthenticated;
    saw_unauthentic_ = true;
    claimed_error_.reset();
    if (message->type_class() == message_class::error)
      if (const auto error = message->error()) claimed_error_ = error->code;
    return true;
  }
  round_trip_ = timer_.round_trip(now_);
  finish(outcome_of(*message));
  return true;
}

// RFC 8489 §9.1.4. The algorithm of the first good response is the one for the next requests
// (§9.1.5).
bool binding_client::is_authentic(const message_view& response) {
  const auto used =
      response.message_integrity_sha256() ? integrity_algorithm::sha256 : integrity_algorithm::sha1;
  if (options_.algorithm && used != *options_.algorithm) return false;
  if (!verify_integrity(response, options_.credentials->key)) return false;
  options_.algorithm = used;
  return true;
}

binding_client::event binding_client::outcome_of(const message_view& response) const {
  if (response.has_unknown(understood)) return unusable{server_};
  if (response.type_class() == message_class::error) {
    const auto error = response.error();
    if (!error) return unusable{server_};
    return refused{server_, error->code, std::string{error->reason}};
  }
  const auto reflexive = response.xor_mapped_address();
  if (!reflexive) return unusable{server_};
  return address_discovered{server_, *reflexive};
}

void binding_client::handle_timeout(time_point now) {
  timer_.handle_timeout(advance(now));
  if (!timer_.has_expired()) return;
  if (saw_unauthentic_) {
    finish(integrity_violated{server_, claimed_error_});
  } else {
    finish(timed_out{server_});
  }
}

std::optional<addressed_transmit> binding_client::poll_transmit(time_point now,
                                                                mutable_bytes buffer) {
  advance(now);
  if (!timer_.is_due()) return std::nullopt;

  message_builder request{buffer, message_class::request, method::binding, id_};
  if (options_.credentials) {
    // RFC 8489 §9.1.2: both, unless it is known which one the server takes.
    request.add_username(options_.credentials->username);
    if (options_.algorithm != integrity_algorithm::sha256)
      request.add_message_integrity(options_.credentials->key);
    if (options_.algorithm != integrity_algorithm::sha1)
      request.add_message_integrity_sha256(options_.credentials->key);
  }
  if (options_.fingerprint) request.add_fingerprint();
  const const_bytes bytes = request.finish();
  if (bytes.empty()) return std::nullopt;

  timer_.sent(now_);
  ++stats_.requests_sent;
  return addressed_transmit{options_.local, server_, bytes};
}

std::optional<time_point> binding_client::poll_timeout() const {
  return timer_.deadline();
}

std::optional<binding_client::event> binding_client::poll_event() {
  return std::exchange(outcome_, std::nullopt);
}

void binding_client::finish(event outcome) {
  timer_.stop();
  outcome_ = std::move(outcome);
}

}  // namespace weft::stun
