#ifndef WEFT_ICE_SRC_NAMES_HPP
#define WEFT_ICE_SRC_NAMES_HPP

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <weft/core/time.hpp>
#include <weft/ice/candidate.hpp>

namespace weft::ice {

/// Remote candidates whose address is a name that somebody is looking up
/// (draft-ietf-mmusic-mdns-ice-candidates §3.2).
class pending_names {
 public:
  enum class outcome { ask, asked_already, refused };

  pending_names(std::size_t limit, duration timeout) : limit_{limit}, timeout_{timeout} {}

  /// One label and `.local`: nothing else may be asked for.
  static bool is_local_name(std::string_view name) noexcept;

  outcome add(time_point now, const candidate& c);
  /// Those that wait for this name, which wait no longer.
  std::vector<candidate> take(std::string_view name);
  /// Gives up on what has waited too long; returns how many.
  std::size_t expire(time_point now);
  std::optional<time_point> deadline() const noexcept;

  bool empty() const noexcept { return pending_.empty(); }
  void clear() noexcept { pending_.clear(); }

 private:
  struct entry {
    candidate waiting;
    time_point expires;
  };

  std::size_t limit_;
  duration timeout_;
  std::vector<entry> pending_;
};

}  // namespace weft::ice

#endif  // WEFT_ICE_SRC_NAMES_HPP
