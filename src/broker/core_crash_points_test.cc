// SPDX-License-Identifier: Apache-2.0
// Short histories of transactions, with a crash at every point: the log cut at each record and in the middle of each, and each disk call that changes
// something the last one. What is there afterwards must be what a small model says of some moment that is not before the last answer; and it goes on so.
#include <cstdio>
#include <sstream>

#include "base/log.h"
#include "storage/record_format.h"
#include "testkit/core_fixture.h"

namespace halfmoon::testkit {
namespace {

using broker::Verdict;
using storage::Position;

constexpr int kAnswersMax = 2;           // the second "unknown" parks
constexpr std::int64_t kStepMs = 30000;  // of `a`: whatever is open is due after it
constexpr std::int64_t kDelayMs = 20000;
constexpr int kHalves = 4;

/// Steps, one turn each, but for S:
///   pN      channel N comes as a producer; xN  it closes
///   hN, dN  half message N is sent by the last producer that came; d: with a delay of 20 s
///   a       30 s pass
///   uN cN rN   a producer answers the check about N with "unknown", commits, rolls back
///   CN RN sN   an operator commits, rolls back, resumes
///   S       a snapshot is written
constexpr const char* kScripts[] = {
    "p1 h0 c0 r0 c0",
    "p1 h0 r0 c0 r0 a",
    "p1 h0 a u0 a c0 r0",
    "p1 h0 a u0 a u0 a s0 u0 c0",
    "p1 h0 a u0 a u0 R0 c0 R0 a",
    "p1 h0 h1 a u0 S u1 a u0 C0 u1 s1 a r1 c1",
    "p1 d0 d1 S c0 r1 a S r0 a",
    "p1 p2 h0 h1 a x2 u0 a u1 c0 x1 a p3 r1",
    "h0 a S h1 a p1 c1 u0 S a C0 R0",
    "p1 h0 d1 h2 h3 a u2 c0 S c1 r2 a u3 a S u3 c3 r0 a",
    "p1 h0 S S c0 S r0 S d1 C1 a S",
};

std::vector<std::string> words(const std::string& script) {
  std::istringstream in(script);
  std::vector<std::string> list;
  for (std::string word; in >> word;) list.push_back(word);
  return list;
}

/// What the page says of half messages, and nothing else: no log, no clock.
struct Model {
  struct Half {
    char state = '-';                    // - not sent, p pending, k parked, c committed, r rolled back
    int answered = 0;
    bool delayed = false, due = false;   // due: nobody was there to be asked
    int sender = 0, asked = 0;
    std::string history;
  };
  Half halves[kHalves];
  std::vector<int> delivered;
  std::vector<std::pair<int, std::int64_t>> delays;  // committed and not yet delivered: when they are due
  std::int64_t at_ms = 0;
  int parked = 0;
  int last_producer = 0;
  std::vector<int> producers;

  void note(int n, const char* event) { halves[n].history += std::string(halves[n].history.empty() ? "" : ", ") + event; }
  bool there(int channel) const { return std::find(producers.begin(), producers.end(), channel) != producers.end(); }
  void ask(int n) {
    Half& h = halves[n];
    h.due = producers.empty();
    h.asked = h.due ? 0 : there(h.sender) ? h.sender : producers.front();
    if (!h.due) note(n, "asked");
  }
  void end(int n, bool commit) {
    Half& h = halves[n];
    if (h.state == '-') return;
    const char wanted = commit ? 'c' : 'r';
    if (h.state == 'c' || h.state == 'r') {
      if (h.state != wanted) note(n, "refused");
      return;
    }
    h.state = wanted;
    h.asked = 0;
    note(n, commit ? "committed" : "rolled back");
    if (commit && h.delayed) delays.emplace_back(n, at_ms + kDelayMs);
    else if (commit) delivered.push_back(n);
  }
  void pass(std::int64_t until_ms) {
    at_ms = until_ms;
    while (!delays.empty() && delays.front().second < at_ms) {
      delivered.push_back(delays.front().first);
      delays.erase(delays.begin());
    }
  }
  void step(const std::string& word) {
    const int n = word.size() > 1 ? word[1] - '0' : 0;
    switch (word[0]) {
      case 'p':
        producers.push_back(last_producer = n);
        for (int i = 0; i < kHalves; i++)
          if (halves[i].state == 'p' && halves[i].due) ask(i);
        return;
      case 'x':
        std::erase(producers, n);
        if (last_producer == n) last_producer = producers.empty() ? 0 : producers.back();
        for (int i = 0; i < kHalves; i++)
          if (halves[i].state == 'p' && halves[i].asked == n) ask(i);
        return;
      case 'h': case 'd':
        halves[n] = {.state = 'p', .answered = 0, .delayed = word[0] == 'd', .due = false, .sender = last_producer, .asked = 0, .history = {}};
        return note(n, "sent");
      case 'a':
        pass(at_ms + kStepMs);
        for (int i = 0; i < kHalves; i++)
          if (halves[i].state == 'p') ask(i);
        return;
      case 'u':
        if (halves[n].state != 'p' || halves[n].asked == 0) return;
        halves[n].asked = 0;
        note(n, "unknown");
        if (++halves[n].answered < kAnswersMax) return;
        halves[n].state = 'k';
        parked++;
        return note(n, "parked");
      case 'c': case 'C': return end(n, true);
      case 'r': case 'R': return end(n, false);
      case 's':
        if (halves[n].state != 'k') return;
        halves[n].state = 'p';
        halves[n].answered = 0;
        note(n, "resumed");
        return ask(n);
      default: return;
    }
  }
  /// Connections, and what was asked over them, do not outlive a crash; and time has gone on.
  void crash(std::int64_t until_ms) {
    pass(until_ms);
    producers.clear();
    last_producer = 0;
    for (Half& h : halves) h.sender = h.asked = 0, h.due = false;
  }
  std::string told() const {
    std::string out;
    for (const Half& h : halves)
      if (h.state != '-') out += std::string(1, h.state) + std::to_string(h.answered) + " [" + h.history + "]; ";
    out += "T:";
    for (const int n : delivered) out += " m" + std::to_string(n);
    return out + "; parked: " + std::to_string(parked);
  }
};

/// What an answer says of the log: nothing, that all before the step is safe, or that the step is safe too.
enum class Ack { None, Before, Step };

/// One broker's life on a disk of its own.
class Life : public CoreFixture {
 public:
  Life() {
    options.check_max = kAnswersMax;
    log_options.segment_bytes = log_options.first_segment_bytes = 256 << 10;
    log_options.ring_bytes = storage::Log::kRingBytesMin;
    open();
    turn([&] {
      model::TopicConfig topic;
      topic.name = "T";
      core->put_topic(topic, [](Result<Done>&&) {});
    });
    told();  // makes the reading group: from now on looking writes nothing
  }
  ~Life() override { close(); }
  void TestBody() override {}

  Ack step(const std::string& word) {
    const int n = word.size() > 1 ? word[1] - '0' : 0;
    switch (word[0]) {
      case 'p':
        producer(static_cast<std::uint64_t>(n));
        producers_.push_back(n);
        return Ack::None;
      case 'x':
        std::erase(producers_, n);
        disconnect(static_cast<std::uint64_t>(n));
        return Ack::None;
      case 'h': case 'd': return send_half(n, word[0] == 'd');
      case 'a': advance(kStepMs); return Ack::None;
      case 'u': end(n, Verdict::Unknown, true); return Ack::None;
      case 'c': return end(n, Verdict::Commit, false);
      case 'r': return end(n, Verdict::Rollback, false);
      case 'C': return operate(n, [](auto& c, const auto& r, auto reply) { c.decide_transaction(r, Verdict::Commit, std::move(reply)); });
      case 'R': return operate(n, [](auto& c, const auto& r, auto reply) { c.decide_transaction(r, Verdict::Rollback, std::move(reply)); });
      case 's': return operate(n, [](auto& c, const auto& r, auto reply) { c.resume_transaction(r, std::move(reply)); });
      case 'S': return try_snapshot();
      default: ADD_FAILURE() << word; return Ack::None;
    }
  }
  std::string told() {
    static const char* const kKinds[] = {"sent", "asked", "unknown", "parked", "resumed", "committed", "rolled back", "refused"};
    std::string out;
    const auto transactions = core->make_transaction_reader();
    for (int n = 0; n < kHalves; n++) {
      const auto info = halves[n] ? core->transaction(halves[n]->position) : Result<broker::TransactionInfo>(Error{});
      if (!info.ok()) continue;
      out += std::string(1, "ppkcr"[static_cast<int>(info->state)]) + std::to_string(info->state <= broker::TransactionState::Parked ? info->answered : last_answered(*transactions, *info)) + " [";
      const auto history = transactions->history(info->position, info->last_event, 100);
      if (!history.ok() || history->begin != broker::HistoryBegin::Complete) return out + "the history cannot be read";
      for (std::size_t i = 0; i < history->events.size(); i++) out += (i == 0 ? "" : ", ") + std::string(kKinds[static_cast<int>(history->events[i].kind)]);
      out += "]; ";
    }
    out += "T:";
    for (const std::string& body : bodies("T")) out += " " + body;
    return out + "; parked: " + std::to_string(bodies("TRANS_CHECK_MAX_TIME_TOPIC").size());
  }
  void crash_now(SimDisk::Loss loss) {
    disk.heal();
    producers_.clear();
    crash(loss);
  }

  std::int64_t elapsed_ms() { return clock.now().mono_ms - began_ms_; }

  std::optional<broker::SendResult> halves[kHalves];

 private:
  Ack send_half(int n, bool delayed) {
    Properties properties = {{"TRAN_MSG", "true"}, {"PGROUP", "PG"}, {"UNIQ_KEY", "KEY-m" + std::to_string(n)}};
    if (delayed) properties.emplace_back("TIMER_DELAY_MS", std::to_string(kDelayMs));
    const auto sent = send_later("T", "m" + std::to_string(n), properties, 0, producers_.empty() ? 0 : static_cast<std::uint64_t>(producers_.back()));
    if (!*sent || !(*sent)->ok()) return Ack::None;
    halves[n] = std::move((*sent)->value());
    return Ack::Step;
  }
  static Ack ack_of(const std::optional<Result<Done>>& answer) {
    if (!answer) return Ack::None;
    if (answer->ok()) return Ack::Step;
    return answer->error().code == ErrorCode::IllegalOperation ? Ack::Before : Ack::None;
  }
  Ack end(int n, Verdict verdict, bool from_check) {
    if (!halves[n]) return Ack::None;
    const auto answer = std::make_shared<std::optional<Result<Done>>>();  // may come when the core is closed
    turn([&] {
      broker::EndTransactionRequest r;
      r.producer_group = "PG";
      r.half_position = halves[n]->position;
      r.half_offset = halves[n]->queue_offset;
      r.verdict = verdict;
      r.from_check = from_check;
      core->end_transaction(r, [answer](Result<Done>&& result) { *answer = std::move(result); });
    });
    return ack_of(*answer);
  }
  template <class F>
  Ack operate(int n, F f) {
    if (!halves[n]) return Ack::None;
    const auto answer = std::make_shared<std::optional<Result<Done>>>();  // may come when the core is closed
    const broker::OperatorRequest request{
        .half_position = halves[n]->position, .unique_key = {}, .operator_name = "eve", .reason = "ticket 1", .channel = {}, .address = {}};
    turn([&] { f(*core, request, Reply<Done>([answer](Result<Done>&& result) { *answer = std::move(result); })); });
    return ack_of(*answer);
  }
  Ack try_snapshot() {
    const storage::Snapshot s = core->snapshot();
    if (!log->flush().ok()) return Ack::None;
    storage::SnapshotStore store(disk, log->store_id());
    (void)store.write(s);
    return Ack::Before;
  }
  // What has ended says no count of its own: by its history.
  static std::size_t last_answered(broker::TransactionReader& reader, const broker::TransactionInfo& info) {
    const auto history = reader.history(info.position, info.last_event, 100);
    std::size_t count = 0;
    if (!history.ok()) return count;
    for (const auto& e : history->events) {
      if (e.kind == broker::TransactionEventKind::AnsweredUnknown) count++;
      if (e.kind == broker::TransactionEventKind::Resumed) count = 0;
    }
    return count;
  }
  std::vector<int> producers_;
  const std::int64_t began_ms_ = clock.now().mono_ms;
};

/// A script that no crash disturbs: what the model says after each step, and where the log ends then.
struct Golden {
  std::vector<std::string> steps;
  std::vector<Model> models;             // [k] after k steps
  std::vector<Position> ends;
  std::vector<Position> records;         // where each record of the steps begins, in order
  std::vector<Position> snapshots;       // the log's end at each
  std::int64_t changes = 0;              // of the disk, by the steps
  std::optional<broker::SendResult> halves[kHalves];
};

class CrashPoints : public ::testing::Test {
 protected:
  void SetUp() override { set_log_level(LogLevel::Error); }
  void TearDown() override { set_log_level(LogLevel::Info); }

  static Golden undisturbed(const std::string& script) {
    Golden golden;
    Life life;
    Model model;
    const std::int64_t changes = life.disk.changes();
    golden.steps = words(script);
    golden.models.push_back(model);
    golden.ends.push_back(life.log->end());
    for (const std::string& word : golden.steps) {
      life.step(word);
      model.step(word);
      EXPECT_EQ(life.told(), model.told()) << script << ", at " << word;
      golden.models.push_back(model);
      golden.ends.push_back(life.log->end());
      if (word[0] == 'S') golden.snapshots.push_back(life.log->end());
    }
    golden.changes = life.disk.changes() - changes;
    std::copy(std::begin(life.halves), std::end(life.halves), std::begin(golden.halves));
    storage::ReadBuffer buffer;
    for (Position at = golden.ends.front(); at < golden.ends.back();) {
      const auto record = life.log->read_untrusted(at, buffer);
      EXPECT_TRUE(record.ok()) << at;
      if (!record.ok()) break;
      golden.records.push_back(at);
      at += storage::record_bytes(static_cast<std::int64_t>(record->payload.size()));
    }
    return golden;
  }

  /// The life has just begun again: it is at one of the moments from `least` to `most`, and goes on from there as the model says.
  static void expect_goes_on(const Golden& golden, Life& life, std::size_t least, std::size_t most) {
    std::copy(std::begin(golden.halves), std::end(golden.halves), std::begin(life.halves));
    const std::string found = life.told();
    for (std::size_t k = most + 1; k-- > least;) {
      Model model = golden.models[k];
      model.crash(life.elapsed_ms());
      if (model.told() == found) return expect_same(model, life);
    }
    ADD_FAILURE() << "found " << found << "\nwhich is none of steps " << least << " to " << most << ", from " << golden.models[least].told() << "\nto "
                  << golden.models[most].told();
  }
  static void expect_same(Model& model, Life& life) {
    std::string more = "a p9 ";
    for (int n = 0; n < kHalves; n++) {
      const std::string i = std::to_string(n);
      switch (model.halves[n].state) {
        case 'p': more += "u" + i + " c" + i + " r" + i + " c" + i + " "; break;
        case 'k': more += "s" + i + " r" + i + " c" + i + " "; break;
        case 'c': more += "r" + i + " c" + i + " "; break;
        case 'r': more += "c" + i + " r" + i + " "; break;
        default: break;
      }
    }
    for (const std::string& word : words(more + "a")) {
      life.step(word);
      model.step(word);
      ASSERT_EQ(life.told(), model.told()) << "after the crash, at " << word << " of " << more;
    }
    life.crash_now(SimDisk::Loss::Everything);
    EXPECT_EQ(life.told(), model.told()) << "after one more crash";
  }

  int points_ = 0;
};

TEST_F(CrashPoints, LogCutAtEachRecordAndInTheMiddleOfEach) {
  const std::string file = "00000000000000000000.seg";
  for (const char* script : kScripts) {
    const Golden golden = undisturbed(script);
    for (const Position record : golden.records) {
      for (const Position cut : {record, record + 12}) {
        SCOPED_TRACE(std::string(script) + ", cut at " + std::to_string(cut));
        // A snapshot is written when what it rests on is on disk: a cut before its place happens only while it is not there.
        std::size_t steps = 0;
        while (steps + 1 < golden.ends.size() && golden.ends[steps] <= cut) steps++;
        const auto snapshots = std::count_if(golden.snapshots.begin(), golden.snapshots.end(), [&](Position p) { return p > cut; });
        Life life;
        for (std::size_t i = 0; i < steps; i++)
          if (golden.steps[i][0] != 'S' || snapshots == 0 || golden.ends[i + 1] <= cut) life.step(golden.steps[i]);
        const Position end = life.log->end();
        ASSERT_GT(end, cut);
        const auto at = 4096 + cut - life.log->segments().front().first;
        life.close();
        life.disk.corrupt(file, at, std::string(static_cast<std::size_t>(end - cut), '\0'));
        life.crash_now(SimDisk::Loss::Everything);
        points_++;
        std::size_t kept = 0;
        while (kept + 1 < golden.ends.size() && golden.ends[kept + 1] <= cut) kept++;
        expect_goes_on(golden, life, kept, kept);
        if (HasFatalFailure() || HasNonfatalFailure()) return;
      }
    }
  }
  std::printf("%d cuts\n", points_);
  EXPECT_GT(points_, 200);
}

TEST_F(CrashPoints, EachDiskCallIsTheLast) {
  for (const char* script : kScripts) {
    const Golden golden = undisturbed(script);
    for (std::int64_t nth = 1; nth <= golden.changes; nth++) {
      for (const std::int64_t bytes_done : {0, 512, 4096}) {
        for (const auto loss : {SimDisk::Loss::Nothing, SimDisk::Loss::Everything, SimDisk::Loss::RandomSectors}) {
          SCOPED_TRACE(std::string(script) + ", disk call " + std::to_string(nth) + " does " + std::to_string(bytes_done) + " bytes, loss " + std::to_string(static_cast<int>(loss)));
          Life life;
          life.random = SeededRandom{static_cast<std::uint64_t>(nth * 100 + bytes_done)};
          life.disk.fail({.call = std::nullopt, .nth = nth, .code = ErrorCode::Io, .bytes_done = bytes_done, .repeat = SimDisk::Fault::Repeat::Forever});
          std::size_t answered = 0, steps = 0;
          const std::int64_t until = life.disk.changes() + nth;
          while (steps < golden.steps.size() && life.disk.changes() < until) {
            const Ack ack = life.step(golden.steps[steps++]);
            if (ack != Ack::None) answered = ack == Ack::Step ? steps : std::max(answered, steps - 1);
          }
          life.crash_now(loss);
          points_++;
          expect_goes_on(golden, life, answered, steps);
          if (HasFatalFailure() || HasNonfatalFailure()) return;
        }
      }
    }
  }
  std::printf("%d crashes\n", points_);
  EXPECT_GT(points_, 1000);
}

}  // namespace
}  // namespace halfmoon::testkit
