#include <weft/sdp/offer_answer.hpp>

#include <algorithm>
#include <compare>
#include <limits>
#include <vector>

namespace weft::sdp {
namespace {

constexpr std::size_t none = std::numeric_limits<std::size_t>::max();

/// Where each tag stands, sorted by tag; and for each section which BUNDLE group, in the order
/// of their lines, it is in.
struct tag_index {
  struct tagged {
    std::string_view tag;
    std::size_t index;

    friend auto operator<=>(const tagged&, const tagged&) = default;
  };
  std::vector<tagged> tags;
  std::vector<std::size_t> bundle_of;

  std::size_t find(std::string_view tag) const {
    const auto at = std::ranges::lower_bound(tags, tag, {}, &tagged::tag);
    return at != tags.end() && at->tag == tag ? at->index : none;
  }
};

result<void, rule_violation> index_bundle(tag_index& index, const group& g, std::size_t ordinal) {
  std::optional<rule_violation> violation;
  for_each_item(g.mids, [&](std::string_view tag) {
    if (violation) return;
    const std::size_t at = index.find(tag);
    if (at == none) {
      violation = rule_violation{rule::group_unknown_mid, std::nullopt};
    } else if (index.bundle_of[at] != none) {
      violation = rule_violation{rule::group_twice, at};
    } else {
      index.bundle_of[at] = ordinal;
    }
  });
  if (violation) return fail(*violation);
  return {};
}

result<tag_index, rule_violation> index_tags(const session_description& d) {
  tag_index index;
  index.bundle_of.assign(d.media_count(), none);
  for (std::size_t i = 0; i < d.media_count(); ++i)
    if (const std::string_view tag = d.media(i).mid(); !tag.empty()) index.tags.push_back({tag, i});
  std::ranges::sort(index.tags);
  const auto twice = std::ranges::adjacent_find(index.tags, {}, &tag_index::tagged::tag);
  if (twice != index.tags.end())
    return fail(rule_violation{rule::duplicate_mid, std::next(twice)->index});

  std::size_t ordinal = 0;
  std::optional<rule_violation> violation;
  d.session().for_each(group::name, [&](std::string_view value) {
    const auto g = group::parse(value);
    if (violation || !g || !g->is_bundle()) return;
    const auto indexed = index_bundle(index, *g, ordinal++);
    if (!indexed) violation = indexed.error();
  });
  if (violation) return fail(*violation);
  return index;
}

/// The session level may hold one role for all sections.
std::optional<setup_role> role_of(const media_section& m) {
  const auto read = m.get<setup>();
  return read && *read ? std::optional{(*read)->role} : std::nullopt;
}

bool sends(media_direction d) noexcept {
  return d == media_direction::sendrecv || d == media_direction::sendonly;
}

bool receives(media_direction d) noexcept {
  return d == media_direction::sendrecv || d == media_direction::recvonly;
}

/// What holds for a section that the answer takes.
std::optional<rule> check_accepted(const media_section& offered, const media_section& answered) {
  const bool is_rtp = offered.protocol().find("RTP/") != std::string_view::npos;
  if (is_rtp) {
    const media_direction ours = answered.direction(), theirs = offered.direction();
    if ((sends(ours) && !receives(theirs)) || (receives(ours) && !sends(theirs)))
      return rule::direction_mismatch;
    if (answered.has("rtcp-mux") && !offered.has("rtcp-mux")) return rule::rtcp_mux_unoffered;
  } else if (offered.protocol().ends_with("/DTLS/SCTP") &&
             offered.formats() != answered.formats()) {
    return rule::format_mismatch;
  }
  const auto offered_role = role_of(offered), answered_role = role_of(answered);
  if (answered_role == setup_role::actpass) return rule::setup_in_answer;
  if (offered_role && answered_role && !may_answer(*offered_role, *answered_role))
    return rule::setup_mismatch;
  return std::nullopt;
}

std::optional<rule> check_pair(const media_section& offered, bool offer_rejected,
                               const media_section& answered, bool answer_rejected) {
  if (offered.kind() != answered.kind()) return rule::media_kind;
  if (offered.protocol() != answered.protocol()) return rule::media_protocol;
  // A rejected section need say nothing more than that.
  if (offered.mid() != answered.mid() && !(answer_rejected && answered.mid().empty()))
    return rule::media_mid;
  if (answer_rejected) return std::nullopt;
  if (offer_rejected) return rule::not_rejected;
  return check_accepted(offered, answered);
}

/// A section is turned down by port 0, unless it is bundle-only and bundled (RFC 9143 §6).
bool is_rejected(const media_section& m, const tag_index& index) {
  return m.port() == 0 && (index.bundle_of[m.index()] == none || !m.has("bundle-only"));
}

/// RFC 9143 §7.3: no section is bundled that was not so offered, nor with others than offered.
result<void, rule_violation> check_bundles(const session_description& offer,
                                           const tag_index& offered,
                                           const session_description& answer,
                                           const tag_index& answered) {
  // The group of the offer that each group of the answer stands for.
  std::vector<std::size_t> origin_of(offer.media_count() + 1, none);
  for (std::size_t i = 0; i < answer.media_count(); ++i) {
    const std::size_t theirs = offered.bundle_of[i], ours = answered.bundle_of[i];
    const media_section m = answer.media(i);
    const bool taken = !is_rejected(m, answered);
    if (ours == none) {
      if (taken && theirs != none && offer.media(i).port() == 0)
        return fail(rule_violation{rule::bundle_only_moved, i});
      continue;
    }
    if (!taken) return fail(rule_violation{rule::group_rejected, i});
    if (ours >= origin_of.size()) origin_of.resize(ours + 1, none);
    if (origin_of[ours] == none) origin_of[ours] = theirs;
    if (theirs == none || origin_of[ours] != theirs)
      return fail(rule_violation{rule::group_unoffered, i});
  }
  return {};
}

}  // namespace

std::string_view to_string(rule r) {
  switch (r) {
    using enum rule;
    case media_count:
      return "the answer has another number of m= lines than the offer";
    case media_removed:
      return "the offer has fewer m= lines than the session";
    case media_kind:
      return "the media kind changes";
    case media_protocol:
      return "the answer changes the protocol";
    case media_mid:
      return "a=mid changes";
    case duplicate_mid:
      return "a=mid is another section's";
    case not_rejected:
      return "the offer disables it, the answer does not";
    case format_mismatch:
      return "the answer has other formats";
    case direction_mismatch:
      return "the answer's direction does not go with the offer's";
    case setup_mismatch:
      return "the answer's a=setup does not go with the offer's";
    case setup_in_answer:
      return "an answer must not say a=setup:actpass";
    case rtcp_mux_unoffered:
      return "a=rtcp-mux was not offered";
    case group_unknown_mid:
      return "a=group names an unknown a=mid";
    case group_twice:
      return "in two BUNDLE groups";
    case group_unoffered:
      return "bundled other than offered";
    case group_rejected:
      return "rejected, yet in a BUNDLE group";
    case bundle_only_moved:
      return "bundle-only, but answered outside of its BUNDLE group";
  }
  return "unknown rule";
}

std::string to_string(const rule_violation& violation) {
  std::string out;
  if (violation.media_index) out = "m= section " + std::to_string(*violation.media_index) + ": ";
  return out += to_string(violation.broken);
}

result<void, rule_violation> check_offer(const session_description& offer) {
  const auto index = index_tags(offer);
  if (!index) return fail(index.error());
  return {};
}

result<void, rule_violation> check_answer(const session_description& offer,
                                          const session_description& answer) {
  if (offer.media_count() != answer.media_count())
    return fail(rule_violation{rule::media_count, std::nullopt});
  const auto offered = index_tags(offer), answered = index_tags(answer);
  if (!offered) return fail(offered.error());
  if (!answered) return fail(answered.error());
  for (std::size_t i = 0; i < offer.media_count(); ++i) {
    const media_section theirs = offer.media(i), ours = answer.media(i);
    const auto broken =
        check_pair(theirs, is_rejected(theirs, *offered), ours, is_rejected(ours, *answered));
    if (broken) return fail(rule_violation{*broken, i});
  }
  return check_bundles(offer, *offered, answer, *answered);
}

result<void, rule_violation> check_reoffer(const session_description& current,
                                           const session_description& offer) {
  if (offer.media_count() < current.media_count())
    return fail(rule_violation{rule::media_removed, std::nullopt});
  const auto index = index_tags(current);
  if (!index) return fail(index.error());
  for (std::size_t i = 0; i < current.media_count(); ++i) {
    const media_section before = current.media(i), after = offer.media(i);
    if (is_rejected(before, *index)) continue;
    if (before.kind() != after.kind()) return fail(rule_violation{rule::media_kind, i});
    if (before.mid() != after.mid()) return fail(rule_violation{rule::media_mid, i});
  }
  return check_offer(offer);
}

bool may_answer(setup_role offered, setup_role answered) noexcept {
  using enum setup_role;
  switch (answered) {
    case active:
      return offered == actpass || offered == passive;
    case passive:
      return offered == actpass || offered == active;
    case holdconn:
      return true;
    case actpass:
      break;
  }
  return false;
}

setup_role answer_to(setup_role offered) noexcept {
  using enum setup_role;
  switch (offered) {
    case actpass:
    case passive:
      return active;
    case active:
      return passive;
    case holdconn:
      break;
  }
  return holdconn;
}

std::optional<dtls_role> offerer_role(setup_role offered, setup_role answered) noexcept {
  if (!may_answer(offered, answered) || answered == setup_role::holdconn) return std::nullopt;
  return answered == setup_role::active ? dtls_role::server : dtls_role::client;
}

std::optional<dtls_role> answerer_role(setup_role offered, setup_role answered) noexcept {
  const auto offerer = offerer_role(offered, answered);
  if (!offerer) return std::nullopt;
  return *offerer == dtls_role::server ? dtls_role::client : dtls_role::server;
}

std::optional<group> bundle_of(const session_description& d, std::string_view tag) {
  std::optional<group> found;
  d.session().for_each(group::name, [&](std::string_view value) {
    const auto g = group::parse(value);
    if (!found && g && g->is_bundle() && g->contains(tag)) found = *g;
  });
  return found;
}

}  // namespace weft::sdp
