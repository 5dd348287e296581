#include "turn_server.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <httplib.h>
#include <sys/resource.h>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>

#include <weft/io/behaviour_server_runner.hpp>
#include <weft/io/system_random.hpp>
#include <weft/io/turn_server_runner.hpp>

#include "turn_server_log.hpp"
#include "turn_server_metrics.hpp"
#include "turn_server_settings.hpp"

namespace weft::cli {
namespace {

template <class... Arguments>
exit_code complain(exit_code code, fmt::format_string<Arguments...> text,
                   Arguments&&... arguments) {
  fmt::print(stderr, "weft turn-server: {}\n",
             fmt::format(text, std::forward<Arguments>(arguments)...));
  return code;
}

stun::wall_clock read_clocks() {
  return {io::now(), std::chrono::system_clock::now()};
}

/// Each relayed address is a descriptor.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

/// The page that Prometheus reads, for this machine alone.
class metrics_page {
 public:
  ~metrics_page() {
    server_.stop();
    if (thread_.joinable()) thread_.join();
  }

  bool open(std::uint16_t port, std::function<std::string()> text) {
    server_.Get("/metrics",
                [text = std::move(text)](const httplib::Request&, httplib::Response& response) {
                  response.set_content(text(), "text/plain; version=0.0.4");
                });
    if (!server_.bind_to_port("127.0.0.1", port)) return false;
    thread_ = std::thread{[this] { server_.listen_after_bind(); }};
    while (!server_.is_running()) std::this_thread::yield();  // Before that it cannot be stopped.
    return true;
  }

 private:
  httplib::Server server_;
  std::thread thread_;
};

/// Ends the server in good order: no new allocations, and then until the last has ended.
class drainage {
 public:
  drainage(asio::io_context& context, io::turn_server_runner& runner,
           const turn_server_settings& settings, duration timeout, std::function<void()> done)
      : runner_{runner},
        settings_{settings},
        timeout_{timeout},
        done_{std::move(done)},
        signals_{context, SIGINT, SIGTERM},
        timer_{context} {
    signals_.async_wait([this](std::error_code error, int) {
      if (!error) begin();
    });
  }

 private:
  void begin() {
    runner_.with([&](turn::server& m, time_point now) { m.drain(now, settings_.alternates); });
    deadline_ = io::now() + timeout_;
    const std::size_t left = allocations();
    if (left > 0)
      fmt::print(stderr, "weft turn-server: {} allocation{} left; once more ends at once\n", left,
                 left == 1 ? " is" : "s are");
    signals_.async_wait([this](std::error_code error, int) {
      if (!error) done_();
    });
    look();
  }

  void look() {
    if (allocations() == 0 || io::now() >= deadline_) return done_();
    timer_.expires_after(std::chrono::milliseconds{100});
    timer_.async_wait([this](std::error_code error) {
      if (!error) look();
    });
  }

  std::size_t allocations() {
    return runner_.with([](turn::server& m, time_point) { return m.usage().allocations; });
  }

  io::turn_server_runner& runner_;
  const turn_server_settings& settings_;
  duration timeout_;
  std::function<void()> done_;
  asio::signal_set signals_;
  asio::steady_timer timer_;
  time_point deadline_{};
};

std::string metrics_of(io::turn_server_runner& runner) {
  turn_server_figures figures;
  runner.with([&](turn::server& m, time_point) {
    figures.machine = m.stats();
    figures.usage = m.usage();
    figures.draining = m.is_draining();
  });
  figures.sockets = runner.stats();
  return to_metrics(figures);
}

}  // namespace

exit_code turn_server(const turn_server_options& options) {
  const auto settings = understand(options, read_clocks());
  if (!settings) return complain(exit_code::usage, "{}", settings.error());
  std::unique_ptr<turn_server_log> log;
  if (!options.log.empty() && !(log = turn_server_log::open(options.log)))
    return complain(exit_code::usage, "--log: {}: {}", options.log, std::strerror(errno));
  raise_descriptor_limit();

  turn_users users{options.realm, settings->rest};
  for (const auto& [name, password] : settings->users) users.set(name, password);
  io::system_random random;
  std::vector<std::unique_ptr<asio::io_context>> contexts;
  std::vector<asio::any_io_executor> executors;
  for (unsigned i = 0; i < settings->threads; ++i) {
    contexts.push_back(std::make_unique<asio::io_context>(1));
    executors.push_back(contexts.back()->get_executor());
  }
  auto runner = io::turn_server_runner::create(executors, users, random, settings->runner);
  if (!runner)
    return complain(exit_code::cannot_listen, "{}: {}", runner.error().what,
                    runner.error().code.message());
  std::optional<io::behaviour_server_runner> behaviour;
  if (settings->behaviour) {
    auto opened =
        io::behaviour_server_runner::create(executors.front(), random, *settings->behaviour);
    if (!opened)
      return complain(exit_code::cannot_listen, "--behaviour: {}", opened.error().message());
    behaviour.emplace(std::move(*opened));
  }
  if (log) runner->on_event([&log](time_point, const turn::server::event& e) { log->write(e); });

  metrics_page metrics;
  if (options.metrics_port != 0 &&
      !metrics.open(options.metrics_port, [&] { return metrics_of(*runner); }))
    return complain(exit_code::cannot_listen, "cannot listen on 127.0.0.1:{}, --metrics-port",
                    options.metrics_port);

  asio::io_context& first = *contexts.front();
  drainage end{
      first, *runner, *settings,
      std::chrono::duration_cast<duration>(std::chrono::duration<double>{options.drain_timeout}),
      [&] {
        for (const auto& context : contexts) context->stop();
      }};
  fmt::print("{}\n", start_up_line(*settings, runner->listeners()));
  std::fflush(stdout);
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < contexts.size(); ++i)
    threads.emplace_back([&context = *contexts[i]] { context.run(); });
  first.run();
  for (std::thread& thread : threads) thread.join();
  return exit_code::success;
}

}  // namespace weft::cli
