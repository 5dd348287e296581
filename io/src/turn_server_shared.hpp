#ifndef WEFT_IO_SRC_TURN_SERVER_SHARED_HPP
#define WEFT_IO_SRC_TURN_SERVER_SHARED_HPP

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include <weft/io/turn_server_runner.hpp>

#include <weft/dtls/certificate.hpp>

#include "tls_stream.hpp"

namespace weft::io {

class turn_server_shard;

/// What the executors of a TURN server have in common, and the lock in front of it.
class turn_server_shared {
 public:
  explicit turn_server_shared(const turn_server_runner::options& opts) : options{opts} {}

  /// Where a relay socket is. Sockets are used by their own shard alone.
  struct relay {
    std::uint32_t generation = 0;
    std::uint32_t shard = 0;
    std::uint32_t socket = 0;  ///< Of `turn_server_sockets`, for UDP.
    bool open = false;
  };

  /// The relay, if it is still that one.
  relay* find(turn::relay_id id) noexcept {
    if (id.index >= relays.size() || relays[id.index].generation != id.generation) return nullptr;
    return relays[id.index].open ? &relays[id.index] : nullptr;
  }
  relay& put(turn::relay_id id, std::uint32_t shard, std::uint32_t socket) {
    if (id.index >= relays.size()) relays.resize(id.index + 1);
    return relays[id.index] = {id.generation, shard, socket, true};
  }

  // Set before the executors run
  const turn_server_runner::options options;
  std::vector<turn_server_runner::listener> listeners;
  std::optional<tls_server_identity> tls;
  std::optional<dtls::certificate> identity;  ///< For DTLS.
  turn_server_runner::event_handler on_event;
  std::vector<std::unique_ptr<turn_server_shard>> shards;

  // Behind the lock
  std::mutex mutex;
  random_source* random = nullptr;
  std::optional<turn::server> machine;
  std::vector<relay> relays;
  /// Which shard has a client's connection, or a peer's.
  std::unordered_map<five_tuple, std::uint32_t> streams;
  std::unordered_map<turn::connection_id, std::uint32_t> peers;
};

}  // namespace weft::io

#endif  // WEFT_IO_SRC_TURN_SERVER_SHARED_HPP
