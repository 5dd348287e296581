#ifndef WEFT_CLI_PAGE_HPP
#define WEFT_CLI_PAGE_HPP

#include <optional>
#include <string_view>

namespace weft::cli {

/// The content of a file of `cli/page`, as it was when the program was built.
std::optional<std::string_view> page_file(std::string_view name);

}  // namespace weft::cli

#endif  // WEFT_CLI_PAGE_HPP
