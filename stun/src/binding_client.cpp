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

long_term_client make_long_term(const binding_client::options& o) {
  return o.long_term ? long_term_client{*o.long_term, o.authentication} : long_term_client{};
}

}  // namespace

binding_client::binding_client(random_source& random, const endpoint& server)
    : binding_client{random, server, options{}} {}

binding_client::binding_client(random_source& random, const endpoint& server, const options& opts)
    : random_{&random},
      first_server_{server},
      server_{server},
      options_{opts},
      long_term_{make_long_term(opts)},
      timer_{opts.retransmission} {}

time_point binding_client::advance(time_point now) {
  return now_ = std::max(now_, now);
}

void binding_client::start(time_point now) {
  advance(now);
  // What was learned from a server is good for it alone.
  if (server_ != first_server_) long_term_.forget_server();
  server_ = first_server_;
  visited_.clear();
  attempt_ = {};
  round_trip_.reset();
  answered_.reset();
  redirected_.reset();
  outcome_.reset();
  begin();
}

void binding_client::begin() {
  random_->fill(id_);
  timer_.start();
  sent_at_.clear();
  claimed_error_.reset();
  saw_unauthentic_ = false;
}

void binding_client::cancel() {
  timer_.stop();
  redirected_.reset();
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
  if (!is_believed(*message)) return true;
  measure(*message);
  if (!follow(*message)) finish(outcome_of(*message));
  return true;
}

// Whether the response is to be acted on; if not, what it changes has been changed.
bool binding_client::is_believed(const message_view& response) {
  if (!options_.credentials) return judge_long_term(response);
  if (is_authentic(response)) return true;
  note_unauthentic(response);
  return false;
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

bool binding_client::judge_long_term(const message_view& response) {
  switch (long_term_.examine(response, attempt_)) {
    case long_term_verdict::accepted:
    case long_term_verdict::refused:
    case long_term_verdict::no_algorithm:
    case long_term_verdict::too_many_challenges:
      return true;  // the last three as the errors that they are
    case long_term_verdict::challenged:
      begin();
      return false;
    case long_term_verdict::discard:
    case long_term_verdict::bid_down:
      note_unauthentic(response);
      return false;
  }
  return false;
}

// RFC 8489 §9.1.4, §9.2.5: on a stream nothing better can come.
void binding_client::note_unauthentic(const message_view& response) {
  ++stats_.unauthenticated;
  saw_unauthentic_ = true;
  claimed_error_.reset();
  if (response.type_class() == message_class::error)
    if (const auto error = response.error()) claimed_error_ = error->code;
  if (options_.protocol == transport_protocol::tcp)
    finish(integrity_violated{server_, claimed_error_});
}

void binding_client::measure(const message_view& response) {
  round_trip_ = timer_.round_trip(now_);
  answered_.reset();
  if (!options_.transmit_counter) return;
  answered_ = find_transmit_counter(response);
  if (!answered_ || answered_->requests == 0 || answered_->requests > sent_at_.size()) return;
  round_trip_ = now_ - sent_at_[answered_->requests - 1u];
}

bool binding_client::follow(const message_view& response) {
  if (response.type_class() != message_class::error || response.has_unknown(understood))
    return false;
  const auto error = response.error();
  if (!error || error->code != error_code::try_alternate) return false;
  const bool is_signed = options_.credentials || attempt_.is_signed();
  if (options_.follow == redirection::never ||
      (options_.follow == redirection::if_authentic && !is_signed))
    return false;
  const auto alternate = response.alternate_to(server_);
  if (!alternate ||
      visited_.size() >= static_cast<std::size_t>(std::max(options_.max_redirects, 0)))
    return false;
  // RFC 8489 §10: not back to whom we have been at, which would be within the five minutes.
  visited_.push_back(server_);
  if (std::ranges::find(visited_, *alternate) != visited_.end()) return false;

  redirected_ = redirected{server_, *alternate,
                           std::string{response.alternate_domain().value_or(std::string_view{})}};
  server_ = *alternate;
  long_term_.forget_server();
  attempt_ = {};
  begin();
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
  if (options_.transmit_counter)
    add_transmit_counter(
        request, {static_cast<std::uint8_t>(std::min<std::size_t>(sent_at_.size() + 1, 255))});
  if (options_.credentials) {
    // RFC 8489 §9.1.2: both, unless it is known which one the server takes.
    request.add_username(options_.credentials->username);
    if (options_.algorithm != integrity_algorithm::sha256)
      request.add_message_integrity(options_.credentials->key);
    if (options_.algorithm != integrity_algorithm::sha1)
      request.add_message_integrity_sha256(options_.credentials->key);
  } else {
    long_term_.sign(request, attempt_);
  }
  if (options_.fingerprint) request.add_fingerprint();
  const const_bytes bytes = request.finish();
  if (bytes.empty()) return std::nullopt;

  timer_.sent(now_);
  if (options_.transmit_counter) sent_at_.push_back(now_);
  ++stats_.requests_sent;
  return addressed_transmit{options_.local, server_, bytes, {}, options_.protocol};
}

std::optional<time_point> binding_client::poll_timeout() const {
  return timer_.deadline();
}

std::optional<binding_client::event> binding_client::poll_event() {
  if (redirected_) return std::exchange(redirected_, std::nullopt);
  return std::exchange(outcome_, std::nullopt);
}

void binding_client::finish(event outcome) {
  timer_.stop();
  outcome_ = std::move(outcome);
}

}  // namespace weft::stun
