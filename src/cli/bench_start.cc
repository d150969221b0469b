// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <thread>

#include "cli/bench_ask.h"
#include "cli/bench_folder.h"
#include "cli/bench_frames.h"
#include "cli/bench_scenarios.h"

namespace halfmoon::cli {

namespace {

constexpr std::chrono::microseconds kTryAgain{200};
constexpr std::chrono::seconds kStopMax{60};

/// The broker's command, run in a process group of its own and without output; ended with the object.
class Child {
 public:
  static Result<std::unique_ptr<Child>> start(std::vector<std::string> command) {
    std::vector<char*> arguments;
    for (std::string& part : command) arguments.push_back(part.data());
    arguments.push_back(nullptr);
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    const pid_t pid = fork();
    if (pid < 0) return Error{ErrorCode::Io, std::string("cannot start a process: ") + std::strerror(errno)};
    if (pid == 0) {
      setpgid(0, 0);
      for (int fd = 0; fd < 3; ++fd) dup2(null, fd);
      execvp(arguments[0], arguments.data());
      _exit(127);
    }
    close(null);
    setpgid(pid, pid);  // whoever of the two is first
    return std::unique_ptr<Child>(new Child(pid));
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ < 0) return;
    kill(-pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }
  bool ended() {
    if (pid_ >= 0 && waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = -1;
    return pid_ < 0;
  }
  /// SIGTERM, and the wait for the end.
  Status stop() {
    kill(-pid_, SIGTERM);
    const auto until = std::chrono::steady_clock::now() + kStopMax;
    while (!ended()) {
      if (std::chrono::steady_clock::now() > until) return Error{ErrorCode::Io, "the broker did not end in 60 s after SIGTERM"};
      std::this_thread::sleep_for(kTryAgain);
    }
    return Done{};
  }

 private:
  explicit Child(pid_t pid) : pid_(pid) {}
  pid_t pid_;
};

/// Sends one message and says whether it was stored; not to be reached, or refused, counts as no.
bool stored_one(const BenchOptions& options, const SendTemplate& message) {
  const Result<std::unique_ptr<Links>> links = Links::dial(options.host, options.port, 1);
  if (!links.ok()) return false;
  bool stored = false;
  const Status asked = ask_all(options, **links, {.make = [&](std::string& out, std::size_t, std::int32_t) { message.append(out, {.born_ms = wall_ms()}); },
                                                  .use = [&](const Answer& answer) { stored = answer.code == 0; }});
  return asked.ok() && stored;
}

std::vector<std::string> command_for(const BenchOptions& options, const std::string& folder) {
  std::vector<std::string> command = options.command;
  for (std::string& part : command) {
    for (std::size_t at; (at = part.find("{}")) != std::string::npos;) part.replace(at, 2, folder);
  }
  return command;
}

}  // namespace

Status run_start(const BenchOptions& options, Meter& meter) {
  if (Links::dial(options.host, options.port, 1).ok()) {
    return Error{ErrorCode::Busy, "something listens on " + options.host + ":" + std::to_string(options.port) + " already: stop it, or name another --port"};
  }
  const SendTemplate message = send_templates(options, MessageKind::Plain).front();
  double resident = 0, stop_s = 0;
  HM_TRY_STATUS(meter.start());
  for (std::uint64_t i = 0; i < options.messages; ++i) {
    HM_TRY(const Folder, folder, Folder::make(options.scratch));
    const std::uint64_t from_ns = mono_ns();
    HM_TRY(const std::unique_ptr<Child>, broker, Child::start(command_for(options, folder.path())));
    while (!stored_one(options, message)) {
      if (broker->ended()) return Error{ErrorCode::Io, "the broker's command ended before it took a message: run it by hand and see what it says"};
      if (mono_ns() - from_ns > std::uint64_t{options.timeout_s} * 1'000'000'000u) return no_answer(options, 1);
      std::this_thread::sleep_for(kTryAgain);
    }
    const std::uint64_t there_ns = mono_ns();
    meter.done(from_ns, there_ns);
    HM_TRY(const double, bytes, resident_bytes(broker->pid()));
    resident += bytes;
    const std::uint64_t stop_ns = mono_ns();
    HM_TRY_STATUS(broker->stop());
    stop_s += static_cast<double>(mono_ns() - stop_ns) / 1e9;
  }
  HM_TRY_STATUS(meter.stop());
  const auto runs = static_cast<double>(options.messages);
  meter.result().messages = options.messages;
  meter.result().more.emplace_back("resident_mb", resident / runs / 1e6);
  meter.result().more.emplace_back("stop_ms", stop_s * 1e3 / runs);
  return Done{};
}

}  // namespace halfmoon::cli
