#include <doctest/doctest.h>

#include <string>

#include "pair.hpp"

namespace {
using namespace weft::dtls;
using namespace weft::dtls::test;

constexpr std::string_view digits = "4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB";
}  // namespace

TEST_SUITE("dtls/fingerprint") {
  TEST_CASE("RFC 8122 §3.4: the example is read, and written back in the RFC's spelling") {
    const auto f = fingerprint::parse("SHA-1 " + std::string{digits});
    REQUIRE(f);
    CHECK(f->algorithm() == hash::sha_1);
    CHECK(f->digest().size() == 20);
    CHECK(f->digest()[1] == 0xad);
    CHECK(to_string(*f) == "sha-1 " + std::string{digits});

    const auto longer = fingerprint::parse(
        "SHA-256 12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:"
        "3E:5D:49:6B:19:E5:7C:AB:4A:AD");
    REQUIRE(longer);
    CHECK(longer->algorithm() == hash::sha_256);
    CHECK(longer->digest().back() == 0xad);
  }

  TEST_CASE("either case of name and digits means the same") {
    const auto upper = fingerprint::parse("SHA-1 " + std::string{digits});
    std::string lower{digits};
    for (char& c : lower) c = static_cast<char>(c | 0x20);  // ':' keeps its value
    REQUIRE(upper);
    CHECK(upper == fingerprint::parse("sha-1 " + lower));
  }

  TEST_CASE("every hash of RFC 8122 §5 but MD5 and MD2 makes the round trip") {
    const certificate c = make_certificate();
    for (const hash h : {hash::sha_1, hash::sha_224, hash::sha_256, hash::sha_384, hash::sha_512}) {
      const fingerprint f = c.fingerprint(h);
      CHECK(f.digest().size() == digest_size(h));
      CHECK(fingerprint::parse(to_string(f)) == f);
      CHECK(fingerprint::from_digest(h, f.digest()) == f);
    }
    CHECK_FALSE(fingerprint::parse("md5 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B"));
    CHECK_FALSE(fingerprint::parse("md2 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B"));
  }

  TEST_CASE("what is not a fingerprint is none, however it is cut or changed") {
    const std::string text = "sha-1 " + std::string{digits};
    for (std::size_t size = 0; size < text.size(); ++size)
      CHECK_FALSE(fingerprint::parse(text.substr(0, size)));
    for (const char wrong : {'g', ' ', '\0', '\xff', ';'}) {
      for (std::size_t i = 0; i < text.size(); ++i) {
        std::string changed = text;
        changed[i] = wrong;
        if (changed != text) CHECK_FALSE(fingerprint::parse(changed));
      }
    }
    CHECK_FALSE(fingerprint::parse(text + ":00"));
    CHECK_FALSE(fingerprint::parse("sha-256 " + std::string{digits}));
    CHECK_FALSE(fingerprint::from_digest(hash::sha_256, weft::as_bytes("short")));
  }
}

TEST_SUITE("dtls/certificate") {
  TEST_CASE("a generated certificate goes through PEM unchanged") {
    const certificate made = make_certificate();
    const auto read = certificate::from_pem(made.to_pem());
    REQUIRE(read);
    CHECK(copy(read->der()) == copy(made.der()));
    CHECK(read->fingerprint() == made.fingerprint());
    CHECK(read->expires() == made.expires());
    CHECK(made.expires() == std::chrono::system_clock::time_point{1'700'000'000s + 30 * 24h});
  }

  TEST_CASE("no two certificates are the same, and a copy is") {
    const certificate one = make_certificate();
    const certificate two = make_certificate();
    certificate copied = two;
    CHECK(one.fingerprint() != two.fingerprint());
    CHECK(copied.fingerprint() == two.fingerprint());
    copied = one;
    CHECK(copied.fingerprint() == one.fingerprint());
  }

  TEST_CASE("text without a key and its certificate is refused") {
    const std::string pem = make_certificate().to_pem();
    const std::string other = make_certificate().to_pem();
    const std::size_t middle = pem.find("-----BEGIN CERTIFICATE");
    REQUIRE(middle != pem.npos);
    CHECK(certificate::from_pem("").error() == error::invalid_certificate);
    CHECK(certificate::from_pem(pem.substr(0, middle)).error() == error::invalid_certificate);
    CHECK(certificate::from_pem(pem.substr(middle)).error() == error::invalid_certificate);
    CHECK(certificate::from_pem(pem.substr(0, middle) + other.substr(middle)).error() ==
          error::invalid_certificate);
  }

  TEST_CASE("a common name of more than 64 bytes is refused (RFC 5280 A.1)") {
    const auto made = certificate::generate({.common_name = std::string(65, 'a')});
    CHECK(made.error() == error::invalid_certificate);
  }
}
