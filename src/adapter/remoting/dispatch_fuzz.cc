// SPDX-License-Identifier: Apache-2.0
// The whole broker behind a connection: arbitrary bytes go through sessions to the real core, name server and log. Every request that
// somebody waits for gets exactly one answer, whatever stands around it; never two; nothing answers a one-way request; and what was left in the
// log is replayed by the next start to the same tables.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "adapter/remoting/broken_header.h"
#include "adapter/remoting/remoting_fixture.h"
#include "broker/core.h"
#include "nameserver/route_table.h"
#include "storage/log.h"
#include "storage/snapshot_store.h"
#include "testkit/fuzz_input.h"
#include "testkit/manual_clock.h"
#include "testkit/seeded_random.h"
#include "testkit/sim_disk.h"

namespace {

using namespace halfmoon;
using namespace halfmoon::adapter;

/// Frames with these codes are for the harness; the number is the frame's opaque.
enum Control : std::int32_t {
  kAdvance = 32000,      // ms
  kConnection = 32001,   // which connection speaks from now on
  kReconnect = 32002,
  kRestart = 32003,      // 1: with a snapshot
  kControls = 32004,
};

constexpr std::size_t kConnections = 3;
constexpr std::int64_t kStepMsMax = 10'000'000;
constexpr int kFramesMax = 200;   // of one input

[[noreturn]] void broken(const char* what, std::int32_t opaque, std::int32_t code) {
  std::fprintf(stderr, "dispatch: %s (opaque %d, request code %d)\n", what, opaque, code);
  std::abort();
}

/// One client: its connection, and what it waits for.
struct Client {
  std::shared_ptr<halfmoon::adapter::testing::FakeConnection> connection;
  std::unique_ptr<runtime::Session> session;
  struct Awaited {
    int asked = 0, answered = 0;
    std::int32_t code = 0;
  };
  std::map<std::int32_t, Awaited> by_opaque;

  void asks(std::int32_t opaque, std::int32_t code) {
    Awaited& awaited = by_opaque[opaque];
    awaited.asked++;
    awaited.code = code;
  }
  /// Reads what was written since the last look; all of it must be whole frames that a client can read.
  void take_answers() {
    connection->run_posted();
    const std::string bytes = std::exchange(connection->written, {});
    wire::TextArena arena;
    for (Bytes rest = as_bytes(bytes); !rest.empty();) {
      const auto split = wire::split_frame(rest, std::size_t{1} << 30);
      const auto* frame = std::get_if<wire::Frame>(&split);
      if (frame == nullptr) broken("what was written is no sequence of frames", 0, 0);
      const auto header = wire::decode_header(frame->type, frame->header, arena);
      if (!header.ok()) broken("an answer's header cannot be read", 0, 0);
      rest = rest.subspan(frame->total_bytes);
      if (!header->is_response()) continue;  // a request of ours: a transaction check, a pushed reply
      const auto awaited = by_opaque.find(header->opaque);
      if (awaited == by_opaque.end()) broken("an answer that nobody waits for", header->opaque, header->code);
      if (++awaited->second.answered > awaited->second.asked) broken("a second answer", header->opaque, awaited->second.code);
    }
  }
  void expect_all_answered() const {
    for (const auto& [opaque, awaited] : by_opaque) {
      if (awaited.answered != awaited.asked) broken("a request was not answered", opaque, awaited.code);
    }
  }
};

class World {
 public:
  World() {
    remoting_options_.frame_bytes_max = 1 << 20;
    remoting_ = std::make_unique<Remoting>(monitor_, name_server_, remoting_options_);
    open();
    for (Client& client : clients_) connect(client);
  }
  ~World() { close(); }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  /// `stream`: frames, those of Control among them. `piecewise`: each frame alone, instead of as many as possible at once.
  void run(std::string_view stream, bool piecewise) {
    std::string gathered;
    for (int n = 0; n < kFramesMax && !stream.empty(); ++n) {
      const auto split = wire::split_frame(as_bytes(stream), remoting_options_.frame_bytes_max);
      const auto* frame = std::get_if<wire::Frame>(&split);
      if (frame == nullptr) {
        feed(gathered + std::string(stream));
        gathered.clear();
        break;
      }
      if (!control(*frame, gathered)) {
        gathered += stream.substr(0, frame->total_bytes);
        if (piecewise) feed(std::exchange(gathered, {}));
      }
      stream.remove_prefix(frame->total_bytes);
    }
    if (!gathered.empty()) feed(gathered);
    settle();
  }

  void expect_same_after_restart() {
    // Without clients open half messages wait for a producer on both sides; when a check is due is the one thing that only the living know.
    for (Client& client : clients_) disconnect(client);
    advance(3'600'000);
    const std::string live = tables();
    close();
    open();
    advance(0);
    const std::string replayed = tables();
    if (replayed == live) return;
    const auto differ = std::mismatch(live.begin(), live.begin() + static_cast<std::ptrdiff_t>(std::min(live.size(), replayed.size())), replayed.begin());
    std::fprintf(stderr, "dispatch: the tables have %zu bytes, after a restart %zu, and differ at %td\n", live.size(), replayed.size(), differ.first - live.begin());
    if (const char* file = std::getenv("HALFMOON_FUZZ_TABLES")) {  // both, one behind the other
      std::FILE* out = std::fopen(file, "wb");
      std::fwrite(live.data(), 1, live.size(), out);
      std::fwrite(replayed.data(), 1, replayed.size(), out);
      std::fclose(out);
    }
    broken("a restart gives other tables", 0, 0);
  }

 private:
  void open() {
    storage::LogOptions log_options;
    log_options.segment_bytes = log_options.first_segment_bytes = log_options.ring_bytes = 64 << 10;
    auto opened = storage::Log::open(disk_, random_, log_options);
    HM_CHECK(opened.ok());
    log_ = std::move(*opened);
    broker::CoreOptions options;
    options.body_bytes_max = 8 << 10;
    options.topics_max = 64;
    options.groups_max = 64;
    core_ = std::make_unique<broker::Core>(*log_, random_, *remoting_, *remoting_, options);
    storage::SnapshotStore store(disk_, log_->store_id());
    const auto snapshot = store.newest(INT64_MAX);
    HM_CHECK(snapshot.ok());
    storage::Position from = log_->first_position();
    if (*snapshot) {
      HM_CHECK(core_->restore(**snapshot).ok());
      from = (*snapshot)->position;
    }
    const auto recovered = log_->recover(from, [this](const storage::RecordView& record, std::int64_t wall_ms) { return core_->replay(record, wall_ms); });
    if (!recovered.ok()) {
      std::fprintf(stderr, "dispatch: what the broker wrote cannot be replayed: %s\n", recovered.error().text.c_str());
      std::abort();
    }
    remoting_->serve({*core_, *core_, *core_, *core_, *core_, *core_, *core_});
    monitor_.enter([this](Now) {
      HM_CHECK(core_->start().ok());
      remoting_->register_own(core_->topics(), core_->topics_version());
    });
    make_safe();
  }
  void close() {
    for (Client& client : clients_) disconnect(client);
    core_.reset();
    log_.reset();
  }
  void connect(Client& client) {
    client = {};
    client.connection = std::make_shared<halfmoon::adapter::testing::FakeConnection>();
    client.connection->number = ++connections_;
    client.session = remoting_->broker_sessions()(client.connection);
  }
  void disconnect(Client& client) {
    if (!client.session) return;
    client.session->on_closed();
    client = {};
  }

  /// True if the frame is for the harness, which then has done what it says.
  bool control(const wire::Frame& frame, std::string& gathered) {
    wire::TextArena arena;
    const auto header = wire::decode_header(frame.type, frame.header, arena);
    if (!header.ok() || header->code < kAdvance || header->code >= kControls) return false;
    feed(std::exchange(gathered, {}));
    switch (header->code) {
      case kAdvance: advance(std::clamp<std::int64_t>(header->opaque, 0, kStepMsMax)); break;
      case kConnection: speaking_ = static_cast<std::size_t>(static_cast<std::uint32_t>(header->opaque)) % kConnections; break;
      case kReconnect:
        disconnect(clients_[speaking_]);
        connect(clients_[speaking_]);
        break;
      default: restart(header->opaque == 1); break;
    }
    return true;
  }
  void restart(bool with_snapshot) {
    settle();
    if (with_snapshot) {
      storage::SnapshotStore store(disk_, log_->store_id());
      HM_CHECK(store.write(core_->snapshot()).ok());
    }
    close();
    open();
    for (Client& client : clients_) connect(client);
  }

  void feed(const std::string& bytes) {
    if (bytes.empty()) return;
    Client& client = clients_[speaking_];
    if (!client.session) connect(client);
    note_requests(client, bytes);
    const std::vector<char> exact(bytes.begin(), bytes.end());  // its own size: a read past the end is seen
    const auto consumed = client.session->on_data(as_bytes({exact.data(), exact.size()}));
    HM_CHECK(consumed.bytes <= bytes.size());
    make_safe();
    for (Client& each : clients_) {
      if (each.session) each.take_answers();
    }
    if (consumed.close || consumed.bytes < bytes.size()) disconnect(client);
  }
  /// What of these frames expects an answer.
  void note_requests(Client& client, std::string_view bytes) {
    wire::TextArena arena;
    while (!bytes.empty()) {
      const auto split = wire::split_frame(as_bytes(bytes), remoting_options_.frame_bytes_max);
      const auto* frame = std::get_if<wire::Frame>(&split);
      if (frame == nullptr) return;
      bytes.remove_prefix(frame->total_bytes);
      const auto header = wire::decode_header(frame->type, frame->header, arena);
      if (header.ok()) {
        if (!header->is_response() && !header->is_one_way()) client.asks(header->opaque, header->code);
        continue;
      }
      const auto opaque = opaque_of_broken_header(frame->type, frame->header);
      if (!opaque) return;  // the connection is closed here
      client.asks(*opaque, -1);
    }
  }

  void make_safe() {
    for (int i = 0; i < 64 && log_->flush_pending(); ++i) {
      HM_CHECK(log_->flush().ok());
      monitor_.enter([this](Now) { core_->safe_advanced(); });
    }
  }
  void advance(std::int64_t ms) {
    clock_.advance(ms);
    monitor_.enter([this](Now now) {
      core_->tick();
      remoting_->tick(now);
      name_server_.tick(now);
    });
    make_safe();
    for (Client& client : clients_) {
      if (client.session) client.take_answers();
    }
  }
  /// After so long nobody waits for anything any more.
  void settle() {
    for (const std::int64_t ms : {0, 1000, 20'000, 3'600'000, 1000}) advance(ms);
    for (const Client& client : clients_) client.expect_all_answered();
  }

  /// Everything the log tells, without the time of the last turn.
  std::string tables() {
    constexpr std::size_t kVersionBytes = 4, kTimeBytes = 8;
    std::string payload = core_->snapshot().payload;
    return payload.erase(kVersionBytes, kTimeBytes);
  }

  testkit::SimDisk disk_;
  testkit::ManualClock clock_;
  testkit::SeededRandom random_{7};
  std::unique_ptr<storage::Log> log_;
  std::unique_ptr<broker::Core> core_;
  runtime::Monitor monitor_{clock_, {[this](Now now) { core_->begin(now); }, [this] { core_->end(); }}};
  nameserver::RouteTable name_server_{{.broker_names = 32, .topics = 256, .configs = 32}};
  RemotingOptions remoting_options_{.broker_name = "broker-a", .cluster = "DefaultCluster", .advertised_host = {}, .region = "R", .config = {}, .runtime_info = {}};
  std::unique_ptr<Remoting> remoting_;
  Client clients_[kConnections];
  std::size_t speaking_ = 0;
  std::uint64_t connections_ = 0;
};

}  // namespace

//  | how u8 | frames |
HM_FUZZ_TARGET() {
  const std::uint8_t how = input.byte();
  World world;
  world.run(input.rest(), (how & 1) != 0);
  world.expect_same_after_restart();
}
