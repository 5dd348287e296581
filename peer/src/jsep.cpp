// The negotiation commands of the connection (RFC 9429 §4.1, §5).
#include <algorithm>
#include <limits>
#include <utility>

#include <weft/sdp/offer_answer.hpp>

#include "conversion.hpp"
#include "implementation.hpp"

namespace weft::peer {
namespace {

constexpr auto unlimited = std::numeric_limits<unsigned>::max();

failure<error> refuse(error_code code, std::string text) {
  return fail(error{code, std::move(text)});
}

failure<error> refuse(const sdp::rule_violation& violation) {
  return refuse(error_code::invalid_access, sdp::to_string(violation));
}

/// A tag that no section of `d` has.
std::string unused_mid(const sdp::session_description* d) {
  std::size_t n = 0;
  while (d != nullptr && d->media_by_mid(std::to_string(n))) ++n;
  return std::to_string(n);
}

bool overlap(const std::vector<dtls::fingerprint>& a, const std::vector<dtls::fingerprint>& b) {
  return std::ranges::any_of(a, [&](const auto& f) { return std::ranges::count(b, f) > 0; });
}

}  // namespace

const connection::implementation::description* connection::implementation::local() const noexcept {
  return pending_local_ ? &*pending_local_ : current_local_ ? &*current_local_ : nullptr;
}

const connection::implementation::description* connection::implementation::remote() const noexcept {
  return pending_remote_ ? &*pending_remote_ : current_remote_ ? &*current_remote_ : nullptr;
}

negotiation::local_data connection::implementation::local_data(
    std::string mid, sdp::setup_role setup, const ice::credentials& credentials) const {
  return {.mid = std::move(mid),
          .ufrag = credentials.ufrag,
          .pwd = credentials.password,
          .ice_lite = options_.ice.kind == ice::implementation_kind::lite,
          .fingerprint = fingerprint_,
          .setup = setup,
          .max_message_size = options_.max_message_size};
}

session_description connection::implementation::remember(description d,
                                                         std::optional<std::string> data_mid,
                                                         bool restarts_ice) {
  const auto& shown =
      gathering_ == ice_gathering_state::new_
          ? d.sdp
          : negotiation::with_candidates(d.sdp, data_mid.value_or(""), candidates_,
                                         gathering_ == ice_gathering_state::complete);
  session_description out{d.type, std::string{shown.text()}};
  created_ = created{std::move(d), out.sdp, std::move(data_mid), restarts_ice};
  return out;
}

result<session_description, error> connection::implementation::create_offer(
    time_point, const offer_options& opts) {
  if (signaling_ == signaling_state::closed)
    return refuse(error_code::invalid_state, "the connection is closed");
  if (signaling_ == signaling_state::have_remote_offer)
    return refuse(error_code::invalid_state, "an offer of the other side awaits its answer");

  const auto* const previous = current_local_ ? &current_local_->sdp : nullptr;
  const bool restarts = (opts.ice_restart || restart_wanted_) && !restarting_ && remote_data_;
  std::optional<negotiation::local_data> data;
  std::optional<std::string> mid;
  if (wants_data()) {
    mid = choose_mid();
    data = local_data(*mid, sdp::setup_role::actpass,  // RFC 8842 §5.2
                      restarts ? transport_.next_credentials() : transport_.local_credentials());
  }
  ++session_id_.version;
  return remember({sdp_type::offer, negotiation::write_offer(session_id_, data, previous)}, mid,
                  restarts);
}

/// The tag of our data section: the one it has, or one that no other section has.
std::string connection::implementation::choose_mid() const {
  const auto* const d = local();
  if (data_mid_ && d != nullptr && d->sdp.media_by_mid(*data_mid_)) return *data_mid_;
  return unused_mid(d != nullptr ? &d->sdp : nullptr);
}

bool connection::implementation::wants_data() const {
  return options_.always_negotiate_data_channels || data_mid_ || !channels_.empty();
}

result<session_description, error> connection::implementation::create_answer() {
  if (signaling_ != signaling_state::have_remote_offer)
    return refuse(error_code::invalid_state, "there is no offer to answer");
  const auto offered = negotiation::read_data(pending_remote_->sdp);
  std::optional<negotiation::local_data> data;
  std::optional<std::string> mid;
  if (offered && *offered) {
    auto setup = sdp::answer_to((*offered)->setup);
    if (dtls_)  // RFC 8842 §5.3: the association goes on, and so do its roles.
      setup =
          dtls_->role() == dtls::role::client ? sdp::setup_role::active : sdp::setup_role::passive;
    mid = (*offered)->mid;
    data = local_data(*mid, setup, transport_.local_credentials());
  }
  ++session_id_.version;
  return remember(
      {sdp_type::answer, negotiation::write_answer(session_id_, data, pending_remote_->sdp)}, mid,
      false);
}

result<void, error> connection::implementation::set_local_description(time_point now) {
  const auto made = signaling_ == signaling_state::have_remote_offer
                        ? create_answer()
                        : create_offer(now, offer_options{});
  if (!made) return fail(made.error());
  return set_local_description(now, *made);
}

result<void, error> connection::implementation::set_local_description(
    time_point now, const session_description& d) {
  if (signaling_ == signaling_state::closed)
    return refuse(error_code::invalid_state, "the connection is closed");
  const bool in_place = d.type == sdp_type::answer
                            ? signaling_ == signaling_state::have_remote_offer
                            : signaling_ != signaling_state::have_remote_offer;
  if (!in_place)
    return refuse(error_code::invalid_state, "a local " + std::string{to_string(d.type)} +
                                                 " has no place in state " +
                                                 std::string{to_string(signaling_)});
  // RFC 9429 §5.4: nothing may be changed in between.
  if (!created_ || created_->description.type != d.type || created_->text != d.sdp)
    return refuse(error_code::invalid_modification, "not what was created last");

  if (d.type == sdp_type::offer)
    apply_local_offer(now);
  else
    apply_local_answer(now);
  advance(now);
  return {};
}

void connection::implementation::apply_local_offer(time_point now) {
  auto made = *std::exchange(created_, std::nullopt);
  pending_local_ = std::move(made.description);
  if (made.data_mid) data_mid_ = std::move(made.data_mid);
  set_signaling(signaling_state::have_local_offer);
  if (!remote_data_) transport_.set_role(ice::role::controlling);  // RFC 8445 §6.1.1
  if (made.restarts_ice) {
    restarting_ = true;
    restart(now);
  }
  if (data_mid_) gather(now);
}

void connection::implementation::apply_local_answer(time_point now) {
  auto made = *std::exchange(created_, std::nullopt);
  current_local_ = std::move(made.description);
  if (made.data_mid) data_mid_ = std::move(made.data_mid);
  current_remote_ = std::exchange(pending_remote_, std::nullopt);
  set_signaling(signaling_state::stable);
  if (const auto ours = negotiation::read_data(current_local_->sdp); ours && *ours) {
    gather(now);
    if (!dtls_) begin_ice(now);
    begin_transport(
        now, (*ours)->setup == sdp::setup_role::active ? dtls::role::client : dtls::role::server);
  } else if (remote_data_) {
    end_data("the other side gave up data channels");
  }
  negotiation_needed_ = false;
  check_negotiation_needed();
}

result<void, error> connection::implementation::set_remote_description(
    time_point now, const session_description& d) {
  if (signaling_ == signaling_state::closed)
    return refuse(error_code::invalid_state, "the connection is closed");
  const bool in_place = d.type == sdp_type::answer
                            ? signaling_ == signaling_state::have_local_offer
                            : signaling_ != signaling_state::have_local_offer;
  if (!in_place)
    return refuse(error_code::invalid_state, "a remote " + std::string{to_string(d.type)} +
                                                 " has no place in state " +
                                                 std::string{to_string(signaling_)});
  auto parsed = negotiation::parse(d.sdp);
  if (!parsed) return fail(parsed.error());
  auto set = d.type == sdp_type::offer ? set_remote_offer(now, *std::move(parsed))
                                       : set_remote_answer(now, *std::move(parsed));
  advance(now);
  return set;
}

result<void, error> connection::implementation::set_remote_offer(time_point now,
                                                                 sdp::session_description offer) {
  if (auto ok = sdp::check_offer(offer); !ok) return refuse(ok.error());
  if (current_remote_)
    if (auto ok = sdp::check_reoffer(current_remote_->sdp, offer); !ok) return refuse(ok.error());
  auto data = negotiation::read_data(offer);
  if (!data) return fail(data.error());
  if (*data) {
    if ((*data)->setup == sdp::setup_role::holdconn)
      return refuse(error_code::invalid_access, "a=setup:holdconn offers no connection");
    if (auto ok = check_association(**data); !ok) return fail(ok.error());
    if (auto ok = check_credentials(**data, true); !ok) return fail(ok.error());
  }
  if (*data) {
    // A full agent controls a lite one; otherwise whoever offers (RFC 8445 §6.1.1).
    if (!remote_credentials_)
      transport_.set_role((*data)->ice_lite ? ice::role::controlling : ice::role::controlled);
    if (remote_credentials_ && remote_credentials_->ufrag != (*data)->ufrag) {
      restart(now);
      restart_wanted_ = false;  // Both sides begin anew.
    }
    take_remote_data(*std::move(*data));
    if (dtls_) begin_ice(now);
  }
  pending_remote_ = description{sdp_type::offer, std::move(offer)};
  set_signaling(signaling_state::have_remote_offer);
  return {};
}

result<void, error> connection::implementation::set_remote_answer(time_point now,
                                                                  sdp::session_description answer) {
  const auto& offer = pending_local_->sdp;
  if (auto ok = sdp::check_answer(offer, answer); !ok) return refuse(ok.error());
  auto data = negotiation::read_data(answer);
  if (!data) return fail(data.error());
  std::optional<dtls::role> role;
  if (*data) {
    if (auto ok = check_association(**data); !ok) return fail(ok.error());
    if (auto ok = check_credentials(**data, restarting_); !ok) return fail(ok.error());
    const auto ours = sdp::offerer_role(sdp::setup_role::actpass, (*data)->setup);
    if (!ours) return refuse(error_code::invalid_access, "a=setup does not say who begins");
    role = *ours == sdp::dtls_role::client ? dtls::role::client : dtls::role::server;
  }

  current_local_ = std::exchange(pending_local_, std::nullopt);
  current_remote_ = description{sdp_type::answer, std::move(answer)};
  set_signaling(signaling_state::stable);
  if (std::exchange(restarting_, false)) restart_wanted_ = false;
  if (*data) {
    take_remote_data(*std::move(*data));
    begin_ice(now);
    begin_transport(now, *role);
  } else {
    data_rejected_ = true;
    end_data("the other side rejected data channels");
  }
  negotiation_needed_ = false;
  check_negotiation_needed();
  return {};
}

/// One DTLS association lasts as long as the connection: its certificate and roles cannot change.
result<void, error> connection::implementation::check_association(
    const negotiation::remote_data& remote) const {
  if (!dtls_) return {};
  const bool same_roles = dtls_->role() == dtls::role::client
                              ? remote.setup != sdp::setup_role::active
                              : remote.setup != sdp::setup_role::passive;
  if (!same_roles || !overlap(remote.fingerprints, remote_data_->fingerprints))
    return refuse(error_code::invalid_modification,
                  "a new DTLS association needs a new connection");
  return {};
}

/// RFC 8839 §4.4.1.1.1: both change, with an offer that restarts ICE and its answer, or neither.
result<void, error> connection::implementation::check_credentials(
    const negotiation::remote_data& remote, bool may_restart) const {
  if (!remote_credentials_) return {};
  const bool same_ufrag = remote.ufrag == remote_credentials_->ufrag;
  const bool same_pwd = remote.pwd == remote_credentials_->password;
  if (same_ufrag && !same_pwd)
    return refuse(error_code::invalid_modification, "a new a=ice-pwd needs a new a=ice-ufrag");
  if (!same_ufrag && !may_restart)
    return refuse(error_code::invalid_modification,
                  "an answer cannot restart ICE where the offer did not");
  return {};
}

void connection::implementation::gather(time_point now) {
  if (gathering_ != ice_gathering_state::new_) return;
  set_gathering(ice_gathering_state::gathering);
  // Those of the pool.
  for (const auto& c : candidates_) signal_candidate(sdp::to_string(c));
  if (transport_.is_gathering_complete()) {
    set_gathering(ice_gathering_state::complete);
    signal_candidate({});
    return;
  }
  transport_.gather(now);
}

void connection::implementation::restart(time_point now) {
  transport_.restart(now);
  created_.reset();  // Its credentials are now in force, or never will be.
  remote_credentials_.reset();
  was_connected_ = false;
  restart_deadline_.reset();
  if (gathering_ == ice_gathering_state::new_) return;
  set_gathering(ice_gathering_state::gathering);
  transport_.gather(now);
}

void connection::implementation::take_remote_data(negotiation::remote_data remote) {
  if (!remote_data_ || remote_data_->ufrag != remote.ufrag) {
    remote_candidates_.clear();
    remote_candidates_end_ = false;
  }
  remote_data_ = std::move(remote);
  take_message_limit();
}

/// Only once both sides have agreed: a caller shall not learn the addresses of one who has not
/// answered (RFC 8827 §6.4).
void connection::implementation::begin_ice(time_point now) {
  const bool is_first = !remote_credentials_;
  if (remote_data_->ice_lite) transport_.set_remote_lite();
  if (remote_data_->renomination) transport_.set_renomination();
  // `read_data` has let through only what RFC 8839 §5.4 allows.
  remote_credentials_ = {remote_data_->ufrag, remote_data_->pwd};
  (void)transport_.set_remote_credentials(now, *remote_credentials_);
  for (const auto& candidate : remote_data_->candidates) add_remote_candidate(now, candidate);
  if (is_first)
    for (const auto& candidate : remote_candidates_) add_remote_candidate(now, candidate);
  if (remote_data_->end_of_candidates || remote_candidates_end_)
    transport_.end_of_remote_candidates(now);
}

/// What the other side takes may change with every description (RFC 8841 §10.4).
void connection::implementation::take_message_limit() {
  const auto announced = remote_data_->sctp.max_message_size;
  remote_message_limit_ = announced == 0 || announced > options_.send_buffer
                              ? options_.send_buffer
                              : static_cast<std::size_t>(announced);
}

/// The data section is gone. One that comes later begins from the beginning.
void connection::implementation::end_data(std::string_view reason) {
  channels_.close_all(reason);
  remote_data_.reset();
  waiting_message_.reset();
  sctp_.reset();
  dtls_.reset();
  early_path_.reset();
  resets_.clear();
  sctp_end_.reset();
  sctp_connected_ = sctp_restarted_ = dtls_failed_ = ended_by_peer_ = false;
  update_state({});
}

void connection::implementation::add_remote_candidate(time_point now,
                                                      const sdp::candidate& candidate) {
  const auto converted = to_ice(candidate);
  if (!converted || !transport_.add_remote_candidate(now, *converted)) ++stats_.ignored_candidates;
}

void connection::implementation::begin_transport(time_point now, dtls::role role) {
  if (dtls_) return;
  dtls_.emplace(
      certificate_,
      dtls::session::options{
          .role = role, .mtu = options_.mtu, .handshake_timeout = options_.handshake_timeout});
  dtls_->set_remote_fingerprints(now, remote_data_->fingerprints);

  sctp_.emplace(*random_,
                sctp::association::options{
                    .remote_port = remote_data_->sctp.port,
                    // Chunks come in steps of four bytes: full packets are equal in length.
                    .max_packet_size = (options_.mtu - dtls::session::record_overhead) & ~3u,
                    .receive_window = options_.receive_window,
                    .max_message_size = options_.max_message_size,
                    // What the other side takes may yet change: `channel_table` looks at it.
                    .remote_max_message_size = options_.send_buffer,
                    .send_buffer = options_.send_buffer,
                    // Consent tells whether the path lives (RFC 7675).
                    .max_init_retransmissions = unlimited,
                    .max_retransmissions = unlimited,
                    .zero_checksum = options_.zero_checksum});
}

result<void, error> connection::implementation::add_ice_candidate(time_point now,
                                                                  const ice_candidate& candidate) {
  if (signaling_ == signaling_state::closed)
    return refuse(error_code::invalid_state, "the connection is closed");
  if (!remote()) return refuse(error_code::invalid_state, "there is no remote description yet");
  const bool end = candidate.candidate.empty();
  if (!remote_data_) {
    ++stats_.ignored_candidates;
    return {};
  }
  const bool other_section = !candidate.sdp_mid.empty()
                                 ? candidate.sdp_mid != remote_data_->transport_mid
                                 : candidate.sdp_mline_index &&
                                       *candidate.sdp_mline_index != remote_data_->transport_index;
  const bool stale =
      !candidate.username_fragment.empty() && candidate.username_fragment != remote_data_->ufrag;
  if (other_section || stale) {
    if (!end) ++stats_.ignored_candidates;
    return {};
  }
  if (end) {
    remote_candidates_end_ = true;
    if (remote_credentials_) transport_.end_of_remote_candidates(now);
    advance(now);
    return {};
  }
  const auto parsed = sdp::parse_candidate_line(candidate.candidate);
  if (parsed) {
    if (remote_credentials_) add_remote_candidate(now, *parsed);
    remember_remote_candidate(*parsed);
    advance(now);
  } else if (parsed.error() == sdp::error_code::unknown_transport ||
             parsed.error() == sdp::error_code::unknown_type) {
    ++stats_.ignored_candidates;  // RFC 8839 §5.1
  } else {
    return refuse(error_code::bad_description,
                  "candidate: " + std::string{sdp::to_string(parsed.error())});
  }
  return {};
}

/// For `remote_description`, which shows what has been trickled.
void connection::implementation::remember_remote_candidate(const sdp::candidate& candidate) {
  const auto& described = remote_data_->candidates;
  const bool known = std::ranges::count(described, candidate) > 0 ||
                     std::ranges::count(remote_candidates_, candidate) > 0;
  if (!known && remote_candidates_.size() < options_.ice.max_remote_candidates)
    remote_candidates_.push_back(candidate);
}

void connection::implementation::restart_ice() {
  if (signaling_ == signaling_state::closed) return;
  // W3C WebRTC §4.4.2: there is nothing to begin anew before ICE has begun.
  if (!current_local_ && !pending_local_) return;
  restart_wanted_ = true;
  check_negotiation_needed();
}

/// W3C WebRTC §4.7.3.
void connection::implementation::check_negotiation_needed() {
  const bool data_wanted = options_.always_negotiate_data_channels || !channels_.empty();
  const bool data_missing = data_wanted && !remote_data_ && !data_rejected_;
  const bool restart_due = restart_wanted_ && remote_data_;
  const bool needed = signaling_ == signaling_state::stable && (data_missing || restart_due);
  if (needed && !negotiation_needed_) events_.push_back(negotiation_needed{});
  negotiation_needed_ = needed;
}

std::optional<session_description> connection::implementation::local_description() const {
  const auto* const d = local();
  if (d == nullptr) return std::nullopt;
  if (!data_mid_) return session_description{d->type, d->sdp.to_string()};
  const bool complete = gathering_ == ice_gathering_state::complete;
  return session_description{
      d->type, negotiation::with_candidates(d->sdp, *data_mid_, candidates_, complete).to_string()};
}

std::optional<session_description> connection::implementation::remote_description() const {
  const auto* const d = remote();
  if (d == nullptr) return std::nullopt;
  if (!remote_data_ || (remote_candidates_.empty() && !remote_candidates_end_))
    return session_description{d->type, d->sdp.to_string()};
  return session_description{
      d->type, negotiation::with_trickled(d->sdp, remote_data_->transport_mid, remote_candidates_,
                                          remote_candidates_end_)
                   .to_string()};
}

}  // namespace weft::peer
