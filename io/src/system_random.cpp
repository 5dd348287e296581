#include <weft/io/system_random.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#ifdef __linux__
#  include <sys/random.h>
#else
#  include <unistd.h>
#endif

namespace weft::io {

void system_random::fill(std::span<std::uint8_t> out) {
  while (!out.empty()) {
#ifdef __linux__
    const auto got = getrandom(out.data(), out.size(), 0);
#else
    const std::size_t chunk = std::min<std::size_t>(out.size(), 256);  // getentropy's limit
    const auto got = getentropy(out.data(), chunk) == 0 ? static_cast<long>(chunk) : -1L;
#endif
    if (got >= 0)
      out = out.subspan(static_cast<std::size_t>(got));
    else if (errno != EINTR)
      std::abort();
  }
}

}  // namespace weft::io
