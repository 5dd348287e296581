#include "server_query.hpp"

#include <span>
#include <string_view>

#include <asio/executor_work_guard.hpp>

#include <weft/io/asio.hpp>
#include <weft/io/dns_resolver.hpp>

namespace weft::cli {

std::optional<ip_address> resolve(asio::io_context& context, const stun::server_uri& uri,
                                  time_point end) {
  if (const auto literal = uri.address()) return literal;
  io::dns_resolver resolver{context.get_executor()};
  std::optional<ip_address> first;
  bool done = false;
  resolver.resolve(uri.host, [&](std::string_view, std::span<const ip_address> all) {
    if (!all.empty()) first = all.front();
    done = true;
  });
  const auto work = asio::make_work_guard(context);
  while (!done && io::now() < end) context.run_one_until(end);
  return first;
}

}  // namespace weft::cli
