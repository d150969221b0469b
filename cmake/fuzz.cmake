# SPDX-License-Identifier: Apache-2.0
# Fuzz targets (preset `fuzz`, clang only): each src/<module>/<subject>_fuzz.cc becomes one libFuzzer program fuzz_<subject>, which may
# use its module and testkit, as tests may. The target `fuzzers` builds them all; tests/fuzz/run.py runs them.
option(HALFMOON_FUZZ "Build the fuzz targets (needs clang)" OFF)
if(HALFMOON_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "HALFMOON_FUZZ needs clang: cmake --preset fuzz")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
  add_custom_target(fuzzers)
  find_package(GTest REQUIRED)  # the fixtures' headers
endif()

function(halfmoon_fuzz_targets module target)
  file(GLOB fuzzers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${module}/*_fuzz.cc)
  foreach(source IN LISTS fuzzers)
    get_filename_component(subject ${source} NAME_WE)
    string(REGEX REPLACE "_fuzz$" "" subject ${subject})
    add_executable(fuzz_${subject} EXCLUDE_FROM_ALL ${source})
    target_link_libraries(fuzz_${subject} PRIVATE ${target} GTest::gtest Threads::Threads -fsanitize=fuzzer)
    add_dependencies(fuzzers fuzz_${subject})
    set_property(GLOBAL APPEND PROPERTY HALFMOON_FUZZ_TARGETS fuzz_${subject})
  endforeach()
endfunction()
