# cmake -DOUTPUT=page.cpp "-DFILES=a;b" -P embed.cmake: writes the files as arrays of bytes,
# found by name with weft::cli::page_file.
set(arrays "")
set(cases "")
foreach(file IN LISTS FILES)
  get_filename_component(name ${file} NAME)
  string(MAKE_C_IDENTIFIER ${name} symbol)
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${hex}")
  string(APPEND arrays "constexpr char ${symbol}[] = {${bytes}};\n")
  string(APPEND cases
    "  if (name == \"${name}\") return std::string_view{${symbol}, sizeof ${symbol}};\n")
endforeach()
file(WRITE ${OUTPUT}
"#include \"page.hpp\"

namespace weft::cli {
namespace {

${arrays}
}  // namespace

std::optional<std::string_view> page_file(std::string_view name) {
${cases}  return std::nullopt;
}

}  // namespace weft::cli
")
