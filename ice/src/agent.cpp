#include <weft/ice/agent.hpp>

#include "implementation.hpp"

namespace weft::ice {

static_assert(machine<agent>);

std::string_view to_string(error e) noexcept {
  switch (e) {
    case error::invalid_credentials:
      return "invalid user name fragment or password";
    case error::invalid_candidate:
      return "no datagram can be sent to this candidate";
    case error::invalid_address:
      return "not the address of a socket";
    case error::filtered:
      return "an address not to be used";
    case error::too_many:
      return "too many";
    case error::restart_needed:
      return "new credentials need a restart";
    case error::closed:
      return "closed";
  }
  return "";
}

std::string_view to_string(state s) noexcept {
  switch (s) {
    case state::new_:
      return "new";
    case state::checking:
      return "checking";
    case state::connected:
      return "connected";
    case state::completed:
      return "completed";
    case state::disconnected:
      return "disconnected";
    case state::failed:
      return "failed";
    case state::closed:
      return "closed";
  }
  return "";
}

agent::agent(random_source& random) : agent{random, options{}} {}
agent::agent(random_source& random, const options& opts)
    : self_{std::make_unique<implementation>(random, opts)} {}
agent::agent(agent&&) noexcept = default;
agent& agent::operator=(agent&&) noexcept = default;
agent::~agent() = default;

// Commands

result<void, error> agent::add_local_address(time_point now, const local_address& address) {
  return self_->add_local_address(now, address);
}
result<void, error> agent::add_local_address(time_point now, const endpoint& base) {
  return self_->add_local_address(now, {.base = base});
}
result<void, error> agent::add_relayed_candidate(time_point now, const relayed_address& address) {
  return self_->add_relayed_candidate(now, address);
}
result<void, error> agent::add_server_reflexive_candidate(time_point now, const endpoint& base,
                                                          const endpoint& mapped,
                                                          std::string_view server_url,
                                                          transport_protocol protocol) {
  return self_->add_server_reflexive_candidate(now, base, mapped, server_url, protocol);
}
void agent::remove_local_address(time_point now, const endpoint& base,
                                 transport_protocol protocol) {
  self_->remove_local_address(now, base, protocol);
}
result<void, error> agent::add_stun_server(time_point now, const server& s) {
  return self_->add_stun_server(now, s);
}
void agent::gather(time_point now) {
  self_->gather(now);
}
void agent::hold_gathering(time_point now) {
  self_->hold_gathering(now);
}
void agent::release_gathering(time_point now) {
  self_->release_gathering(now);
}
void agent::set_candidate_policy(time_point now, ice::candidate_policy policy) {
  self_->set_candidate_policy(now, policy);
}
const credentials& agent::local_credentials() const noexcept {
  return self_->local_credentials();
}
void agent::set_role(ice::role r) {
  self_->set_role(r);
}
role agent::current_role() const noexcept {
  return self_->role();
}
void agent::set_remote_lite() {
  self_->set_remote_lite();
}
void agent::set_renomination() {
  self_->set_renomination();
}
result<void, error> agent::set_remote_credentials(time_point now, const credentials& remote) {
  return self_->set_remote_credentials(now, remote);
}
result<void, error> agent::add_remote_candidate(time_point now, const candidate& remote) {
  return self_->add_remote_candidate(now, remote);
}
void agent::end_of_remote_candidates(time_point now) {
  self_->end_of_remote_candidates(now);
}
void agent::resolve(time_point now, std::string_view name, std::span<const ip_address> addresses) {
  self_->resolve(now, name, addresses);
}
const credentials& agent::next_credentials() {
  return self_->next_credentials();
}

void agent::restart(time_point now) {
  self_->restart(now);
}
void agent::close(time_point now) {
  self_->close(now);
}

// Inputs

bool agent::handle_input(time_point now, const five_tuple& path, const_bytes datagram) {
  return self_->handle_input(now, path, datagram);
}
bool agent::handle_input(time_point now, const endpoint& local, const endpoint& remote,
                         const_bytes datagram) {
  return self_->handle_input(now, {local, remote}, datagram);
}
void agent::handle_connected(time_point now, const five_tuple& path) {
  self_->handle_connected(now, path);
}
void agent::handle_disconnected(time_point now, const five_tuple& path) {
  self_->handle_disconnected(now, path);
}
void agent::handle_timeout(time_point now) {
  self_->handle_timeout(now);
}

// Outputs

std::optional<addressed_transmit> agent::poll_transmit(time_point now, mutable_bytes buffer) {
  return self_->poll_transmit(now, buffer);
}
std::optional<time_point> agent::poll_timeout() const noexcept {
  return self_->poll_timeout();
}
std::optional<agent::event> agent::poll_event() {
  return self_->poll_event();
}

std::optional<five_tuple> agent::selected_pair(std::uint16_t component) const noexcept {
  return self_->selected_pair(component);
}
bool agent::is_valid_path(const five_tuple& path) const noexcept {
  return self_->is_valid_path(path);
}
bool agent::is_valid_path(const endpoint& local, const endpoint& remote) const noexcept {
  return self_->is_valid_path({local, remote});
}
void agent::count_sent(time_point now, const five_tuple& path, std::size_t bytes,
                       std::size_t packets) noexcept {
  self_->count_sent(now, path, bytes, packets);
}
void agent::count_received(time_point now, const five_tuple& path, std::size_t bytes,
                           std::size_t packets) noexcept {
  self_->count_received(now, path, bytes, packets);
}

state agent::current_state() const noexcept {
  return self_->state();
}
const agent::counters& agent::stats() const noexcept {
  return self_->stats();
}
std::vector<candidate> agent::local_candidates() const {
  return self_->local_candidates();
}
std::vector<candidate> agent::remote_candidates() const {
  return self_->remote_candidates();
}
std::vector<candidate_statistics> agent::candidate_stats() const {
  return self_->candidate_stats();
}
std::vector<candidate_pair_statistics> agent::pair_stats() const {
  return self_->pair_stats();
}
std::optional<duration> agent::round_trip(std::uint16_t component) const noexcept {
  return self_->round_trip(component);
}

}  // namespace weft::ice
