#include <weft/peer/connection.hpp>

#include <utility>

#include "implementation.hpp"

namespace weft::peer {

static_assert(machine<connection>);

connection::connection(random_source& random, dtls::certificate certificate)
    : connection{random, std::move(certificate), options{}} {}
connection::connection(random_source& random, dtls::certificate certificate, const options& opts)
    : self_{std::make_unique<implementation>(random, std::move(certificate), opts)} {}
connection::connection(connection&&) noexcept = default;
connection& connection::operator=(connection&&) noexcept = default;
connection::~connection() = default;

result<void, error> connection::add_local_address(time_point now, const ice::local_address& local) {
  return self_->add_local_address(now, local);
}

result<void, error> connection::add_local_address(time_point now, const endpoint& local) {
  return self_->add_local_address(now, {.base = local});
}

void connection::remove_local_address(time_point now, const endpoint& local,
                                      transport_protocol protocol) {
  self_->remove_local_address(now, local, protocol);
}

void connection::server_verified(time_point now, const verify_server& shown, bool trusted) {
  self_->server_verified(now, shown, trusted);
}

void connection::set_ice_servers(time_point now, std::vector<ice_server> servers) {
  self_->set_ice_servers(now, std::move(servers));
}

void connection::resolve(time_point now, std::string_view name,
                         std::span<const ip_address> addresses) {
  self_->resolve(now, name, addresses);
}

result<session_description, error> connection::create_offer(time_point now) {
  return self_->create_offer(now, offer_options{});
}

result<session_description, error> connection::create_offer(time_point now,
                                                            const offer_options& opts) {
  return self_->create_offer(now, opts);
}

result<session_description, error> connection::create_answer(time_point) {
  return self_->create_answer();
}

result<void, error> connection::set_local_description(time_point now) {
  return self_->set_local_description(now);
}

result<void, error> connection::set_local_description(time_point now,
                                                      const session_description& d) {
  return self_->set_local_description(now, d);
}

result<void, error> connection::set_remote_description(time_point now,
                                                       const session_description& d) {
  return self_->set_remote_description(now, d);
}

result<void, error> connection::add_ice_candidate(time_point now, const ice_candidate& candidate) {
  return self_->add_ice_candidate(now, candidate);
}

void connection::restart_ice(time_point) {
  self_->restart_ice();
}

result<channel_handle, error> connection::create_data_channel(time_point now,
                                                              std::string_view label) {
  return self_->create_data_channel(now, label, data_channel_options{});
}

result<channel_handle, error> connection::create_data_channel(time_point now,
                                                              std::string_view label,
                                                              const data_channel_options& opts) {
  return self_->create_data_channel(now, label, opts);
}

result<void, error> connection::send(time_point now, channel_handle channel,
                                     std::string_view text) {
  const auto bytes = as_bytes(text);
  return self_->send(now, channel, message_kind::text, {bytes.begin(), bytes.end()});
}

result<void, error> connection::send(time_point now, channel_handle channel, const_bytes binary) {
  return self_->send(now, channel, message_kind::binary, {binary.begin(), binary.end()});
}

result<void, error> connection::send(time_point now, channel_handle channel, message_kind kind,
                                     std::vector<std::uint8_t>&& payload) {
  return self_->send(now, channel, kind, std::move(payload));
}

void connection::set_buffered_amount_low_threshold(channel_handle channel, std::size_t bytes) {
  self_->set_buffered_amount_low_threshold(channel, bytes);
}

void connection::close_data_channel(time_point now, channel_handle channel) {
  self_->close_data_channel(now, channel);
}

void connection::close(time_point now) {
  self_->close(now);
}

bool connection::handle_input(time_point now, const endpoint& local, const endpoint& remote,
                              const_bytes datagram) {
  return self_->handle_input(now, {local, remote, transport_protocol::udp}, datagram);
}

bool connection::handle_input(time_point now, const five_tuple& path, const_bytes bytes) {
  return self_->handle_input(now, path, bytes);
}

void connection::handle_connected(time_point now, const five_tuple& path) {
  self_->handle_connected(now, path);
}

void connection::handle_disconnected(time_point now, const five_tuple& path) {
  self_->handle_disconnected(now, path);
}

void connection::handle_timeout(time_point now) {
  self_->handle_timeout(now);
}

std::optional<addressed_transmit> connection::poll_transmit(time_point now, mutable_bytes buffer) {
  return self_->poll_transmit(now, buffer);
}

std::optional<time_point> connection::poll_timeout() const {
  return self_->poll_timeout();
}

std::optional<connection::event> connection::poll_event() {
  return self_->poll_event();
}

std::optional<data_channel_message> connection::receive(time_point now) {
  return self_->receive(now);
}

signaling_state connection::signaling() const noexcept {
  return self_->signaling();
}
ice_gathering_state connection::ice_gathering() const noexcept {
  return self_->ice_gathering();
}
ice_connection_state connection::ice_connection() const noexcept {
  return self_->ice_connection();
}
connection_state connection::state() const noexcept {
  return self_->state();
}

std::optional<session_description> connection::local_description() const {
  return self_->local_description();
}

std::optional<session_description> connection::remote_description() const {
  return self_->remote_description();
}

std::string_view connection::local_username_fragment() const noexcept {
  return self_->local_username_fragment();
}

std::optional<data_channel_info> connection::channel(channel_handle channel) const {
  return self_->channel(channel);
}

std::optional<std::size_t> connection::max_message_size() const noexcept {
  return self_->max_message_size();
}

std::optional<five_tuple> connection::selected_pair() const noexcept {
  return self_->selected_pair();
}

transport_statistics connection::transport_stats() const {
  return self_->transport_stats();
}

std::vector<ice::candidate_statistics> connection::candidate_stats() const {
  return self_->transport().candidate_stats();
}

std::vector<ice::candidate_pair_statistics> connection::pair_stats() const {
  return self_->transport().pair_stats();
}

connection::counters connection::stats() const noexcept {
  return self_->stats();
}

}  // namespace weft::peer
