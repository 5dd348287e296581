#include "negotiation.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

#include <weft/sdp/builder.hpp>
#include <weft/sdp/offer_answer.hpp>

namespace weft::peer::negotiation {
namespace {

failure<error> bad(const sdp::parse_error& e) {
  return fail(error{error_code::bad_description, sdp::to_string(e)});
}

failure<error> lacking(const sdp::media_section& section, std::string_view what) {
  return fail(error{error_code::invalid_access, "media section " + std::to_string(section.index()) +
                                                    " has no " + std::string{what}});
}

std::optional<sdp::media_section> find_data(const sdp::session_description& d) {
  for (std::size_t i = 0; i < d.media_count(); ++i) {
    const auto section = d.media(i);
    const bool over_udp = !section.protocol().starts_with("TCP/");
    if (over_udp && section.is_data_channel() && !section.is_rejected()) return section;
  }
  return std::nullopt;
}

/// Whether `first` may describe the transport of `data` too. No line says so of itself but
/// `a=bundle-only`: an offer under Chromium's "max-bundle" shows only that the credentials are the
/// same and that candidates, once there are any, are in the first section alone.
bool may_share(const sdp::media_section& first, const sdp::media_section& data) {
  if (first.is_rejected() || !first.has(sdp::ice_ufrag::name)) return false;
  if (!first.is_data_channel() && !first.has("rtcp-mux")) return false;
  if (data.has("bundle-only")) return true;
  return !data.has(sdp::candidate::name) &&
         first.find(sdp::ice_ufrag::name) == data.find(sdp::ice_ufrag::name) &&
         first.find(sdp::ice_pwd::name) == data.find(sdp::ice_pwd::name);
}

result<void, error> read_ice(const sdp::session_description& d, const sdp::media_section& section,
                             remote_data& out) {
  const auto ufrag = section.get<sdp::ice_ufrag>();
  if (!ufrag) return bad(ufrag.error());
  const auto pwd = section.get<sdp::ice_pwd>();
  if (!pwd) return bad(pwd.error());
  if (!*ufrag) return lacking(section, "a=ice-ufrag");
  if (!*pwd) return lacking(section, "a=ice-pwd");
  out.ufrag = (*ufrag)->text;
  out.pwd = (*pwd)->text;
  out.ice_lite = d.session().has("ice-lite");
  if (const auto options = section.get<sdp::ice_options>(); options && *options)
    out.renomination = (*options)->contains("renomination");
  out.end_of_candidates = section.has("end-of-candidates") || d.session().has("end-of-candidates");
  // RFC 8839 §5.1: a candidate that is not understood is ignored, not an error.
  section.for_each(sdp::candidate::name, [&](std::string_view value) {
    if (auto candidate = sdp::candidate::parse(value)) out.candidates.push_back(*candidate);
  });
  return {};
}

result<void, error> read_dtls(const sdp::media_section& section, remote_data& out) {
  const auto setup = section.get<sdp::setup>();
  if (!setup) return bad(setup.error());
  if (!*setup) return lacking(section, "a=setup");
  out.setup = (*setup)->role;

  const auto fingerprints = section.get_all<sdp::fingerprint>();
  if (!fingerprints) return bad(fingerprints.error());
  for (const auto& f : *fingerprints) {
    // RFC 8122 §5: of several hashes those not known are passed over.
    if (auto known = dtls::fingerprint::parse(sdp::text_of(f))) out.fingerprints.push_back(*known);
  }
  if (out.fingerprints.empty()) return lacking(section, "a=fingerprint of a known hash");
  return {};
}

sdp::fingerprint fingerprint_of(const local_data& data) {
  return sdp::fingerprint::of(dtls::to_string(data.fingerprint.algorithm()),
                              data.fingerprint.digest());
}

sdp::transport_description own_transport(const local_data& data,
                                         const sdp::fingerprint& fingerprint) {
  return {.ufrag = data.ufrag,
          .pwd = data.pwd,
          .ice_options = "trickle renomination",
          .fingerprints = {&fingerprint, 1},
          .setup = data.setup,
          .tls_id = {}};
}

void add_data(sdp::builder& out, const local_data& data, bool legacy_syntax) {
  const auto fingerprint = fingerprint_of(data);
  const sdp::sctp_parameters sctp{.max_message_size = data.max_message_size,
                                  .legacy_syntax = legacy_syntax};
  sdp::add_data_section(out, data.mid, own_transport(data, fingerprint), sctp);
}

sdp::session_description finished(sdp::builder&& out) {
  auto built = std::move(out).finish();
  // What we write is made of our own tokens and of what `parse` has let through.
  assert(built);
  return *std::move(built);
}

/// A media section that is of use for its transport alone: nothing is sent in it. One format
/// has to be named.
void add_inactive(sdp::builder& out, const sdp::media_section& offered, const local_data& data) {
  auto media = offered.media();
  media.port = 9;
  media.port_count = 1;
  media.formats = media.formats.substr(0, media.formats.find(' '));
  out.media(media).add(sdp::mid{offered.mid()}).direction(sdp::media_direction::inactive);
  out.flag("rtcp-mux");
  const auto maps = offered.get_all<sdp::rtpmap>();
  for (std::size_t i = 0; maps && i < maps->size(); ++i)
    if (std::to_string((*maps)[i].payload_type) == media.formats) out.add((*maps)[i]);
  const auto fingerprint = fingerprint_of(data);
  sdp::add_transport(out, own_transport(data, fingerprint));
}

/// The sections of `like` in their places: data, where it is wanted, what describes its transport,
/// and everything else rejected.
sdp::builder write(const session_id& id, const std::optional<local_data>& data,
                   const sdp::session_description* like) {
  sdp::builder out{sdp::origin{.session_id = id.id, .session_version = id.version}};
  const auto place = data && like != nullptr ? like->media_by_mid(data->mid) : std::nullopt;
  const std::string shared{place ? transport_of(*like, *place).mid() : ""};
  if (data && data->ice_lite) out.flag("ice-lite");
  if (data)
    out.add(sdp::group{
        "BUNDLE", shared.empty() || shared == data->mid ? data->mid : shared + ' ' + data->mid});
  for (std::size_t i = 0; like != nullptr && i < like->media_count(); ++i) {
    const auto section = like->media(i);
    const auto sctp = section.sctp();
    if (data && sctp && section.mid() == data->mid)
      add_data(out, *data, sctp->legacy_syntax);
    else if (data && !shared.empty() && section.mid() == shared)
      add_inactive(out, section, *data);
    else
      sdp::add_rejected(out, section);
  }
  return out;
}

/// RFC 9429 §5.2.2: the m= and c= lines hold the default candidate. What reaches furthest is
/// likeliest to work for whoever does not do ICE; among equals IPv4 comes first.
const sdp::candidate* default_candidate(std::span<const sdp::candidate> candidates) {
  const sdp::candidate* best = nullptr;
  const auto rank = [](const sdp::candidate& c) {
    return std::pair{c.type, c.address.find(':') == c.address.npos};
  };
  for (const auto& c : candidates) {
    const bool usable = c.transport == transport_protocol::udp && ip_address::parse(c.address);
    if (usable && (!best || rank(c) > rank(*best))) best = &c;
  }
  return best;
}

}  // namespace

sdp::media_section transport_of(const sdp::session_description& d, const sdp::media_section& data) {
  const auto bundle = sdp::bundle_of(d, data.mid());
  if (!bundle) return data;
  const auto first = d.media_by_mid(bundle->mids.substr(0, bundle->mids.find(' ')));
  return first && may_share(*first, data) ? *first : data;
}

result<sdp::session_description, error> parse(std::string_view sdp) {
  auto parsed = sdp::session_description::parse(sdp);
  if (!parsed) return bad(parsed.error());
  return *std::move(parsed);
}

result<std::optional<remote_data>, error> read_data(const sdp::session_description& remote) {
  const auto data = find_data(remote);
  if (!data) return std::optional<remote_data>{};
  if (data->mid().empty()) return lacking(*data, "a=mid");
  const auto sctp = data->sctp();
  if (!sctp) return bad(sctp.error());
  if (sctp->port == 0) return std::optional<remote_data>{};  // RFC 8841 §5: not wanted.

  const auto transport = transport_of(remote, *data);
  remote_data out;
  out.mid = data->mid();
  out.index = data->index();
  out.sctp = *sctp;
  out.transport_mid = transport.mid();
  out.transport_index = transport.index();
  if (auto ok = read_ice(remote, transport, out); !ok) return fail(ok.error());
  if (auto ok = read_dtls(transport, out); !ok) return fail(ok.error());
  return std::optional{std::move(out)};
}

sdp::session_description write_offer(const session_id& id, const std::optional<local_data>& data,
                                     const sdp::session_description* previous) {
  sdp::builder out = write(id, data, previous);
  if (data && (previous == nullptr || !previous->media_by_mid(data->mid)))
    add_data(out, *data, false);
  return finished(std::move(out));
}

sdp::session_description write_answer(const session_id& id, const std::optional<local_data>& data,
                                      const sdp::session_description& offer) {
  return finished(write(id, data, &offer));
}

namespace {

/// The session part of a description, but for the lines a builder begins with.
sdp::builder begin_like(const sdp::session_description& description) {
  sdp::builder out{description.origin()};
  const auto session = description.session();
  for (std::size_t i = 0; i < session.size(); ++i) {
    const auto line = session[i];
    if (std::string_view{"vost"}.find(line.type) == std::string_view::npos)
      out.raw(line.type, line.value);
  }
  return out;
}

}  // namespace

sdp::session_description with_candidates(const sdp::session_description& description,
                                         std::string_view mid,
                                         std::span<const sdp::candidate> candidates,
                                         bool complete) {
  const auto data = description.media_by_mid(mid);
  const auto transport = data ? transport_of(description, *data).mid() : mid;
  sdp::builder out = begin_like(description);
  for (std::size_t i = 0; i < description.media_count(); ++i) {
    const auto section = description.media(i);
    if (section.mid() != transport || section.is_rejected()) {
      out.copy(section);
      continue;
    }
    auto media = section.media();
    sdp::connection connection;
    if (const auto* best = default_candidate(candidates)) {
      media.port = best->port;
      connection.address_type = best->address.find(':') == best->address.npos ? "IP4" : "IP6";
      connection.address = best->address;
    }
    out.media(media, connection);
    for (std::size_t j = 0; j < section.size(); ++j) {
      const auto line = section[j];
      if (line.type != 'm' && line.type != 'c') out.raw(line.type, line.value);
    }
    for (const auto& candidate : candidates) out.add(candidate);
    if (complete) out.flag("end-of-candidates");
  }
  return finished(std::move(out));
}

sdp::session_description with_trickled(const sdp::session_description& description,
                                       std::string_view transport_mid,
                                       std::span<const sdp::candidate> candidates, bool complete) {
  sdp::builder out = begin_like(description);
  for (std::size_t i = 0; i < description.media_count(); ++i) {
    const auto section = description.media(i);
    out.copy(section);
    if (section.mid() != transport_mid || section.is_rejected()) continue;
    for (const auto& candidate : candidates) out.add(candidate);
    if (complete && !section.has("end-of-candidates")) out.flag("end-of-candidates");
  }
  auto built = std::move(out).finish();
  // Sections of others may hold what a builder does not write: shown as they came, then.
  return built ? *std::move(built) : description;
}

}  // namespace weft::peer::negotiation
