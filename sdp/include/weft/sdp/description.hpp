#ifndef WEFT_SDP_DESCRIPTION_HPP
#define WEFT_SDP_DESCRIPTION_HPP

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
#include <weft/core/result.hpp>
#include <weft/sdp/attributes.hpp>
#include <weft/sdp/error.hpp>

namespace weft::sdp {

class builder;
class session_description;

/// What a text may hold at most. Parsing takes time and memory in proportion to the text's
/// size alone; these bound that size, and with it what any later question costs.
struct parse_options {
  /// In bytes. Chromium's offer with one audio, one video and one data section has 9.5 KB; a
  /// conference of 100 sections stays under 500 KB.
  std::size_t max_size = std::size_t{1} << 20;
  /// 100 sections of 300 lines, twice.
  std::size_t max_lines = 65'536;
  /// In bytes, of what stands before the first m= line. A section looks there for what it
  /// inherits, so this times `max_media` bounds that work. Browsers write 300 bytes and a tag or
  /// stream name for each section.
  std::size_t max_session_size = std::size_t{64} << 10;
  std::size_t max_media = 1'024;
};

/// One attribute line, `a=name` or `a=name:value`.
struct attribute {
  std::string_view name{};
  /// Empty without a colon, too.
  std::string_view value{};
  bool has_value = false;
};

/// One line, `type=value`.
struct line {
  char type;
  std::string_view value{};
};

/// The fields of an m= line (RFC 8866 §5.14).
struct media_line {
  /// `audio`, `video`, `application` ...
  std::string_view kind{};
  std::uint16_t port = 9;
  /// What follows a slash after the port; 1 where nothing does.
  std::uint32_t port_count = 1;
  /// `UDP/TLS/RTP/SAVPF`, `UDP/DTLS/SCTP` ...
  std::string_view protocol{};
  /// Separated by single spaces, in order of preference. Walk it with `for_each_item`.
  std::string_view formats{};

  static result<media_line, error_code> parse(std::string_view value);
  void write(std::string& out) const;
};

/// The lines of one level of a description: the session's, or one media section's.
///
/// A view: it and all it returns stay valid until its description is moved, assigned or
/// destroyed. Looking for something takes time in proportion to the section's lines.
class section {
 public:
  std::size_t size() const noexcept { return end_ - first_; }
  /// `index < size()`. Line 0 of a media section is its m= line.
  line operator[](std::size_t index) const noexcept;
  /// The attribute on line `index`, nothing when that is another line.
  std::optional<attribute> attribute_at(std::size_t index) const noexcept;
  /// The number of line `index` in the text, counted from 1 as in `parse_error`.
  std::size_t line_number(std::size_t index) const noexcept { return first_ + index + 1; }

  /// Whether there is an attribute of that name, with a value or without.
  bool has(std::string_view name) const noexcept { return find(name).has_value(); }
  /// The value of the first attribute of that name; empty for one without a value.
  std::optional<std::string_view> find(std::string_view name) const noexcept;
  /// Calls `f(std::string_view value)` for each attribute of that name, in order.
  template <class F>
  void for_each(std::string_view name, F f) const;
  /// Calls `f(const attribute&)` for each attribute, in order.
  template <class F>
  void for_each_attribute(F f) const;

  /// The value of the first line of that type, as in `value_of('c')`.
  std::optional<std::string_view> value_of(char type) const noexcept;

  /// The first attribute of type `T` at this level, read: nothing when there is none, an error
  /// with its line when it is malformed.
  template <class T>
  result<std::optional<T>, parse_error> get() const;
  /// Every attribute of type `T` at this level, or the first error.
  template <class T>
  result<std::vector<T>, parse_error> get_all() const;

 protected:
  friend class session_description;
  friend class builder;
  section(const session_description& owner, std::size_t first, std::size_t end) noexcept
      : owner_{&owner}, first_{first}, end_{end} {}

  std::size_t index_of(std::string_view name) const noexcept;

  const session_description* owner_;
  std::size_t first_;
  std::size_t end_;
};

/// What an m= section of a data channel agrees on (RFC 8841).
struct sctp_parameters {
  std::uint16_t port = 5000;
  /// Of one message towards the writer, in bytes; 0 for any size.
  std::uint64_t max_message_size = sdp::max_message_size::default_bytes;
  /// Said in the syntax of the drafts before RFC 8841. Answer in the same.
  bool legacy_syntax = false;

  friend bool operator==(const sctp_parameters&, const sctp_parameters&) = default;
};

/// One media section: an m= line and the lines that belong to it.
class media_section : public section {
 public:
  std::size_t index() const noexcept { return index_; }
  media_line media() const noexcept;
  std::string_view kind() const noexcept { return media().kind; }
  std::uint16_t port() const noexcept { return media().port; }
  std::string_view protocol() const noexcept { return media().protocol; }
  std::string_view formats() const noexcept { return media().formats; }

  /// The tag of `a=mid`, empty when there is none.
  std::string_view mid() const noexcept { return find(mid::name).value_or(std::string_view{}); }
  /// Port 0: the section is rejected or no longer used (RFC 3264 §6, §8.2). `a=bundle-only` gives
  /// port 0 another meaning, but only within a BUNDLE group (RFC 9143 §6).
  bool is_rejected() const noexcept;
  /// The section's, else the session's, else sendrecv (RFC 8866 §6.7).
  media_direction direction() const noexcept;

  /// Whether this is a data channel's section in the syntax of RFC 8841 §4 or the older one.
  bool is_data_channel() const noexcept;
  /// `bad_media_line` where the section is not `is_data_channel()`, `missing_value` where RFC
  /// 8841 §5 demands a port and none is there.
  result<sctp_parameters, parse_error> sctp() const;

  /// Like `section::get`, but asks the session level where this section has none and the
  /// attribute `inherits`.
  template <class T>
  result<std::optional<T>, parse_error> get() const;
  template <class T>
  result<std::vector<T>, parse_error> get_all() const;

 private:
  friend class session_description;
  media_section(const session_description& owner, std::size_t first, std::size_t end,
                std::size_t index) noexcept
      : section{owner, first, end}, index_{index} {}

  std::size_t index_;
};

/// A whole session description (RFC 8866), as text and index.
///
/// It holds one copy of the text, and beside it where each line begins. Nothing is lost: lines
/// and attributes that are not known are kept where they stand, bytes above 0x7f are kept as they
/// are (UTF-8 is not demanded, RFC 8866 §5 leaves the charset to attributes). An input in which
/// every line ends in CRLF comes back byte for byte; a bare LF, or a last line without an end,
/// is taken too (RFC 8866 §5) and comes back with CRLF. NUL, a CR elsewhere and empty lines are
/// refused.
///
/// `parse` reads the lines; it does not judge attributes, of which a session may hold any. Each
/// typed getter judges its own, and `check_values` all.
class session_description {
 public:
  /// Linear in the text's size, with a handful of allocations.
  static result<session_description, parse_error> parse(std::string_view text,
                                                        const parse_options& options);
  static result<session_description, parse_error> parse(std::string_view text) {
    return parse(text, parse_options{});
  }

  /// The text, every line ended by CRLF.
  std::string_view text() const noexcept { return text_; }
  const std::string& to_string() const noexcept { return text_; }
  void write(std::string& out) const { out += text_; }

  /// The lines before the first m= line.
  section session() const noexcept;
  std::size_t media_count() const noexcept { return media_.size(); }
  /// `index < media_count()`.
  media_section media(std::size_t index) const noexcept;
  /// The section of that tag. Takes time in proportion to all lines.
  std::optional<media_section> media_by_mid(std::string_view tag) const noexcept;

  /// The o= line.
  sdp::origin origin() const noexcept;
  std::size_t line_count() const noexcept { return lines_.size(); }

 private:
  friend class section;
  friend class media_section;
  friend class builder;

  /// Offsets, not views: a moved or copied string keeps its offsets.
  struct line_entry {
    std::uint32_t begin;      ///< Of the value, behind `x=`.
    std::uint32_t size;       ///< Of the value.
    std::uint32_t name_size;  ///< For a=: up to the colon, or `size`. Else 0.
    char type;
  };
  struct media_entry {
    std::uint32_t first_line;
    std::uint32_t kind_size;
    std::uint32_t protocol_begin;  ///< In the value of the m= line, like the next.
    std::uint32_t formats_begin;
    std::uint32_t port_count;
    std::uint16_t port;
  };

  session_description() = default;
  std::string_view value(const line_entry& entry) const noexcept {
    return std::string_view{text_}.substr(entry.begin, entry.size);
  }
  attribute attribute_of(const line_entry& entry) const noexcept;

  /// Reads the line of `size` bytes at `begin` of `text_`, its end not counted.
  result<void, error_code> index_line(std::size_t begin, std::size_t size,
                                      const parse_options& options);
  /// One of the first three lines.
  result<void, error_code> judge_head_line(char type, std::string_view value) const;
  result<void, error_code> judge_line(char type, std::string_view value,
                                      const parse_options& options);
  result<void, error_code> begin_media(std::string_view value, const parse_options& options);
  /// What can be said only of the whole.
  result<void, parse_error> check_whole() const;

  std::string text_;
  std::vector<line_entry> lines_;
  std::vector<media_entry> media_;
  bool has_timing_ = false;
};

/// Reads every attribute in `d` of which this module knows the type, and the payload types on the
/// m= lines of RTP: the first malformed one, or success. Candidates of an unknown transport or
/// type pass (RFC 8839 §5.1). To be asked once of each description that arrives (RFC 9429 §5.8).
result<void, parse_error> check_values(const session_description& d);

// ---------------------------------------------------------------------------------------------

inline line section::operator[](std::size_t index) const noexcept {
  const auto& entry = owner_->lines_[first_ + index];
  return {entry.type, owner_->value(entry)};
}

inline std::optional<attribute> section::attribute_at(std::size_t index) const noexcept {
  const auto& entry = owner_->lines_[first_ + index];
  return entry.type == 'a' ? std::optional{owner_->attribute_of(entry)} : std::nullopt;
}

inline attribute session_description::attribute_of(const line_entry& entry) const noexcept {
  const std::string_view whole = value(entry);
  const bool has_value = entry.name_size < entry.size;
  return {whole.substr(0, entry.name_size),
          has_value ? whole.substr(entry.name_size + 1) : std::string_view{}, has_value};
}

template <class F>
void section::for_each_attribute(F f) const {
  for (std::size_t i = first_; i < end_; ++i) {
    const auto& entry = owner_->lines_[i];
    if (entry.type == 'a') f(owner_->attribute_of(entry));
  }
}

template <class F>
void section::for_each(std::string_view name, F f) const {
  for_each_attribute([&](const attribute& a) {
    if (a.name == name) f(a.value);
  });
}

template <class T>
result<std::optional<T>, parse_error> section::get() const {
  const std::size_t i = index_of(T::name);
  if (i == end_) return std::optional<T>{};
  auto value = T::parse(owner_->attribute_of(owner_->lines_[i]).value);
  if (!value) return fail(parse_error{value.error(), i + 1});
  return std::optional<T>{*std::move(value)};
}

template <class T>
result<std::vector<T>, parse_error> section::get_all() const {
  std::vector<T> all;
  for (std::size_t i = first_; i < end_; ++i) {
    const auto& entry = owner_->lines_[i];
    if (entry.type != 'a' || entry.name_size != T::name.size()) continue;
    const attribute a = owner_->attribute_of(entry);
    if (a.name != T::name) continue;
    auto value = T::parse(a.value);
    if (!value) return fail(parse_error{value.error(), i + 1});
    all.push_back(*std::move(value));
  }
  return all;
}

template <class T>
result<std::optional<T>, parse_error> media_section::get() const {
  if (T::inherits && !has(T::name)) return owner_->session().get<T>();
  return section::get<T>();
}

template <class T>
result<std::vector<T>, parse_error> media_section::get_all() const {
  if (T::inherits && !has(T::name)) return owner_->session().get_all<T>();
  return section::get_all<T>();
}

}  // namespace weft::sdp

#endif  // WEFT_SDP_DESCRIPTION_HPP
