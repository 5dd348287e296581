#include "turn_server_stream.hpp"

#include <asio/post.hpp>

#include "turn_server_basic_stream.hpp"

namespace weft::io {
namespace {

class plain_stream final : public turn_server_basic_stream<asio::ip::tcp::socket> {
 public:
  using turn_server_basic_stream::turn_server_basic_stream;

  void start(handlers h) override {
    begin(std::move(h));
    asio::post(stream_.get_executor(), [self = shared_from_this(), this] { opened(); });
  }
};

}  // namespace

std::shared_ptr<turn_server_stream> make_plain_stream(asio::ip::tcp::socket socket) {
  return std::make_shared<plain_stream>(std::move(socket));
}

}  // namespace weft::io
