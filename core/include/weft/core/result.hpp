#ifndef WEFT_CORE_RESULT_HPP
#define WEFT_CORE_RESULT_HPP

#include <cassert>
#include <optional>
#include <utility>
#include <variant>

namespace weft {

/// Carries an error into a `result`: `return weft::fail(parse_error::truncated);`
template <class E>
struct failure {
  E error;
};

template <class E>
constexpr failure<E> fail(E error) {
  return {std::move(error)};
}

/// Either a `T` or the reason there is none.
///
/// The names are std::expected's, so that code reads the same once C++23 can be
/// required. It is deliberately not an alias for it: a type that changes with
/// the language mode would change the symbols of every function returning it.
/// Reading the half that is not there is the caller's mistake and is asserted.
template <class T, class E>
class [[nodiscard]] result {
 public:
  using value_type = T;
  using error_type = E;

  constexpr result(T value) : held_{std::in_place_index<0>, std::move(value)} {}
  constexpr result(failure<E> f) : held_{std::in_place_index<1>, std::move(f)} {}

  constexpr bool has_value() const noexcept { return held_.index() == 0; }
  constexpr explicit operator bool() const noexcept { return has_value(); }

  constexpr T& operator*() & { return assert(has_value()), *std::get_if<0>(&held_); }
  constexpr const T& operator*() const& { return assert(has_value()), *std::get_if<0>(&held_); }
  constexpr T&& operator*() && { return assert(has_value()), std::move(*std::get_if<0>(&held_)); }
  constexpr T* operator->() { return assert(has_value()), std::get_if<0>(&held_); }
  constexpr const T* operator->() const { return assert(has_value()), std::get_if<0>(&held_); }

  constexpr const E& error() const { return assert(!has_value()), std::get_if<1>(&held_)->error; }

  template <class U>
  constexpr T value_or(U&& fallback) const& {
    return has_value() ? **this : static_cast<T>(std::forward<U>(fallback));
  }

 private:
  std::variant<T, failure<E>> held_;
};

template <class E>
class [[nodiscard]] result<void, E> {
 public:
  using value_type = void;
  using error_type = E;

  constexpr result() = default;
  constexpr result(failure<E> f) : error_{std::move(f.error)} {}

  constexpr bool has_value() const noexcept { return !error_; }
  constexpr explicit operator bool() const noexcept { return has_value(); }
  constexpr const E& error() const { return assert(error_), *error_; }

 private:
  std::optional<E> error_;
};

}  // namespace weft

#endif  // WEFT_CORE_RESULT_HPP
