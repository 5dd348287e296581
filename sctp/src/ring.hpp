#ifndef WEFT_SCTP_SRC_RING_HPP
#define WEFT_SCTP_SRC_RING_HPP

#include <cassert>
#include <cstddef>
#include <utility>
#include <vector>

namespace weft::sctp {

/// A queue that keeps its memory: once grown to what a flow needs, it allocates no more.
/// (`std::deque` frees and allocates a block every few elements.)
template <class T>
class ring {
 public:
  bool empty() const noexcept { return size_ == 0; }
  std::size_t size() const noexcept { return size_; }

  T& front() noexcept { return assert(!empty()), slots_[head_]; }
  T& back() noexcept { return assert(!empty()), slots_[(head_ + size_ - 1) & (slots_.size() - 1)]; }

  void push_back(T value) {
    if (size_ == slots_.size()) grow();
    slots_[(head_ + size_++) & (slots_.size() - 1)] = std::move(value);
  }

  T pop_front() {
    assert(!empty());
    T value = std::move(slots_[head_]);
    head_ = (head_ + 1) & (slots_.size() - 1);
    --size_;
    return value;
  }

  void clear() {
    slots_.clear();
    head_ = size_ = 0;
  }

 private:
  void grow() {
    std::vector<T> larger(slots_.empty() ? 8 : 2 * slots_.size());
    for (std::size_t i = 0; i < size_; ++i)
      larger[i] = std::move(slots_[(head_ + i) & (slots_.size() - 1)]);
    slots_ = std::move(larger);
    head_ = 0;
  }

  std::vector<T> slots_;  // A power of two of them.
  std::size_t head_ = 0;
  std::size_t size_ = 0;
};

}  // namespace weft::sctp

#endif  // WEFT_SCTP_SRC_RING_HPP
