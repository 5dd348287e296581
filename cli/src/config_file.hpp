#ifndef WEFT_CLI_CONFIG_FILE_HPP
#define WEFT_CLI_CONFIG_FILE_HPP

#include <CLI/CLI.hpp>

namespace weft::cli {

/// Adds `--config FILE`, a file with a line `option = value` for each long option of the
/// command; lists are `option = ["one", "two"]`, and `#` begins a comment. What the command
/// line says goes before. An option that does not exist is an error.
void add_config_file(CLI::App& command);

}  // namespace weft::cli

#endif  // WEFT_CLI_CONFIG_FILE_HPP
