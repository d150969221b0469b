// SPDX-License-Identifier: Apache-2.0
// Runs seeds of the simulated worlds (src/testkit/simulated_world.h) in several processes.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "base/log.h"
#include "testkit/simulated_world.h"

namespace {

using halfmoon::testkit::Scenario;
using halfmoon::testkit::SimulatedWorld;
using halfmoon::testkit::Tallies;
using halfmoon::testkit::Tally;

constexpr const char* kHelp = R"(halfmoon_simulate: lives of the broker's core, decided by a seed, against a model

  --world transactions|general   what happens (default: transactions)
  --seeds N                      run so many seeds (default: 1000)
  --from M                       beginning with this one (default: 1)
  --seed S                       run this seed only, and say how it ended
  --corpus FILE                  first run the seeds in FILE: lines "WORLD SEED", # begins a comment
  --jobs J                       processes (default: one for each core)
  --twice                        run every seed twice and compare the files, answers and deliveries of both
  --histories FILE               also write the histories of SYNC_FLUSH seeds, for tests/sim/check_histories.py (one process)
  --trace                        print what happens, with --seed
  --stop                         end with the first failure
  --no-coverage                  do not fail where an event never occurred

A broken promise is printed with its seed; that seed runs the same everywhere. The last line is "N passed, N failed": seeds, and one more if
every event that the world must see was seen. With less than 1000 seeds that is not asked for.
)";

constexpr int kFailuresMax = 32;

struct Failure {
  std::uint64_t seed;
  char text[400];
};

/// What the processes share.
struct Board {
  std::atomic<std::uint64_t> next;
  std::atomic<std::uint64_t> done;
  std::atomic<std::uint64_t> failed;
  std::atomic<int> failures_told;
  Failure failures[kFailuresMax];
  std::atomic<std::int64_t> tallies[static_cast<std::size_t>(Tally::Count)];
  std::atomic<std::uint64_t> running[64];  // by process: seed + 1, 0 if none
};

struct Options {
  Scenario world = Scenario::Transactions;
  std::uint64_t from = 1;
  std::uint64_t seeds = 1000;
  unsigned jobs = 1;
  bool twice = false;
  bool coverage = true;
  bool trace = false;
  bool stop = false;
  std::string corpus, histories;
};

const char* name_of(Scenario world) { return world == Scenario::Transactions ? "transactions" : "general"; }

void put_down(Board& board, std::uint64_t seed, const std::string& text) {
  board.failed++;
  const int i = board.failures_told++;
  if (i >= kFailuresMax) return;
  board.failures[i].seed = seed;
  std::snprintf(board.failures[i].text, sizeof board.failures[i].text, "%s", text.c_str());
}

void run_seed(const Options& options, Board& board, std::uint64_t seed) {
  SimulatedWorld world(options.world, seed);
  if (options.trace) world.trace();
  const bool good = world.run();
  if (!good) put_down(board, seed, world.violation());
  for (std::size_t i = 0; i < world.tallies().size(); i++)
    if (world.tallies()[i] != 0) board.tallies[i].fetch_add(world.tallies()[i], std::memory_order_relaxed);
  if (good && options.twice) {
    SimulatedWorld again(options.world, seed);
    again.run();
    if (again.fingerprint() != world.fingerprint() || again.disk_image() != world.disk_image()) put_down(board, seed, "two runs differ");
  }
  board.done++;
}

void work(const Options& options, Board& board, unsigned process) {
  const std::uint64_t end = options.from + options.seeds;
  for (;;) {
    const std::uint64_t seed = board.next.fetch_add(1);
    if (seed >= end || (options.stop && board.failed > 0)) return;
    board.running[process] = seed + 1;
    run_seed(options, board, seed);
    board.running[process] = 0;
  }
}

pid_t start(const Options& options, Board& board, unsigned process) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    work(options, board, process);
    std::_Exit(0);
  }
  return pid;
}

/// All seeds, in processes; one that dies (a failed assertion) is a failed seed, and another goes on in its place.
void run_all(const Options& options, Board& board) {
  board.next = options.from;
  std::vector<pid_t> pids;
  for (unsigned p = 0; p < options.jobs; p++) pids.push_back(start(options, board, p));
  auto told = std::chrono::steady_clock::now();
  const auto began = told;
  for (std::size_t left = pids.size(); left > 0;) {
    bool any = false;
    for (unsigned p = 0; p < pids.size(); p++) {
      int status = 0;
      if (pids[p] <= 0 || ::waitpid(pids[p], &status, WNOHANG) != pids[p]) continue;
      any = true;
      if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        pids[p] = 0;
        left--;
        continue;
      }
      const std::uint64_t seed = board.running[p];
      put_down(board, seed - 1, "the process died" + (WIFSIGNALED(status) ? " of signal " + std::to_string(WTERMSIG(status)) : std::string()));
      board.done++;
      pids[p] = start(options, board, p);
    }
    if (!any) ::usleep(20000);
    const auto now = std::chrono::steady_clock::now();
    if (now - told > std::chrono::seconds(10)) {
      told = now;
      const double seconds = std::chrono::duration<double>(now - began).count();
      std::fprintf(stderr, "%llu of %llu seeds, %llu failed, %.0f a second\n", static_cast<unsigned long long>(board.done.load()),
                   static_cast<unsigned long long>(options.seeds), static_cast<unsigned long long>(board.failed.load()),
                   static_cast<double>(board.done.load()) / seconds);
    }
  }
}

std::uint64_t number(const char* text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text, text + std::strlen(text), value);
  if (error != std::errc{} || *end != '\0') {
    std::fprintf(stderr, "'%s' is not a number\n", text);
    std::exit(2);
  }
  return value;
}

Options parse(int argc, char** argv) {
  Options o;
  o.jobs = static_cast<unsigned>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
  for (int i = 1; i < argc; i++) {
    const std::string_view arg = argv[i];
    const auto value = [&] {
      if (i + 1 >= argc) {
        std::fprintf(stderr, "%s needs a value; see --help\n", argv[i]);
        std::exit(2);
      }
      return argv[++i];
    };
    if (arg == "--help" || arg == "-h") {
      std::fputs(kHelp, stdout);
      std::exit(0);
    } else if (arg == "--world") {
      const std::string_view world = value();
      if (world != "transactions" && world != "general") std::exit((std::fputs("--world is transactions or general\n", stderr), 2));
      o.world = world == "general" ? Scenario::General : Scenario::Transactions;
    } else if (arg == "--seeds") o.seeds = number(value());
    else if (arg == "--from") o.from = number(value());
    else if (arg == "--seed") o.from = number(value()), o.seeds = 1;
    else if (arg == "--jobs") o.jobs = static_cast<unsigned>(std::min<std::uint64_t>(64, std::max<std::uint64_t>(1, number(value()))));
    else if (arg == "--corpus") o.corpus = value();
    else if (arg == "--histories") o.histories = value();
    else if (arg == "--stop") o.stop = true;
    else if (arg == "--trace") o.trace = true;
    else if (arg == "--twice") o.twice = true;
    else if (arg == "--no-coverage") o.coverage = false;
    else std::exit((std::fprintf(stderr, "unknown option %s; see --help\n", argv[i]), 2));
  }
  return o;
}

/// Seeds that once failed, each in a process of its own.
std::uint64_t run_corpus(const Options& options, Board& board) {
  std::ifstream file(options.corpus);
  if (!file) std::exit((std::fprintf(stderr, "cannot read %s\n", options.corpus.c_str()), 2));
  std::uint64_t count = 0;
  for (std::string line; std::getline(file, line);) {
    line = line.substr(0, line.find('#'));
    const std::size_t blank = line.find(' ');
    if (blank == std::string::npos || line.substr(0, blank) != name_of(options.world)) continue;
    Options one = options;
    one.from = std::strtoull(line.c_str() + blank, nullptr, 10);
    one.seeds = one.jobs = 1;
    run_all(one, board);
    count++;
  }
  return count;
}

void write_histories(const Options& options) {
  std::ofstream out(options.histories);
  for (std::uint64_t seed = options.from; seed < options.from + options.seeds; seed++) {
    std::string lines;
    SimulatedWorld world(options.world, seed);
    if (!world.durable()) continue;  // there a power cut may take what was acknowledged, and the checker knows no such brokers
    world.keep_history(&lines);
    world.run();
    out << "{\"e\":\"seed\",\"seed\":" << seed << "}\n" << lines;
  }
  if (!out.flush()) std::exit((std::fprintf(stderr, "cannot write %s\n", options.histories.c_str()), 1));
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  halfmoon::set_log_sink([](halfmoon::LogLevel, std::string_view, std::initializer_list<halfmoon::LogField>) {});
  void* memory = ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 1;
  Board& board = *new (memory) Board{};
  const auto began = std::chrono::steady_clock::now();
  std::uint64_t of_corpus = 0;
  if (!options.corpus.empty()) of_corpus = run_corpus(options, board);
  run_all(options, board);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  for (int i = 0; i < std::min<int>(board.failures_told, kFailuresMax); i++) {
    std::printf("FAIL %s seed %llu: %s\n  again: halfmoon_simulate --world %s --seed %llu\n", name_of(options.world),
                static_cast<unsigned long long>(board.failures[i].seed), board.failures[i].text, name_of(options.world),
                static_cast<unsigned long long>(board.failures[i].seed));
  }
  if (!options.histories.empty()) write_histories(options);
  std::uint64_t good = board.done - std::min<std::uint64_t>(board.done, board.failed), bad = board.failed;
  std::printf("%s: %llu seeds (%llu of the corpus) in %.1f s\n", name_of(options.world), static_cast<unsigned long long>(board.done.load()),
              static_cast<unsigned long long>(of_corpus), seconds);
  bool all_seen = true;
  for (std::size_t i = 0; i < static_cast<std::size_t>(Tally::Count); i++) {
    const auto tally = static_cast<Tally>(i);
    const long long n = board.tallies[i];
    const bool missing = n == 0 && expected_in(options.world, tally);
    if (n > 0 || missing) std::printf("  %12lld  %s%s\n", n, halfmoon::testkit::name_of(tally), missing ? "   NEVER SEEN" : "");
    all_seen = all_seen && !missing;
  }
  if (options.coverage && options.seeds >= 1000) {
    (all_seen ? good : bad)++;
    if (!all_seen) std::printf("FAIL coverage: an event that the world must see was never seen\n");
  }
  std::printf("%llu passed, %llu failed\n", static_cast<unsigned long long>(good), static_cast<unsigned long long>(bad));
  return bad == 0 ? 0 : 1;
}
