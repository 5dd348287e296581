#include <weft/sdp/builder.hpp>

#include "text.hpp"

namespace weft::sdp {

builder::builder(const origin& o) {
  // A data channel's description has 20 lines and 700 bytes, one with media 200 and 6,000.
  d_.text_.reserve(4096);
  d_.lines_.reserve(128);
  raw('v', "0");
  begin_line('o');
  o.write(d_.text_);
  end_line();
  raw('s', "-");
  raw('t', "0 0");
}

builder& builder::flag(std::string_view name) {
  return raw('a', name);
}

builder& builder::attribute(std::string_view name, std::string_view value) {
  begin_line('a');
  ((d_.text_ += name) += ':') += value;
  return end_line();
}

builder& builder::media(const media_line& m, const connection& address) {
  begin_line('m');
  m.write(d_.text_);
  end_line();
  begin_line('c');
  address.write(d_.text_);
  return end_line();
}

builder& builder::raw(char type, std::string_view value) {
  begin_line(type);
  d_.text_ += value;
  return end_line();
}

builder& builder::copy(const section& part) {
  for (std::size_t i = 0; i < part.size(); ++i) raw(part[i].type, part[i].value);
  return *this;
}

result<session_description, parse_error> builder::finish() && {
  if (error_) return fail(*error_);
  if (const auto whole = d_.check_whole(); !whole) return fail(whole.error());
  return std::move(d_);
}

void builder::begin_line(char type) {
  line_begin_ = d_.text_.size();
  (d_.text_ += type) += '=';
}

builder& builder::end_line() {
  const std::size_t size = d_.text_.size() - line_begin_;
  d_.text_ += "\r\n";
  const parse_options limits;
  if (error_) return *this;
  if (d_.text_.size() > limits.max_size) {
    error_ = parse_error{error_code::text_too_long};
  } else if (const auto read = d_.index_line(line_begin_, size, limits); !read) {
    error_ = parse_error{read.error(), d_.lines_.size() + 1};
  }
  return *this;
}

void add_transport(builder& b, const transport_description& t) {
  if (!t.ufrag.empty()) b.add(ice_ufrag{t.ufrag});
  if (!t.pwd.empty()) b.add(ice_pwd{t.pwd});
  if (!t.ice_options.empty()) b.add(ice_options{t.ice_options});
  for (const fingerprint& f : t.fingerprints) b.add(f);
  b.add(setup{t.setup});
  if (!t.tls_id.empty()) b.add(tls_id{t.tls_id});
}

void add_data_section(builder& b, std::string_view mid, const transport_description& t,
                      const sctp_parameters& sctp) {
  constexpr std::string_view data_channel = "webrtc-datachannel";
  if (sctp.legacy_syntax) {
    std::string port;
    detail::append_number(port, sctp.port);
    b.media({.kind = "application", .protocol = "DTLS/SCTP", .formats = port});
    b.add(sdp::mid{mid});
    // 65535 streams is what browsers said; the number that counts is SCTP's own.
    b.add(sctpmap{sctp.port, data_channel, 65535});
    if (sctp.max_message_size != 0) b.add(max_message_size{sctp.max_message_size});
  } else {
    b.media({.kind = "application", .protocol = "UDP/DTLS/SCTP", .formats = data_channel});
    b.add(sdp::mid{mid}).add(sctp_port{sctp.port}).add(max_message_size{sctp.max_message_size});
  }
  add_transport(b, t);
}

void add_rejected(builder& b, const media_section& offered) {
  media_line m = offered.media();
  m.port = 0;
  m.port_count = 1;
  b.media(m);
  if (!offered.mid().empty()) b.add(mid{offered.mid()});
  b.direction(media_direction::inactive);
}

}  // namespace weft::sdp
