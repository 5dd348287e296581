#include <doctest/doctest.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <asio/io_context.hpp>
#include <asio/ip/udp.hpp>

#include <weft/io/asio.hpp>
#include <weft/io/mdns_resolver.hpp>

using namespace std::chrono_literals;
using udp = asio::ip::udp;
using weft::io::mdns_resolver;

namespace {

/// Has one name, and stays silent to the first questions.
class responder {
 public:
  responder(asio::io_context& context, std::string name, std::size_t silent)
      : socket_{context, {asio::ip::address_v4::loopback(), 0}},
        name_{std::move(name)},
        silent_{silent} {
    receive();
  }

  weft::endpoint address() const { return weft::io::from_asio(socket_.local_endpoint()); }
  std::size_t questions() const { return questions_; }

 private:
  void receive() {
    socket_.async_receive_from(
        asio::buffer(buffer_), from_, [this](std::error_code e, std::size_t n) {
          if (e) return;
          ++questions_;
          std::array<std::uint8_t, 300> expected;
          const auto query =
              weft::io::mdns::build_query(name_, weft::io::mdns::record_type::a, 0, expected);
          // All but the id in front.
          if (questions_ > silent_ && query && n == query->size() &&
              std::equal(buffer_.begin() + 2, buffer_.begin() + static_cast<std::ptrdiff_t>(n),
                         query->begin() + 2))
            answer(n);
          receive();
        });
  }

  void answer(std::size_t size) {
    std::vector<std::uint8_t> out(buffer_.begin(),
                                  buffer_.begin() + static_cast<std::ptrdiff_t>(size));
    out[2] = 0x84;
    out[7] = 1;
    for (const int b : {0xc0, 12, 0, 1, 0x80, 1, 0, 0, 0, 120, 0, 4, 192, 0, 2, 77})
      out.push_back(static_cast<std::uint8_t>(b));
    socket_.send_to(asio::buffer(out), from_);
  }

  udp::socket socket_;
  udp::endpoint from_;
  std::array<std::uint8_t, 1500> buffer_;
  std::string name_;
  std::size_t silent_;
  std::size_t questions_ = 0;
};

}  // namespace

TEST_CASE("a name that somebody has is found, at the second question if the first is lost") {
  asio::io_context context;
  responder owner{context, "there.local", 2};
  mdns_resolver resolver{context.get_executor(),
                         {.timeout = 3s, .retry = 20ms, .groups = {owner.address()}}};
  std::vector<weft::ip_address> found;
  resolver.resolve("there.local", [&](std::string_view name, std::span<const weft::ip_address> a) {
    CHECK(name == "there.local");
    found.assign(a.begin(), a.end());
    context.stop();
  });
  context.run_for(3s);
  REQUIRE(found.size() == 1);
  CHECK(to_string(found[0]) == "192.0.2.77");
  CHECK(owner.questions() >= 3);
}

TEST_CASE("a name that nobody has ends in nothing after the timeout, others unhindered") {
  asio::io_context context;
  responder owner{context, "there.local", 0};
  mdns_resolver resolver{context.get_executor(),
                         {.timeout = 60ms, .retry = 20ms, .groups = {owner.address()}}};
  std::vector<std::string> order;
  resolver.resolve("nobody.local", [&](std::string_view, std::span<const weft::ip_address> a) {
    CHECK(a.empty());
    order.push_back("nobody");
  });
  resolver.resolve("there.local", [&](std::string_view, std::span<const weft::ip_address> a) {
    CHECK(a.size() == 1);
    order.push_back("there");
  });
  const auto start = weft::io::now();
  while (order.size() < 2 && weft::io::now() < start + 3s) context.run_one_for(100ms);
  CHECK(order == std::vector<std::string>{"there", "nobody"});
  CHECK(weft::io::now() >= start + 60ms);
}

TEST_CASE("names of other domains are refused at once and never asked") {
  asio::io_context context;
  responder owner{context, "there.local", 0};
  mdns_resolver resolver{context.get_executor(), {.groups = {owner.address()}}};
  bool refused = false;
  resolver.resolve("www.example.com", [&](std::string_view, std::span<const weft::ip_address> a) {
    CHECK(a.empty());
    refused = true;
  });
  CHECK(!refused);  // Not from within the call.
  context.run_for(20ms);
  CHECK(refused);
  CHECK(owner.questions() == 0);
}

TEST_CASE("names beyond the bound fail at once") {
  asio::io_context context;
  responder owner{context, "there.local", 0};
  mdns_resolver resolver{context.get_executor(), {.max_pending = 2, .groups = {owner.address()}}};
  int failed = 0;
  for (const char* name : {"a.local", "b.local", "c.local", "d.local"})
    resolver.resolve(name, [&](std::string_view, std::span<const weft::ip_address>) { ++failed; });
  context.run_for(20ms);
  CHECK(failed == 2);
}

TEST_CASE("a resolver may be destroyed in its handler, and calls nobody after") {
  asio::io_context context;
  responder owner{context, "there.local", 0};
  auto resolver = std::make_optional<mdns_resolver>(
      context.get_executor(), mdns_resolver::options{.timeout = 50ms, .groups = {owner.address()}});
  int calls = 0;
  const auto count = [&](std::string_view, std::span<const weft::ip_address>) {
    ++calls;
    resolver.reset();
  };
  resolver->resolve("there.local", count);
  resolver->resolve("nobody.local", count);
  context.run_for(200ms);
  CHECK(calls == 1);
}
