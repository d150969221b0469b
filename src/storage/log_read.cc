// SPDX-License-Identifier: Apache-2.0
// The reading side: from the ring, or from the segment's file.
#include <algorithm>
#include <cstring>

#include "storage/log_impl.h"

namespace halfmoon::storage {
namespace {

constexpr std::int64_t kAgainBytes = 64 << 10;
constexpr std::size_t kCopyKept = 2 << 20;

Error no_record(Position position) {
  return {ErrorCode::NotFound, "no record begins at position " + std::to_string(position)};
}

RecordView view_of(const RecordHeader& header, Position position, const std::byte* record) {
  return {.type = static_cast<RecordType>(header.type),
          .epoch = header.epoch,
          .position = position,
          .payload = {record + kRecordHeaderBytes, header.length}};
}

/// Says to the appender that a zone of the ring is being copied from.
class ZoneReader {
 public:
  explicit ZoneReader(std::atomic<std::int32_t>& readers) : readers_(readers) { readers_.fetch_add(1, std::memory_order_seq_cst); }
  ~ZoneReader() { readers_.fetch_sub(1, std::memory_order_release); }
  ZoneReader(const ZoneReader&) = delete;
  ZoneReader& operator=(const ZoneReader&) = delete;

 private:
  std::atomic<std::int32_t>& readers_;
};

}  // namespace

ReadBuffer::ReadBuffer() : state_(std::make_unique<State>()) {}
ReadBuffer::~ReadBuffer() = default;
ReadBuffer::ReadBuffer(ReadBuffer&&) noexcept = default;
ReadBuffer& ReadBuffer::operator=(ReadBuffer&&) noexcept = default;
void ReadBuffer::wait_at_most(std::int64_t patience_ns) { state_->patience_ns = patience_ns; }

Result<RecordView> Log::Impl::read(Position position, ReadBuffer::State& state, Trust trust) const {
  HM_CHECK(recovered);
  // A stranger's position may lie anywhere, also in the BATCH record of the batch that is still open.
  const Position end = (trust == Trust::Known ? finished_end : closed_end).load(std::memory_order_acquire);
  const bool possible = position >= first_position.load(std::memory_order_acquire) && position % 8 == 0 &&
                        position <= end - kRecordHeaderBytes;
  if (!possible) return no_record(position);
  if (auto resident = read_ring(position, end, state, trust)) return std::move(*resident);
  return read_disk(position, state, trust);
}

/// nullopt: not resident.
std::optional<Result<RecordView>> Log::Impl::read_ring(Position position, Position end, ReadBuffer::State& state, Trust trust) const {
  if (position < resident_begin.load(std::memory_order_relaxed)) return std::nullopt;
  RecordHeader header;
  {
    const ZoneReader reading(zone_readers[static_cast<std::size_t>(position / zone_bytes % kZones)]);
    if (position < resident_begin.load(std::memory_order_seq_cst)) return std::nullopt;
    const std::byte* record = ring.at(position);
    header = load_record_header(record);
    if (!header.plausible() || position + header.bytes() > end || header.bytes() > ring.bytes()) return no_record(position);
    std::memcpy(state.room(header.bytes()), record, static_cast<std::size_t>(header.bytes()));
  }
  counters.ring_reads.fetch_add(1, std::memory_order_relaxed);
  if (trust == Trust::Unknown) {
    const auto segment = segment_of(position);
    if (!segment || !record_valid(state.copy.data(), header, segment->seed.at(position))) return no_record(position);
  }
  return view_of(header, position, state.copy.data());
}

std::byte* ReadBuffer::State::room(std::int64_t bytes) {
  const auto wanted = static_cast<std::size_t>(bytes);
  if (copy.size() > kCopyKept && wanted <= kCopyKept) copy = {};
  if (copy.size() < wanted) copy.resize(wanted);
  return copy.data();
}

/// nullopt: not in the window where the last record was, or nothing valid.
std::optional<RecordView> Log::Impl::read_window(Position position, ReadBuffer::State& state) const {
  if (!state.window.holds(windows, position, kRecordHeaderBytes)) return std::nullopt;
  const RecordHeader header = load_record_header(state.window.from(position, kRecordHeaderBytes).data());
  if (!header.plausible() || !state.window.holds(windows, position, header.bytes())) return std::nullopt;
  const Bytes record = state.window.from(position, header.bytes());
  if (!record_valid(record.data(), header, state.seed.at(position))) return std::nullopt;
  return view_of(header, position, record.data());
}

/// `bytes` at `position`, fewer where the source's limit or the file ends: where they lie in one window those, else a copy.
Result<Bytes> Log::Impl::bytes_of(Position position, std::int64_t bytes, const WindowCache::Source& source, ReadBuffer::State& state) const {
  const std::int64_t wanted = std::max<std::int64_t>(0, std::min(bytes, source.limit - position));
  std::byte* copy = nullptr;
  for (std::int64_t done = 0; done < wanted;) {
    const Position at = position + done;
    if (!state.window.holds(windows, at, 1)) {
      HM_TRY(auto, window, windows.at(at, source, state.patience_ns));
      state.window = std::move(window);
    }
    const Bytes part = state.window.holds(windows, at, 1) ? state.window.from(at, wanted - done) : Bytes();
    if (static_cast<std::int64_t>(part.size()) == wanted) return part;
    if (part.empty()) return Bytes(copy, static_cast<std::size_t>(done));
    if (!copy) copy = state.room(wanted);
    std::memcpy(copy + done, part.data(), part.size());
    done += static_cast<std::int64_t>(part.size());
  }
  return Bytes(copy, static_cast<std::size_t>(wanted));
}

Result<RecordView> Log::Impl::read_disk(Position position, ReadBuffer::State& state, Trust trust) const {
  if (auto near = read_window(position, state)) return *near;
  const auto segment = segment_of(position);
  if (!segment) return no_record(position);
  const Position sealed = segment->end.load(std::memory_order_acquire);
  const Position here = written.load(std::memory_order_acquire);
  const Position limit = std::min(sealed == kNoPosition ? segment->header.limit() : sealed, here);
  if (position + kRecordHeaderBytes > limit) return no_record(position);
  const auto opened = reader_of(segment);
  if (!opened.ok()) return position < first_position.load(std::memory_order_acquire) ? no_record(position) : opened.error();

  state.seed = segment->seed;
  const WindowCache::Source source{.file = *opened, .first = segment->header.first, .limit = limit};
  HM_TRY(const Bytes, start, bytes_of(position, kRecordHeaderBytes, source, state));
  if (start.size() < static_cast<std::size_t>(kRecordHeaderBytes)) return no_record(position);
  const RecordHeader header = load_record_header(start.data());
  if (header.plausible() && position + header.bytes() <= limit) {
    HM_TRY(const Bytes, record, bytes_of(position, header.bytes(), source, state));
    const bool whole = static_cast<std::int64_t>(record.size()) == header.bytes();
    if (whole && record_valid(record.data(), header, segment->seed.at(position))) return view_of(header, position, record.data());
  }
  if (trust == Trust::Unknown) return no_record(position);
  windows.forget(position, position + (header.plausible() ? header.bytes() : kRecordHeaderBytes));
  return read_again_from_disk(*segment, position, state);
}

/// The shared handle of the segment; where many are open, the one that was opened first closes.
Result<std::shared_ptr<File>> Log::Impl::reader_of(const std::shared_ptr<Segment>& segment) const {
  HM_TRY(const Segment::Reader, reader, segment->reader(disk));
  if (reader.opened_now) {
    const std::lock_guard lock(open_readers_mutex);
    open_readers.push_back(segment);
    if (open_readers.size() > kOpenReadersMax) {
      open_readers.front()->close_reader(Segment::Close::Idle);
      open_readers.pop_front();
    }
  }
  return reader.file;
}

/// A known record that does not validate: before it is called damaged, its bytes are read once more, and past the page cache, which may hold an older
/// version of a block that was written directly.
Result<RecordView> Log::Impl::read_again_from_disk(const Segment& segment, Position position, ReadBuffer::State& state) const {
  state.window.release();
  FileWindow& window = state.again;
  window.clear();
  HM_TRY(const auto, file, disk.open(segment.name, OpenMode::Read, Caching::Direct));
  const FileWindow::Request request{.first = segment.header.first, .at = position, .bytes = kRecordHeaderBytes, .ahead = kAgainBytes,
                                    .limit = segment.header.limit()};
  HM_TRY(const Bytes, start, window.get(*file, request));
  if (start.size() == static_cast<std::size_t>(kRecordHeaderBytes)) {
    const RecordHeader header = load_record_header(start.data());
    if (header.plausible()) {
      FileWindow::Request all = request;
      all.bytes = header.bytes();
      HM_TRY(const Bytes, record, window.get(*file, all));
      const bool whole = static_cast<std::int64_t>(record.size()) == header.bytes();
      if (whole && record_valid(record.data(), header, segment.seed.at(position))) return view_of(header, position, record.data());
    }
  }
  window.clear();
  return Error{ErrorCode::Corrupt, segment.name + ": byte " + std::to_string(segment.file_byte(position)) + ", position " +
                                       std::to_string(position) + ": the record does not match its checksum"};
}

Result<RecordView> Log::read(Position position, ReadBuffer& buffer) const {
  return impl_->read(position, *buffer.state_, Impl::Trust::Known);
}

Result<RecordView> Log::read_untrusted(Position position, ReadBuffer& buffer) const {
  return impl_->read(position, *buffer.state_, Impl::Trust::Unknown);
}

Position Log::first_position() const { return impl_->first_position.load(std::memory_order_acquire); }

}  // namespace halfmoon::storage
