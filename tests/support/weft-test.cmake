# weft_add_tests(<module> SOURCES <file>... LINK <target>...): one doctest program for a
# module's tests, in bin/; ctest runs each *_test.cpp of it as a test of its own.
find_package(doctest REQUIRED)

set(WEFT_TEST_PREFIX "" CACHE STRING "Begins the name of every test: tells the build trees apart")
set(WEFT_TEST_SEEDS "" CACHE STRING "How many seeds a simulation runs at most; empty: all it asks for")
set(WEFT_TEST_SUPPORT_DIR ${CMAKE_CURRENT_LIST_DIR})

function(weft_add_tests module)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINK")
  set(program weft-${module}-tests)
  add_executable(${program} ${WEFT_TEST_SUPPORT_DIR}/main.cpp ${arg_SOURCES})
  target_include_directories(${program} PRIVATE ${WEFT_TEST_SUPPORT_DIR}/..)
  target_link_libraries(${program} PRIVATE ${arg_LINK} doctest::doctest)
  target_compile_definitions(${program} PRIVATE
    WEFT_TEST_DATA_DIR="${CMAKE_CURRENT_SOURCE_DIR}/data")
  # At the end of the folder, when sources that depend on what is installed have joined.
  cmake_language(EVAL CODE "cmake_language(DEFER CALL weft_register_tests ${module})")
endfunction()

function(weft_register_tests module)
  set(program weft-${module}-tests)
  get_target_property(sources ${program} SOURCES)
  foreach(source IN LISTS sources)
    if(source MATCHES "([^/]+_test)\\.cpp$")
      set(test ${WEFT_TEST_PREFIX}${module}/${CMAKE_MATCH_1})
      add_test(NAME ${test} COMMAND ${program} --source-file=*/${CMAKE_MATCH_1}.cpp)
      # A filter that matches no test would pass.
      set_tests_properties(${test} PROPERTIES
        TIMEOUT 900 FAIL_REGULAR_EXPRESSION "test cases: +0 \\|")
      if(WEFT_TEST_SEEDS)
        set_tests_properties(${test} PROPERTIES ENVIRONMENT WEFT_SEEDS=${WEFT_TEST_SEEDS})
      endif()
    endif()
  endforeach()
endfunction()
