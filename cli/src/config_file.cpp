#include "config_file.hpp"

#include <fstream>
#include <string>

namespace weft::cli {
namespace {

void read(CLI::App& command, const std::string& path) {
  std::ifstream file{path};
  if (!file) throw CLI::FileError::Missing(path);
  for (const CLI::ConfigItem& item : CLI::ConfigTOML{}.from_config(file)) {
    // Marks of where a section begins and ends.
    if (item.name == "++" || item.name == "--") continue;
    CLI::Option* const option = command.get_option_no_throw("--" + item.name);
    if (option == nullptr || !item.parents.empty() || item.name == "config")
      throw CLI::ConfigError(path + ": " + item.fullname() + " is no option of " +
                             command.get_name());
    if (option->count() > 0) continue;
    if (option->get_items_expected_max() == 0) {
      if (item.inputs.size() == 1 && (item.inputs[0] == "true" || item.inputs[0] == "1"))
        option->add_result("true");
      else if (item.inputs.size() == 1 && (item.inputs[0] == "false" || item.inputs[0] == "0"))
        continue;
      else
        throw CLI::ConfigError(path + ": " + item.name + " is true or false");
    } else {
      option->add_result(item.inputs);
    }
    option->run_callback();
  }
}

}  // namespace

void add_config_file(CLI::App& command) {
  command
      .add_option_function<std::string>(
          "--config", [&command](const std::string& path) { read(command, path); },
          "File with a line `option = value` for each option that is not given here")
      ->type_name("FILE");
}

}  // namespace weft::cli
