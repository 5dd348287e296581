#ifndef WEFT_PEER_SRC_IMPLEMENTATION_HPP
#define WEFT_PEER_SRC_IMPLEMENTATION_HPP

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <weft/dtls/session.hpp>
#include <weft/peer/connection.hpp>
#include <weft/peer/ice_transport.hpp>
#include <weft/sctp/association.hpp>
#include <weft/sdp/description.hpp>

#include "channel_table.hpp"
#include "negotiation.hpp"

namespace weft::peer {

/// What a connection is inside. Two files fill it in: the commands of negotiation are in
/// jsep.cpp, what moves datagrams and time in machine.cpp.
class connection::implementation {
 public:
  implementation(random_source& random, dtls::certificate certificate, const options& opts);

  // jsep.cpp
  result<session_description, error> create_offer(time_point now, const offer_options& opts);
  result<session_description, error> create_answer();
  result<void, error> set_local_description(time_point now);
  result<void, error> set_local_description(time_point now, const session_description& d);
  result<void, error> set_remote_description(time_point now, const session_description& d);
  result<void, error> add_ice_candidate(time_point now, const ice_candidate& candidate);
  void restart_ice();
  std::optional<session_description> local_description() const;
  std::optional<session_description> remote_description() const;
  void check_negotiation_needed();

  // machine.cpp
  result<void, error> add_local_address(time_point now, const ice::local_address& local);
  void remove_local_address(time_point now, const endpoint& local, transport_protocol protocol);
  void resolve(time_point now, std::string_view name, std::span<const ip_address> addresses);
  void server_verified(time_point now, const verify_server& shown, bool trusted);
  void set_ice_servers(time_point now, std::vector<ice_server> servers);
  result<channel_handle, error> create_data_channel(time_point now, std::string_view label,
                                                    const data_channel_options& opts);
  result<void, error> send(time_point now, channel_handle channel, message_kind kind,
                           std::vector<std::uint8_t>&& payload);
  void set_buffered_amount_low_threshold(channel_handle channel, std::size_t bytes);
  void close_data_channel(time_point now, channel_handle channel);
  void close(time_point now);
  bool handle_input(time_point now, const five_tuple& path, const_bytes bytes);
  void handle_connected(time_point now, const five_tuple& path);
  void handle_disconnected(time_point now, const five_tuple& path);
  void handle_timeout(time_point now);
  std::optional<addressed_transmit> poll_transmit(time_point now, mutable_bytes buffer);
  std::optional<time_point> poll_timeout() const;
  std::optional<event> poll_event();
  std::optional<data_channel_message> receive(time_point now);

  signaling_state signaling() const noexcept { return signaling_; }
  ice_gathering_state ice_gathering() const noexcept { return gathering_; }
  ice_connection_state ice_connection() const noexcept { return ice_state_; }
  connection_state state() const noexcept { return state_; }
  std::string_view local_username_fragment() const noexcept;
  std::optional<data_channel_info> channel(channel_handle handle) const;
  std::optional<std::size_t> max_message_size() const noexcept;
  std::optional<five_tuple> selected_pair() const noexcept { return transport_.selected_pair(); }
  counters stats() const noexcept;
  transport_statistics transport_stats() const;
  const ice_transport& transport() const noexcept { return transport_; }

 private:
  struct description {
    sdp_type type;
    sdp::session_description sdp;
  };
  struct created {
    peer::connection::implementation::description description;
    std::string text;  ///< As it was handed out: with the candidates of that moment.
    std::optional<std::string> data_mid;  ///< Of its data section.
    bool restarts_ice = false;
  };

  // jsep.cpp
  bool wants_data() const;
  negotiation::local_data local_data(std::string mid, sdp::setup_role setup,
                                     const ice::credentials& credentials) const;
  session_description remember(description d, std::optional<std::string> data_mid,
                               bool restarts_ice);
  std::string choose_mid() const;
  void apply_local_offer(time_point now);
  void apply_local_answer(time_point now);
  result<void, error> set_remote_offer(time_point now, sdp::session_description offer);
  result<void, error> set_remote_answer(time_point now, sdp::session_description answer);
  result<void, error> check_association(const negotiation::remote_data& remote) const;
  result<void, error> check_credentials(const negotiation::remote_data& remote,
                                        bool may_restart) const;
  void gather(time_point now);
  void restart(time_point now);
  void take_remote_data(negotiation::remote_data remote);
  void begin_ice(time_point now);
  void take_message_limit();
  void end_data(std::string_view reason);
  void add_remote_candidate(time_point now, const sdp::candidate& candidate);
  void remember_remote_candidate(const sdp::candidate& candidate);
  void begin_transport(time_point now, dtls::role role);
  const description* local() const noexcept;
  const description* remote() const noexcept;

  // machine.cpp
  void advance(time_point now);
  void advance_ice(time_point now);
  void handle_transport_event(time_point now, ice_transport::event&& e);
  void take_candidate(const ice::candidate& c);
  void signal_candidate(std::string line);
  void receive_datagrams(time_point now);
  void watch_path(time_point now);
  void want_restart();
  void advance_dtls(time_point now);
  void advance_sctp(time_point now);
  void handle_sctp_event(const sctp::association::event& e);
  void read_messages(time_point now);
  void apply_reset_of(time_point now, std::uint16_t stream);
  void receive_dtls(time_point now, const five_tuple& path, const_bytes datagram);
  std::optional<five_tuple> data_path() const;
  std::optional<addressed_transmit> next_transmit(time_point now, mutable_bytes buffer);
  std::optional<addressed_transmit> poll_sctp(time_point now, const five_tuple& path,
                                              mutable_bytes buffer);
  std::optional<addressed_transmit> poll_dtls(time_point now, const five_tuple& path,
                                              mutable_bytes buffer);
  std::optional<addressed_transmit> poll_farewell(time_point now, mutable_bytes buffer);
  void end(time_point now, std::string_view reason);
  void set_signaling(signaling_state s);
  void set_gathering(ice_gathering_state s);
  void set_ice_state(ice_connection_state s);
  void set_state(connection_state s, std::string_view reason);
  void update_state(std::string_view reason);
  sctp::association* open_sctp() noexcept { return sctp_ ? &*sctp_ : nullptr; }
  const sctp::association* open_sctp() const noexcept { return sctp_ ? &*sctp_ : nullptr; }

  options options_;
  random_source* random_;
  dtls::certificate certificate_;
  dtls::fingerprint fingerprint_;
  std::deque<event> events_;
  counters stats_;

  // Negotiation
  signaling_state signaling_ = signaling_state::stable;
  negotiation::session_id session_id_;
  std::optional<created> created_;  ///< What create_offer or create_answer returned last.
  std::optional<description> current_local_, pending_local_;
  std::optional<description> current_remote_, pending_remote_;
  std::optional<negotiation::remote_data> remote_data_;  ///< The newest, while data is negotiated.
  std::vector<sdp::candidate> remote_candidates_;        ///< Trickled since the last description.
  bool remote_candidates_end_ = false;
  std::optional<std::string> data_mid_;  ///< Of our data section, once there is or was one.
  bool data_rejected_ = false;           ///< And no channel was created since.
  bool restart_wanted_ = false;
  bool restarting_ = false;  ///< Our new ICE credentials await an answer.
  bool negotiation_needed_ = false;

  // Transport
  ice_transport transport_;
  std::optional<ice::credentials> remote_credentials_;  ///< The transport's, once ICE began.
  std::vector<sdp::candidate> candidates_;
  bool was_connected_ = false;      ///< ICE was, since it last began.
  bool addresses_changed_ = false;  ///< Since a path was selected.
  std::optional<time_point> restart_deadline_;
  std::optional<dtls::session> dtls_;
  std::optional<sctp::association> sctp_;
  std::size_t remote_message_limit_ = 0;
  ice_gathering_state gathering_ = ice_gathering_state::new_;
  ice_connection_state ice_state_ = ice_connection_state::new_;
  connection_state state_ = connection_state::new_;
  bool dtls_failed_ = false;
  bool sctp_connected_ = false;
  std::optional<five_tuple> early_path_;  ///< Valid, and the other side's DTLS came on it.
  std::optional<five_tuple> farewell_path_;

  // Channels
  channel_table channels_;
  std::optional<data_channel_message> waiting_message_;  ///< For `receive`; lies in SCTP's buffer.
  // What the other side did after its last message, until that is read.
  std::deque<std::vector<std::uint16_t>> resets_;  ///< Empty ones are of all streams.
  std::optional<std::string> sctp_end_;
  bool sctp_restarted_ = false;
  bool ended_by_peer_ = false;
};

}  // namespace weft::peer

#endif  // WEFT_PEER_SRC_IMPLEMENTATION_HPP
