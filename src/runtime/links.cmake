# SPDX-License-Identifier: Apache-2.0
target_link_libraries(halfmoon_runtime PUBLIC Threads::Threads PRIVATE ${LIBUV})
