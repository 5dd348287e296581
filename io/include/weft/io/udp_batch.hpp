#ifndef WEFT_IO_UDP_BATCH_HPP
#define WEFT_IO_UDP_BATCH_HPP

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <weft/core/bytes.hpp>
#include <weft/core/machine.hpp>
#include <weft/core/net.hpp>

namespace weft::io {

/// Datagrams on their way out, built by a machine side by side in one buffer.
///
/// Neighbours of one length between the same two addresses make a run, whose last datagram
/// may be shorter: just what one `UDP_SEGMENT` send takes.
class send_batch {
 public:
  /// Linux sends no more than 64 datagrams at a time (UDP_MAX_SEGMENTS), and no more bytes
  /// than one UDP datagram could have over IPv4, 65,507, which is also the size of the buffer.
  static constexpr std::size_t max_segments = 64;
  static constexpr std::size_t capacity = 65507;
  static constexpr std::size_t max_runs = 64;

  struct run {
    endpoint local;
    endpoint remote;
    traffic_class traffic;
    const_bytes bytes;
    std::size_t segment_size = 0;  ///< All datagrams have this length, save the last.

    std::size_t segments() const noexcept {
      return segment_size == 0 ? 1 : (bytes.size() + segment_size - 1) / segment_size;
    }
  };

  /// Where the machine may build the next datagram; empty when the batch is full.
  mutable_bytes room() noexcept;
  /// Takes the datagram that the machine has just built at the front of `room()`.
  void add(const addressed_transmit& t) noexcept;

  /// What is still to be sent. Whoever sends half a run cuts it.
  std::span<run> runs() noexcept { return {runs_.data() + first_, count_ - first_}; }
  /// Forgets the first `count` runs, which have been sent.
  void pop(std::size_t count) noexcept { first_ += count; }
  void clear() noexcept { first_ = count_ = size_ = 0; }

 private:
  bool joins(const run& last, const addressed_transmit& t) const noexcept;

  std::size_t first_ = 0;
  std::size_t count_ = 0;
  std::size_t size_ = 0;
  std::array<run, max_runs> runs_;
  std::array<std::uint8_t, capacity> buffer_;
};

/// Datagrams that one call has read, several of which may share a slot (`UDP_GRO`).
class receive_batch {
 public:
  static constexpr std::size_t slots = 16;
  static constexpr std::size_t slot_size = 65536;

  struct slot {
    endpoint from;
    traffic_class traffic;
    std::size_t size = 0;
    std::size_t stride = 0;  ///< Length of each datagram but the last; `size` for one alone.

    std::size_t datagrams() const noexcept {
      return stride == 0 ? 1 : (size + stride - 1) / stride;
    }
  };

  std::span<const slot> filled() const noexcept { return {slots_.data(), count_}; }
  mutable_bytes buffer(std::size_t index) noexcept {
    return {buffer_.data() + index * slot_size, slot_size};
  }
  void clear() noexcept { count_ = 0; }
  void push(const slot& s) noexcept { slots_[count_++] = s; }

  /// Calls `take(from, datagram, traffic_class)` for each datagram in the order of arrival.
  template <class Take>
  void for_each(Take take) const {
    for (std::size_t i = 0; i < count_; ++i) {
      const slot& s = slots_[i];
      const const_bytes all{buffer_.data() + i * slot_size, s.size};
      std::size_t at = 0;
      do {  // An empty datagram is one too.
        const std::size_t length = std::min(s.stride, all.size() - at);
        take(s.from, all.subspan(at, length), s.traffic);
        at += s.stride;
      } while (at < all.size());
    }
  }

 private:
  std::size_t count_ = 0;
  std::array<slot, slots> slots_;
  std::array<std::uint8_t, slots * slot_size> buffer_;
};

/// Batches are large and needed for moments: each thread keeps one of each kind, which
/// whoever needs one borrows. Whoever keeps it longer makes the next one allocate.
template <class Batch>
class borrowed {
 public:
  borrowed();
  borrowed(borrowed&&) noexcept = default;
  borrowed& operator=(borrowed&&) noexcept = default;
  ~borrowed();

  Batch& operator*() const noexcept { return *batch_; }
  Batch* operator->() const noexcept { return batch_.get(); }

 private:
  std::unique_ptr<Batch> batch_;
};

}  // namespace weft::io

#endif  // WEFT_IO_UDP_BATCH_HPP
