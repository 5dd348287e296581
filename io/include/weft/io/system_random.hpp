#ifndef WEFT_IO_SYSTEM_RANDOM_HPP
#define WEFT_IO_SYSTEM_RANDOM_HPP

#include <weft/core/random.hpp>

namespace weft::io {

/// The operating system's random numbers: unpredictable, and safe from several threads
/// and across `fork`, since every call asks the kernel and nothing is kept. That costs about
/// half a microsecond, and machines ask a few dozen times in the life of a connection.
///
/// A kernel that has none to give leaves nothing to go on with: the program ends.
class system_random final : public random_source {
 public:
  void fill(std::span<std::uint8_t> out) override;
};

}  // namespace weft::io

#endif  // WEFT_IO_SYSTEM_RANDOM_HPP
