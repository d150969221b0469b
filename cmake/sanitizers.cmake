# SPDX-License-Identifier: Apache-2.0
if(HALFMOON_SANITIZE)
  add_compile_options(-fsanitize=${HALFMOON_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${HALFMOON_SANITIZE})
endif()
