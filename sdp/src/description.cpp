#include <weft/sdp/description.hpp>

#include <algorithm>
#include <cstring>

#include "text.hpp"

namespace weft::sdp {

using namespace detail;

namespace {

// Offsets are 32 bits wide, and giving every line a CRLF can at most double a text.
constexpr std::size_t offset_limit = std::size_t{1} << 30;

/// `text` with every line ended by CRLF.
std::string with_crlf(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 16 + 2);
  while (!text.empty()) {
    const std::size_t newline = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, newline);
    if (newline < text.size() && line.ends_with('\r')) line.remove_suffix(1);
    (out += line) += "\r\n";
    text.remove_prefix(std::min(newline + 1, text.size()));
  }
  return out;
}

/// How many bytes of `text` are NUL, CR or LF. Counting blocks of a known size in a byte each is
/// what GCC and Clang turn into vector instructions; byte by byte it costs as much as all else.
std::size_t count_forbidden(std::string_view text) noexcept {
  constexpr std::size_t block = 64;
  const auto count = [](const char* at, std::size_t size) {
    std::uint8_t nul = 0, cr = 0, lf = 0;
    for (std::size_t i = 0; i < size; ++i) {
      nul = static_cast<std::uint8_t>(nul + static_cast<std::uint8_t>(at[i] == '\0'));
      cr = static_cast<std::uint8_t>(cr + static_cast<std::uint8_t>(at[i] == '\r'));
      lf = static_cast<std::uint8_t>(lf + static_cast<std::uint8_t>(at[i] == '\n'));
    }
    return std::size_t{nul} + cr + lf;
  };
  std::size_t total = 0;
  for (; text.size() >= block; text.remove_prefix(block)) total += count(text.data(), block);
  return total + count(text.data(), text.size());
}

/// Protocols are tokens with slashes between them (RFC 8866 §9).
bool is_protocol(std::string_view text) noexcept {
  return !text.empty() && all(text, [](char c) { return is_token_char(c) || c == '/'; });
}

bool is_bundled(const session_description& d, std::string_view tag) noexcept {
  bool bundled = false;
  d.session().for_each(group::name, [&](std::string_view value) {
    if (bundled) return;
    const auto g = group::parse(value);
    bundled = g && g->is_bundle() && g->contains(tag);
  });
  return bundled;
}

}  // namespace

// ---------------------------------------------------------------------------------------------
// m= lines

result<media_line, error_code> media_line::parse(std::string_view value) {
  media_line m;
  m.kind = next_field(value);
  const std::string_view ports = next_field(value);
  m.protocol = next_field(value);
  m.formats = value;
  if (!is_token(m.kind) || ports.empty() || !is_protocol(m.protocol) || m.formats.empty() ||
      m.formats.front() == ' ')
    return fail(error_code::bad_media_line);

  const std::size_t slash = std::min(ports.find('/'), ports.size());
  const auto port = parse_number<std::uint16_t>(ports.substr(0, slash));
  if (!port) return fail(port.error());
  m.port = *port;
  if (slash == ports.size()) return m;
  const auto count = parse_number<std::uint32_t>(ports.substr(slash + 1), 1);
  if (!count) return fail(count.error());
  m.port_count = *count;
  return m;
}

void media_line::write(std::string& out) const {
  (out += kind) += ' ';
  append_number(out, port);
  if (port_count != 1) {
    out += '/';
    append_number(out, port_count);
  }
  (out += ' ') += protocol;
  (out += ' ') += formats;
}

// ---------------------------------------------------------------------------------------------
// Parsing

result<session_description, parse_error> session_description::parse(std::string_view text,
                                                                    const parse_options& options) {
  if (text.size() > std::min(options.max_size, offset_limit))
    return fail(parse_error{error_code::text_too_long});
  session_description d;
  d.text_ = text;
  d.lines_.reserve(std::min(text.size() / 24 + 8, options.max_lines));
  d.media_.reserve(8);

  for (std::size_t begin = 0; begin < d.text_.size();) {
    std::size_t newline = d.text_.find('\n', begin);
    if (newline == d.text_.npos || newline == begin || d.text_[newline - 1] != '\r') {
      // The first line that ends otherwise. All before it keep their places.
      d.text_ = with_crlf(text);
      newline = d.text_.find('\n', begin);
    }
    const auto read = d.index_line(begin, newline - 1 - begin, options);
    if (!read) return fail(parse_error{read.error(), d.lines_.size() + 1});
    begin = newline + 1;
  }
  if (const auto whole = d.check_whole(); !whole) return fail(whole.error());
  return d;
}

result<void, error_code> session_description::index_line(std::size_t begin, std::size_t size,
                                                         const parse_options& options) {
  using enum error_code;
  if (lines_.size() >= options.max_lines) return fail(too_many_lines);
  if (size == 0) return fail(empty_line);
  if (size < 2 || text_[begin + 1] != '=' || !is_alpha(text_[begin])) return fail(not_a_line);
  const char type = text_[begin];
  const std::string_view value{text_.data() + begin + 2, size - 2};
  if (media_.empty() && type != 'm' && begin + size > options.max_session_size)
    return fail(session_level_too_long);

  std::size_t name_size = 0;
  if (type == 'a') {
    name_size = std::min(value.find(':'), value.size());
    if (name_size == 0) return fail(empty_attribute_name);
  }
  if (type != 'a' || lines_.size() < 3) {
    const auto judged =
        lines_.size() < 3 ? judge_head_line(type, value) : judge_line(type, value, options);
    if (!judged) return fail(judged.error());
  }
  lines_.push_back({static_cast<std::uint32_t>(begin + 2), static_cast<std::uint32_t>(value.size()),
                    static_cast<std::uint32_t>(name_size), type});
  return {};
}

result<void, error_code> session_description::judge_head_line(char type,
                                                              std::string_view value) const {
  using enum error_code;
  switch (lines_.size()) {
    case 0:
      if (type != 'v' || value != "0") return fail(missing_version);
      return {};
    case 1:
      if (type != 'o') return fail(missing_origin);
      if (const auto o = origin::parse(value); !o) return fail(o.error());
      return {};
    default:
      if (type != 's') return fail(missing_session_name);
      return {};
  }
}

result<void, error_code> session_description::judge_line(char type, std::string_view value,
                                                         const parse_options& options) {
  using enum error_code;
  switch (type) {
    case 'm':
      return begin_media(value, options);
    case 'c':
      if (const auto c = connection::parse(value); !c) return fail(c.error());
      return {};
    case 'b':
      if (const auto b = bandwidth::parse(value); !b) return fail(b.error());
      return {};
    case 't':
      if (!media_.empty()) return fail(misplaced_line);
      if (const auto t = timing::parse(value); !t) return fail(t.error());
      has_timing_ = true;
      return {};
    case 'v':
    case 'o':
    case 's':
      return fail(misplaced_line);
    default:
      return {};
  }
}

result<void, error_code> session_description::begin_media(std::string_view value,
                                                          const parse_options& options) {
  using enum error_code;
  if (!has_timing_) return fail(missing_timing);
  if (media_.size() >= options.max_media) return fail(too_many_media);
  const auto m = media_line::parse(value);
  if (!m) return fail(m.error());
  const auto offset_of = [&](std::string_view part) {
    return static_cast<std::uint32_t>(part.data() - value.data());
  };
  media_.push_back({static_cast<std::uint32_t>(lines_.size()),
                    static_cast<std::uint32_t>(m->kind.size()), offset_of(m->protocol),
                    offset_of(m->formats), m->port_count, m->port});
  return {};
}

result<void, parse_error> session_description::check_whole() const {
  using enum error_code;
  // Every line has its CRLF and nothing else of that kind, so counting finds what should not be
  // there; only then is it worth looking for.
  if (count_forbidden(text_) != 2 * lines_.size()) {
    constexpr std::string_view bytes{"\0\r\n", 3};
    const auto bad = std::ranges::find_if(lines_, [&](const line_entry& entry) {
      return value(entry).find_first_of(bytes) != std::string_view::npos;
    });
    return fail(parse_error{forbidden_byte, static_cast<std::size_t>(bad - lines_.begin()) + 1});
  }
  const std::size_t next = lines_.size() + 1;
  if (lines_.empty()) return fail(parse_error{missing_version, next});
  if (lines_.size() == 1) return fail(parse_error{missing_origin, next});
  if (lines_.size() == 2) return fail(parse_error{missing_session_name, next});
  if (!has_timing_) return fail(parse_error{missing_timing, next});
  return {};
}

// ---------------------------------------------------------------------------------------------
// Reading

section session_description::session() const noexcept {
  return {*this, 0, media_.empty() ? lines_.size() : media_.front().first_line};
}

media_section session_description::media(std::size_t index) const noexcept {
  const std::size_t end = index + 1 < media_.size() ? media_[index + 1].first_line : lines_.size();
  return {*this, media_[index].first_line, end, index};
}

std::optional<media_section> session_description::media_by_mid(
    std::string_view tag) const noexcept {
  for (std::size_t i = 0; i < media_.size(); ++i) {
    const media_section section = media(i);
    if (section.find(mid::name) == tag) return section;
  }
  return std::nullopt;
}

origin session_description::origin() const noexcept {
  return *sdp::origin::parse(value(lines_[1]));
}

std::size_t section::index_of(std::string_view name) const noexcept {
  for (std::size_t i = first_; i < end_; ++i) {
    const auto& entry = owner_->lines_[i];
    if (entry.type == 'a' && entry.name_size == name.size() &&
        std::memcmp(owner_->text_.data() + entry.begin, name.data(), name.size()) == 0)
      return i;
  }
  return end_;
}

std::optional<std::string_view> section::find(std::string_view name) const noexcept {
  const std::size_t i = index_of(name);
  if (i == end_) return std::nullopt;
  return owner_->attribute_of(owner_->lines_[i]).value;
}

std::optional<std::string_view> section::value_of(char type) const noexcept {
  for (std::size_t i = first_; i < end_; ++i)
    if (owner_->lines_[i].type == type) return owner_->value(owner_->lines_[i]);
  return std::nullopt;
}

media_line media_section::media() const noexcept {
  const auto& entry = owner_->media_[index_];
  const std::string_view whole = owner_->value(owner_->lines_[first_]);
  // One space stands between two fields, and before the formats.
  return {.kind = whole.substr(0, entry.kind_size),
          .port = entry.port,
          .port_count = entry.port_count,
          .protocol =
              whole.substr(entry.protocol_begin, entry.formats_begin - 1 - entry.protocol_begin),
          .formats = whole.substr(entry.formats_begin)};
}

bool media_section::is_rejected() const noexcept {
  if (port() != 0) return false;
  return !has("bundle-only") || !is_bundled(*owner_, mid());
}

media_direction media_section::direction() const noexcept {
  std::optional<media_direction> found;
  const auto look = [&](const attribute& a) {
    if (!found && !a.has_value) found = parse_direction(a.name);
  };
  for_each_attribute(look);
  if (!found) owner_->session().for_each_attribute(look);
  return found.value_or(media_direction::sendrecv);
}

bool media_section::is_data_channel() const noexcept {
  const media_line m = media();
  if (m.kind != "application") return false;
  constexpr std::string_view data_channel = "webrtc-datachannel";
  if (m.protocol == "DTLS/SCTP") {
    const auto map = find(sctpmap::name);
    const auto read = map ? sctpmap::parse(*map) : fail(error_code::missing_value);
    return !map || (read && read->application == data_channel);
  }
  return (m.protocol == "UDP/DTLS/SCTP" || m.protocol == "TCP/DTLS/SCTP") &&
         m.formats == data_channel;
}

result<sctp_parameters, parse_error> media_section::sctp() const {
  if (!is_data_channel()) return fail(parse_error{error_code::bad_media_line, first_ + 1});
  sctp_parameters p;
  const auto size = get<max_message_size>();
  if (!size) return fail(size.error());
  if (*size) p.max_message_size = (*size)->bytes;

  p.legacy_syntax = protocol() == "DTLS/SCTP";
  if (p.legacy_syntax) {
    const auto port = parse_number<std::uint16_t>(formats());
    if (!port) return fail(parse_error{port.error(), first_ + 1});
    p.port = *port;
    return p;
  }
  const auto port = get<sctp_port>();
  if (!port) return fail(port.error());
  if (!*port) return fail(parse_error{error_code::missing_value, first_ + 1});
  p.port = (*port)->port;
  return p;
}

}  // namespace weft::sdp
