#include "url.hpp"

#include <doctest/doctest.h>

#include <string>

using weft::cli::url;

TEST_CASE("a URL has host, port and path, and defaults for the latter two") {
  const auto whole = url::parse("http://example.org:8080/echo?x=1");
  REQUIRE(whole.has_value());
  CHECK(whole->host == "example.org");
  CHECK(whole->port == 8080);
  CHECK(whole->path == "/echo?x=1");
  CHECK(url::parse("http://127.0.0.1")->to_string() == "http://127.0.0.1:80/echo");
  CHECK(url::parse("http://127.0.0.1/")->path == "/echo");
  CHECK(url::parse("http://h/other/")->path == "/other/");
  const auto v6 = url::parse("http://[::1]:9/echo");
  REQUIRE(v6.has_value());
  CHECK(v6->host == "::1");
  CHECK(v6->to_string() == "http://[::1]:9/echo");
}

TEST_CASE("what is no URL is refused with a sentence that quotes it") {
  for (const std::string& bad : std::initializer_list<std::string>{
           "", "echo", "ftp://h/", "https://h/", "http://", "http:///echo", "http://h:/",
           "http://h:0", "http://h:65536", "http://h:8o", "http://h:-1", "http://[::1",
           "http://[1.2.3.4]/", "http://[::1]x/", "http://a b/", "http://a@b/", "http://h/a b",
           "http://h/\n"}) {
    CAPTURE(bad);
    const auto parsed = url::parse(bad);
    REQUIRE(!parsed.has_value());
    CHECK(parsed.error().find(bad) != std::string::npos);
  }
}

TEST_CASE("a Location is a path on the same server or a URL of its own (RFC 3986 §4.2)") {
  const auto base = url::parse("http://h:81/echo");
  CHECK(base->resolve("/echo/1")->to_string() == "http://h:81/echo/1");
  CHECK(base->resolve("http://other/x")->to_string() == "http://other:80/x");
  for (const char* bad : {"", "//other/x", "x", "/a b"}) CHECK(!base->resolve(bad).has_value());
}
