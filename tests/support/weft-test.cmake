# weft_add_tests(<module> SOURCES <file>... LINK <target>...): one doctest program for a
# module's tests, in bin/, run by ctest.
find_package(doctest REQUIRED)

set(WEFT_TEST_SUPPORT_DIR ${CMAKE_CURRENT_LIST_DIR})

function(weft_add_tests module)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINK")
  set(program weft-${module}-tests)
  add_executable(${program} ${WEFT_TEST_SUPPORT_DIR}/main.cpp ${arg_SOURCES})
  target_include_directories(${program} PRIVATE ${WEFT_TEST_SUPPORT_DIR}/..)
  target_link_libraries(${program} PRIVATE ${arg_LINK} doctest::doctest)
  target_compile_definitions(${program} PRIVATE
    WEFT_TEST_DATA_DIR="${CMAKE_CURRENT_SOURCE_DIR}/data")
  add_test(NAME ${module} COMMAND ${program})
endfunction()
