// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>
#include <cstring>

/// Whether this run is to be the broken broker of that name (environment variable HALFMOON_MUTANT). tests/mutants/run.py puts the calls into copies
/// of the sources; the sources themselves know nothing of it.
inline bool mutant(const char* name) {
  static const char* const chosen = std::getenv("HALFMOON_MUTANT");
  return chosen && std::strcmp(chosen, name) == 0;
}
