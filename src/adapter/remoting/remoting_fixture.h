// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "adapter/remoting/remoting.h"
#include "wire/remoting/frame_writer.h"
#include "wire/remoting/header.h"

/// For this folder's tests only: a connection in memory, a broker that remembers what it was asked, and frames in and out.
namespace halfmoon::adapter::testing {

struct FakeClock final : Clock {
  Now time{1'000'000, 5'000};
  Now now() override { return time; }
};

struct FakeConnection final : runtime::Connection {
  std::uint64_t number = 1;
  runtime::SocketAddress remote_address{"192.0.2.7", 40001}, local_address{"198.51.100.3", 10909};
  std::string written;
  bool is_closed = false, own_thread = true, others_wait = false;
  std::vector<runtime::Task> posted;

  std::uint64_t id() const override { return number; }
  const runtime::SocketAddress& remote() const override { return remote_address; }
  const runtime::SocketAddress& local() const override { return local_address; }
  std::string& out() override { return written; }
  void close() override { is_closed = true; }
  bool closed() const override { return is_closed; }
  bool hurried() const override { return others_wait; }
  bool on_own_thread() const override { return own_thread; }
  void post(runtime::Task task) override { posted.push_back(std::move(task)); }
  void run_posted() {
    const bool before = std::exchange(own_thread, true);
    auto tasks = std::move(posted);
    posted.clear();
    for (auto& task : tasks) task();
    own_thread = before;
  }
};

/// The message of every render: a made-up image, or an Error.
struct FakeReader final : broker::MessageReader {
  std::map<std::int64_t, std::string> images;   // by position
  std::map<std::int64_t, ErrorCode> failures;
  std::map<std::int64_t, broker::HalfNames> forgotten;  // half messages whose names the core has no more
  std::map<std::int64_t, int> not_yet;   // so often the disk has not brought it, to those whose patience has an end
  std::int64_t patience_ns = -1;
  void wait_at_most(std::int64_t ns) override { patience_ns = ns; }
  Status render(broker::Extent extent, std::string& out) override {
    if (patience_ns >= 0 && not_yet[extent.position] > 0) {
      --not_yet[extent.position];
      return Error{ErrorCode::Busy, "not yet"};
    }
    if (const auto failed = failures.find(extent.position); failed != failures.end()) return Error{failed->second, "unreadable"};
    out += images.contains(extent.position) ? images[extent.position] : "<" + std::to_string(extent.position) + ">";
    return Done{};
  }
  Status render_half(std::int64_t position, std::string& out) override { return render({position, 0}, out); }
  Result<std::unique_ptr<broker::HalfNames>> forgotten_half(std::int64_t position) override {
    if (const auto failed = failures.find(position); failed != failures.end()) return Error{failed->second, "unreadable"};
    const auto found = forgotten.find(position);
    return found == forgotten.end() ? nullptr : std::make_unique<broker::HalfNames>(found->second);
  }
  Result<std::unique_ptr<broker::StoredMessage>> find(std::int64_t position) override {
    const auto found = images.find(position);
    if (found == images.end()) return Error{ErrorCode::NotFound, "nothing there"};
    auto message = std::make_unique<broker::StoredMessage>();
    message->body = found->second;
    message->topic = "T";
    message->fields.body = message->body;
    message->fields.topic = message->topic;
    message->fields.position = position;
    return message;
  }
};

/// Shares one FakeReader among all sessions.
struct ReaderHandle final : broker::MessageReader {
  explicit ReaderHandle(FakeReader& r) : reader(r) {}
  FakeReader& reader;
  void wait_at_most(std::int64_t ns) override { reader.wait_at_most(ns); }
  Status render(broker::Extent e, std::string& out) override { return reader.render(e, out); }
  Status render_half(std::int64_t p, std::string& out) override { return reader.render_half(p, out); }
  Result<std::unique_ptr<broker::HalfNames>> forgotten_half(std::int64_t p) override { return reader.forgotten_half(p); }
  Result<std::unique_ptr<broker::StoredMessage>> find(std::int64_t p) override { return reader.find(p); }
};

/// Half messages of which everything is made up from the position.
struct FakeTransactionReader final : broker::TransactionReader {
  Result<broker::TransactionMessage> message(std::int64_t position) override {
    broker::TransactionMessage m;
    if (position == 404) return Error{ErrorCode::NotFound, "not there any more"};
    m.unique_key = "KEY-" + std::to_string(position);
    m.topic = "T";
    m.tags = "TagA";
    m.body_bytes = 5;
    m.born_ms = 900;
    return m;
  }
  Result<broker::TransactionHistory> history(std::int64_t position, std::int64_t last_event, std::size_t events_max) override {
    if (position == 404) return Error{ErrorCode::NotFound, "not there any more"};
    broker::TransactionHistory h;
    broker::TransactionEvent e;
    e.kind = broker::TransactionEventKind::Sent;
    e.actor = broker::TransactionActor::Producer;
    e.wall_ms = last_event;
    h.events.push_back(e);
    e.kind = broker::TransactionEventKind::Refused;
    e.actor = broker::TransactionActor::Operator;
    e.operator_name = "eve";
    e.commit = true;
    e.count = static_cast<std::int64_t>(events_max);
    h.events.push_back(e);
    h.begin = broker::HistoryBegin::NotRetained;
    return h;
  }
};

/// A request with its views copied.
struct SeenSend {
  std::string group, topic, default_topic, properties, body;
  broker::SendRequest request;
  std::vector<std::pair<std::string, std::string>> items;  // body, properties
};
struct SeenPull {
  std::string group, topic;
  broker::PullRequest request;
  std::optional<model::Subscription> subscription;
};

class FakeBroker final : public broker::Producing, public broker::Transactions, public broker::Consuming, public broker::Clients,
                         public broker::Admin, public broker::MessageReaders, public broker::TransactionOperations {
 public:
  // What was asked.
  std::vector<SeenSend> sends;
  std::vector<SeenPull> pulls;
  std::vector<broker::Heartbeat> beats;
  std::vector<std::string> calls;   // everything else, as text
  // What is answered.
  std::optional<Error> error;                     // by every port
  std::optional<broker::SendResult> send_result;  // none: the replies are kept
  std::vector<Reply<broker::SendResult>> held_sends;
  std::optional<broker::PullResult> pull_result;
  std::vector<Reply<broker::PullResult>> held_pulls;
  std::map<std::string, model::TopicConfig> topic_table;
  broker::TransactionPage transaction_page;
  FakeReader reader;

  void foresee(std::span<const broker::SendPlace> places) override {
    std::string call = "foresee";
    for (const broker::SendPlace& place : places) call += " " + std::string(place.topic) + "/" + std::to_string(place.queue_id);
    calls.push_back(call + " after " + std::to_string(sends.size()) + " sends");
  }
  void send(const broker::SendRequest& r, Reply<broker::SendResult> reply) override { take_send(r, {}, std::move(reply)); }
  void send_batch(const broker::SendRequest& r, const std::vector<broker::BatchItem>& items, Reply<broker::SendResult> reply) override {
    take_send(r, items, std::move(reply));
  }
  void send_reply(const broker::SendRequest& r, Reply<broker::SendResult> reply) override { take_send(r, {}, std::move(reply)); }
  void send_back(const broker::SendBackRequest& r, Reply<Done> reply) override {
    done("send_back " + r.message->body + " " + std::string(r.group) + " level " + std::to_string(r.delay_level) + " max " +
             std::to_string(r.max_reconsume_times.value_or(-1)),
         std::move(reply));
  }
  void end_transaction(const broker::EndTransactionRequest& r, Reply<Done> reply) override {
    done("end " + std::string(r.producer_group) + " " + std::to_string(r.half_position) + "/" + std::to_string(r.half_offset) + " verdict " +
             std::to_string(static_cast<int>(r.verdict)) + (r.from_check ? " checked " : " ") + std::string(r.message_id) +
             (r.names ? " stored as " + r.names->producer_group + " " + std::to_string(r.names->half_offset) + " " + r.names->unique_key : "") +
             (r.looked_up ? "" : " without looking"),
         std::move(reply));
  }

  broker::TransactionPage list_transactions(const broker::TransactionFilter& f, std::int64_t cursor, std::size_t limit) override {
    calls.push_back("list " + std::to_string(f.states) + " " + std::string(f.group) + " " + std::string(f.topic) + " " + std::string(f.unique_key) + " older " +
                    std::to_string(f.older_than_ms.value_or(-1)) + " younger " + std::to_string(f.younger_than_ms.value_or(-1)) + " from " +
                    std::to_string(cursor) + " limit " + std::to_string(limit));
    return transaction_page;
  }
  Result<broker::TransactionInfo> transaction(std::int64_t position) override {
    calls.push_back("transaction " + std::to_string(position));
    if (error) return *error;
    broker::TransactionInfo info;
    info.position = position;
    info.state = broker::TransactionState::Parked;
    info.topic = "T";
    info.group = "PG";
    info.last_event = 1000;
    return info;
  }
  void decide_transaction(const broker::OperatorRequest& r, broker::Verdict verdict, Reply<Done> reply) override {
    done("decide " + text_of(r) + (verdict == broker::Verdict::Commit ? " commit" : " rollback"), std::move(reply));
  }
  void resume_transaction(const broker::OperatorRequest& r, Reply<Done> reply) override { done("resume " + text_of(r), std::move(reply)); }
  std::unique_ptr<broker::TransactionReader> make_transaction_reader() override { return std::make_unique<FakeTransactionReader>(); }

  void pull(const broker::PullRequest& r, Reply<broker::PullResult> reply) override {
    pulls.push_back({std::string(r.group), std::string(r.topic), r, {}});
    if (r.subscription != nullptr) pulls.back().subscription = *r.subscription;
    if (error) reply(Error(*error));
    else if (pull_result) reply(broker::PullResult(*pull_result));
    else held_pulls.push_back(std::move(reply));
  }
  Result<std::int64_t> committed_offset(std::string_view g, broker::QueueRef q, bool zero) override {
    return number("committed " + std::string(g) + " " + name(q) + (zero ? " zero" : ""));
  }
  void commit_offset(std::string_view g, broker::QueueRef q, std::int64_t offset, Reply<Done> reply) override {
    done("commit " + std::string(g) + " " + name(q) + " " + std::to_string(offset), std::move(reply));
  }
  Result<std::int64_t> max_offset(broker::QueueRef q) override { return number("max " + name(q)); }
  Result<std::int64_t> min_offset(broker::QueueRef q) override { return number("min " + name(q)); }
  Result<std::int64_t> offset_at_time(broker::QueueRef q, std::int64_t ms, broker::Boundary b) override {
    return number("at " + name(q) + " " + std::to_string(ms) + (b == broker::Boundary::Upper ? " upper" : " lower"));
  }
  Result<std::int64_t> earliest_store_time(broker::QueueRef q) override { return number("earliest " + name(q)); }
  std::vector<broker::QueueRef> lock_queues(const broker::LockRequest& r) override {
    calls.push_back("lock " + std::string(r.group) + " " + std::string(r.client_id) + " " + std::to_string(r.queues.size()));
    return r.queues;
  }
  void unlock_queues(const broker::LockRequest& r) override { calls.push_back("unlock " + std::string(r.group) + " " + std::to_string(r.queues.size())); }

  Status heartbeat(const broker::Heartbeat& beat) override {
    beats.push_back(beat);
    if (error) return *error;
    return Done{};
  }
  void unregister(broker::ChannelId, std::string_view id, std::string_view pg, std::string_view cg) override {
    calls.push_back("unregister " + std::string(id) + " " + std::string(pg) + " " + std::string(cg));
  }
  void channel_closed(broker::ChannelId id) override { calls.push_back("closed " + std::to_string(static_cast<std::uint64_t>(id))); }
  Result<std::vector<std::string>> consumer_ids(std::string_view) override {
    if (error) return *error;
    return std::vector<std::string>{"c1", "c2"};
  }
  Result<broker::ConsumerConnections> consumer_connections(std::string_view) override {
    if (error) return *error;
    broker::ConsumerConnections c;
    c.clients.push_back({.client_id = "c1", .language = "GO", .version = 317, .remote_address = "192.0.2.7:1"});
    c.subscriptions.push_back({.topic = "T", .expression = "TagA", .expression_type = "TAG", .version = 3, .tags = {"TagA"}});
    return c;
  }
  Result<std::vector<broker::ClientInfo>> producer_connections(std::string_view) override {
    if (error) return *error;
    return std::vector<broker::ClientInfo>{{.client_id = "p1", .language = "JAVA", .version = 479, .remote_address = "192.0.2.7:1"}};
  }
  Result<broker::ChannelId> consumer_channel(std::string_view, std::string_view) override { return broker::ChannelId{1}; }

  void put_topic(const model::TopicConfig& c, Reply<Done> reply) override {
    if (!error) topic_table[c.name] = c;
    done("put_topic " + c.name, std::move(reply));
  }
  void delete_topic(std::string_view t, Reply<Done> reply) override { done("delete_topic " + std::string(t), std::move(reply)); }
  Result<model::TopicConfig> topic(std::string_view n) override {
    const auto found = topic_table.find(std::string(n));
    if (found == topic_table.end()) return Error{ErrorCode::TopicNotFound, "no"};
    return found->second;
  }
  std::vector<model::TopicConfig> topics() override {
    std::vector<model::TopicConfig> all;
    for (const auto& [n, c] : topic_table) all.push_back(c);
    return all;
  }
  model::DataVersion topics_version() override { return {1, 2, 3}; }
  void put_group(const model::GroupConfig& c, Reply<Done> reply) override {
    done("put_group " + c.name + " retry " + std::to_string(c.retry_max), std::move(reply));
  }
  void delete_group(std::string_view g, bool clean, Reply<Done> reply) override {
    done("delete_group " + std::string(g) + (clean ? " clean" : ""), std::move(reply));
  }
  Result<model::GroupConfig> group(std::string_view n) override {
    if (error) return *error;
    return model::GroupConfig{.name = std::string(n), .attributes = {}};
  }
  std::vector<model::GroupConfig> groups() override { return {model::GroupConfig{.name = "G1", .attributes = {}}, model::GroupConfig{.name = "G2", .attributes = {}}}; }
  model::DataVersion groups_version() override { return {1, 2, 4}; }
  Result<std::vector<broker::QueueStats>> topic_stats(std::string_view) override {
    if (error) return *error;
    return std::vector<broker::QueueStats>{{0, 0, 0, 0}, {1, 2, 9, 77}};
  }
  Result<std::vector<broker::ConsumeProgress>> consume_progress(std::string_view g, std::string_view t) override {
    calls.push_back("progress " + std::string(g) + " " + std::string(t));
    if (error) return *error;
    return std::vector<broker::ConsumeProgress>{{std::string(t), 0, 9, -1, 4, 0}};
  }
  std::vector<std::string> groups_of_topic(std::string_view) override { return {"G1"}; }
  Result<std::map<std::int32_t, std::int64_t>> reset_offsets(const broker::ResetRequest& r) override {
    calls.push_back("reset " + std::string(r.topic) + " " + std::string(r.group) + " " + std::to_string(r.wall_ms) + " q" + std::to_string(r.queue_id) +
                    " to " + (r.offset ? std::to_string(*r.offset) : "time"));
    if (error) return *error;
    return std::map<std::int32_t, std::int64_t>{{0, 5}, {1, 6}};
  }
  std::unique_ptr<broker::MessageReader> make_reader() override { return std::make_unique<ReaderHandle>(reader); }

 private:
  static std::string text_of(const broker::OperatorRequest& r) {
    return std::to_string(r.half_position) + " key '" + std::string(r.unique_key) + "' by " + std::string(r.operator_name) + " because " + std::string(r.reason) +
           " from " + std::string(r.address);
  }
  static std::string name(broker::QueueRef q) { return std::string(q.topic) + ":" + std::to_string(q.queue_id); }
  Result<std::int64_t> number(std::string call) {
    calls.push_back(std::move(call));
    if (error) return *error;
    return 42;
  }
  void done(std::string call, Reply<Done> reply) {
    calls.push_back(std::move(call));
    if (error) reply(Error(*error));
    else reply(Done{});
  }
  void take_send(const broker::SendRequest& r, const std::vector<broker::BatchItem>& items, Reply<broker::SendResult> reply) {
    sends.push_back({std::string(r.group), std::string(r.topic), std::string(r.default_topic), std::string(r.properties), std::string(r.body), r, {}});
    for (const broker::BatchItem& item : items) sends.back().items.emplace_back(item.body, item.properties);
    if (error) reply(Error(*error));
    else if (send_result) reply(broker::SendResult(*send_result));
    else held_sends.push_back(std::move(reply));
  }
};

/// A frame that came out.
struct Answer {
  std::int32_t code = 0, opaque = 0, flag = 0;
  std::string remark, body;
  std::map<std::string, std::string> ext;
};

using Ext = std::vector<std::pair<std::string, std::string>>;

/// One frame with these header bytes, whatever they are.
inline std::string raw_frame(std::string_view header, std::string_view body = {}, wire::SerializeType type = wire::SerializeType::Json) {
  std::string frame(8, '\0');
  store_be(frame.data(), static_cast<std::uint32_t>(4 + header.size() + body.size()));
  store_be(frame.data() + 4, static_cast<std::uint32_t>(static_cast<std::uint32_t>(type) << 24 | header.size()));
  return frame.append(header).append(body);
}

inline std::string frame(std::int32_t code, std::int32_t opaque, const Ext& ext, std::string_view body = {},
                         wire::SerializeType type = wire::SerializeType::Json, std::int32_t flag = 0) {
  std::string out;
  wire::FrameWriter writer(out, {.type = type, .code = code, .opaque = opaque, .flag = flag});
  for (const auto& [key, value] : ext) writer.text(key, value);
  writer.begin_body();
  out += body;
  writer.finish();
  return out;
}

inline std::vector<Answer> parse_answers(const std::string& bytes) {
  std::vector<Answer> answers;
  wire::TextArena arena;
  Bytes rest = as_bytes(bytes);
  while (!rest.empty()) {
    const auto split = wire::split_frame(rest);
    const auto* one = std::get_if<wire::Frame>(&split);
    if (one == nullptr) {
      ADD_FAILURE() << "the output is not a sequence of whole frames";
      break;
    }
    const auto header = wire::decode_header(one->type, one->header, arena);
    if (!header.ok()) {
      ADD_FAILURE() << header.error().text;
      break;
    }
    Answer answer{header->code, header->opaque, header->flag, std::string(header->remark), std::string(as_text(one->body)), {}};
    for (const auto& field : header->ext) answer.ext[std::string(field.key)] = field.value;
    answers.push_back(std::move(answer));
    rest = rest.subspan(one->total_bytes);
  }
  return answers;
}

}  // namespace halfmoon::adapter::testing
