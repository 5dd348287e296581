#include <weft/peer/ice_transport.hpp>

#include <utility>

#include "ice_transport_implementation.hpp"

namespace weft::peer {

static_assert(machine<ice_transport>);

ice_transport::ice_transport(random_source& random) : ice_transport{random, options{}} {}
ice_transport::ice_transport(random_source& random, const options& opts)
    : self_{std::make_unique<implementation>(random, opts)} {}
ice_transport::ice_transport(ice_transport&&) noexcept = default;
ice_transport& ice_transport::operator=(ice_transport&&) noexcept = default;
ice_transport::~ice_transport() = default;

result<void, ice::error> ice_transport::add_local_address(time_point now,
                                                          const ice::local_address& address) {
  return self_->add_local_address(now, address);
}

result<void, ice::error> ice_transport::add_local_address(time_point now, const endpoint& base) {
  return self_->add_local_address(now, {.base = base});
}

void ice_transport::remove_local_address(time_point now, const endpoint& base,
                                         transport_protocol protocol) {
  self_->remove_local_address(now, base, protocol);
}

void ice_transport::resolve(time_point now, std::string_view name,
                            std::span<const ip_address> addresses) {
  self_->resolve(now, name, addresses);
}

void ice_transport::server_verified(time_point now, const verify_server& shown, bool trusted) {
  self_->server_verified(now, shown, trusted);
}

void ice_transport::set_servers(time_point now, std::vector<ice_server> servers) {
  self_->set_servers(now, std::move(servers));
}

void ice_transport::gather(time_point now) {
  self_->gather(now);
}

void ice_transport::close(time_point now) {
  self_->close(now);
}

const ice::credentials& ice_transport::local_credentials() const noexcept {
  return self_->agent.local_credentials();
}

void ice_transport::set_role(ice::role r) {
  self_->agent.set_role(r);
}

void ice_transport::set_remote_lite() {
  self_->agent.set_remote_lite();
}

void ice_transport::set_renomination() {
  self_->agent.set_renomination();
}

result<void, ice::error> ice_transport::set_remote_credentials(time_point now,
                                                               const ice::credentials& remote) {
  auto set = self_->agent.set_remote_credentials(now, remote);
  self_->wake(now);
  return set;
}

result<void, ice::error> ice_transport::add_remote_candidate(time_point now,
                                                             const ice::candidate& remote) {
  return self_->add_remote_candidate(now, remote);
}

void ice_transport::end_of_remote_candidates(time_point now) {
  self_->agent.end_of_remote_candidates(now);
  self_->wake(now);
}

const ice::credentials& ice_transport::next_credentials() {
  return self_->agent.next_credentials();
}

void ice_transport::restart(time_point now) {
  self_->restart(now);
}

bool ice_transport::handle_input(time_point now, const five_tuple& path, const_bytes bytes) {
  return self_->handle_input(now, path, bytes);
}

bool ice_transport::handle_input(time_point now, const endpoint& local, const endpoint& remote,
                                 const_bytes datagram) {
  return self_->handle_input(now, {local, remote, transport_protocol::udp}, datagram);
}

void ice_transport::handle_connected(time_point now, const five_tuple& path) {
  self_->handle_connected(now, path);
}

void ice_transport::handle_disconnected(time_point now, const five_tuple& path) {
  self_->handle_disconnected(now, path);
}

void ice_transport::handle_timeout(time_point now) {
  self_->handle_timeout(now);
}

std::optional<addressed_transmit> ice_transport::poll_transmit(time_point now,
                                                               mutable_bytes buffer) {
  return self_->poll_transmit(now, buffer);
}

std::optional<time_point> ice_transport::poll_timeout() const {
  return self_->poll_timeout();
}

std::optional<ice_transport::event> ice_transport::poll_event() {
  return self_->poll_event();
}

std::optional<ice_transport::received> ice_transport::receive() {
  return self_->receive();
}

std::optional<five_tuple> ice_transport::selected_pair() const noexcept {
  return self_->agent.selected_pair();
}

bool ice_transport::is_valid_path(const five_tuple& path) const noexcept {
  return self_->is_valid_path(path);
}

ice_transport::room ice_transport::room_for(const five_tuple& path) const noexcept {
  return self_->room_for(path);
}

std::optional<addressed_transmit> ice_transport::wrap(time_point now, const five_tuple& path,
                                                      mutable_bytes buffer, std::size_t size,
                                                      traffic_class traffic) {
  return self_->wrap(now, path, buffer, size, traffic);
}

ice::state ice_transport::current_state() const noexcept {
  return self_->agent.current_state();
}

ice::role ice_transport::current_role() const noexcept {
  return self_->agent.current_role();
}

bool ice_transport::is_gathering_complete() const noexcept {
  return self_->gathering_is_complete;
}

std::vector<ice::candidate> ice_transport::local_candidates() const {
  return self_->agent.local_candidates();
}

std::vector<ice::candidate> ice_transport::remote_candidates() const {
  return self_->agent.remote_candidates();
}

std::vector<ice::candidate_statistics> ice_transport::candidate_stats() const {
  return self_->agent.candidate_stats();
}

std::vector<ice::candidate_pair_statistics> ice_transport::pair_stats() const {
  return self_->agent.pair_stats();
}

std::optional<duration> ice_transport::round_trip() const noexcept {
  return self_->agent.round_trip();
}

const ice::agent::counters& ice_transport::ice_stats() const noexcept {
  return self_->agent.stats();
}

const ice_transport::counters& ice_transport::stats() const noexcept {
  return self_->stats;
}

}  // namespace weft::peer
