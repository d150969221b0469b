// SPDX-License-Identifier: Apache-2.0
// The log's files, damaged in every way: recovery never crashes and never hands over a record whose checksum is wrong; `log verify` finds
// damage exactly where recovery refuses; a refused start changes nothing; an accepted one can go on, and the next start finds the same.
#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/crc.h"
#include "storage/inspect.h"
#include "storage/record_format.h"
#include "storage/segment.h"
#include "testkit/fuzz_input.h"
#include "testkit/seeded_random.h"
#include "testkit/sim_disk.h"

namespace {

using namespace halfmoon;
using namespace halfmoon::storage;

using Files = std::map<std::string, std::string>;
using Found = std::vector<std::pair<Position, std::string>>;

const LogOptions kOptions{.segment_bytes = 64 << 10, .first_segment_bytes = 32 << 10, .ring_bytes = 64 << 10};

Files segments_of(testkit::SimDisk& disk) {
  Files files;
  const auto names = disk.list();
  for (const std::string& name : *names) {
    if (segment_position(name)) files[name] = disk.content(name);
  }
  return files;
}

/// Writes a log as the input says: up to 15 batches.
void build(testkit::SimDisk& disk, testkit::FuzzInput& input, std::vector<Position>& places) {
  testkit::SeededRandom random{7};
  auto log = Log::open(disk, random, kOptions);
  HM_CHECK(log.ok() && (*log)->recover(0, [](const RecordView&, std::int64_t) -> Status { return Done{}; }).ok());
  for (int batches = input.byte() % 16; batches > 0; --batches) {
    places.push_back((*log)->end());  // of the BATCH record, unless the segment ends here
    for (int records = 1 + input.byte() % 4; records > 0; --records) {
      const std::uint16_t size = input.number<std::uint16_t>() % 6000;
      const auto type = static_cast<RecordType>(2 + input.byte() % 16);
      auto place = (*log)->reserve(type, size);
      if (!place.ok()) break;
      std::memset(place->payload.data(), 'a' + size % 26, size);
      (*log)->finish();
      places.push_back(place->position);
    }
    (*log)->close_batch(1000 + batches);
    if (input.byte() % 4 != 0) HM_CHECK((*log)->flush().ok());
  }
  // Unflushed batches are lost when the log goes, as in a crash.
}

struct Target {
  std::string name;
  std::int64_t size = 0;
};
Target pick_file(testkit::SimDisk& disk, testkit::FuzzInput& input) {
  const Files files = segments_of(disk);
  if (files.empty()) return {};
  const auto file = std::next(files.begin(), static_cast<std::ptrdiff_t>(input.below(files.size())));
  return {file->first, static_cast<std::int64_t>(file->second.size())};
}
std::int64_t pick_byte(const Target& file, testkit::FuzzInput& input) { return static_cast<std::int64_t>(input.number<std::uint32_t>() % static_cast<std::uint64_t>(file.size)); }

void overwrite(testkit::SimDisk& disk, const Target& file, std::int64_t at, std::string_view bytes) {
  if (at < file.size) disk.corrupt(file.name, at, bytes.substr(0, static_cast<std::size_t>(file.size - at)));
}

/// Changes a word of a record that was written and makes its checksum right again: damage that no checksum tells.
void forge(testkit::SimDisk& disk, testkit::FuzzInput& input, const std::vector<Position>& places) {
  if (places.empty()) return;
  const Position position = places[input.below(places.size())];
  for (const auto& [name, content] : segments_of(disk)) {
    const auto header = decode_segment_header(as_bytes(content).first(kSegmentHeaderBytes));
    if (!header.ok() || position < header->first || position >= header->limit()) continue;
    const auto at = static_cast<std::size_t>(kSegmentHeaderBytes + position - header->first);
    if (at >= content.size()) return;  // a forged header claims more than the file has
    std::string record = content.substr(at);
    if (record.size() < static_cast<std::size_t>(kRecordHeaderBytes)) return;
    const std::size_t word = 4 + 4 * input.below(9);  // length, epoch, type, or the first words of the payload
    if (word + 4 > record.size()) return;
    store_le(record.data() + word, input.number<std::uint32_t>());
    const auto length = load_le<std::uint32_t>(record.data() + 4);
    if (length > record.size() - static_cast<std::size_t>(kRecordHeaderBytes)) return;
    record.resize(static_cast<std::size_t>(kRecordHeaderBytes) + length);
    store_le(record.data(), crc32c(as_bytes(record).subspan(4), RecordSeed(header->salt).at(position)));
    disk.corrupt(name, static_cast<std::int64_t>(at), record);
    return;
  }
}

/// Changes a word of a segment's header and makes its checksum right again.
void forge_header(testkit::SimDisk& disk, testkit::FuzzInput& input) {
  const Target file = pick_file(disk, input);
  if (file.size < kSegmentHeaderBytes) return;
  std::string block = disk.content(file.name).substr(0, static_cast<std::size_t>(kSegmentHeaderBytes));
  store_le(block.data() + 16 + 4 * input.below(18), input.number<std::uint32_t>());
  store_le(block.data() + 12, crc32c(as_bytes(block).subspan(16)));
  disk.corrupt(file.name, 0, block);
}

void damage(testkit::SimDisk& disk, testkit::FuzzInput& input, const std::vector<Position>& places) {
  constexpr std::int64_t kSector = 512;
  for (int n = 0; n < 16 && !input.empty(); ++n) {
    const std::uint8_t how = input.byte() % 8;
    if (how == 0) {
      forge_header(disk, input);
      continue;
    }
    if (how <= 3) {
      forge(disk, input, places);
      continue;
    }
    const Target file = pick_file(disk, input);
    if (file.size == 0) return;
    const std::int64_t at = pick_byte(file, input);
    switch (how) {
      case 4: overwrite(disk, file, at, input.text(input.byte() % 64)); break;
      case 5: overwrite(disk, file, at, std::string(input.number<std::uint16_t>(), '\0')); break;
      case 6: {  // a stale or misdirected sector
        const std::int64_t from = pick_byte(file, input) / kSector * kSector;
        overwrite(disk, file, at / kSector * kSector, disk.content(file.name).substr(static_cast<std::size_t>(from), kSector));
        break;
      }
      default:
        if (input.byte() % 2 == 0) HM_CHECK(disk.remove(file.name).ok());
        else HM_CHECK(disk.rename(file.name, segment_name(at)).ok());
    }
  }
}

/// Looks the record up in the files as they were before recovery, by hand.
void expect_whole(const Files& files, const RecordView& record) {
  for (const auto& [name, content] : files) {
    const auto header = decode_segment_header(as_bytes(content).first(kSegmentHeaderBytes));
    if (!header.ok() || record.position < header->first || record.position >= header->limit()) continue;
    const auto at = static_cast<std::size_t>(kSegmentHeaderBytes + record.position - header->first);
    const std::size_t bytes = static_cast<std::size_t>(kRecordHeaderBytes) + record.payload.size();
    HM_CHECK(at + bytes <= content.size());
    const std::string_view raw = std::string_view(content).substr(at, bytes);
    char salt[8], place[8];
    store_le(salt, header->salt);
    store_le(place, record.position);
    const std::uint32_t seed = crc32c(as_bytes({place, 8}), crc32c(as_bytes({salt, 8})));
    HM_CHECK(load_le<std::uint32_t>(raw.data()) == crc32c(as_bytes(raw).subspan(4), seed));
    HM_CHECK(raw.substr(static_cast<std::size_t>(kRecordHeaderBytes)) == as_text(record.payload));
    HM_CHECK(static_cast<std::uint8_t>(raw[12]) == static_cast<std::uint8_t>(record.type));
    return;
  }
  const bool in_no_file = true;
  HM_CHECK(!in_no_file);
}

struct Start {
  std::unique_ptr<testkit::SeededRandom> random = std::make_unique<testkit::SeededRandom>(11);  // the log keeps a reference
  std::unique_ptr<Log> log;
  Result<RecoveryReport> report = Error{};
  Found found;
};
Start start(testkit::SimDisk& disk, const Files& files) {
  Start started;
  auto opened = Log::open(disk, *started.random, kOptions);
  if (!opened.ok()) {
    started.report = opened.error();
    return started;
  }
  started.log = std::move(*opened);
  started.report = started.log->recover(started.log->first_position(), [&](const RecordView& record, std::int64_t) -> Status {
    expect_whole(files, record);
    HM_CHECK(started.found.empty() || started.found.back().first < record.position);
    started.found.emplace_back(record.position, std::string(as_text(record.payload)));
    return Done{};
  });
  return started;
}

void expect_readable(const Log& log, const Found& found) {
  ReadBuffer buffer;
  for (const auto& [position, payload] : found) {
    const auto record = log.read(position, buffer);
    HM_CHECK(record.ok() && record->position == position && as_text(record->payload) == payload);
    const auto wild = log.read_untrusted(position + 8, buffer);
    if (wild.ok()) HM_CHECK(wild->position == position + 8);
    else HM_CHECK(wild.error().code == ErrorCode::NotFound);
  }
}

void check_going_on(testkit::SimDisk& disk, Start started) {
  auto room = started.log->reserve(RecordType::Message, 5);
  HM_CHECK(room.ok());
  std::memcpy(room->payload.data(), "after", 5);
  started.log->finish();
  started.log->close_batch(5000);
  HM_CHECK(started.log->flush().ok());
  started.found.emplace_back(room->position, "after");
  started.log.reset();

  const auto verified = verify_log(disk, {});
  HM_CHECK(verified.ok() && verified->damage.empty() && verified->torn_bytes == 0);
  Start again = start(disk, segments_of(disk));
  HM_CHECK(again.report.ok() && again.report->torn_bytes == 0);
  HM_CHECK(again.found == started.found);
}

}  // namespace

//  | batches to write | damage to do |
HM_FUZZ_TARGET() {
  testkit::SimDisk disk;
  std::vector<Position> places;
  build(disk, input, places);
  damage(disk, input, places);

  const Files before = segments_of(disk);
  const auto verified = verify_log(disk, {});
  HM_CHECK(verified.ok());
  HM_CHECK(segments_of(disk) == before);  // it only reads
  Start started = start(disk, before);
  HM_CHECK(started.report.ok() == verified->damage.empty());
  if (!started.report.ok()) {
    HM_CHECK(started.report.error().code == ErrorCode::Corrupt && !started.report.error().text.empty());
    for (const auto& [name, content] : segments_of(disk)) HM_CHECK(before.contains(name) && before.at(name) == content);
    return;
  }
  HM_CHECK(started.report->end == verified->end && started.report->torn_bytes == verified->torn_bytes);
  HM_CHECK(started.report->batches == verified->batches && started.report->records == verified->records);
  HM_CHECK(static_cast<std::int64_t>(started.found.size()) == started.report->records);
  expect_readable(*started.log, started.found);
  check_going_on(disk, std::move(started));
}
