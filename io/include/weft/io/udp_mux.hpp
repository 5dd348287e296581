#ifndef WEFT_IO_UDP_MUX_HPP
#define WEFT_IO_UDP_MUX_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <system_error>

#include <asio/any_io_executor.hpp>

#include <weft/core/bytes.hpp>
#include <weft/core/net.hpp>
#include <weft/core/result.hpp>
#include <weft/core/time.hpp>
#include <weft/io/udp_socket.hpp>

namespace weft::io {

/// One UDP port for many ICE agents: each datagram goes to the agent it is meant for.
///
/// - A check goes to the agent whose username fragment it names (`ice::local_ufrag`), wherever it
///   comes from.
/// - Other STUN messages go to the agent that sent the request with their transaction id.
/// - All else goes to the agent that has its sender's address: one that a success response has
///   come from, to a request that the agent had sent there. Nothing else makes an address an
///   agent's, and it stays so until that agent leaves: no datagram can turn another's away.
///
/// What fits none of these is dropped, with a counter. TURN servers over UDP cannot be used from a
/// shared port: to them all agents would be one client. Nor can two muxes have two connections
/// between one another.
///
/// Threads: everything happens on the executor, one thread or a strand. Members must have left
/// before the mux is destroyed.
class udp_mux {
 public:
  struct options {
    udp_socket::options socket{};
    /// Addresses of one agent's other side. The oldest makes room.
    std::size_t max_addresses_per_member = 64;
    /// Requests of one agent that may still be answered. The oldest makes room.
    std::size_t max_requests_per_member = 256;
  };

  struct counters {
    std::uint64_t by_fragment = 0;
    std::uint64_t by_transaction = 0;
    std::uint64_t by_address = 0;
    std::uint64_t dropped = 0;  ///< For nobody.
  };

  /// One agent's driver.
  class member {
   public:
    virtual ~member() = default;
    virtual void receive(time_point now, const endpoint& from, const_bytes datagram) = 0;
    /// After the datagrams of one read, some of which were its.
    virtual void after_read() = 0;
  };

  /// Fails with the system's error.
  static result<udp_mux, std::error_code> open(const asio::any_io_executor& executor,
                                               const endpoint& local, const options& opts);
  static result<udp_mux, std::error_code> open(const asio::any_io_executor& executor,
                                               const endpoint& local);
  udp_mux(udp_mux&&) noexcept;
  udp_mux& operator=(udp_mux&&) noexcept;
  ~udp_mux();

  const endpoint& local() const noexcept;
  const counters& stats() const noexcept;

  void join(member& m);
  void leave(member& m);
  /// Checks that name this fragment are for that member from now on. One that somebody has
  /// already stays with that one. Of each member the last four are remembered, so that those of
  /// before a restart still serve.
  void claim(member& m, std::string_view fragment);
  /// What `udp_socket::send` does, having noted whose requests those are.
  std::size_t send(member& from, std::span<send_batch::run> runs);
  udp_socket& socket() noexcept;

 private:
  class state;
  explicit udp_mux(std::shared_ptr<state> s);
  std::shared_ptr<state> state_;
};

}  // namespace weft::io

#endif  // WEFT_IO_UDP_MUX_HPP
