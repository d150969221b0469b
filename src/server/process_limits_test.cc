// SPDX-License-Identifier: Apache-2.0
#include "server/process_limits.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

namespace halfmoon::server {
namespace {

/// Descriptors that the kernel's table for this process holds without growing.
std::int64_t table_size() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("FDSize:")) return std::stoll(line.substr(7));
  return -1;
}

TEST(ProcessLimits, TheTableOfDescriptorsNeedNotGrowForTheConnections) {
  std::vector<std::string> warnings;
  const auto connections = raise_file_limit(5000, warnings);
  ASSERT_TRUE(connections.ok()) << connections.error().text;
  EXPECT_EQ(warnings.empty(), *connections == 5000);
  EXPECT_GE(table_size(), *connections);
}

}  // namespace
}  // namespace halfmoon::server
