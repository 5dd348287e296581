#include "byte_stream.hpp"

#include <asio/post.hpp>

#include "basic_byte_stream.hpp"

namespace weft::io {
namespace {

class plain_stream final : public basic_byte_stream<asio::ip::tcp::socket> {
 public:
  using basic_byte_stream::basic_byte_stream;

  void start(handlers h) override {
    begin(std::move(h));
    asio::post(stream_.get_executor(), [self = shared_from_this(), this] { opened(); });
  }
};

}  // namespace

std::shared_ptr<byte_stream> make_plain_stream(asio::ip::tcp::socket socket) {
  return std::make_shared<plain_stream>(std::move(socket));
}

}  // namespace weft::io
