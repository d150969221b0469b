// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace halfmoon::cli {

/// The program: reads the command line, does what it says, returns the exit code.
int run(int argc, char** argv);

}  // namespace halfmoon::cli
