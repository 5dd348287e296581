#include "url.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include <weft/core/net.hpp>

namespace weft::cli {
namespace {

constexpr std::string_view scheme = "http://";

bool is_host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_';
}

bool is_ipv6(std::string_view text) {
  const auto address = ip_address::parse(text);
  return address && address->is_v6();
}

bool is_path_character(char c) {
  return c > ' ' && c < 0x7f;
}

}  // namespace

result<url, std::string> url::parse(std::string_view text) {
  if (text.starts_with("https://"))
    return fail(fmt::format("{}: https is not supported; use http", text));
  if (!text.starts_with(scheme))
    return fail(fmt::format("'{}' is not a URL; it should look like http://host:port/echo", text));
  const std::string_view rest = text.substr(scheme.size());
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?"));
  url parsed;
  const std::string_view path = rest.substr(authority.size());
  parsed.path = path.starts_with('/') ? "" : "/";
  parsed.path += path;
  if (parsed.path == "/") parsed.path = "/echo";
  if (!std::ranges::all_of(parsed.path, is_path_character))
    return fail(fmt::format("'{}' is not a URL: bad character in its path", text));

  const bool v6 = authority.starts_with('[');
  const std::size_t host_end = v6 ? authority.find(']') : authority.find(':');
  std::string_view host = authority.substr(v6 ? 1 : 0, v6 ? host_end - 1 : host_end);
  std::string_view port =
      host_end == authority.npos ? std::string_view{} : authority.substr(host_end + (v6 ? 1 : 0));
  parsed.host = std::string{host};
  const bool good_host = v6 ? host_end != authority.npos && is_ipv6(host)
                            : !host.empty() && std::ranges::all_of(host, is_host_character);
  if (!good_host) return fail(fmt::format("'{}' is not a URL: bad host", text));
  if (port.empty()) return parsed;
  const char* const end = port.data() + port.size();
  const auto [next, error] = std::from_chars(port.data() + 1, end, parsed.port);
  if (port[0] != ':' || error != std::errc{} || next != end || parsed.port == 0)
    return fail(fmt::format("'{}' is not a URL: bad port", text));
  return parsed;
}

result<url, std::string> url::resolve(std::string_view reference) const {
  if (!reference.starts_with('/')) return parse(reference);
  url other = *this;
  other.path = std::string{reference};
  if (!std::ranges::all_of(other.path, is_path_character) || other.path.starts_with("//"))
    return fail(fmt::format("'{}' is not a path", reference));
  return other;
}

std::string url::origin() const {
  return host.find(':') == host.npos ? fmt::format("http://{}:{}", host, port)
                                     : fmt::format("http://[{}]:{}", host, port);
}

std::string url::to_string() const {
  return origin() + path;
}

}  // namespace weft::cli
