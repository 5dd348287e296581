// Invariant: any input is either refused with a line that it has (or the one it lacks), or read,
// and then what is written is a fixed point: reading that gives the same text and lines. Every
// getter and check of what was read is safe, and its rejection answers it.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <utility>
#include <weft/core/bytes.hpp>
#include <weft/sdp/builder.hpp>
#include <weft/sdp/candidate.hpp>
#include <weft/sdp/offer_answer.hpp>

namespace {

using namespace weft::sdp;

void require(bool holds) {
  if (!holds) std::abort();
}

template <class T, class Section>
void read(const Section& s) {
  const auto first = s.template get<T>();
  const auto all = s.template get_all<T>();
  // All are sound, or none is given; the first may be sound before a malformed one.
  require(first || !all);
  if (first && all) require(first->has_value() == !all->empty());
}

void read_media(const media_section& m) {
  read<mid>(m);
  read<ice_ufrag>(m);
  read<ice_pwd>(m);
  read<ice_options>(m);
  read<fingerprint>(m);
  read<setup>(m);
  read<tls_id>(m);
  read<sctp_port>(m);
  read<max_message_size>(m);
  read<sctpmap>(m);
  read<rtpmap>(m);
  read<fmtp>(m);
  read<candidate>(m);
  require(m.sctp().has_value() <= m.is_data_channel());
  (void)m.direction();
  (void)m.is_rejected();
  std::string line;
  m.media().write(line);
  const auto again = media_line::parse(line);
  require(again && again->port == m.port() && again->formats == m.formats());
}

/// Any offer can be turned down whole.
void check_rejection(const session_description& offer) {
  builder b{origin{}};
  for (std::size_t i = 0; i < offer.media_count(); ++i) add_rejected(b, offer.media(i));
  const auto answer = std::move(b).finish();
  require(answer.has_value());
  for (std::size_t i = 0; i < offer.media_count(); ++i) {
    require(answer->media(i).is_rejected());
    require(answer->media(i).kind() == offer.media(i).kind());
  }
  // What is wrong with it is wrong with the offer, too.
  if (check_offer(offer)) require(check_answer(offer, *answer).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = weft::as_text({data, size});
  const auto d = session_description::parse(text);
  if (!d) {
    const auto newlines = static_cast<std::size_t>(std::ranges::count(text, '\n'));
    require(d.error().line <= newlines + 2);
    require(!to_string(d.error()).empty());
    return 0;
  }
  const auto again = session_description::parse(d->text());
  require(again && again->text() == d->text() && again->line_count() == d->line_count());
  require(again->media_count() == d->media_count());

  (void)d->origin();
  read<group>(d->session());
  for (std::size_t i = 0; i < d->media_count(); ++i) read_media(d->media(i));
  if (const auto values = check_values(*d); !values) {
    require(values.error().line >= 1 && values.error().line <= d->line_count());
  }
  (void)check_answer(*d, *again);
  (void)check_reoffer(*d, *again);
  check_rejection(*d);
  return 0;
}
