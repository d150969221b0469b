// SPDX-License-Identifier: Apache-2.0
// read_catalog: which files are the log's, and whether they fit together.
#include <algorithm>
#include <cstring>

#include "storage/batch_scanner.h"
#include "storage/segment.h"

namespace halfmoon::storage {
namespace {

constexpr std::int64_t kLookIntoBytes = 1 << 20;   // looked into as a whole; behind it a block in each so many bytes

struct Candidate {
  std::string name;
  Position first = 0;
  std::int64_t size = 0;
  Result<SegmentHeader> header = Error{};
  bool header_is_zero = false;
  bool looks_unused = true;   // no batch was ever written; looked at only where the header is none
};

Error corrupt(const std::string& file, const std::string& what) {
  return {ErrorCode::Corrupt, file + ": " + what};
}

/// Whether there are records behind a header that is none: batches begin at the front, but the first ones may be damaged as well. Where the log would
/// begin with this file, a mistake would be a new store in place of the old one, so there nothing is left out. Elsewhere it is the prepared segment of nearly
/// every start, 256 MiB of it, so behind the first MiB only a block in each MiB is read: the log leaves no gaps.
Status look_into(File& file, Candidate& candidate) {
  AlignedBuffer piece(kLookIntoBytes);
  for (std::int64_t at = kSegmentHeaderBytes; at < candidate.size && candidate.looks_unused; at += kLookIntoBytes) {
    const bool whole = candidate.first == 0 || at == kSegmentHeaderBytes;
    HM_TRY(const std::size_t, got, file.read_at(at, piece.first(whole ? kLookIntoBytes : kBlockBytes)));
    candidate.looks_unused = is_zero(piece.first(static_cast<std::int64_t>(got)));
  }
  return Done{};
}

void read_header(Bytes block, std::size_t got, Candidate& candidate) {
  candidate.header_is_zero = is_zero(block);
  if (got < block.size()) candidate.header = Error{ErrorCode::Corrupt, "byte " + std::to_string(got) + ": the file ends inside its header"};
  else candidate.header = decode_segment_header(block);
}

Result<Candidate> read_candidate(Disk& disk, const std::string& name, Position first, SecondReading& second) {
  Candidate candidate{.name = name, .first = first};
  HM_TRY(auto, file, disk.open(name, OpenMode::Read, Caching::Direct));
  HM_TRY(const std::int64_t, size, file->size());
  candidate.size = size;
  AlignedBuffer block(kBlockBytes);
  std::memset(block.data(), 0, kBlockBytes);
  HM_TRY(const std::size_t, got, file->read_at(0, block.first(kBlockBytes)));
  read_header(block.first(kBlockBytes), got, candidate);
  if (candidate.header.ok()) return candidate;
  // A header that is none may make the file unused space.
  HM_TRY(const std::size_t, again, file->read_at(0, block.first(kBlockBytes)));
  read_header(block.first(kBlockBytes), again, candidate);
  if (candidate.header.ok()) HM_TRY_STATUS(second.differed(name, 0));
  else HM_TRY_STATUS(look_into(*file, candidate));
  return candidate;
}

/// A file whose header validates: is it what its name and its size say?
Status check_active(const Candidate& candidate) {
  const SegmentHeader& header = candidate.header.value();
  if (header.first != candidate.first) {
    return corrupt(candidate.name, "byte 40: the header says position " + std::to_string(header.first) +
                                       "; the file was renamed or copied over: put the right file back");
  }
  if (candidate.size < kSegmentHeaderBytes + header.capacity) {
    return corrupt(candidate.name, "byte " + std::to_string(candidate.size) + ": the file ends early, it should have " +
                                       std::to_string(kSegmentHeaderBytes + header.capacity) + " bytes; restore it from a copy");
  }
  return Done{};
}

Status check_follows(const SegmentHeader& before, const SegmentHeader& header) {
  const std::string name = segment_name(header.first);
  if (header.first != before.limit()) {
    return corrupt(segment_name(before.limit()), "is missing: the log has a gap at position " + std::to_string(before.limit()) +
                                                     ", before " + name + "; restore the file from a copy");
  }
  if (header.store_id != before.store_id) {
    return corrupt(name, "byte 16: the segment belongs to another store; remove it from this directory");
  }
  if (header.previous_end < before.first || header.previous_end > before.limit()) {
    return corrupt(name, "byte 56: impossible end of the previous segment");
  }
  if (header.epoch < before.epoch) return corrupt(name, "byte 64: the epoch went back");
  return Done{};
}

}  // namespace

Result<SegmentCatalog> read_catalog(Disk& disk) {
  SegmentCatalog catalog;
  SecondReading second;
  std::vector<Candidate> unused;  // files after the last valid header
  HM_TRY(const auto, names, disk.list());
  for (const std::string& name : names) {
    if (name.ends_with(".seg.tmp")) catalog.leftovers.push_back(name);
    const auto first = segment_position(name);
    if (!first) continue;
    HM_TRY(Candidate, candidate, read_candidate(disk, name, *first, second));
    if (!candidate.header.ok()) {
      if (!candidate.looks_unused) {
        return corrupt(name, candidate.header.error().text + ", but records follow: the header is damaged; restore the file from a copy");
      }
      unused.push_back(std::move(candidate));
      continue;
    }
    if (!unused.empty()) {
      return corrupt(unused.front().name, unused.front().header.error().text + ", but the log goes on in " + name +
                                              ": the file is damaged; restore it from a copy");
    }
    HM_TRY_STATUS(check_active(candidate));
    if (!catalog.active.empty()) HM_TRY_STATUS(check_follows(catalog.active.back(), *candidate.header));
    catalog.active.push_back(*candidate.header);
  }
  const Position next = catalog.active.empty() ? 0 : catalog.active.back().limit();
  for (const Candidate& candidate : unused) {
    const std::int64_t capacity = candidate.size - kSegmentHeaderBytes;
    const bool usable = candidate.header_is_zero && candidate.first == next && capacity > 0 && capacity % kBlockBytes == 0;
    if (usable) {
      catalog.prepared = next;
      catalog.prepared_capacity = capacity;
    } else if (catalog.active.empty() && candidate.first != 0) {
      return corrupt(segment_name(0), "is missing: only " + candidate.name + " is there, which holds no records yet; restore the log");
    } else {
      catalog.leftovers.push_back(candidate.name);
    }
  }
  return catalog;
}

}  // namespace halfmoon::storage
