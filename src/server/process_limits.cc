// SPDX-License-Identifier: Apache-2.0
#include "server/process_limits.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

namespace halfmoon::server {
namespace {

constexpr std::int64_t kReserved = 192;       // segments, snapshots, answers that groups share, timers, standard streams
constexpr std::int64_t kLeast = 256;
constexpr std::int64_t kComfortable = 4096;
constexpr std::int64_t kRoomMade = 1 << 16;   // descriptors: half a megabyte of the kernel's

/// Has the kernel make its table of this process's descriptors large enough now. It grows by doubling, never shrinks, and while there are
/// several threads each growth waits for all processors to pass through the scheduler: tens of milliseconds in which nobody is accepted or served.
void make_room(std::int64_t files) {
  const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  const int high = ::fcntl(fd, F_DUPFD_CLOEXEC, static_cast<int>(std::min(files, kRoomMade) - 1));
  if (high >= 0) ::close(high);
  ::close(fd);
}

}  // namespace

Result<std::int64_t> raise_file_limit(std::int64_t connections_wanted, std::vector<std::string>& warnings) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return connections_wanted;
  if (limit.rlim_cur < limit.rlim_max) {
    const rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = before;
  }
  if (limit.rlim_cur == RLIM_INFINITY) {
    make_room(connections_wanted + kReserved);
    return connections_wanted;
  }
  const auto files = static_cast<std::int64_t>(std::min<rlim_t>(limit.rlim_cur, 1u << 30));
  if (files < kLeast)
    return Error{ErrorCode::Io, "only " + std::to_string(files) + " files may be open at once (ulimit -n), and a broker needs " + std::to_string(kLeast) +
                                    " at least, " + std::to_string(kComfortable) + " to be of use; raise it (LimitNOFILE= under systemd, --ulimit nofile= under Docker)"};
  const std::int64_t room = files - kReserved;
  if (room < connections_wanted)
    warnings.push_back("only " + std::to_string(files) + " files may be open at once (ulimit -n): at most " + std::to_string(room) + " connections instead of maxConnections=" +
                       std::to_string(connections_wanted) + (files < kComfortable ? "; raise it (LimitNOFILE= under systemd, --ulimit nofile= under Docker)" : ""));
  const std::int64_t connections = std::min(room, connections_wanted);
  make_room(connections + kReserved);
  return connections;
}

}  // namespace halfmoon::server
