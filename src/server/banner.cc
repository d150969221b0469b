// SPDX-License-Identifier: Apache-2.0
#include "server/banner.h"

#include <unistd.h>

#include <cstdio>

#include "server/server.h"

namespace halfmoon::server {
namespace {

std::string megabytes(std::int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / (1 << 20));
  return text;
}

std::string endpoint(const Settings& s, std::uint16_t port) {
  return (s.bind_address.find(':') == std::string::npos ? s.bind_address : "[" + s.bind_address + "]") + ":" + std::to_string(port);
}

}  // namespace

std::string banner(const Settings& s, const BrokerProcess::Started& started, const std::string& program, double start_ms) {
  char milliseconds[32];
  std::snprintf(milliseconds, sizeof milliseconds, "%.0f ms", start_ms);
  const std::string data = s.data_directory();
  std::string out = "\nHalfmoon " + std::string(kVersion) + " is ready (" + milliseconds + ", process " + std::to_string(getpid()) + ")\n\n";
  out += "  name server    " + endpoint(s, started.name_server_port) + "   <- what clients are told: 127.0.0.1:" + std::to_string(started.name_server_port) + " from here\n";
  out += "  broker         " + endpoint(s, started.broker_port) + "   " + s.broker_name + " in " + s.cluster;
  if (started.vip_port != 0) out += ", also on " + std::to_string(started.vip_port) + " for clients with a VIP channel";
  out += "\n  routes name    " + (s.broker_ip1 == "auto" ? std::string("the address on which each client came in (brokerIP1=auto)") : s.broker_ip1) + "\n";
  out += "  data           " + data + (started.new_store ? "   (new)" : "   (" + std::to_string(started.topics) + " topics, " + std::to_string(started.groups) + " groups)") + "\n";
  out += s.durable() ? "  acknowledged   = on disk (flushDiskType=SYNC_FLUSH)\n"
                     : "  acknowledged   = in the operating system (flushDiskType=ASYNC_FLUSH): a power cut may lose the last " + std::to_string(s.flush_interval_ms) + " ms\n";
  const auto& report = started.recovered.report;
  if (!started.new_store) {
    out += "  recovered      " + std::to_string(report.records) + " records replayed";
    if (started.recovered.snapshot > 0) out += " after the snapshot";
    out += ", log ends at " + megabytes(report.end);
    if (started.halves_pending > 0) out += ", " + std::to_string(started.halves_pending) + " transactions without a verdict";
    out += "\n";
    if (report.torn_bytes > 0) out += "  torn tail      " + std::to_string(report.torn_bytes) + " bytes that were never acknowledged, kept in " + report.torn_file + "\n";
  }
  for (const std::string& warning : started.warnings) out += "  warning        " + warning + "\n";
  out += "\nTry next, in another terminal:\n";
  out += "  " + program + " bench send --port " + std::to_string(started.broker_port) + " --messages 100000\n";
  out += "  " + program + " log dump " + data + " --limit 20\n";
  out += "  " + program + " config keys\n";
  out += "\nStop it with Ctrl-C or SIGTERM. Events go to standard error.\n\n";
  return out;
}

}  // namespace halfmoon::server
