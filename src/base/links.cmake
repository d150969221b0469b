# SPDX-License-Identifier: Apache-2.0
target_link_libraries(halfmoon_base PUBLIC ${LIBDEFLATE} Boost::boost)
target_compile_definitions(halfmoon_base PUBLIC BOOST_ALL_NO_LIB)
