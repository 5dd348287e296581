#ifndef WEFT_IO_SRC_MUX_FRAGMENTS_HPP
#define WEFT_IO_SRC_MUX_FRAGMENTS_HPP

#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

namespace weft::io {

/// Which member of a shared port has which username fragments.
template <class Member>
class mux_fragments {
 public:
  static constexpr std::size_t max_per_member = 4;

  void claim(Member& m, std::string_view fragment) {
    if (!owners_.try_emplace(std::string{fragment}, &m).second) return;
    auto& claimed = claimed_[&m];
    claimed.emplace_back(fragment);
    if (claimed.size() <= max_per_member) return;
    owners_.erase(claimed.front());
    claimed.pop_front();
  }

  void release(Member& m) {
    const auto at = claimed_.find(&m);
    if (at == claimed_.end()) return;
    for (const std::string& fragment : at->second) owners_.erase(fragment);
    claimed_.erase(at);
  }

  Member* find(std::string_view fragment) const {
    const auto at = owners_.find(std::string{fragment});
    return at == owners_.end() ? nullptr : at->second;
  }

 private:
  std::unordered_map<std::string, Member*> owners_;
  std::map<Member*, std::deque<std::string>> claimed_;
};

}  // namespace weft::io

#endif  // WEFT_IO_SRC_MUX_FRAGMENTS_HPP
