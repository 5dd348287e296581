#include <weft/turn/server.hpp>

#include <utility>

#include "server_core.hpp"

namespace weft::turn {

static_assert(machine<server>);

std::string_view to_string(allocation_refusal refusal) noexcept {
  switch (refusal) {
    case allocation_refusal::user_quota:
      return "the user's quota is reached";
    case allocation_refusal::source_quota:
      return "the quota of the source address is reached";
    case allocation_refusal::total_quota:
      return "the server is full";
    case allocation_refusal::draining:
      return "the server takes no more";
    case allocation_refusal::no_relay_socket:
      return "no relay socket could be opened";
    case allocation_refusal::bad_reservation:
      return "there is no such reservation";
    case allocation_refusal::address_family:
      return "address family not supported";
    case allocation_refusal::transport:
      return "transport not supported";
    case allocation_refusal::mobility:
      return "mobility is off";
  }
  return "";
}

std::string_view to_string(allocation_end end) noexcept {
  switch (end) {
    case allocation_end::expired:
      return "expired";
    case allocation_end::deleted:
      return "deleted by the client";
    case allocation_end::disconnected:
      return "the client disconnected";
    case allocation_end::relay_lost:
      return "the relay socket was lost";
    case allocation_end::revoked:
      return "revoked";
  }
  return "";
}

server::server(const options& opts, stun::user_store& users, random_source& random)
    : core_{std::make_unique<server_core>(opts, users, random)} {}
server::server(server&&) noexcept = default;
server& server::operator=(server&&) noexcept = default;
server::~server() = default;

std::optional<server::to_peer> server::handle_input(time_point now, const five_tuple& client,
                                                    const_bytes datagram) {
  return core_->handle_input(now, client, datagram);
}

bool server::handle_connected(time_point now, const five_tuple& client) {
  return core_->handle_connected(now, client);
}

server::stream_step server::handle_stream(time_point now, const five_tuple& client,
                                          const_bytes chunk) {
  return core_->handle_stream(now, client, chunk);
}

void server::handle_disconnected(time_point now, const five_tuple& client) {
  core_->handle_disconnected(now, client);
}

std::optional<server::to_client> server::handle_relayed(time_point now, relay_id relay,
                                                        const endpoint& peer, const_bytes payload,
                                                        std::span<std::uint8_t, headroom> room) {
  return core_->handle_relayed(now, relay, peer, payload, room);
}

void server::handle_icmp(time_point now, relay_id relay, const endpoint& peer,
                         const icmp_error& error) {
  core_->handle_icmp(now, relay, peer, error);
}

void server::relay_opened(time_point now, relay_id relay, const endpoint& relayed) {
  core_->relay_opened(now, relay, relayed);
}

void server::relay_failed(time_point now, relay_id relay) {
  core_->relay_failed(now, relay);
}

void server::peer_connected(time_point now, connection_id connection) {
  core_->peer_connected(now, connection);
}

void server::peer_failed(time_point now, connection_id connection) {
  core_->peer_failed(now, connection);
}

std::optional<connection_id> server::peer_accepted(time_point now, relay_id relay,
                                                   const endpoint& peer) {
  return core_->peer_accepted(now, relay, peer);
}

void server::peer_disconnected(time_point now, connection_id connection) {
  core_->peer_disconnected(now, connection);
}

void server::count_spliced(connection_id connection, std::uint64_t bytes_to_peer,
                           std::uint64_t bytes_to_client) {
  core_->count_spliced(connection, bytes_to_peer, bytes_to_client);
}

void server::drain(time_point now, std::vector<endpoint> alternates) {
  core_->drain(now, std::move(alternates));
}

bool server::has_allocation(const five_tuple& client) const noexcept {
  return core_->has_allocation(client);
}

bool server::is_draining() const noexcept {
  return core_->is_draining();
}

void server::revoke(time_point now, std::string_view account) {
  core_->revoke(now, account);
}

void server::handle_timeout(time_point now) {
  core_->handle_timeout(now);
}

std::optional<addressed_transmit> server::poll_transmit(time_point, mutable_bytes buffer) {
  return core_->poll_transmit(buffer);
}

std::optional<time_point> server::poll_timeout() const {
  return core_->poll_timeout();
}

std::optional<server::event> server::poll_event() {
  return core_->poll_event();
}

const server::counters& server::stats() const noexcept {
  return core_->stats();
}

server::gauges server::usage() const noexcept {
  return core_->usage();
}

}  // namespace weft::turn
