#include "http_api.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <httplib.h>
#include <asio/post.hpp>

#include <weft/sdp/trickle.hpp>

#include "page.hpp"

namespace weft::cli {
namespace {

using httplib::Request;
using httplib::Response;

constexpr std::string_view sdp_type = "application/sdp";
/// Chromium's offer with everything in it has 9.5 KB.
constexpr std::size_t max_body = 256 * 1024;

/// The media type of the body, in small letters and without parameters (RFC 9110 §8.3.1).
std::string media_type(const Request& request) {
  std::string type = request.get_header_value("Content-Type");
  type.resize(std::min(type.size(), type.find_first_of("; \t")));
  std::ranges::transform(type, type.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return type;
}

/// The whole of `text` as a number of 16 bits.
std::optional<std::uint16_t> stream_number(const std::string& text) {
  std::uint16_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return number;
}

void refuse(Response& response, int status, const std::string& text) {
  response.status = status;
  response.set_content(text + '\n', "text/plain");
}

void write(Response& response, const reply& r) {
  response.status = r.status;
  if (!r.body.empty()) response.set_content(r.body, r.content_type.c_str());
  if (!r.location.empty()) response.set_header("Location", r.location);
  if (!r.etag.empty()) response.set_header("ETag", r.etag);
  if (r.retry_after) response.set_header("Retry-After", std::to_string(*r.retry_after));
}

class api {
 public:
  api(const asio::any_io_executor& executor, echo_sessions& sessions)
      : executor_{executor}, sessions_{sessions} {}

  void create(const Request& request, Response& response) const {
    if (!request.body.empty() && media_type(request) != sdp_type) {
      response.set_header("Accept-Post", std::string{sdp_type});
      refuse(response, 415, "an offer is application/sdp; no body at all asks for an offer");
      return;
    }
    std::optional<std::uint16_t> negotiated;
    if (request.has_param("negotiated")) {
      negotiated = stream_number(request.get_param_value("negotiated"));
      if (!negotiated) {
        refuse(response, 400, "negotiated is the number of a stream, 0 to 65534");
        return;
      }
    }
    std::promise<reply> promise;
    std::future<reply> answer = promise.get_future();
    asio::post(executor_, [&] {
      sessions_.create(request.body, negotiated, [&](reply r) { promise.set_value(std::move(r)); });
    });
    write(response, answer.get());
  }

  void change(const Request& request, Response& response) const {
    const std::string id = request.matches[1];
    const std::string type = media_type(request);
    if (type == sdp_type) {
      write(response, ask([&](echo_sessions& s) { return s.answer(id, request.body); }));
    } else if (type == sdp::trickle_fragment::media_type) {
      std::optional<std::string> if_match;
      if (request.has_header("If-Match")) if_match = request.get_header_value("If-Match");
      write(response, ask([&](echo_sessions& s) { return s.trickle(id, request.body, if_match); }));
    } else {
      response.set_header("Accept-Patch",
                          fmt::format("{}, {}", sdp_type, sdp::trickle_fragment::media_type));
      refuse(response, 415, "PATCH takes application/sdp or application/trickle-ice-sdpfrag");
    }
  }

  void end(const Request& request, Response& response) const {
    write(response, ask([&](echo_sessions& s) { return s.end(request.matches[1]); }));
  }

  void look(const Request& request, Response& response) const {
    write(response, ask([&](echo_sessions& s) { return s.look(request.matches[1]); }));
  }

 private:
  template <class Question>
  reply ask(Question question) const {
    std::promise<reply> promise;
    std::future<reply> answer = promise.get_future();
    asio::post(executor_, [&] { promise.set_value(question(sessions_)); });
    return answer.get();
  }

  asio::any_io_executor executor_;
  echo_sessions& sessions_;
};

void serve_file(const std::string& name, const char* type, Response& response) {
  const auto file = page_file(name);
  response.set_content(file->data(), file->size(), type);
  response.set_header("Content-Security-Policy",
                      "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'");
}

/// What a path is for, where a request of another method went.
std::string_view allowed(const std::string& path) {
  if (path == "/" || path == "/weft.css" || path == "/weft.js") return "GET, HEAD";
  if (path == "/echo") return "GET, HEAD, OPTIONS, POST";
  if (path.starts_with("/echo/")) return "DELETE, GET, HEAD, OPTIONS, PATCH";
  return {};
}

void explain_error(const Request& request, Response& response) {
  if (!response.body.empty()) return;
  const std::string_view methods = allowed(request.path);
  if (response.status == 404 && !methods.empty()) {
    response.set_header("Allow", std::string{methods});
    refuse(response, 405, fmt::format("{} takes {}", request.path, methods));
  } else if (response.status == 404) {
    refuse(response, 404, "nothing here; the page is at / and the peers are at /echo");
  } else if (response.status == 413) {
    refuse(response, 413, fmt::format("a body may have {} bytes", max_body));
  } else {
    refuse(response, response.status, "bad request");
  }
}

/// RFC 9725 §4.2: pages of other origins may use the sessions; they hold nobody's secrets.
void answer_options(const Request& request, Response& response) {
  const std::string methods{allowed(request.path)};
  response.status = 200;
  response.set_header("Allow", methods);
  response.set_header("Access-Control-Allow-Methods", methods);
  response.set_header("Access-Control-Allow-Headers", "Content-Type, If-Match");
  response.set_header("Access-Control-Max-Age", "86400");
  response.set_header("Accept-Post", std::string{sdp_type});
}

void add_common_headers(const Request& request, Response& response) {
  response.set_header("Cache-Control", "no-store");
  response.set_header("X-Content-Type-Options", "nosniff");
  if (!request.path.starts_with("/echo")) return;
  response.set_header("Access-Control-Allow-Origin", "*");
  response.set_header("Access-Control-Expose-Headers", "Location, ETag, Retry-After");
}

}  // namespace

void install_http_api(httplib::Server& server, const asio::any_io_executor& executor,
                      echo_sessions& sessions) {
  const auto handlers = std::make_shared<const api>(executor, sessions);
  const std::string session = R"(/echo/([^/]+))";
  const auto get_file = [&](const char* path, const char* name, const char* type) {
    server.Get(path, [=](const Request&, Response& out) { serve_file(name, type, out); });
  };
  get_file("/", "index.html", "text/html; charset=utf-8");
  get_file("/weft.css", "weft.css", "text/css; charset=utf-8");
  get_file("/weft.js", "weft.js", "text/javascript; charset=utf-8");

  server.Get("/echo", [](const Request&, Response& out) { out.status = 204; });
  server.Post("/echo", [=](const Request& in, Response& out) { handlers->create(in, out); });
  server.Options("/echo", answer_options);
  server.Get(session, [=](const Request& in, Response& out) { handlers->look(in, out); });
  server.Patch(session, [=](const Request& in, Response& out) { handlers->change(in, out); });
  server.Delete(session, [=](const Request& in, Response& out) { handlers->end(in, out); });
  server.Options(session, answer_options);

  // A POST without a length has no body (RFC 9112 §6.3); httplib would wait for one.
  server.set_pre_routing_handler([=](const Request& in, Response& out) {
    const bool bodiless = in.method == "POST" && in.path == "/echo" &&
                          !in.has_header("Content-Length") && !in.has_header("Transfer-Encoding");
    if (!bodiless) return httplib::Server::HandlerResponse::Unhandled;
    handlers->create(in, out);
    return httplib::Server::HandlerResponse::Handled;
  });
  server.set_error_handler(explain_error);
  server.set_post_routing_handler(add_common_headers);
  server.set_payload_max_length(max_body);
}

}  // namespace weft::cli
