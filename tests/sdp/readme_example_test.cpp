// The example of sdp/README.md, compiled and run as printed there.
#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <utility>
#include <weft/sdp/builder.hpp>
#include <weft/sdp/offer_answer.hpp>

#include "samples.hpp"

namespace sdp = weft::sdp;

// Answers a browser's offer: data is taken, audio and video are turned down.
static weft::result<std::string, std::string> answer(std::string_view text,
                                                     const sdp::transport_description& ours) {
  const auto offer = sdp::session_description::parse(text);
  if (!offer) return weft::fail(to_string(offer.error()));
  if (const auto checked = sdp::check_values(*offer); !checked)
    return weft::fail(to_string(checked.error()));
  if (const auto checked = sdp::check_offer(*offer); !checked)
    return weft::fail(to_string(checked.error()));

  // The first data section that is offered is taken.
  std::size_t taken = 0;
  while (taken < offer->media_count() &&
         (offer->media(taken).is_rejected() || !offer->media(taken).sctp()))
    ++taken;

  sdp::builder b{sdp::origin{.session_id = 4711, .session_version = 1, .address = "0.0.0.0"}};
  b.add(sdp::ice_options{"trickle ice2"});
  if (taken < offer->media_count() && bundle_of(*offer, offer->media(taken).mid()))
    b.add(sdp::group{"BUNDLE", offer->media(taken).mid()});
  for (std::size_t i = 0; i < offer->media_count(); ++i) {
    const sdp::media_section m = offer->media(i);
    if (i != taken) {
      add_rejected(b, m);
      continue;
    }
    const auto offered = m.get<sdp::setup>();
    sdp::transport_description t = ours;
    t.setup = sdp::answer_to(*offered ? (*offered)->role : sdp::setup_role::actpass);
    const auto sctp = m.sctp();
    add_data_section(b, m.mid(), t, {sctp->port, 262144, sctp->legacy_syntax});
  }
  const auto built = std::move(b).finish();
  if (!built) return weft::fail(to_string(built.error()));
  return built->to_string();
}

TEST_CASE("the README's example answers browsers") {
  const auto print = sdp::fingerprint::parse("sha-256 AB:CD");
  REQUIRE(print);
  const sdp::transport_description ours{
      .ufrag = "8hhY", .pwd = "asd88fgpdd777uzjYhagZg", .fingerprints = {&*print, 1}};
  for (const char* name :
       {"chromium-av-data-offer", "firefox-max-bundle-offer", "aiortc-data-only-offer"}) {
    CAPTURE(name);
    const std::string text = sdp::test::sample(name);
    const auto answered = answer(text, ours);
    REQUIRE(answered);
    const auto checked = sdp::check_answer(sdp::test::parsed(text), sdp::test::parsed(*answered));
    CHECK_MESSAGE(checked.has_value(), (checked ? std::string{} : to_string(checked.error())));
  }
  CHECK(answer("v=0\r\nx", ours).error() == "line 2: not of the form <letter>=<text>");
}
