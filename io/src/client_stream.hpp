#ifndef WEFT_IO_SRC_CLIENT_STREAM_HPP
#define WEFT_IO_SRC_CLIENT_STREAM_HPP

#include <functional>
#include <memory>
#include <string>

#include <asio/ip/tcp.hpp>

#include <weft/io/trust_store.hpp>

#include "turn_server_stream.hpp"

namespace weft::io {

/// The client's end of TLS over a connection that is there. `untrusted` is called before `on_end`
/// where the server's certificate was not the right one.
std::shared_ptr<turn_server_stream> make_tls_client_stream(asio::ip::tcp::socket socket,
                                                           const trust_store& trust,
                                                           const std::string& server_name,
                                                           std::function<void()> untrusted);

}  // namespace weft::io

#endif  // WEFT_IO_SRC_CLIENT_STREAM_HPP
