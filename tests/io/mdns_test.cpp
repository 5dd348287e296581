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
