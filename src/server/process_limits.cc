// SPDX-License-Identifier: Apache-2.0
#include "server/process_limits.h"

#include <sys/resource.h>

#include <algorithm>

namespace halfmoon::server {
namespace {

constexpr std::int64_t kReserved = 192;       // segments, snapshots, answers that groups share, timers, standard streams
constexpr std::int64_t kLeast = 256;
constexpr std::int64_t kComfortable = 4096;

}  // namespace

Result<std::int64_t> raise_file_limit(std::int64_t connections_wanted, std::vector<std::string>& warnings) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return connections_wanted;
  if (limit.rlim_cur < limit.rlim_max) {
    const rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = before;
  }
  if (limit.rlim_cur == RLIM_INFINITY) return connections_wanted;
  const auto files = static_cast<std::int64_t>(std::min<rlim_t>(limit.rlim_cur, 1u << 30));
  if (files < kLeast)
    return Error{ErrorCode::Io, "only " + std::to_string(files) + " files may be open at once (ulimit -n), and a broker needs " + std::to_string(kLeast) +
                                    " at least, " + std::to_string(kComfortable) + " to be of use; raise it (LimitNOFILE= under systemd, --ulimit nofile= under Docker)"};
  const std::int64_t room = files - kReserved;
  if (room < connections_wanted)
    warnings.push_back("only " + std::to_string(files) + " files may be open at once (ulimit -n): at most " + std::to_string(room) + " connections instead of maxConnections=" +
                       std::to_string(connections_wanted) + (files < kComfortable ? "; raise it (LimitNOFILE= under systemd, --ulimit nofile= under Docker)" : ""));
  return std::min(room, connections_wanted);
}

}  // namespace halfmoon::server
