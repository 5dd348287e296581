#include <weft/stun/behaviour_client.hpp>

#include <algorithm>
#include <utility>

#include <weft/stun/fingerprint.hpp>

namespace weft::stun {

static_assert(machine<behaviour_client>);

namespace {

// RFC 5780 §5: ten new transactions a second.
constexpr duration pace = std::chrono::milliseconds{100};

// What a Binding response may have that must be understood (RFC 8489 §14).
constexpr attribute_set understood{
    attribute_type::mapped_address, attribute_type::xor_mapped_address,
    attribute_type::error_code,     attribute_type::unknown_attributes,
    attribute_type::realm,          attribute_type::nonce,
    attribute_type::padding};

// Servers with one address, or a private one, are about that tell of another (erratum 7971).
bool can_be_other(const endpoint& other, const endpoint& server) {
  return other.address.is_v4() == server.address.is_v4() && other.address != server.address &&
         other.port != server.port && other.port != 0 && !other.address.is_unspecified() &&
         !other.address.is_multicast();
}

}  // namespace

behaviour_client::behaviour_client(random_source& random, const endpoint& server)
    : behaviour_client{random, server, options{}} {}

behaviour_client::behaviour_client(random_source& random, const endpoint& server,
                                   const options& opts)
    : random_{&random}, server_{server}, options_{opts}, timer_{opts.retransmission} {}

time_point behaviour_client::advance(time_point now) {
  return now_ = std::max(now_, now);
}

void behaviour_client::start(time_point now) {
  advance(now);
  report_ = {};
  report_.server = server_;
  second_mapping_.reset();
  filter_is_closed_ = false;
  outcome_.reset();
  begin(test::connectivity);
}

void behaviour_client::cancel() {
  timer_.stop();
  begins_.reset();
  test_ = test::none;
  outcome_.reset();
}

// The first request goes out after `wait`, and not too soon after the last one's.
void behaviour_client::begin(test which, duration wait) {
  test_ = which;
  timer_.stop();
  random_->fill(id_);
  begins_ = now_ + wait;
  if (last_begun_) begins_ = std::max(*begins_, *last_begun_ + pace);
  wake();
}

void behaviour_client::wake() {
  if (!begins_ || now_ < *begins_) return;
  begins_.reset();
  last_begun_ = now_;
  timer_.start();
}

// Where a test's request goes to. RFC 5780 calls the server's addresses and ports primary
// and alternate.
endpoint behaviour_client::target() const {
  const endpoint other = report_.other.value_or(server_);
  switch (test_) {
    case test::mapping_address:
      return {other.address, server_.port};
    case test::mapping_both:
      return other;
    case test::hairpin:
      return report_.reflexive;
    case test::none:
    case test::connectivity:
    case test::filter_both:
    case test::filter_port:
    case test::lifetime_open:
    case test::lifetime_probe:
      break;
  }
  return server_;
}

endpoint behaviour_client::expected_source() const {
  const endpoint other = report_.other.value_or(server_);
  if (test_ == test::filter_both) return other;
  if (test_ == test::filter_port) return {server_.address, other.port};
  return target();
}

endpoint behaviour_client::sender() const {
  const bool from_helper = test_ == test::hairpin || test_ == test::lifetime_probe;
  return from_helper ? options_.helper.value_or(options_.local) : options_.local;
}

bool behaviour_client::is_awaited(const message_view& message) const {
  if (!timer_.is_running() || timer_.requests_sent() == 0 || message.id() != id_ ||
      message.type_method() != method::binding)
    return false;
  // What comes back from a hairpin is our own request.
  const bool is_request = message.type_class() == message_class::request;
  return is_request == (test_ == test::hairpin) &&
         message.type_class() != message_class::indication;
}

bool behaviour_client::handle_input(time_point now, const endpoint& local, const endpoint& from,
                                    const_bytes datagram) {
  advance(now);
  if (!is_stun(datagram)) return false;
  const auto message = message_view::parse(datagram);
  const endpoint other = report_.other.value_or(server_);
  const bool is_servers = (from.address == server_.address || from.address == other.address) &&
                          (from.port == server_.port || from.port == other.port);
  if (!message || !is_awaited(*message) ||
      (message->fingerprint() && !has_valid_fingerprint(*message))) {
    const bool is_response = !message || message->type_class() == message_class::success ||
                             message->type_class() == message_class::error;
    if (!is_servers || !is_response) return false;
    ++stats_.dropped;
    return true;
  }
  if (test_ != test::hairpin && !is_servers) return false;
  conclude(read(local, from, *message));
  return true;
}

behaviour_client::answer behaviour_client::read(const endpoint& local, const endpoint& from,
                                                const message_view& response) const {
  answer a{.came = true, .where_expected = test_ == test::hairpin || from == expected_source()};
  a.to_helper = options_.helper && local == *options_.helper;
  if (response.type_class() == message_class::error) {
    const auto error = response.error();
    a.error = error ? error->code : error_code::server_error;
    return a;
  }
  if (response.has_unknown(understood)) return a;
  a.reflexive = response.xor_mapped_address();
  a.mapped = response.mapped_address();
  a.other = response.find_address(attribute_type::other_address);
  return a;
}

void behaviour_client::handle_timeout(time_point now) {
  timer_.handle_timeout(advance(now));
  wake();
  if (timer_.has_expired()) conclude({});
}

void behaviour_client::conclude(const answer& a) {
  timer_.stop();
  switch (test_) {
    case test::none:
      return;
    case test::connectivity:
      return after_connectivity(a);
    case test::filter_both:
      if (a.came && !a.error && a.where_expected) {
        report_.filtering = dependence::endpoint_independent;
        return start_mapping();
      }
      // An answer from somewhere else is from a server that knows no CHANGE-REQUEST.
      return a.came ? start_mapping() : begin(test::filter_port);
    case test::filter_port:
      return after_filter_port(a);
    case test::mapping_address:
      return after_mapping_address(a);
    case test::mapping_both:
      if (a.reflexive && second_mapping_)
        report_.mapping = *a.reflexive == *second_mapping_ ? dependence::address_dependent
                                                           : dependence::address_and_port_dependent;
      return start_hairpin();
    case test::hairpin:
      report_.hairpin = a.came;
      return start_lifetime();
    case test::lifetime_open:
      // A mapping that changed is tested as the one it is.
      if (!a.reflexive) return finish(report_);
      report_.reflexive = *a.reflexive;
      return begin(test::lifetime_probe, idle_);
    case test::lifetime_probe:
      return after_probe(a);
  }
}

void behaviour_client::after_connectivity(const answer& a) {
  if (!a.came) return finish(unreachable{server_});
  if (!a.reflexive) return finish(refused{server_, a.error});
  report_.reflexive = *a.reflexive;
  const ip_address& own = options_.local.address;
  if (own && !own.is_unspecified()) report_.translated = report_.reflexive != options_.local;
  if (a.mapped) report_.rewritten = *a.mapped != *a.reflexive;
  if (a.other && can_be_other(*a.other, server_)) report_.other = a.other;
  if (!report_.other) return start_hairpin();
  if (options_.filtering) return begin(test::filter_both);
  start_mapping();
}

void behaviour_client::after_filter_port(const answer& a) {
  if (!a.came) {
    filter_is_closed_ = true;
  } else if (!a.error && a.where_expected) {
    report_.filtering = dependence::address_dependent;
  }
  start_mapping();
}

void behaviour_client::start_mapping() {
  // Erratum 7971: whether nothing passes the filter, or the other address cannot be reached at
  // all, tells the first test of the mapping.
  if (report_.other && (options_.mapping || filter_is_closed_)) return begin(test::mapping_address);
  start_hairpin();
}

void behaviour_client::after_mapping_address(const answer& a) {
  if (filter_is_closed_ && a.reflexive) report_.filtering = dependence::address_and_port_dependent;
  if (!options_.mapping || !a.reflexive) return start_hairpin();
  second_mapping_ = a.reflexive;
  if (*a.reflexive != report_.reflexive) return begin(test::mapping_both);
  report_.mapping = dependence::endpoint_independent;
  start_hairpin();
}

void behaviour_client::start_hairpin() {
  if (options_.hairpin && options_.helper) return begin(test::hairpin);
  start_lifetime();
}

void behaviour_client::start_lifetime() {
  if (!options_.lifetime || !options_.helper) return finish(report_);
  report_.lifetime = mapping_lifetime{};
  next_lifetime();
}

// Halves what is between the longest idle time that a mapping survived and the shortest
// that it did not; the longest of all first, for who survives that is done.
void behaviour_client::next_lifetime() {
  const mapping_lifetime& known = *report_.lifetime;
  if (!known.less_than) {
    if (known.at_least >= options_.lifetime->longest) return finish(report_);
    idle_ = options_.lifetime->longest;
  } else {
    const duration precision =
        std::max<duration>(options_.lifetime->precision, std::chrono::seconds{1});
    if (*known.less_than - known.at_least <= precision) return finish(report_);
    idle_ = known.at_least + (*known.less_than - known.at_least) / 2;
  }
  begin(test::lifetime_open);
}

void behaviour_client::after_probe(const answer& a) {
  if (a.error) {
    // RFC 5780 §5: RESPONSE-PORT is optional for servers.
    report_.lifetime.reset();
    return finish(report_);
  }
  if (a.came && !a.to_helper) {
    report_.lifetime->at_least = idle_;
  } else {
    report_.lifetime->less_than = idle_;
  }
  next_lifetime();
}

std::optional<addressed_transmit> behaviour_client::poll_transmit(time_point now,
                                                                  mutable_bytes buffer) {
  advance(now);
  wake();
  if (!timer_.is_due()) return std::nullopt;
  message_builder request{buffer, message_class::request, method::binding, id_};
  if (test_ == test::filter_both) add_change_request(request, {true, true});
  if (test_ == test::filter_port) add_change_request(request, {false, true});
  if (test_ == test::lifetime_probe) add_response_port(request, report_.reflexive.port);
  if (options_.fingerprint) request.add_fingerprint();
  const const_bytes bytes = request.finish();
  if (bytes.empty()) return std::nullopt;
  timer_.sent(now_);
  ++stats_.requests_sent;
  return addressed_transmit{sender(), target(), bytes};
}

std::optional<time_point> behaviour_client::poll_timeout() const {
  return begins_ ? begins_ : timer_.deadline();
}

std::optional<behaviour_client::event> behaviour_client::poll_event() {
  return std::exchange(outcome_, std::nullopt);
}

void behaviour_client::finish(event outcome) {
  timer_.stop();
  begins_.reset();
  test_ = test::none;
  outcome_ = std::move(outcome);
}

}  // namespace weft::stun
