#include <weft/turn/client.hpp>

#include "client_implementation.hpp"

namespace weft::turn {

static_assert(machine<client>);

std::string_view to_string(client_error e) noexcept {
  switch (e) {
    case client_error::no_allocation:
      return "no allocation";
    case client_error::no_permission:
      return "no permission for the peer";
    case client_error::wrong_family:
      return "no relayed address of the peer's family";
    case client_error::moving:
      return "moving to another address";
    case client_error::too_many:
      return "a bound is reached";
    case client_error::too_large:
      return "does not fit";
    case client_error::not_offered:
      return "not offered";
  }
  return "";
}

client::client(random_source& random, const endpoint& server) : client{random, server, options{}} {}
client::client(random_source& random, const endpoint& server, const options& opts)
    : self_{std::make_unique<implementation>(random, server, opts)} {}
client::client(client&&) noexcept = default;
client& client::operator=(client&&) noexcept = default;
client::~client() = default;

void client::allocate(time_point now) {
  self_->allocate(now);
}
result<void, client_error> client::create_permission(time_point now, const ip_address& peer) {
  return self_->create_permission(now, peer);
}
result<void, client_error> client::bind_channel(time_point now, const endpoint& peer) {
  return self_->bind_channel(now, peer);
}
void client::release(time_point now, const ip_address& peer) {
  self_->release(now, peer);
}
result<void, client_error> client::connect(time_point now, const endpoint& peer) {
  return self_->connect(now, peer);
}
turn::data_connection client::data_connection(std::uint32_t connection_id) {
  return self_->data_connection(connection_id);
}
void client::set_credentials(time_point now, stun::long_term_credentials credentials) {
  self_->set_credentials(now, std::move(credentials));
}
result<void, client_error> client::move(time_point now) {
  return self_->move(now);
}
void client::close(time_point now) {
  self_->close(now);
}

bool client::handle_input(time_point now, const_bytes bytes) {
  return self_->handle_input(now, bytes);
}
void client::handle_timeout(time_point now) {
  self_->handle_timeout(now);
}
void client::handle_disconnected(time_point now) {
  self_->handle_disconnected(now);
}

std::optional<transmit> client::poll_transmit(time_point now, mutable_bytes buffer) {
  return self_->poll_transmit(now, buffer);
}
std::optional<time_point> client::poll_timeout() const {
  return self_->poll_timeout();
}
std::optional<client::event> client::poll_event() {
  return self_->poll_event();
}

std::size_t client::headroom(const endpoint& peer) const noexcept {
  return self_->headroom(peer);
}
result<const_bytes, client_error> client::encapsulate(time_point now, const endpoint& peer,
                                                      mutable_bytes buffer, std::size_t offset,
                                                      std::size_t size) {
  return self_->encapsulate(now, peer, buffer, offset, size);
}
std::optional<client::received> client::receive() {
  return self_->receive();
}

bool client::is_allocated() const noexcept {
  return self_->is_allocated();
}
std::optional<endpoint> client::relayed_address(address_family family) const noexcept {
  return self_->relayed_address(family);
}
bool client::has_permission(const ip_address& peer) const noexcept {
  return self_->has_permission(peer);
}
std::optional<std::uint16_t> client::channel(const endpoint& peer) const noexcept {
  return self_->channel_to(peer);
}
const endpoint& client::server() const noexcept {
  return self_->server();
}
const client::counters& client::stats() const noexcept {
  return self_->stats();
}
std::optional<duration> client::round_trip() const noexcept {
  return self_->round_trip();
}

}  // namespace weft::turn
