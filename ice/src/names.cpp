#include "names.hpp"

#include <algorithm>

namespace weft::ice {
namespace {

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// DNS names know no case (RFC 4343).
bool equal_names(std::string_view a, std::string_view b) noexcept {
  return std::ranges::equal(a, b, {}, lower, lower);
}

}  // namespace

bool pending_names::is_local_name(std::string_view name) noexcept {
  constexpr std::string_view suffix = ".local";
  if (name.size() <= suffix.size()) return false;
  const std::string_view label = name.substr(0, name.size() - suffix.size());
  return label.size() <= 63 && equal_names(name.substr(label.size()), suffix) &&
         std::ranges::all_of(label, [](char c) {
           const char l = lower(c);
           return (l >= 'a' && l <= 'z') || (l >= '0' && l <= '9') || l == '-' || l == '_';
         });
}

pending_names::outcome pending_names::add(time_point now, const candidate& c) {
  bool asked = false;
  for (const entry& e : pending_) {
    if (!equal_names(e.waiting.name, c.name)) continue;
    const candidate& w = e.waiting;
    if (w.address.port == c.address.port && w.protocol == c.protocol && w.tcp == c.tcp &&
        w.component == c.component)
      return outcome::asked_already;
    asked = true;
  }
  if (pending_.size() >= limit_) return outcome::refused;
  pending_.push_back({c, now + timeout_});
  return asked ? outcome::asked_already : outcome::ask;
}

std::vector<candidate> pending_names::take(std::string_view name) {
  std::vector<candidate> out;
  std::erase_if(pending_, [&](entry& e) {
    if (!equal_names(e.waiting.name, name)) return false;
    out.push_back(std::move(e.waiting));
    return true;
  });
  return out;
}

std::size_t pending_names::expire(time_point now) {
  return std::erase_if(pending_, [&](const entry& e) { return e.expires <= now; });
}

std::optional<time_point> pending_names::deadline() const noexcept {
  std::optional<time_point> first;
  for (const entry& e : pending_) first = earliest(first, e.expires);
  return first;
}

}  // namespace weft::ice
