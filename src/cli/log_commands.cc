// SPDX-License-Identifier: Apache-2.0
#include "cli/log_commands.h"

#include <unistd.h>

#include <cinttypes>
#include <cstdio>

#include "server/record_text.h"
#include "storage/inspect.h"
#include "storage/posix_disk.h"

namespace halfmoon::cli {
namespace {

int failed(const Error& error) {
  std::fflush(stdout);
  std::fprintf(stderr, "halfmoon: %s\n", error.text.c_str());
  return 1;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (u < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", u);
      out += escape;
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string json_line(const storage::RecordView& record) {
  std::string line = "{\"position\":" + std::to_string(record.position) + ",\"type\":" + quoted(server::record_name(record.type)) + ",\"epoch\":" + std::to_string(record.epoch) +
                     ",\"bytes\":" + std::to_string(record.payload.size());
  std::string array;   // offset records name several of the same kind
  for (const server::RecordField& field : server::record_fields(record)) {
    if (record.type == storage::RecordType::Offsets && !field.number) {
      array += (array.empty() ? "" : ",") + quoted(field.name + " " + field.value);
      continue;
    }
    line += ',' + quoted(field.name) + ':' + (field.number ? field.value : quoted(field.value));
  }
  if (!array.empty()) line += ",\"items\":[" + array + "]";
  return line + "}\n";
}

std::string text_line(const storage::RecordView& record) {
  char head[64];
  std::snprintf(head, sizeof head, "%12" PRId64 "  %-13s", record.position, std::string(server::record_name(record.type)).c_str());
  std::string line = head;
  for (const server::RecordField& field : server::record_fields(record)) {
    const bool plain = field.value.find_first_of(" \"\n\t") == std::string::npos && !field.value.empty();
    line += "  " + field.name + "=" + (plain ? field.value : quoted(field.value));
  }
  return line + "\n";
}

}  // namespace

int run_log_dump(const LogDumpOptions& options) {
  auto disk = storage::open_posix_disk_read_only(options.directory);
  if (!disk.ok()) return failed(disk.error());
  std::int64_t printed = 0;
  bool closed = false;
  const Status dumped = storage::dump_log(**disk, options.from, [&](const storage::RecordView& record) {
    if (record.type == storage::RecordType::Batch && !options.batches) return true;
    const std::string line = options.json ? json_line(record) : text_line(record);
    closed = std::fwrite(line.data(), 1, line.size(), stdout) != line.size();
    return !closed && (++printed < options.limit || options.limit == 0);
  });
  std::fflush(stdout);
  return dumped.ok() ? 0 : failed(dumped.error());
}

int run_log_verify(const std::string& directory) {
  auto disk = storage::open_posix_disk_read_only(directory);
  if (!disk.ok()) return failed(disk.error());
  const bool terminal = isatty(STDERR_FILENO) == 1;
  std::int64_t percent_shown = -1;
  const auto report = storage::verify_log(**disk, [&](std::int64_t done, std::int64_t in_all) {
    const std::int64_t percent = in_all > 0 ? done * 100 / in_all : 100;
    if (!terminal || percent == percent_shown) return;
    percent_shown = percent;
    std::fprintf(stderr, "\r%3" PRId64 " %%", percent);
  });
  if (terminal) std::fprintf(stderr, "\r     \r");
  if (!report.ok()) return failed(report.error());
  std::printf("%s: %" PRId64 " segments, %" PRId64 " batches, %" PRId64 " records, %" PRId64 " bytes, positions %" PRId64 " to %" PRId64 "\n", directory.c_str(), report->segments, report->batches,
              report->records, report->bytes, report->first, report->end);
  if (report->tail_bytes > 0) std::printf("tail: %" PRId64 " batches, %" PRId64 " records, %" PRId64 " bytes more; the next start brings them into the segments\n", report->tail_batches, report->tail_records, report->tail_bytes);
  if (!report->tail_unusable.empty()) std::printf("tail: not looked into: %s; the next start does without it\n", report->tail_unusable.c_str());
  if (report->torn_bytes > 0) std::printf("torn tail: %" PRId64 " bytes that were never acknowledged; the next start sets them aside\n", report->torn_bytes);
  for (const std::string& line : report->snapshots) std::printf("snapshot: %s\n", line.c_str());
  for (const std::string& line : report->damage) std::printf("damage: %s\n", line.c_str());
  std::printf(report->damage.empty() ? "in order\n" : "damaged: %zu places\n", report->damage.size());
  return report->damage.empty() ? 0 : 1;
}

}  // namespace halfmoon::cli
