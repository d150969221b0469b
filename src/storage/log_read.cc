// SPDX-License-Identifier: Apache-2.0
// The reading side: from the ring, or from the segment's file.
#include <algorithm>
#include <cstring>

#include "storage/log_impl.h"

namespace halfmoon::storage {
namespace {

constexpr std::int64_t kAheadMin = 64 << 10;
constexpr std::int64_t kAheadMax = 1 << 20;

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
    if (state.copy.size() < static_cast<std::size_t>(header.bytes())) state.copy.resize(static_cast<std::size_t>(header.bytes()));
    std::memcpy(state.copy.data(), record, static_cast<std::size_t>(header.bytes()));
  }
  counters.ring_reads.fetch_add(1, std::memory_order_relaxed);
  if (trust == Trust::Unknown) {
    const auto segment = segment_of(position);
    if (!segment || !record_valid(state.copy.data(), header, segment->seed.at(position))) return no_record(position);
  }
  return view_of(header, position, state.copy.data());
}

Result<Bytes> ReadBuffer::State::get(const Wanted& wanted, std::atomic<std::int64_t>& reads) {
  FileWindow::Request request{.first = wanted.first, .at = wanted.position, .bytes = wanted.bytes, .ahead = 0, .limit = wanted.limit};
  const Window* before = nullptr;  // the one that this goes on from
  for (Window& window : windows) {
    if (window.bytes.holds(wanted.first, wanted.position, wanted.bytes)) {
      window.used = ++uses;
      return window.bytes.get(wanted.file, request);
    }
    if (window.bytes.leads_to(wanted.first, wanted.position, window.ahead)) before = &window;
  }
  const std::int64_t ahead = before ? std::min(2 * std::max(before->ahead, kAheadMin), kAheadMax) : kAheadMin;
  Window& window = oldest();
  if (window.bytes.memory() > 2 * kAheadMax && wanted.bytes <= kAheadMax) window.bytes.release();
  reads.fetch_add(1, std::memory_order_relaxed);
  window.ahead = ahead;
  window.used = ++uses;
  // What lies in between is another queue's, and asked for next.
  const std::int64_t between = before ? std::max<std::int64_t>(0, wanted.position - before->bytes.end()) : 0;
  request.at -= between;
  request.bytes += between;
  request.ahead = ahead;
  const bool goes_on = before != nullptr;
  HM_TRY(const Bytes, bytes, window.bytes.get(wanted.file, request));
  if (goes_on) {
    // The disk reads the next piece while this one is worked off; never a block that is still to be written.
    const Position next = window.bytes.end();
    const std::int64_t soon = std::min(std::min(2 * ahead, kAheadMax), block_floor(wanted.limit) - next);
    if (soon > 0) wanted.file.will_need(kSegmentHeaderBytes + next - wanted.first, soon);
  }
  return bytes.subspan(std::min(static_cast<std::size_t>(between), bytes.size()));
}

Result<RecordView> Log::Impl::read_disk(Position position, ReadBuffer::State& state, Trust trust) const {
  const auto segment = segment_of(position);
  if (!segment) return no_record(position);
  const Position sealed = segment->end.load(std::memory_order_acquire);
  const Position here = written.load(std::memory_order_acquire);
  const Position limit = std::min(sealed == kNoPosition ? segment->header.limit() : sealed, here);
  if (position + kRecordHeaderBytes > limit) return no_record(position);
  const auto opened = reader_of(segment);
  if (!opened.ok()) return position < first_position.load(std::memory_order_acquire) ? no_record(position) : opened.error();
  File& file = **opened;

  const auto want = [&](std::int64_t bytes) {
    return state.get({.file = file, .first = segment->header.first, .position = position, .bytes = bytes, .limit = limit}, counters.disk_reads);
  };
  HM_TRY(const Bytes, start, want(kRecordHeaderBytes));
  if (start.size() < static_cast<std::size_t>(kRecordHeaderBytes)) return no_record(position);
  const RecordHeader header = load_record_header(start.data());
  if (header.plausible() && position + header.bytes() <= limit) {
    HM_TRY(const Bytes, record, want(header.bytes()));
    const bool whole = static_cast<std::int64_t>(record.size()) == header.bytes();
    if (whole && record_valid(record.data(), header, segment->seed.at(position))) return view_of(header, position, record.data());
  }
  if (trust == Trust::Unknown) return no_record(position);
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

/// A known record that does not validate: before it is called damaged, its bytes are read past the page cache, which may hold an
/// older version of a block that was written directly.
Result<RecordView> Log::Impl::read_again_from_disk(const Segment& segment, Position position, ReadBuffer::State& state) const {
  for (auto& window : state.windows) window.bytes.clear();
  FileWindow& window = state.oldest().bytes;
  HM_TRY(const auto, file, disk.open(segment.name, OpenMode::Read, Caching::Direct));
  const FileWindow::Request request{.first = segment.header.first, .at = position, .bytes = kRecordHeaderBytes, .ahead = kAheadMin,
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
