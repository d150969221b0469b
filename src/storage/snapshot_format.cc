// SPDX-License-Identifier: Apache-2.0
#include "storage/snapshot_format.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/crc.h"
#include "base/cursor.h"

namespace halfmoon::storage {
namespace {

constexpr std::string_view kPrefix = "snapshot-";
constexpr std::size_t kDigits = 20;
constexpr std::size_t kReadBytes = 256 << 10;
constexpr std::size_t kCheckedFrom = 16;   // byte of the file

Error bad(const std::string& name, const std::string& why) { return {ErrorCode::Corrupt, name + ": " + why}; }

/// From the store id on: what both checksums cover first.
std::string encode_middle(const std::array<std::byte, 16>& store_id, const SnapshotDraft& snapshot, std::size_t pieces) {
  std::string middle;
  Writer writer(middle);
  writer.text(as_text(store_id));
  writer.le(snapshot.position());
  writer.le(snapshot.bytes());
  writer.le(static_cast<std::uint32_t>(pieces));
  return middle;
}

std::string encode_lines(std::span<const PlacedPiece> pieces) {
  std::string lines;
  Writer writer(lines);
  for (const PlacedPiece& piece : pieces) {
    writer.le(piece.payload_at);
    writer.le(piece.place.file);
    writer.le(piece.place.length);
    writer.le(piece.place.byte);
    writer.le(piece.place.crc);
    writer.le(std::uint32_t{0});
  }
  return lines;
}

/// Reads all of `out` at `at`.
Status read_fully(File& file, const std::string& name, std::int64_t at, MutableBytes out) {
  HM_TRY(const std::size_t, got, file.read_at(at, out));
  if (got != out.size()) return bad(name, "could not be read to its end");
  return Done{};
}

/// The lines of the pieces. They stand in the order of the payload, and what they take is part of it.
Status decode_lines(Bytes lines, const std::string& name, SnapshotHead& head, std::uint64_t rest) {
  Reader reader(lines);
  std::uint64_t taken = 0, end = 0;
  for (PlacedPiece& piece : head.pieces) {
    piece.payload_at = reader.le<std::uint64_t>();
    piece.place.file = reader.le<std::uint32_t>();
    piece.place.length = reader.le<std::uint32_t>();
    piece.place.byte = reader.le<std::int64_t>();
    piece.place.crc = reader.le<std::uint32_t>();
    if (reader.le<std::uint32_t>() != 0 || piece.payload_at < end || piece.payload_at > head.length || piece.place.length > head.length - piece.payload_at)
      return bad(name, "an impossible piece is named");
    end = piece.payload_at + piece.place.length;
    taken += piece.place.length;
  }
  if (head.length - taken != rest) return bad(name, "its length is wrong");
  return Done{};
}

struct OpenSnapshot {
  std::unique_ptr<File> file;
  SnapshotHead head;
  std::uint32_t crc = 0;   // computed of the head from byte 16 on
};

Result<OpenSnapshot> open_snapshot(Disk& disk, const std::string& name) {
  OpenSnapshot open;
  HM_TRY(auto, file, disk.open(name, OpenMode::Read, Caching::Cached));
  open.file = std::move(file);
  HM_TRY(const std::int64_t, size, open.file->size());
  if (size < static_cast<std::int64_t>(kSnapshotHeaderBytesV1)) return bad(name, "shorter than its header");
  std::array<std::byte, kSnapshotHeaderBytes> header{};
  HM_TRY_STATUS(read_fully(*open.file, name, 0, MutableBytes(header).first(kSnapshotHeaderBytesV1)));
  Reader reader(header);
  if (reader.text(kSnapshotMagic.size()) != kSnapshotMagic) return bad(name, "not a snapshot");
  SnapshotHead& head = open.head;
  head.version = reader.le<std::uint32_t>();
  if (head.version < 1 || head.version > kSnapshotVersion) return bad(name, "format version " + std::to_string(head.version) + " is not known to this program");
  head.crc = reader.le<std::uint32_t>();
  std::memcpy(head.store_id.data(), reader.text(head.store_id.size()).data(), head.store_id.size());
  head.position = reader.le<Position>();
  head.length = reader.le<std::uint64_t>();
  open.crc = crc32c(Bytes(header).first(kSnapshotHeaderBytesV1).subspan(kCheckedFrom));
  const std::uint64_t behind = static_cast<std::uint64_t>(size) - kSnapshotHeaderBytesV1;
  if (head.version == 1) return behind == head.length ? Result<OpenSnapshot>(std::move(open)) : bad(name, "its length is wrong");

  const MutableBytes second = MutableBytes(header).subspan(kSnapshotHeaderBytesV1);
  if (behind < second.size()) return bad(name, "shorter than its header");
  HM_TRY_STATUS(read_fully(*open.file, name, kSnapshotHeaderBytesV1, second));
  const auto pieces = load_le<std::uint32_t>(second.data());
  const auto lines_crc = load_le<std::uint32_t>(second.data() + 4);
  if ((behind - second.size()) / kPieceLineBytes < pieces) return bad(name, "shorter than its list of pieces");
  std::vector<std::byte> lines(pieces * kPieceLineBytes);
  HM_TRY_STATUS(read_fully(*open.file, name, kSnapshotHeaderBytes, lines));
  if (crc32c(lines, crc32c(second.first(4), open.crc)) != lines_crc) return bad(name, "the checksum of its list of pieces is wrong");
  open.crc = crc32c(lines, crc32c(second, open.crc));
  head.pieces.resize(pieces);
  HM_TRY_STATUS(decode_lines(lines, name, head, behind - second.size() - lines.size()));
  return open;
}

/// Reads what is not in pieces to its places, and goes on with its checksum while it is in the processor's cache.
Result<std::uint32_t> read_rest(const OpenSnapshot& open, const std::string& name, MutableBytes payload) {
  std::uint32_t crc = open.crc;
  auto from = static_cast<std::int64_t>(open.head.bytes());
  const auto read_until = [&](std::uint64_t at, std::uint64_t end) -> Status {
    while (at < end) {
      const MutableBytes out = payload.subspan(at, std::min<std::uint64_t>(kReadBytes, end - at));
      HM_TRY_STATUS(read_fully(*open.file, name, from, out));
      crc = crc32c(out, crc);
      at += out.size();
      from += static_cast<std::int64_t>(out.size());
    }
    return Done{};
  };
  std::uint64_t at = 0;
  for (const PlacedPiece& piece : open.head.pieces) {
    HM_TRY_STATUS(read_until(at, piece.payload_at));
    at = piece.payload_at + piece.place.length;
  }
  HM_TRY_STATUS(read_until(at, open.head.length));
  return crc;
}

}  // namespace

std::string snapshot_name(Position position) {
  std::string digits = std::to_string(position);
  digits.insert(0, kDigits - std::min(kDigits, digits.size()), '0');
  return std::string(kPrefix) + digits;
}

std::optional<Position> snapshot_position(std::string_view name) {
  if (name.size() != kPrefix.size() + kDigits || !name.starts_with(kPrefix)) return std::nullopt;
  Position position = 0;
  const auto [end, error] = std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), position);
  if (error != std::errc{} || end != name.data() + name.size() || position < 0) return std::nullopt;
  return position;
}

std::string encode_snapshot_head(const std::array<std::byte, 16>& store_id, const SnapshotDraft& snapshot, std::span<const PlacedPiece> pieces) {
  std::string checked = encode_middle(store_id, snapshot, pieces.size());
  const std::string lines = encode_lines(pieces);
  Writer(checked).le(crc32c(as_bytes(lines), crc32c(as_bytes(checked))));
  checked += lines;
  std::uint32_t crc = crc32c(as_bytes(checked));
  std::uint64_t at = 0;
  auto placed = pieces.begin();
  for (const SnapshotDraft::Piece& piece : snapshot.pieces()) {
    if (placed != pieces.end() && placed->payload_at == at) ++placed;
    else crc = crc32c(piece.bytes, crc);
    at += piece.bytes.size();
  }
  std::string head(kSnapshotMagic);
  Writer front(head);
  front.le(kSnapshotVersion);
  front.le(crc);
  return head + checked;
}

Result<SnapshotHead> read_snapshot_head(Disk& disk, const std::string& name) {
  HM_TRY(OpenSnapshot, open, open_snapshot(disk, name));
  return std::move(open.head);
}

Result<LoadedSnapshot> read_snapshot(Disk& disk, const std::string& name, const std::array<std::byte, 16>* store_id, PieceCopy preferred) {
  HM_TRY(OpenSnapshot, open, open_snapshot(disk, name));
  SnapshotHead& head = open.head;
  if (snapshot_name(head.position) != name) return bad(name, "its position differs from its name");
  if (store_id && head.store_id != *store_id) return bad(name, "it belongs to another store");
  const auto in_name = [&name](const Error& error) { return Error{error.code, error.text.starts_with(name) ? error.text : name + ": " + error.text}; };
  PieceReading pieces(disk, head.pieces, preferred);
  if (const Status opened = pieces.open(); !opened.ok()) return in_name(opened.error());   // so much is there: before memory is taken for it
  const auto memory = std::make_shared<const LargeMemory>(head.length);
  HM_TRY(const std::uint32_t, crc, read_rest(open, name, memory->bytes()));
  if (crc != head.crc) return bad(name, "its checksum is wrong");
  if (const Status read = pieces.read_into(memory->bytes()); !read.ok()) return in_name(read.error());
  LoadedSnapshot snapshot{.position = head.position, .memory = memory, .payload = as_text(memory->bytes())};
  for (std::size_t i = 0; i < head.pieces.size(); i++)
    if (!pieces.from_other(i)) snapshot.pieces.push_back(head.pieces[i]);
  snapshot.pieces_from_other = head.pieces.size() - snapshot.pieces.size();
  return snapshot;
}

}  // namespace halfmoon::storage
