// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "storage/disk.h"

namespace halfmoon::storage {

/// Where a piece of a snapshot's payload stands in the piece files (docs/formats/log.md, "Piece files").
struct PiecePlace {
  std::uint32_t file = 0;
  std::int64_t byte = 0;        // in the file
  std::uint32_t length = 0;
  std::uint32_t crc = 0;        // crc32c of the piece
};

/// A piece as a snapshot names it.
struct PlacedPiece {
  std::uint64_t payload_at = 0;   // its first byte in the payload
  PiecePlace place;
};

/// Each piece is written twice, so that one bad sector does not take both of the kept snapshots.
enum class PieceCopy : std::uint8_t { First, Second };

std::string piece_file_name(std::uint32_t file, PieceCopy copy);
std::optional<std::uint32_t> piece_file_number(std::string_view name);   // of either copy

/// The files for those pieces of a snapshot that later ones have too: they are written once and named by each.
class PieceFiles {
 public:
  explicit PieceFiles(Disk& disk) : disk_(disk) {}

  /// Writes the pieces behind what is there, both copies, and syncs them; the names of new files are durable after the caller's sync_directory(). `pause` as
  /// of SnapshotStore::write. After an error nothing of it counts, and the next call writes over it. Errors: DiskFull, Io.
  Result<std::vector<PiecePlace>> append(std::span<const Bytes> pieces, const std::function<void()>& pause);
  /// As SnapshotStore::disk_failed.
  bool disk_failed() const { return disk_failed_; }
  /// Removes all files but those of these numbers and the one that goes on being written. Errors: Io.
  Status keep_only(const std::set<std::uint32_t>& files);

 private:
  struct Here {
    std::uint32_t file = 0;
    std::int64_t end = 0;   // behind its last piece, a multiple of 4096; 0: there is no such file yet
  };
  Result<Here> find_end();
  Status write_run(std::span<const Bytes> run, std::int64_t bytes, const std::function<void()>& pause);
  Status append_in_runs(std::span<const Bytes> pieces, const std::function<void()>& pause, std::vector<PiecePlace>& places);
  void remove_files_since(Here before);

  Disk& disk_;
  bool disk_failed_ = false;
  std::optional<Here> here_;   // where the next piece goes; nullopt: not looked for yet
};

/// Reads pieces, each from the preferred copy, or else from the other one (event `snapshot.other_copy_served`, once a file).
class PieceReading {
 public:
  PieceReading(Disk& disk, std::span<const PlacedPiece> pieces, PieceCopy preferred);
  /// Opens the files. Errors: Corrupt where a file is missing, a piece lies behind its file's end, or two overlap; Io; naming the file.
  Status open();
  /// Reads them all to their places in the payload. Errors: Corrupt, Io, naming the file: neither copy serves.
  Status read_into(MutableBytes payload);
  /// Whether pieces[i] could be read from the other copy only: it is to be written anew.
  bool from_other(std::size_t i) const { return from_other_[i]; }

 private:
  struct OpenFile {
    std::uint32_t number = 0;
    std::array<std::unique_ptr<File>, 2> copies;
    bool told = false;
  };
  Status open_file(std::uint32_t number, std::int64_t bytes);
  Result<File*> copy_of(OpenFile& file, PieceCopy copy);
  Status read_piece(OpenFile& file, std::size_t i, MutableBytes out);

  Disk& disk_;
  std::span<const PlacedPiece> pieces_;
  PieceCopy preferred_;
  std::vector<std::size_t> order_;      // of the pieces, as they stand in the files
  std::vector<OpenFile> files_;         // in that order
  std::vector<std::string> there_;      // the names in the directory
  std::vector<bool> from_other_;
};

}  // namespace halfmoon::storage
