#include <algorithm>

#include <weft/stun/base64.hpp>

#include "server_core.hpp"

// Clients that come from another address (RFC 8016).
//
// A ticket is a handle: an allocation's ID and the ticket's number, sealed so that it says
// nothing and cannot be made by others. The seal is synthetic-IV encryption with two uses of one
// HMAC key: the tag is an HMAC of the contents, and what hides the contents an HMAC of the
// tag. So a ticket is the same however often it is made, which a retransmission wants, and the
// server keeps a number for it. It is written in base 64, for coturn's client keeps tickets as
// strings and would end one at its first zero.
namespace weft::turn {
namespace {

constexpr std::size_t tag_size = 16;
constexpr std::size_t contents_size = 16;
constexpr std::size_t text_size = 44;  // In base 64.
constexpr std::uint8_t tag_label[] = {'t'};
constexpr std::uint8_t mask_label[] = {'m'};

// RFC 8016 §3.2.2: at least 30 s for a retransmission with the ticket before.
constexpr std::chrono::seconds old_ticket_lifetime{30};

}  // namespace

std::string server_core::seal_ticket(const allocation& a) const {
  std::array<std::uint8_t, contents_size> contents{};
  byte_writer in{contents};
  in.u64(static_cast<std::uint64_t>(a.id));
  in.u32(a.ticket);
  const stun::sha256_digest tag = ticket_key_(tag_label, contents);
  std::array<std::uint8_t, tag_size + contents_size> ticket;
  byte_writer out{ticket};
  out.bytes(const_bytes{tag}.first(tag_size));
  const stun::sha256_digest mask = ticket_key_(mask_label, const_bytes{ticket}.first(tag_size));
  for (std::size_t i = 0; i < contents.size(); ++i)
    out.u8(static_cast<std::uint8_t>(contents[i] ^ mask[i]));
  return stun::encode_base64(ticket);
}

std::optional<server_core::ticket_contents> server_core::open_ticket(const_bytes text) const {
  if (text.size() != text_size) return std::nullopt;
  const auto ticket = stun::decode_base64(as_text(text));
  if (!ticket || ticket->size() != tag_size + contents_size) return std::nullopt;
  const const_bytes tag = const_bytes{*ticket}.first(tag_size);
  const const_bytes hidden = const_bytes{*ticket}.subspan(tag_size);
  const stun::sha256_digest mask = ticket_key_(mask_label, tag);
  std::array<std::uint8_t, contents_size> contents;
  for (std::size_t i = 0; i < contents.size(); ++i)
    contents[i] = static_cast<std::uint8_t>(hidden[i] ^ mask[i]);
  const stun::sha256_digest right = ticket_key_(tag_label, contents);
  if (!stun::equal_in_constant_time(tag, const_bytes{right}.first(tag_size))) return std::nullopt;
  byte_reader in{contents};
  const allocation_id id{in.u64()};
  return ticket_contents{id, in.u32()};
}

// RFC 8016 §3.2.2
void server_core::refresh_moved(const request& r, const_bytes ticket) {
  const auto contents = open_ticket(ticket);
  if (!contents) {
    refuse(r.sender(), stun::error_code::bad_request);
    return;
  }
  allocation* const a = find(contents->allocation);
  if (a == nullptr || !a->is_open()) {
    refuse(r.sender(), errors::allocation_mismatch);
    return;
  }
  const bool is_there = a->client == r.client;
  const bool again = (is_there || a->moving_to == r.client) && contents->number + 1 == a->ticket &&
                     now_ < a->ticket_issued + old_ticket_lifetime;
  if (!again && (is_there || contents->number != a->ticket)) {
    refuse(r.sender(), stun::error_code::bad_request);
    return;
  }
  if (!belongs_to(*a, r.user)) {
    ++stats_.wrong_credentials;
    refuse(r.sender(), errors::wrong_credentials);
    return;
  }
  const allocation* const here = clients_.find(r.client);
  if (here != nullptr && here != a) {
    refuse(r.sender(), errors::allocation_mismatch);
    return;
  }

  if (!again) {
    if (a->moving_to && a->moving_to != r.client) {
      clients_.erase(*a->moving_to);
      set_idle(*a->moving_to);
    }
    if (here == nullptr) {
      clients_.insert(r.client, a);
      set_busy(r.client);
    }
    a->moving_to = r.client;
    ++a->ticket;
    a->ticket_issued = now_;
    // Nothing is to be kept up of a connection that has ended.
    if (!a->client.remote.address) finish_move(*a);
  }
  refresh_open(r, *a, true);
}

// The client has sent data from its new address, or the old one is gone.
void server_core::finish_move(allocation& a) {
  if (a.client.remote.address) {
    clients_.erase(a.client);
    close_abandoned(a.client);
  }
  a.client = *a.moving_to;
  a.moving_to.reset();
  ++stats_.allocations_moved;
  const ip_address source = source_of(a.client.remote.address);
  if (source == a.source) return;
  if (const auto before = sources_.find(a.source); --before->second == 0) sources_.erase(before);
  ++sources_[source];
  a.source = source;
}

// A connection has ended and the allocation waits for its client to come by another one.
void server_core::detach(allocation& a) {
  clients_.erase(a.client);
  a.client = {};
}

}  // namespace weft::turn
