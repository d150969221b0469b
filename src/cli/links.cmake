# SPDX-License-Identifier: Apache-2.0
if(HALFMOON_TESTS)
  add_test(NAME cli.operating_page
    COMMAND ${CMAKE_COMMAND} -DPROGRAM=$<TARGET_FILE:halfmoon> -DPAGE=${CMAKE_SOURCE_DIR}/docs/operating.md -P ${CMAKE_CURRENT_LIST_DIR}/check_operating_page.cmake)
endif()
