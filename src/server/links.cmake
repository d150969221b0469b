# SPDX-License-Identifier: Apache-2.0
target_compile_definitions(halfmoon_server PUBLIC HALFMOON_VERSION="${PROJECT_VERSION}")
