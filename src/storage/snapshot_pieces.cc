// SPDX-License-Identifier: Apache-2.0
#include "storage/snapshot_pieces.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <utility>

#include "base/crc.h"
#include "base/log.h"
#include "storage/aligned_buffer.h"
#include "storage/paced_writer.h"

namespace halfmoon::storage {
namespace {

constexpr std::string_view kPrefix = "pieces-";
constexpr std::string_view kSecond = ".copy";
constexpr std::size_t kDigits = 10;
constexpr std::uint32_t kFileMax = 1 << 30;           // a number that is never reached
constexpr std::int64_t kFileBytes = 64 << 20;         // then the next file is begun

PieceCopy other(PieceCopy copy) { return copy == PieceCopy::First ? PieceCopy::Second : PieceCopy::First; }

}  // namespace

std::string piece_file_name(std::uint32_t file, PieceCopy copy) {
  std::string digits = std::to_string(file);
  digits.insert(0, kDigits - std::min(kDigits, digits.size()), '0');
  return std::string(kPrefix) + digits + std::string(copy == PieceCopy::Second ? kSecond : "");
}

std::optional<std::uint32_t> piece_file_number(std::string_view name) {
  if (name.ends_with(kSecond)) name.remove_suffix(kSecond.size());
  if (name.size() != kPrefix.size() + kDigits || !name.starts_with(kPrefix)) return std::nullopt;
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), number);
  if (error != std::errc{} || end != name.data() + name.size() || number >= kFileMax) return std::nullopt;
  return number;
}

// ------------------------------------------------------------------------------------------------------------------------------------- writing

/// The newest file, if both of its copies are there and it is not full yet; else the next number. Behind everything that stands there: what no snapshot
/// names any more may be named by one that could not be read.
Result<PieceFiles::Here> PieceFiles::find_end() {
  HM_TRY(const auto, names, disk_.list());
  std::optional<std::uint32_t> newest;
  for (const std::string& name : names)
    if (const auto number = piece_file_number(name)) newest = std::max(newest.value_or(0), *number);
  if (!newest) return Here{};
  std::int64_t end = 0;
  for (const PieceCopy copy : {PieceCopy::First, PieceCopy::Second}) {
    const std::string name = piece_file_name(*newest, copy);
    if (std::find(names.begin(), names.end(), name) == names.end()) return Here{.file = *newest + 1, .end = 0};
    HM_TRY(const auto, file, disk_.open(name, OpenMode::Read, Caching::Cached));
    HM_TRY(const std::int64_t, size, file->size());
    end = std::max(end, block_ceiling(size));
  }
  return end < kFileBytes ? Here{.file = *newest, .end = end} : Here{.file = *newest + 1, .end = 0};
}

/// Both copies of a run that ends in the current file, `bytes` in all. Their space is allocated first: a full disk loses none to a part of it.
Status PieceFiles::write_run(std::span<const Bytes> run, std::int64_t bytes, const std::function<void()>& pause) {
  std::array<std::unique_ptr<File>, 2> copies;
  for (const PieceCopy copy : {PieceCopy::First, PieceCopy::Second}) {
    HM_TRY(auto, file, disk_.open(piece_file_name(here_->file, copy), OpenMode::CreateOrOpen, Caching::Cached));
    HM_TRY_STATUS(file->allocate(here_->end + bytes));
    copies[static_cast<std::size_t>(copy)] = std::move(file);
  }
  for (const auto& file : copies) {
    PacedWriter writer(*file, here_->end, pause);
    Status written{Done{}};
    for (std::size_t i = 0; i < run.size() && written.ok(); i++) written = writer.put(run[i]);
    if (written.ok()) written = writer.finish();
    disk_failed_ = disk_failed_ || (!written.ok() && written.error().code == ErrorCode::Io);
    HM_TRY_STATUS(written);
  }
  return Done{};
}

/// As many pieces at a time as the current file takes.
Status PieceFiles::append_in_runs(std::span<const Bytes> pieces, const std::function<void()>& pause, std::vector<PiecePlace>& places) {
  while (!pieces.empty()) {
    if (here_->end >= kFileBytes) *here_ = {.file = here_->file + 1, .end = 0};
    std::size_t n = 0;
    std::int64_t bytes = 0;
    for (; n < pieces.size() && here_->end + bytes < kFileBytes; n++) {
      places.push_back({.file = here_->file, .byte = here_->end + bytes, .length = static_cast<std::uint32_t>(pieces[n].size()), .crc = crc32c(pieces[n])});
      bytes += static_cast<std::int64_t>(pieces[n].size());
    }
    HM_TRY_STATUS(write_run(pieces.first(n), bytes, pause));
    here_->end += block_ceiling(bytes);
    pieces = pieces.subspan(n);
  }
  return Done{};
}

Result<std::vector<PiecePlace>> PieceFiles::append(std::span<const Bytes> pieces, const std::function<void()>& pause) {
  if (!here_) {
    HM_TRY(const Here, end, find_end());
    here_ = end;
  }
  const Here before = *here_;
  std::vector<PiecePlace> places;
  places.reserve(pieces.size());
  const Status written = append_in_runs(pieces, pause, places);
  if (written.ok()) return places;
  remove_files_since(before);
  here_ = before;
  return written.error();
}

/// Gives the space of the files that were begun since then back, if it can; else the next append does with them what it likes.
void PieceFiles::remove_files_since(Here before) {
  for (std::uint32_t file = before.end == 0 ? before.file : before.file + 1; file <= here_->file; file++)
    for (const PieceCopy copy : {PieceCopy::First, PieceCopy::Second}) static_cast<void>(disk_.remove(piece_file_name(file, copy)));
}

Status PieceFiles::keep_only(const std::set<std::uint32_t>& files) {
  HM_TRY(const auto, names, disk_.list());
  for (const std::string& name : names) {
    const auto number = piece_file_number(name);
    if (!number || files.contains(*number) || (here_ && here_->end > 0 && here_->file == *number)) continue;
    HM_TRY_STATUS(disk_.remove(name));
  }
  return Done{};
}

// ------------------------------------------------------------------------------------------------------------------------------------- reading

PieceReading::PieceReading(Disk& disk, std::span<const PlacedPiece> pieces, PieceCopy preferred)
    : disk_(disk), pieces_(pieces), preferred_(preferred), order_(pieces.size()), from_other_(pieces.size()) {
  std::iota(order_.begin(), order_.end(), std::size_t{0});
  std::sort(order_.begin(), order_.end(), [&](std::size_t a, std::size_t b) {
    return std::pair(pieces_[a].place.file, pieces_[a].place.byte) < std::pair(pieces_[b].place.file, pieces_[b].place.byte);
  });
}

Status PieceReading::open() {
  if (order_.empty()) return Done{};
  HM_TRY(auto, names, disk_.list());
  there_ = std::move(names);
  for (std::size_t i = 0; i < order_.size(); i++) {
    const PiecePlace& place = pieces_[order_[i]].place;
    const PiecePlace* const next = i + 1 < order_.size() && pieces_[order_[i + 1]].place.file == place.file ? &pieces_[order_[i + 1]].place : nullptr;
    const auto impossible = [&] { return Error{ErrorCode::Corrupt, piece_file_name(place.file, PieceCopy::First) + ": an impossible piece at byte " + std::to_string(place.byte)}; };
    if (place.file >= kFileMax || place.byte < 0 || place.byte > kFileBytes) return impossible();
    const std::int64_t end = place.byte + place.length;
    if (next && next->byte < end) return impossible();
    if (!next) HM_TRY_STATUS(open_file(place.file, end));
  }
  return Done{};
}

/// Opens the copy that is preferred, or the other one if that is not so long.
Status PieceReading::open_file(std::uint32_t number, std::int64_t bytes) {
  files_.push_back({.number = number, .copies = {}, .told = false});
  Status why{Done{}};
  for (const PieceCopy copy : {preferred_, other(preferred_)}) {
    const Result<File*> file = copy_of(files_.back(), copy);
    const Result<std::int64_t> size = file.ok() ? (*file)->size() : Result<std::int64_t>(file.error());
    if (size.ok() && *size >= bytes) return Done{};
    if (why.ok() || !size.ok()) why = size.ok() ? Error{ErrorCode::Corrupt, piece_file_name(number, copy) + ": shorter than the pieces that it should hold"} : size.error();
  }
  return why;
}

Result<File*> PieceReading::copy_of(OpenFile& file, PieceCopy copy) {
  auto& handle = file.copies[static_cast<std::size_t>(copy)];
  if (!handle) {
    const std::string name = piece_file_name(file.number, copy);
    if (!std::binary_search(there_.begin(), there_.end(), name)) return Error{ErrorCode::Corrupt, name + ": is missing"};
    HM_TRY(auto, opened, disk_.open(name, OpenMode::Read, Caching::Cached));
    handle = std::move(opened);
  }
  return handle.get();
}

Status PieceReading::read_piece(OpenFile& file, std::size_t i, MutableBytes out) {
  const PiecePlace& place = pieces_[i].place;
  Status why{Done{}};
  for (const PieceCopy copy : {preferred_, other(preferred_)}) {
    const std::string name = piece_file_name(file.number, copy);
    const Result<File*> opened = copy_of(file, copy);
    const Result<std::size_t> got = opened.ok() ? (*opened)->read_at(place.byte, out) : Result<std::size_t>(opened.error());
    if (got.ok() && *got == out.size() && crc32c(out) == place.crc) {
      from_other_[i] = copy != preferred_;
      if (copy != preferred_ && !std::exchange(file.told, true))
        log_event(LogLevel::Error, "snapshot.other_copy_served", {{"error", why.error().text}, {"consequence", "its second copy is whole, and it will be written again; look after the disk"}});
      return Done{};
    }
    const Status failed = got.ok() ? Error{ErrorCode::Corrupt, name + ": the piece at byte " + std::to_string(place.byte) + " does not match its checksum"} : got.error();
    if (why.ok() || failed.error().code == ErrorCode::Io) why = failed;
  }
  return why;
}

Status PieceReading::read_into(MutableBytes payload) {
  auto file = files_.begin();
  for (const std::size_t i : order_) {
    const PlacedPiece& piece = pieces_[i];
    while (file->number != piece.place.file) ++file;
    HM_TRY_STATUS(read_piece(*file, i, payload.subspan(piece.payload_at, piece.place.length)));
  }
  return Done{};
}

}  // namespace halfmoon::storage
