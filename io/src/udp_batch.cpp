#include <weft/io/udp_batch.hpp>

#include <cassert>
#include <utility>

namespace weft::io {

mutable_bytes send_batch::room() noexcept {
  if (capacity - size_ < max_datagram_size || count_ == max_runs) return {};
  return mutable_bytes{buffer_}.subspan(size_);
}

void send_batch::add(const addressed_transmit& t) noexcept {
  assert(t.bytes.data() == buffer_.data() + size_);
  size_ += t.bytes.size();
  if (count_ > first_ && joins(runs_[count_ - 1], t)) {
    run& last = runs_[count_ - 1];
    last.bytes = {last.bytes.data(), last.bytes.size() + t.bytes.size()};
  } else {
    runs_[count_++] = {t.local, t.remote, t.traffic, t.bytes, t.bytes.size()};
  }
}

bool send_batch::joins(const run& last, const addressed_transmit& t) const noexcept {
  return !t.bytes.empty() && t.bytes.size() <= last.segment_size &&
         last.bytes.size() % last.segment_size == 0 && last.segments() < max_segments &&
         t.remote == last.remote && t.local == last.local && t.traffic == last.traffic;
}

namespace {

template <class Batch>
std::unique_ptr<Batch>& spare() {
  thread_local std::unique_ptr<Batch> batch;
  return batch;
}

}  // namespace

template <class Batch>
borrowed<Batch>::borrowed() : batch_{std::exchange(spare<Batch>(), nullptr)} {
  if (!batch_) batch_ = std::make_unique_for_overwrite<Batch>();
  batch_->clear();
}

template <class Batch>
borrowed<Batch>::~borrowed() {
  if (batch_) spare<Batch>() = std::move(batch_);
}

template class borrowed<send_batch>;
template class borrowed<receive_batch>;

}  // namespace weft::io
