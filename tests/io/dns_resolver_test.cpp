#include <doctest/doctest.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <weft/io/asio.hpp>
#include <weft/io/dns_resolver.hpp>

#include "event_loop.hpp"

using namespace std::chrono_literals;
using weft::io::dns_resolver;
using addresses = std::span<const weft::ip_address>;

namespace {

/// Knows every name, and is slow to say so about those that begin with "slow".
class name_server {
 public:
  ~name_server() { release(); }

  dns_resolver::lookup lookup() const {
    return [s = shared_](const std::string& name) {
      std::unique_lock lock{s->mutex};
      s->asked.insert(name);
      if (name.starts_with("slow")) s->changed.wait(lock, [&] { return s->released; });
      return std::vector{*weft::ip_address::parse("192.0.2.7")};
    };
  }
  void release() {
    const std::lock_guard lock{shared_->mutex};
    shared_->released = true;
    shared_->changed.notify_all();
  }
  std::set<std::string> asked() const {
    const std::lock_guard lock{shared_->mutex};
    return shared_->asked;
  }

 private:
  struct shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::set<std::string> asked;
    bool released = false;
  };
  std::shared_ptr<shared> shared_ = std::make_shared<shared>();
};

struct fixture : weft::io::test::event_loop {
  name_server names;
};

}  // namespace

TEST_CASE("the system's resolver knows this machine, and an address stands for itself") {
  fixture f;
  dns_resolver resolver{f.context.get_executor()};
  std::vector<weft::ip_address> found;
  int answers = 0;
  for (const char* name : {"localhost", "127.0.0.1"})
    resolver.resolve(name, [&](std::string_view, addresses a) {
      ++answers;
      found.insert(found.end(), a.begin(), a.end());
    });
  CHECK(answers == 0);  // Not from within the call.
  REQUIRE(f.run_until([&] { return answers == 2; }));
  REQUIRE(found.size() >= 2);
  for (const auto& a : found) CHECK(a.is_loopback());
}

TEST_CASE("a slow name delays no other") {
  fixture f;
  dns_resolver resolver{f.context.get_executor(), {.lookup = f.names.lookup()}};
  std::vector<std::string> order;
  const auto note = [&](std::string_view name, addresses a) {
    CHECK(a.size() == 1);
    order.emplace_back(name);
  };
  resolver.resolve("slow.example", note);
  resolver.resolve("quick.example", note);
  REQUIRE(f.run_until([&] { return order.size() == 1; }));
  CHECK(order[0] == "quick.example");
  f.names.release();
  REQUIRE(f.run_until([&] { return order.size() == 2; }));
}

TEST_CASE("a name that takes too long ends in nothing, once") {
  fixture f;
  dns_resolver resolver{f.context.get_executor(), {.timeout = 20ms, .lookup = f.names.lookup()}};
  int answers = 0;
  resolver.resolve("slow.example", [&](std::string_view, addresses a) {
    CHECK(a.empty());
    ++answers;
  });
  REQUIRE(f.run_until([&] { return answers == 1; }));
  f.names.release();
  resolver.resolve("quick.example", [&](std::string_view, addresses) { ++answers; });
  REQUIRE(f.run_until([&] { return answers == 2; }));
  f.context.poll();
  CHECK(answers == 2);
}

TEST_CASE("names wait for a thread, and beyond the bound fail at once") {
  fixture f;
  dns_resolver resolver{f.context.get_executor(),
                        {.max_threads = 1, .max_waiting = 1, .lookup = f.names.lookup()}};
  std::vector<std::string> found, failed;
  for (const char* name : {"slow.example", "waiting.example", "refused.example"})
    resolver.resolve(name, [&](std::string_view n, addresses a) {
      (a.empty() ? failed : found).emplace_back(n);
    });
  REQUIRE(f.run_until([&] { return !failed.empty(); }));
  CHECK(failed == std::vector<std::string>{"refused.example"});
  CHECK_FALSE(f.names.asked().contains("waiting.example"));
  f.names.release();
  REQUIRE(f.run_until([&] { return found.size() == 2; }));
  CHECK(f.names.asked().contains("waiting.example"));
}

TEST_CASE("a resolver may be destroyed in its handler and while threads are under way") {
  fixture f;
  std::optional<dns_resolver> resolver;
  resolver.emplace(f.context.get_executor(), dns_resolver::options{.lookup = f.names.lookup()});
  int answers = 0;
  resolver->resolve("slow.example", [&](std::string_view, addresses) { ++answers; });
  resolver->resolve("quick.example", [&](std::string_view, addresses) {
    ++answers;
    resolver.reset();
  });
  REQUIRE(f.run_until([&] { return !resolver.has_value(); }));
  f.names.release();
  f.context.poll();
  CHECK(answers == 1);
}
