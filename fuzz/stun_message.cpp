// Invariants: any input either fails to parse, or every accessor of the view stays inside
// it, and a message built from its attributes gives the same bytes back, unless it has
// padding other than zeros or attributes that must be ignored.
// A server answers a message in silence or with a well-formed response that has the same
// transaction, is within the bound on amplification, and that the client who asked takes.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

#include <weft/stun/binding_client.hpp>
#include <weft/stun/binding_server.hpp>
#include <weft/stun/fingerprint.hpp>
#include <weft/stun/framing.hpp>
#include <weft/stun/integrity.hpp>
#include <weft/stun/message.hpp>

namespace {

using namespace weft::stun;

void require(bool condition) {
  if (!condition) std::abort();
}

volatile std::uint8_t sink;

void touch(weft::const_bytes bytes) {
  for (const std::uint8_t byte : bytes) sink = byte;
}

void read_everything(const message_view& m, const integrity_key& key) {
  for (const attribute_view& a : m.all_attributes()) {
    touch(a.value);
    const auto found = m.find(a.type);
    require(!found || found->offset <= a.offset);
  }
  for (const attribute_view& a : m.attributes()) require(m.has(a.type));
  for (const auto text : {m.username(), m.realm(), m.nonce(), m.software(), m.alternate_domain()})
    if (text) touch(weft::as_bytes(*text));
  for (const auto& address : {m.mapped_address(), m.xor_mapped_address(), m.alternate_server()})
    require(!address || address->address.is_v4() || address->address.is_v6());
  if (const auto error = m.error()) {
    touch(weft::as_bytes(error->reason));
    require(static_cast<unsigned>(error->code) >= 300 && static_cast<unsigned>(error->code) < 700);
  }
  if (const auto list = m.password_algorithms())
    list->for_each([](const password_algorithm_view& a) { touch(a.parameters); });
  if (const auto algorithm = m.password_algorithm()) touch(algorithm->parameters);
  if (const auto list = m.unknown_attributes())
    for (std::size_t i = 0; i < list->size(); ++i) sink = static_cast<std::uint8_t>((*list)[i]);
  sink = static_cast<std::uint8_t>(m.userhash().has_value() + m.priority().has_value() +
                                   m.ice_controlled().has_value() +
                                   m.ice_controlling().has_value() + m.use_candidate());
  if (verify_integrity(m, key)) require(has_integrity(m));
  if (has_valid_fingerprint(m)) require(m.fingerprint()->offset + 8 == m.bytes().size());

  std::array<attribute_type, 8> room;
  const attribute_set understood{attribute_type::username, attribute_type::priority};
  require(m.has_unknown(understood) == !m.unknown_to(understood, room).empty());
}

void rebuild(const message_view& m) {
  std::vector<std::uint8_t> buffer(m.bytes().size());
  message_builder rebuilt{buffer, m.type_class(), m.type_method(), m.id()};
  bool canonical = true;
  for (const attribute_view& a : m.all_attributes()) {
    const std::size_t end = a.offset + 4 + a.value.size();
    const auto padding = m.bytes().subspan(end, padded(a.value.size()) - a.value.size());
    canonical = canonical && std::ranges::all_of(padding, [](std::uint8_t b) { return b == 0; });
    rebuilt.add(a.type, a.value);
  }
  // Attributes that must be ignored are what the builder refuses.
  if (canonical && rebuilt.ok()) require(std::ranges::equal(rebuilt.finish(), m.bytes()));
}

void respond(weft::const_bytes input) {
  const weft::endpoint v4{weft::ip_address{std::array<std::uint8_t, 4>{192, 0, 2, 1}}, 7};
  const weft::endpoint v6{weft::ip_address{std::array<std::uint8_t, 16>{0x20, 1}}, 7};
  std::array<std::uint8_t, 128> buffer;
  for (binding_server server :
       {binding_server{}, binding_server{{short_term_credentials{"evtj:h6vY", "password"}}}}) {
    for (const weft::endpoint& from : {v4, v6}) {
      const auto response = server.respond(from, input, buffer);
      if (!response) continue;
      require(response->size() * 10 <= input.size() * (from == v4 ? 16 : 22));
      const auto request = message_view::parse(input);
      const auto parsed = message_view::parse(*response);
      require(request && parsed && parsed->id() == request->id());
      require(parsed->xor_mapped_address() == from || parsed->error());
    }
  }
}

// A client whose outstanding transaction the input answers, if its transaction ID is zeros.
void answer_client(weft::const_bytes input) {
  struct zeros final : weft::random_source {
    void fill(std::span<std::uint8_t> out) override { std::ranges::fill(out, std::uint8_t{0}); }
  } random;
  const weft::endpoint server{weft::ip_address{std::array<std::uint8_t, 4>{192, 0, 2, 1}}, 7};
  binding_client::options with_credentials;
  with_credentials.credentials.emplace("evtj:h6vY", "password");
  for (const auto& options : {binding_client::options{}, with_credentials}) {
    binding_client client{random, server, options};
    std::array<std::uint8_t, 128> buffer;
    client.start({});
    require(client.poll_transmit({}, buffer).has_value());
    const bool ours = client.handle_input({}, server, input);
    require(!ours || is_stun(input));
    require(client.poll_event().has_value() != client.poll_timeout().has_value());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const weft::const_bytes input{data, size};
  const auto message = message_view::parse(input);
  const stream_frame frame = next_frame(input);
  if (message) require(frame == stream_frame{stream_frame::kind::message, size});
  if (frame.what == stream_frame::kind::need_more) require(frame.size > size);

  respond(input);
  answer_client(input);
  if (!message) return 0;
  static const auto key = integrity_key::short_term("password");
  read_everything(*message, key);
  rebuild(*message);
  return 0;
}
