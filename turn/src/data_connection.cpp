#include <weft/turn/data_connection.hpp>

#include <algorithm>
#include <utility>

#include <weft/stun/framing.hpp>
#include <weft/turn/attributes.hpp>

namespace weft::turn {

static_assert(machine<data_connection>);

namespace {

constexpr std::size_t max_response = 2048;  // More than the longest realm and nonce need.

constexpr stun::attribute_set understood{stun::attribute_type::mapped_address,
                                         stun::attribute_type::username,
                                         stun::attribute_type::error_code,
                                         stun::attribute_type::unknown_attributes,
                                         stun::attribute_type::realm,
                                         stun::attribute_type::nonce,
                                         stun::attribute_type::password_algorithm,
                                         stun::attribute_type::userhash,
                                         stun::attribute_type::xor_mapped_address,
                                         attributes::connection_id};

}  // namespace

data_connection::data_connection(random_source& random, stun::long_term_client authentication,
                                 std::uint32_t connection_id)
    : random_{&random},
      authentication_{std::move(authentication)},
      connection_id_{connection_id},
      timer_{stun::retransmission_timer::options::reliable()} {
  begin();
}

time_point data_connection::advance(time_point now) {
  return now_ = std::max(now_, now);
}

void data_connection::begin() {
  random_->fill(id_);
  timer_.start();
}

void data_connection::finish(event outcome) {
  timer_.stop();
  outcome_ = std::move(outcome);
}

std::size_t data_connection::handle_input(time_point now, const_bytes bytes) {
  advance(now);
  std::size_t used = 0;
  while (timer_.is_running() && used < bytes.size()) {
    // Byte for byte what the message needs: what stands behind it may be the peer's.
    const stun::stream_frame frame = stun::next_frame(partial_);
    const std::size_t wanted = frame.size - partial_.size();
    const const_bytes taken = bytes.subspan(used, std::min(wanted, bytes.size() - used));
    partial_.insert(partial_.end(), taken.begin(), taken.end());
    used += taken.size();

    const stun::stream_frame now_there = stun::next_frame(partial_);
    if (now_there.what == stun::stream_frame::kind::not_stun || now_there.size > max_response) {
      finish(failed{errors::no_answer, "the server does not speak STUN"});
    } else if (now_there.what == stun::stream_frame::kind::message) {
      handle_response(partial_);
      partial_.clear();
    }
  }
  return used;
}

void data_connection::handle_response(const_bytes bytes) {
  const auto response = stun::message_view::parse(bytes);
  if (!response || timer_.requests_sent() == 0 || response->id() != id_ ||
      response->type_method() != methods::connection_bind)
    return;
  const auto verdict = authentication_.examine(*response, attempt_);
  if (verdict == stun::long_term_verdict::challenged) return begin();
  const auto error = response->error();
  if (verdict == stun::long_term_verdict::refused)
    return finish(failed{stun::error_code::unauthenticated, std::string{stun::to_string(verdict)}});
  if (verdict != stun::long_term_verdict::accepted)
    return finish(failed{errors::no_answer, std::string{stun::to_string(verdict)}});
  if (response->has_unknown(understood))
    return finish(failed{errors::no_answer, "the answer holds what is not understood"});
  if (response->type_class() == stun::message_class::success) return finish(bound{});
  if (error) return finish(failed{error->code, std::string{error->reason}});
  finish(failed{errors::no_answer, "the answer holds no error code"});
}

void data_connection::handle_timeout(time_point now) {
  timer_.handle_timeout(advance(now));
  if (timer_.has_expired()) finish(failed{errors::no_answer, "the server does not answer"});
}

std::optional<transmit> data_connection::poll_transmit(time_point now, mutable_bytes buffer) {
  advance(now);
  if (!timer_.is_due()) return std::nullopt;
  stun::message_builder message{buffer, stun::message_class::request, methods::connection_bind,
                                id_};
  add_connection_id(message, connection_id_);
  authentication_.sign(message, attempt_, stun::long_term_client::token_use::omit);
  const const_bytes bytes = message.finish();
  if (bytes.empty()) return std::nullopt;
  timer_.sent(now_);
  return transmit{bytes};
}

std::optional<time_point> data_connection::poll_timeout() const {
  return timer_.deadline();
}

std::optional<data_connection::event> data_connection::poll_event() {
  return std::exchange(outcome_, std::nullopt);
}

}  // namespace weft::turn
