#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

#include <weft/io/mdns.hpp>

namespace mdns = weft::io::mdns;

namespace {

using bytes = std::vector<std::uint8_t>;

void u16(bytes& out, unsigned v) {
  out.push_back(static_cast<std::uint8_t>(v >> 8));
  out.push_back(static_cast<std::uint8_t>(v));
}

void append_name(bytes& out, std::string_view name) {
  while (!name.empty()) {
    const std::string_view label = name.substr(0, name.find('.'));
    out.push_back(static_cast<std::uint8_t>(label.size()));
    out.insert(out.end(), label.begin(), label.end());
    name.remove_prefix(std::min(name.size(), label.size() + 1));
  }
  out.push_back(0);
}

bytes header(unsigned answers, unsigned flags = 0x8400, unsigned questions = 0) {
  bytes out;
  for (const unsigned v : {0u, flags, questions, answers, 0u, 0u}) u16(out, v);
  return out;
}

void append_record(bytes& out, unsigned type, const bytes& data, unsigned record_class = 0x8001) {
  u16(out, type);
  u16(out, record_class);
  u16(out, 0);
  u16(out, 120);
  u16(out, static_cast<unsigned>(data.size()));
  out.insert(out.end(), data.begin(), data.end());
}

bytes answer(std::string_view name, const bytes& address) {
  bytes out = header(1);
  append_name(out, name);
  append_record(out, address.size() == 4 ? 1 : 28, address);
  return out;
}

const std::string browser_name = "1f4712db-ea17-4bcf-a596-105139dfd8bf.local";

}  // namespace

TEST_CASE("only .local names are asked of the link (RFC 6762 §3)") {
  CHECK(mdns::is_local_name(browser_name));
  CHECK(mdns::is_local_name("printer.local."));
  CHECK(mdns::is_local_name("a.b.LOCAL"));
  CHECK(mdns::is_local_name(std::string(63, 'a') + ".local"));
  for (const std::string& bad :
       {std::string{}, std::string{"local"}, std::string{".local"}, std::string{"a..local"},
        std::string{"example.com"}, std::string{"a.local.example.com"}, std::string{"alocal"},
        std::string{"a b.local"}, std::string{"a\0b.local", 9}, std::string{"\xc3\xa4.local"},
        std::string{"a.local.."}, std::string(64, 'a') + ".local",
        std::string(126, 'a') + std::string(126, '.') + ".local"}) {
    CAPTURE(bad);
    CHECK(!mdns::is_local_name(bad));
    std::array<std::uint8_t, mdns::max_query_size> buffer;
    CHECK(!mdns::build_query(bad, mdns::record_type::a, 1, buffer));
    CHECK(mdns::parse_response(answer(bad.size() < 60 ? bad : "x", {10, 0, 0, 1}), bad).empty());
  }
}

TEST_CASE("a query is the header, the name in labels, the type and class IN (RFC 6762 §18)") {
  std::array<std::uint8_t, mdns::max_query_size> buffer;
  const auto query = mdns::build_query("ab.local.", mdns::record_type::aaaa, 0x1234, buffer);
  REQUIRE(query.has_value());
  const bytes expected{0x12, 0x34, 0, 0,   0,   1,   0,   0,   0, 0, 0,  0, 2,
                       'a',  'b',  5, 'l', 'o', 'c', 'a', 'l', 0, 0, 28, 0, 1};
  CHECK(bytes(query->begin(), query->end()) == expected);
  for (std::size_t size = 0; size < expected.size(); ++size)
    CHECK(!mdns::build_query("ab.local", mdns::record_type::a, 1,
                             weft::mutable_bytes{buffer}.first(size)));
}

TEST_CASE("the longest name that is allowed fits the longest query") {
  std::string name;
  while (name.size() + 64 < 248) name += std::string(63, 'a') + '.';
  name += std::string(253 - 6 - name.size(), 'b') + ".local";
  REQUIRE(name.size() == 253);
  std::array<std::uint8_t, mdns::max_query_size> buffer;
  const auto query = mdns::build_query(name, mdns::record_type::a, 1, buffer);
  REQUIRE(query.has_value());
  CHECK(query->size() == mdns::max_query_size);
}

TEST_CASE("addresses of the name are found, in any letter case, others are not (RFC 6762 §16)") {
  const weft::ip_address v4 = *weft::ip_address::parse("192.168.7.9");
  const weft::ip_address v6 = *weft::ip_address::parse("2001:db8::7");
  const bytes v6_bytes{v6.octets().begin(), v6.octets().end()};
  CHECK(mdns::parse_response(answer("Host.LOCAL", {192, 168, 7, 9}), "hOST.local.") ==
        std::vector{v4});
  CHECK(mdns::parse_response(answer("host.local", v6_bytes), "host.local") == std::vector{v6});
  CHECK(mdns::parse_response(answer("host.local", {192, 168, 7, 9}), "hos.local").empty());
  CHECK(mdns::parse_response(answer("host.local", {192, 168, 7, 9}), "hostt.local").empty());
  CHECK(mdns::parse_response(answer("host.local", {192, 168, 7, 9}), "a.host.local").empty());
  CHECK(mdns::parse_response(answer("a.host.local", {192, 168, 7, 9}), "host.local").empty());
}

TEST_CASE("questions are skipped, names may be compressed, additional records count too") {
  bytes message;
  for (const unsigned v : {7u, 0x8400u, 1u, 1u, 0u, 1u}) u16(message, v);
  append_name(message, "host.local");  // At 12.
  u16(message, 255);
  u16(message, 1);
  u16(message, 0xc00c);
  append_record(message, 28, bytes(16, 0x20));
  message.push_back(4);
  for (const char c : {'h', 'o', 's', 't'}) message.push_back(static_cast<std::uint8_t>(c));
  u16(message, 0xc000 | 17);  // `local`
  append_record(message, 1, {10, 1, 2, 3});

  const auto found = mdns::parse_response(message, "host.local");
  REQUIRE(found.size() == 2);
  CHECK(found[0].is_v6());
  CHECK(to_string(found[1]) == "10.1.2.3");
}

TEST_CASE("queries, errors, other classes and wrong lengths give nothing") {
  bytes query = header(1, 0x0000);
  append_name(query, "host.local");
  append_record(query, 1, {10, 0, 0, 1});
  CHECK(mdns::parse_response(query, "host.local").empty());

  bytes error = query;
  error[2] = 0x84;
  error[3] = 0x03;
  CHECK(mdns::parse_response(error, "host.local").empty());

  for (const auto& [type, data, record_class] :
       {std::tuple{1u, bytes{10, 0, 0}, 1u}, std::tuple{1u, bytes(16, 1), 1u},
        std::tuple{28u, bytes{10, 0, 0, 1}, 1u}, std::tuple{16u, bytes{10, 0, 0, 1}, 1u},
        std::tuple{1u, bytes{10, 0, 0, 1}, 3u}}) {
    bytes message = header(1);
    append_name(message, "host.local");
    append_record(message, type, data, record_class);
    CHECK(mdns::parse_response(message, "host.local").empty());
  }
}

TEST_CASE("an answer cannot point us at ourselves, at everybody or at nobody") {
  for (const bytes& address : {bytes{127, 0, 0, 1}, bytes{224, 0, 0, 251}, bytes{0, 0, 0, 0},
                               bytes{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}})
    CHECK(mdns::parse_response(answer("host.local", address), "host.local").empty());
}

TEST_CASE("no more than eight addresses are taken, each once") {
  bytes message = header(40);
  for (unsigned i = 0; i < 40; ++i) {
    append_name(message, "host.local");
    append_record(message, 1, {10, 0, 0, static_cast<std::uint8_t>(i / 2)});
  }
  CHECK(mdns::parse_response(message, "host.local").size() == mdns::max_addresses);
}

TEST_CASE("pointers forward, to themselves and in circles end the reading") {
  for (const unsigned target : {12u, 13u, 14u, 60u, 0x3fffu}) {
    bytes message = header(2);
    u16(message, 0xc000 | target);
    append_record(message, 1, {10, 0, 0, 1});
    append_name(message, "host.local");
    append_record(message, 1, {10, 0, 0, 2});
    const auto found = mdns::parse_response(message, "host.local");
    for (const auto& address : found) CHECK(to_string(address) == "10.0.0.2");
  }
}

TEST_CASE("every prefix of a response gives nothing that the whole does not") {
  const bytes whole = answer(browser_name, {192, 0, 2, 1});
  REQUIRE(mdns::parse_response(whole, browser_name).size() == 1);
  for (std::size_t size = 0; size < whole.size(); ++size)
    CHECK(mdns::parse_response(weft::const_bytes{whole}.first(size), browser_name).empty());
}

TEST_CASE("a query says what it asks about a name (RFC 6762 §5.4, §16)") {
  std::array<std::uint8_t, mdns::max_query_size> buffer;
  const auto query = mdns::build_query(browser_name, mdns::record_type::aaaa, 77, buffer);
  REQUIRE(query.has_value());
  CHECK(mdns::parse_query(*query, browser_name) == mdns::question{.id = 77, .aaaa = true});
  CHECK(mdns::parse_query(*query, "1F4712DB-EA17-4BCF-A596-105139DFD8BF.LOCAL.").has_value());
  CHECK_FALSE(mdns::parse_query(*query, "other.local").has_value());

  bytes many = header(0, 0, 4);
  append_name(many, "other.local");
  for (const unsigned v : {1u, 1u}) u16(many, v);
  append_name(many, browser_name);
  for (const unsigned v : {1u, 0x8001u}) u16(many, v);
  append_name(many, browser_name);
  for (const unsigned v : {12u, 1u}) u16(many, v);  // PTR.
  append_name(many, browser_name);
  for (const unsigned v : {28u, 3u}) u16(many, v);  // Another class.
  CHECK(mdns::parse_query(many, browser_name) == mdns::question{.a = true, .unicast = true});

  bytes any = header(0, 0, 1);
  append_name(any, browser_name);
  for (const unsigned v : {255u, 255u}) u16(any, v);
  CHECK(mdns::parse_query(any, browser_name) == mdns::question{.a = true, .aaaa = true});
}

TEST_CASE("what is no query asks for nothing, at any length") {
  bytes query = header(0, 0, 1);
  append_name(query, browser_name);
  for (const unsigned v : {1u, 1u}) u16(query, v);
  REQUIRE(mdns::parse_query(query, browser_name).has_value());
  for (std::size_t size = 0; size < query.size(); ++size)
    CHECK_FALSE(mdns::parse_query(weft::const_bytes{query}.first(size), browser_name).has_value());
  for (const unsigned flags : {0x8000u, 0x2800u, 0x0003u}) {
    query[2] = static_cast<std::uint8_t>(flags >> 8);
    query[3] = static_cast<std::uint8_t>(flags);
    CHECK_FALSE(mdns::parse_query(query, browser_name).has_value());
  }
}

TEST_CASE("a response to everybody is what a resolver takes (RFC 6762 §6, §10.2, §18)") {
  std::array<std::uint8_t, mdns::max_response_size> buffer;
  for (const char* text : {"192.0.2.1", "2001:db8::1"}) {
    const auto address = *weft::ip_address::parse(text);
    const auto made = mdns::build_response(browser_name, address, 120, {7, true, true},
                                           mdns::audience::everybody, buffer);
    REQUIRE(made.has_value());
    CHECK(mdns::parse_response(*made, browser_name) == std::vector{address});
    CHECK(bytes(made->begin(), made->end()) ==
          answer(browser_name, {address.octets().begin(), address.octets().end()}));
  }
}

TEST_CASE("a legacy asker gets its id and its question back, and a short time (RFC 6762 §6.7)") {
  std::array<std::uint8_t, mdns::max_response_size> buffer;
  const auto address = *weft::ip_address::parse("192.0.2.1");
  const auto made = mdns::build_response("a.local", address, 120, {0x1234, true, false},
                                         mdns::audience::legacy, buffer);
  REQUIRE(made.has_value());
  bytes expected;
  for (const unsigned v : {0x1234u, 0x8400u, 1u, 1u, 0u, 0u}) u16(expected, v);
  append_name(expected, "a.local");
  for (const unsigned v : {1u, 1u, 0xc00cu, 1u, 1u, 0u, 10u, 4u}) u16(expected, v);
  for (const int octet : {192, 0, 2, 1}) expected.push_back(static_cast<std::uint8_t>(octet));
  CHECK(bytes(made->begin(), made->end()) == expected);
  CHECK(mdns::parse_response(*made, "a.local") == std::vector{address});
}

TEST_CASE("of a type that a name has no record of, that is said (RFC 6762 §6.1)") {
  std::array<std::uint8_t, mdns::max_response_size> buffer;
  const auto v4 = *weft::ip_address::parse("192.0.2.1");
  const auto v6 = *weft::ip_address::parse("2001:db8::1");
  const auto no_v6 =
      mdns::build_response("a.local", v4, 120, {.aaaa = true}, mdns::audience::everybody, buffer);
  REQUIRE(no_v6.has_value());
  bytes expected = header(1);
  append_name(expected, "a.local");
  append_record(expected, 47, {0xc0, 12, 0, 1, 0x40});  // NSEC: A alone.
  CHECK(bytes(no_v6->begin(), no_v6->end()) == expected);
  CHECK(mdns::parse_response(*no_v6, "a.local").empty());

  const auto no_v4 =
      mdns::build_response("a.local", v6, 120, {.a = true}, mdns::audience::everybody, buffer);
  REQUIRE(no_v4.has_value());
  expected = header(1);
  append_name(expected, "a.local");
  append_record(expected, 47, {0xc0, 12, 0, 4, 0, 0, 0, 0x08});  // AAAA alone.
  CHECK(bytes(no_v4->begin(), no_v4->end()) == expected);
}

TEST_CASE("the longest name fits the room that is said to be enough, and no less will do") {
  std::string name;
  for (int i = 0; i < 3; ++i) name += std::string(63, 'a') + '.';
  name += std::string(253 - name.size() - 6, 'b') + ".local";
  REQUIRE(mdns::is_local_name(name));
  std::array<std::uint8_t, mdns::max_response_size> buffer;
  const auto v6 = *weft::ip_address::parse("2001:db8::1");
  const auto made =
      mdns::build_response(name, v6, 120, {.aaaa = true}, mdns::audience::legacy, buffer);
  REQUIRE(made.has_value());
  CHECK(mdns::parse_response(*made, name) == std::vector{v6});
  const auto size = made->size();
  CHECK_FALSE(mdns::build_response(name, v6, 120, {.aaaa = true}, mdns::audience::legacy,
                                   weft::mutable_bytes{buffer}.first(size - 1))
                  .has_value());
  CHECK_FALSE(
      mdns::build_response("no.example", v6, 120, {.aaaa = true}, mdns::audience::legacy, buffer)
          .has_value());
}
