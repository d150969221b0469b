// SPDX-License-Identifier: Apache-2.0
#include "server/server.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>

#include "base/log.h"
#include "server/banner.h"
#include "server/broker_process.h"

extern char** environ;

namespace halfmoon::server {
namespace {

std::map<std::string, std::string> environment() {
  std::map<std::string, std::string> out;
  for (char** entry = environ; *entry; ++entry) {
    const std::string_view text(*entry);
    const std::size_t equals = text.find('=');
    if (equals != std::string_view::npos) out.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return out;
}

void set_up_log(const Settings& s) {
  set_log_sink(s.log_format == "json" ? json_log_sink() : text_log_sink());
  set_log_level(s.log_level == "debug" ? LogLevel::Debug : s.log_level == "warn" ? LogLevel::Warn : s.log_level == "error" ? LogLevel::Error : LogLevel::Info);
}

/// One line for a person: what stands in the way.
int cannot_start(const std::string& text, int code) {
  std::fprintf(stderr, "halfmoon: cannot start: %s\n", text.c_str());
  return code;
}

sigset_t ending_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (int s : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, s);
  return set;
}

}  // namespace

int run_server(const ServerRequest& request) {
  const auto began = std::chrono::steady_clock::now();
  SettingSources sources;
  if (!request.config_file.empty()) {
    auto file = read_properties_file(request.config_file);
    if (!file.ok()) return cannot_start(file.error().text, kExitBadConfiguration);
    sources.file = std::move(file).value();
    sources.file_name = request.config_file;
  }
  sources.environment = environment();
  sources.command_line = request.command_line;
  const LoadedSettings loaded = load_settings(sources);
  set_up_log(loaded.settings);
  for (const Finding& f : loaded.findings) {
    if (f.severity == Severity::Bad || f.severity == Severity::Refused)
      std::fprintf(stderr, "halfmoon: %s: %s=%s: %s\n", f.where.c_str(), f.key.c_str(), f.value.c_str(), f.text.c_str());
    else if (f.severity == Severity::Warning)
      log_event(LogLevel::Warn, "config.warning", {{"where", f.where}, {"key", f.key}, {"text", f.text}});
    else if (f.severity == Severity::NoEffect)
      log_event(LogLevel::Info, "config.no_effect", {{"where", f.where}, {"key", f.key}, {"why", f.text}});
  }
  if (!loaded.usable()) return cannot_start("the configuration has errors (above)", kExitBadConfiguration);

  // Before any thread is there, so that all of them inherit it and the signals wait for sigwait below.
  const sigset_t ending = ending_signals();
  pthread_sigmask(SIG_BLOCK, &ending, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);  // a limit of the file size is an error of the write like others

  BrokerProcess process(loaded.settings);
  const auto started = process.start();
  if (!started.ok()) return cannot_start(started.error().text, kExitCannotStart);
  const double start_ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began).count();
  std::fputs(banner(loaded.settings, *started, request.program, start_ms).c_str(), stdout);
  std::fflush(stdout);
  log_event(LogLevel::Info, "server.ready", {{"version", kVersion}, {"name_server_port", started->name_server_port}, {"broker_port", started->broker_port},
                                             {"io_threads", started->io_threads}, {"milliseconds", static_cast<std::int64_t>(start_ms)},
                                             {"snapshot_milliseconds", started->recovered.snapshot_ms}, {"replay_milliseconds", started->recovered.replay_ms}});
  int signal_number = 0;
  sigwait(&ending, &signal_number);
  log_event(LogLevel::Info, "server.stopping", {{"signal", signal_number}});
  // A second signal while stopping ends the process at once: somebody is in a hurry, and the log can bear it.
  for (int s : {SIGTERM, SIGINT, SIGHUP}) signal(s, SIG_DFL);
  pthread_sigmask(SIG_UNBLOCK, &ending, nullptr);
  const auto stopping = std::chrono::steady_clock::now();
  const bool in_order = process.stop();
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - stopping).count();
  log_event(in_order ? LogLevel::Info : LogLevel::Warn, "server.stopped", {{"milliseconds", took}, {"peers", in_order ? "all took their answers" : "some did not take their answers in time"}});
  return kExitOk;
}

int check_config(const std::string& file) {
  auto properties = read_properties_file(file);
  if (!properties.ok()) {
    std::fprintf(stderr, "halfmoon: %s\n", properties.error().text.c_str());
    return 1;
  }
  SettingSources sources;
  sources.file = std::move(properties).value();
  sources.file_name = file;
  const LoadedSettings loaded = load_settings(sources);
  std::size_t place = 5, assignment = 11;
  const auto shown = [](const Finding& f) { return f.key + "=" + (f.value.size() > 40 ? f.value.substr(0, 37) + "..." : f.value); };
  for (const Finding& f : loaded.findings) {
    place = std::max(place, f.where.size());
    assignment = std::max(assignment, shown(f).size());
  }
  for (const Finding& f : loaded.findings)
    std::printf("%-*s  %-9s  %-*s  %s\n", static_cast<int>(place), f.where.c_str(), std::string(to_string(f.severity)).c_str(), static_cast<int>(assignment), shown(f).c_str(), f.text.c_str());
  std::map<Severity, int> counts;
  for (const Finding& f : loaded.findings) ++counts[f.severity];
  std::printf("%s: %d used, %d without effect, %d warnings, %d refused, %d bad: %s\n", file.c_str(), counts[Severity::Used], counts[Severity::NoEffect], counts[Severity::Warning],
              counts[Severity::Refused], counts[Severity::Bad], loaded.usable() ? "a server starts with it" : "a server does not start with it");
  return loaded.usable() ? 0 : 1;
}

}  // namespace halfmoon::server
