#include <doctest/doctest.h>

#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include <asio/io_context.hpp>

#include <weft/io/udp_driver.hpp>

using namespace std::chrono_literals;

namespace {

/// Sends what it is told to, answers nothing, and has one deadline.
class mailbox {
 public:
  struct arrived {
    weft::endpoint local, from;
    std::size_t size;
  };
  struct timed_out {};
  using event = std::variant<arrived, timed_out>;

  void post(const weft::endpoint& to, std::size_t size, std::size_t copies = 1) {
    while (copies-- > 0) outgoing_.push_back({to, size});
  }
  void set_deadline(weft::time_point t) { deadline_ = t; }

  bool handle_input(weft::time_point, const weft::endpoint& local, const weft::endpoint& from,
                    weft::const_bytes datagram) {
    events_.push_back(arrived{local, from, datagram.size()});
    return true;
  }
  void handle_timeout(weft::time_point now) {
    if (!deadline_ || now < *deadline_) return;
    deadline_.reset();
    events_.push_back(timed_out{});
  }
  std::optional<weft::addressed_transmit> poll_transmit(weft::time_point,
                                                        weft::mutable_bytes buffer) {
    if (outgoing_.empty()) return std::nullopt;
    const auto [to, size] = outgoing_.front();
    outgoing_.pop_front();
    std::fill_n(buffer.begin(), size, std::uint8_t{1});
    return weft::addressed_transmit{{}, to, buffer.first(size)};
  }
  std::optional<weft::time_point> poll_timeout() const { return deadline_; }
  std::optional<event> poll_event() {
    if (events_.empty()) return std::nullopt;
    const event e = events_.front();
    events_.pop_front();
    return e;
  }

 private:
  struct letter {
    weft::endpoint to;
    std::size_t size;
  };
  std::deque<letter> outgoing_;
  std::deque<event> events_;
  std::optional<weft::time_point> deadline_;
};

static_assert(weft::io::addressed_machine<mailbox>);

weft::endpoint loopback(const char* address) {
  return {*weft::ip_address::parse(address), 0};
}

}  // namespace

TEST_CASE("datagrams go from machine to machine over the socket of the right family") {
  asio::io_context context;
  mailbox a, b;
  std::vector<mailbox::arrived> arrived;
  weft::io::udp_driver driver_a{context.get_executor(), a, [](weft::time_point) {}};
  weft::io::udp_driver driver_b{context.get_executor(), b, [&](weft::time_point) {
                                  while (const auto e = b.poll_event())
                                    arrived.push_back(std::get<mailbox::arrived>(*e));
                                  if (arrived.size() == 2) context.stop();
                                }};
  const auto a4 = driver_a.open(loopback("127.0.0.1"));
  const auto a6 = driver_a.open(loopback("::1"));
  const auto b4 = driver_b.open(loopback("127.0.0.1"));
  const auto b6 = driver_b.open(loopback("::1"));
  REQUIRE((a4 && a6 && b4 && b6));

  a.post(*b4, 40);
  a.post(*b6, 60);
  driver_a.wake();
  context.run_for(2s);
  REQUIRE(arrived.size() == 2);
  for (const auto& one : arrived) {
    const bool v4 = one.size == 40;
    CHECK(one.from == (v4 ? *a4 : *a6));
    CHECK(one.local == (v4 ? *b4 : *b6));
  }
}

TEST_CASE("a machine with much to say does not keep others from their turn") {
  asio::io_context context;
  mailbox talker, listener;
  std::size_t heard = 0, other_turns = 0;
  weft::io::udp_driver talking{context.get_executor(), talker, [](weft::time_point) {}};
  weft::io::udp_driver hearing{context.get_executor(), listener, [&](weft::time_point) {
                                 while (listener.poll_event()) ++heard;
                               }};
  const auto from = talking.open(loopback("127.0.0.1"));
  const auto to = hearing.open(loopback("127.0.0.1"));
  REQUIRE((from && to));
  talker.post(*to, 1200, 5000);
  talking.wake();
  std::function<void()> other = [&] {
    ++other_turns;
    if (other_turns < 20) asio::post(context, other);
  };
  asio::post(context, other);
  while (talking.sockets()[0]->stats().datagrams_sent < 5000) {
    REQUIRE(context.run_one_for(2s) > 0);
    if (talking.sockets()[0]->stats().datagrams_sent < 5000) continue;
  }
  context.run_for(50ms);
  CHECK(other_turns == 20);
  CHECK(heard > 0);
}

TEST_CASE("time reaches the machine when its deadline comes, though it moves both ways") {
  asio::io_context context;
  mailbox m;
  std::optional<weft::time_point> fired;
  weft::io::udp_driver driver{context.get_executor(), m, [&](weft::time_point now) {
                                while (m.poll_event()) fired = now;
                                if (fired) context.stop();
                              }};
  const auto start = weft::io::now();
  m.set_deadline(start + 10s);
  driver.wake();
  context.run_for(5ms);
  m.set_deadline(start + 400ms);
  driver.wake();
  context.run_for(5ms);
  m.set_deadline(start + 500ms);
  driver.wake();
  context.run_for(20s);
  REQUIRE(fired.has_value());
  CHECK(*fired >= start + 500ms);
  CHECK(*fired < start + 10s);
}

TEST_CASE("a driver may be destroyed in its own turn, and nothing is called after") {
  asio::io_context context;
  mailbox m;
  int turns = 0;
  std::optional<weft::io::udp_driver<mailbox>> driver;
  driver.emplace(context.get_executor(), m, [&](weft::time_point) {
    ++turns;
    driver.reset();
  });
  REQUIRE(driver->open(loopback("127.0.0.1")).has_value());
  m.set_deadline(weft::io::now());
  driver->wake();
  driver->wake();
  context.run_for(1s);
  CHECK(turns == 1);
}

TEST_CASE("a farewell leaves before the sockets close") {
  asio::io_context context;
  mailbox m, other;
  std::size_t heard = 0;
  weft::io::udp_driver hearing{context.get_executor(), other, [&](weft::time_point) {
                                 while (other.poll_event()) ++heard;
                                 context.stop();
                               }};
  const auto to = hearing.open(loopback("127.0.0.1"));
  REQUIRE(to.has_value());
  {
    weft::io::udp_driver driver{context.get_executor(), m, [](weft::time_point) {}};
    REQUIRE(driver.open(loopback("127.0.0.1")).has_value());
    m.post(*to, 30);
    driver.flush(weft::io::now());
  }
  context.run_for(2s);
  CHECK(heard == 1);
}
