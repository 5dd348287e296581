#ifndef WEFT_TURN_SRC_TUPLE_MAP_HPP
#define WEFT_TURN_SRC_TUPLE_MAP_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include <weft/core/bytes.hpp>
#include <weft/core/net.hpp>
#include <weft/core/random.hpp>

namespace weft::turn {

/// From the address of a client to what is known of it: asked for every packet, so it is one
/// array (open addressing, linear probing) and one hash of a few multiplications. The hash is
/// keyed, lest clients choose ports that fall on one place.
template <class Value>
class tuple_map {
 public:
  explicit tuple_map(random_source& random) {
    std::array<std::uint8_t, 16> bytes;
    random.fill(bytes);
    byte_reader in{bytes};
    for (std::uint64_t& word : secret_) word = in.u64();
  }

  std::size_t size() const noexcept { return size_; }

  /// The value for a client, null if there is none.
  Value* find(const five_tuple& key) const noexcept {
    if (size_ == 0) return nullptr;
    for (std::size_t at = home(key);; at = next(at)) {
      if (entries_[at].value == nullptr) return nullptr;
      if (entries_[at].key == key) return entries_[at].value;
    }
  }

  /// The key must not be there yet.
  void insert(const five_tuple& key, Value* value) {
    if ((size_ + 1) * 4 > entries_.size() * 3) rehash(entries_.empty() ? 16 : entries_.size() * 2);
    place(key, value);
    ++size_;
  }

  void erase(const five_tuple& key) {
    if (size_ == 0) return;
    std::size_t hole = home(key);
    for (;; hole = next(hole)) {
      if (entries_[hole].value == nullptr) return;
      if (entries_[hole].key == key) break;
    }
    // Moves back whatever had been pushed past the hole.
    for (std::size_t at = next(hole); entries_[at].value != nullptr; at = next(at)) {
      const std::size_t mask = entries_.size() - 1;
      const std::size_t from_home = (at - home(entries_[at].key)) & mask;
      if (from_home < ((at - hole) & mask)) continue;
      entries_[hole] = entries_[at];
      hole = at;
    }
    entries_[hole] = {};
    --size_;
    if (entries_.size() > 16 && size_ * 8 < entries_.size()) rehash(entries_.size() / 2);
  }

  template <class Visitor>
  void for_each(Visitor&& visit) const {
    for (const entry& e : entries_)
      if (e.value != nullptr) visit(e.key, *e.value);
  }

 private:
  struct entry {
    five_tuple key{};
    Value* value = nullptr;
  };

  static std::uint64_t mix(std::uint64_t h) noexcept {
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93;
    return h ^ h >> 29;
  }
  std::uint64_t absorb(std::uint64_t h, const endpoint& e) const noexcept {
    const auto octets = e.address.octets();
    std::uint64_t high = 0, low = 0;
    if (octets.size() == 16) {
      std::memcpy(&high, octets.data(), 8);
      std::memcpy(&low, octets.data() + 8, 8);
      h = mix(h ^ high);
    } else if (octets.size() == 4) {
      std::memcpy(&low, octets.data(), 4);
    }
    return mix(h ^ low ^ std::uint64_t{e.port} << 40);
  }
  std::size_t home(const five_tuple& key) const noexcept {
    // The server's side has few values and takes no part; the comparison has.
    const std::uint64_t h =
        absorb(secret_[0] + static_cast<std::uint64_t>(key.protocol), key.remote);
    return static_cast<std::size_t>(mix(h + secret_[1] + key.local.port)) & (entries_.size() - 1);
  }
  std::size_t next(std::size_t at) const noexcept { return (at + 1) & (entries_.size() - 1); }

  void place(const five_tuple& key, Value* value) {
    std::size_t at = home(key);
    while (entries_[at].value != nullptr) at = next(at);
    entries_[at] = {key, value};
  }
  void rehash(std::size_t size) {
    std::vector<entry> before = std::exchange(entries_, std::vector<entry>(size));
    for (const entry& e : before)
      if (e.value != nullptr) place(e.key, e.value);
  }

  std::array<std::uint64_t, 2> secret_{};
  std::vector<entry> entries_;
  std::size_t size_ = 0;
};

}  // namespace weft::turn

#endif  // WEFT_TURN_SRC_TUPLE_MAP_HPP
