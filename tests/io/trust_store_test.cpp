#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <weft/io/trust_store.hpp>

#include "authority.hpp"

using weft::io::trust_store;
using weft::io::test::authority;
using weft::io::test::scratch_folder;

namespace {

using chain = std::vector<std::vector<std::uint8_t>>;

struct fixture {
  authority root{"root"};
  scratch_folder folder;
  trust_store store = *trust_store::load(
      {.system = false, .files = {folder.write("root.pem", root.certificate_pem())}});

  authority server(const std::string& names) const { return {{"server", names}, root}; }
  bool trusts(const authority& shown, std::string_view name) const {
    return store.trusts(chain{shown.der()}, name);
  }
};

}  // namespace

TEST_CASE("a server is trusted by a name that its certificate has (RFC 6125 §6.4)") {
  const fixture f;
  const authority server =
      f.server("DNS:turn.example.org,DNS:*.wild.example.org,IP:192.0.2.1,IP:2001:db8::1");
  for (const char* name : {"turn.example.org", "TURN.example.ORG", "turn.example.org.",
                           "a.wild.example.org", "192.0.2.1", "2001:db8::1"}) {
    CAPTURE(name);
    CHECK(f.trusts(server, name));
  }
  for (const char* name : {"example.org", "other.example.org", "a.b.wild.example.org",
                           "wild.example.org", "192.0.2.2", "2001:db8::2", "server", ""}) {
    CAPTURE(name);
    CHECK_FALSE(f.trusts(server, name));
  }
}

TEST_CASE("a server is not trusted by the word of a stranger, nor by its own") {
  const fixture f;
  const authority stranger{"root"};  // The name is the same, the key is not.
  const authority by_stranger{{"server", "DNS:a.example"}, stranger};
  CHECK_FALSE(f.trusts(by_stranger, "a.example"));
  CHECK_FALSE(f.store.trusts(chain{by_stranger.der(), stranger.der()}, "a.example"));
  CHECK_FALSE(f.store.trusts({}, "a.example"));
  CHECK_FALSE(f.store.trusts(chain{{0x30, 0x03, 1}}, "a.example"));
  CHECK_FALSE(trust_store{}.trusts(chain{f.server("DNS:a.example").der()}, "a.example"));
}

TEST_CASE("a certificate is good for its time only") {
  const fixture f;
  const authority expired{{"server", "DNS:a.example", -7200, -3600}, f.root};
  const authority early{{"server", "DNS:a.example", 3600, 7200}, f.root};
  CHECK_FALSE(f.trusts(expired, "a.example"));
  CHECK_FALSE(f.trusts(early, "a.example"));
}

TEST_CASE("a chain leads to a trust anchor if all of it is shown") {
  const fixture f;
  const authority middle{authority::issued{"middle"}, f.root};
  const authority server{{"server", "DNS:a.example"}, middle};
  CHECK(f.store.trusts(chain{server.der(), middle.der()}, "a.example"));
  CHECK_FALSE(f.trusts(server, "a.example"));
  // A server is no authority.
  const authority impostor{{"impostor", "DNS:b.example"}, server};
  CHECK_FALSE(f.store.trusts(chain{impostor.der(), server.der(), middle.der()}, "b.example"));
}

TEST_CASE("whoever asks for no verification gets none") {
  const fixture f;
  const auto careless = trust_store::load({.verify = false});
  REQUIRE(careless.has_value());
  CHECK(careless->trusts(chain{f.server("DNS:a.example").der()}, "b.example"));
}

TEST_CASE("a file that is none, or holds no certificate, is an error") {
  const scratch_folder folder;
  CHECK_FALSE(trust_store::load({.files = {folder.path() + "/none.pem"}}).has_value());
  CHECK_FALSE(
      trust_store::load({.files = {folder.write("text.pem", "no certificate\n")}}).has_value());
}
