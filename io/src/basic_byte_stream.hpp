#ifndef WEFT_IO_SRC_BASIC_BYTE_STREAM_HPP
#define WEFT_IO_SRC_BASIC_BYTE_STREAM_HPP

#include <array>
#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include <asio/buffer.hpp>
#include <asio/steady_timer.hpp>
#include <asio/write.hpp>

#include <weft/core/time.hpp>

#include "byte_stream.hpp"

namespace weft::io {

/// What streams in the clear and under TLS have in common.
template <class Stream>
class basic_byte_stream : public byte_stream,
                          public std::enable_shared_from_this<basic_byte_stream<Stream>> {
 public:
  explicit basic_byte_stream(Stream stream)
      : stream_{std::move(stream)}, timer_{stream_.get_executor()} {}

  void write(const_bytes head, const_bytes body, std::size_t zeros) override {
    if (closed_) return;
    waiting_.insert(waiting_.end(), head.begin(), head.end());
    waiting_.insert(waiting_.end(), body.begin(), body.end());
    waiting_.resize(waiting_.size() + zeros);
    if (leaving_.empty()) send();
  }

  std::size_t backlog() const noexcept override { return waiting_.size() + leaving_.size(); }

  void pause() override { paused_ = true; }
  void resume() override {
    if (std::exchange(paused_, false) && !reading_ && !closed_) read();
  }

  void close_when_drained() override {
    closing_ = true;
    if (leaving_.empty()) return close();
    expire_in(std::chrono::seconds{1});
  }

  void close() override {
    if (std::exchange(closed_, true)) return;
    timer_.cancel();
    if (leaving_.empty()) say_farewell();
    // They may hold what holds this; but one of them may be what is calling.
    asio::post(stream_.get_executor(), [self = this->shared_from_this()] { self->handlers_ = {}; });
    std::error_code ignored;
    stream_.lowest_layer().shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
    stream_.lowest_layer().close(ignored);
  }

 protected:
  /// The last that is written to the socket, if it can be written at once.
  virtual void say_farewell() {}

  void begin(handlers h) { handlers_ = std::move(h); }

  void opened() {
    if (closed_ || closing_) return;
    timer_.cancel();
    handlers_.on_open();
    if (!closed_ && !paused_) read();
  }

  /// Ends the connection unless something happens before.
  void expire_in(duration time) {
    timer_.expires_after(time);
    timer_.async_wait([self = this->shared_from_this()](std::error_code cancelled) {
      if (!cancelled) self->end();
    });
  }

  void end() {
    if (closed_) return;
    const auto last = closing_ ? nullptr : std::move(handlers_.on_end);
    close();
    if (last) last();
  }

  Stream stream_;

 private:
  void read() {
    reading_ = true;
    stream_.async_read_some(asio::buffer(buffer_), [self = this->shared_from_this()](
                                                       std::error_code error, std::size_t size) {
      self->reading_ = false;
      if (self->closed_) return;
      if (error) return self->end();
      if (!self->closing_) self->handlers_.on_bytes({self->buffer_.data(), size});
      if (!self->closed_ && !self->paused_) self->read();
    });
  }

  void send() {
    std::swap(waiting_, leaving_);
    asio::async_write(stream_, asio::buffer(leaving_),
                      [self = this->shared_from_this()](std::error_code error, std::size_t) {
                        self->leaving_.clear();
                        if (self->closed_) return;
                        if (error) return self->end();
                        if (!self->waiting_.empty()) return self->send();
                        if (self->closing_) return self->close();
                        if (self->handlers_.on_drained) self->handlers_.on_drained();
                      });
  }

  asio::steady_timer timer_;
  handlers handlers_;
  std::vector<std::uint8_t> waiting_;
  std::vector<std::uint8_t> leaving_;
  bool reading_ = false;
  bool paused_ = false;
  bool closing_ = false;
  bool closed_ = false;
  std::array<std::uint8_t, 16384> buffer_;  ///< A whole record of TLS.
};

}  // namespace weft::io

#endif  // WEFT_IO_SRC_BASIC_BYTE_STREAM_HPP
