// SPDX-License-Identifier: Apache-2.0
#include "server/known_keys.h"

#include <algorithm>
#include <array>

namespace halfmoon::server {
namespace {

using S = Settings;
constexpr std::int64_t kMiB = 1 << 20;
constexpr std::int64_t kYear = 365LL * 24 * 3600;

constexpr std::string_view kPlace = "Name and place";
constexpr std::string_view kStore = "Store";
constexpr std::string_view kMessages = "Messages, topics and groups";
constexpr std::string_view kTransactions = "Transactions";
constexpr std::string_view kLimits = "Limits and threads";
constexpr std::string_view kLogs = "Logs";

const KnownKey kKeys[] = {
    {kPlace, "brokerName", &S::broker_name, "name", "The broker's name in routes. Clients remember queues by it: keep it when you move the broker.", "Changing it makes consumers see new queues."},
    {kPlace, "brokerClusterName", &S::cluster, "name", "The cluster's name that tools show and ask for.", ""},
    {kPlace, "brokerIP1", &S::broker_ip1, "address|auto", "The address that routes name. `auto`: for each client the one on which its own connection came in, so that a laptop, a container and a VPN need no setting.",
     "Set it where clients reach the broker through an address that this machine does not have (NAT, a load balancer)."},
    {kPlace, "bindAddress", &S::bind_address, "address", "Where to listen; `0.0.0.0` all IPv4 addresses, `::` IPv6 as well, `127.0.0.1` this machine only.", "There are no passwords yet: whoever reaches the ports can read and write."},
    {kPlace, "listenPort", &S::listen_port, "port", "The broker's port. 0: the kernel chooses (for tests).", "", 0, 65535},
    {kPlace, "namesrvListenPort", &S::namesrv_listen_port, "port", "The port of the name server in the same process. 0: the kernel chooses.", "", 0, 65535},
    {kPlace, "vipPortEnable", &S::vip_port, "true|false", "Also listen on listenPort - 2, which clients before 5.0 dial when their VIP channel is on. Taken ports are left out with a warning.", ""},
    {kPlace, "namesrvAddr", &S::namesrv_addr, "host:port;host:port", "Other name servers. Accepted so that a broker.conf stays as it is; this release registers with its own name server only, and says so.", ""},
    {kPlace, "regionId", &S::region, "name", "Property MSG_REGION of every message served.", ""},
    {kPlace, "traceOn", &S::trace_on, "true|false", "Property TRACE_ON of every message served: whether clients may send traces.", ""},

    {kStore, "storePathRootDir", &S::store_path, "directory", "The data directory. Created if missing; a directory with other files in it is refused.", "One process at a time. A local disk: its sync is what an acknowledgement waits for."},
    {kStore, "flushDiskType", &S::flush_disk_type, "SYNC_FLUSH|ASYNC_FLUSH", "What an acknowledgement means. SYNC_FLUSH: the message is on disk. ASYNC_FLUSH: the operating system has it; a killed process loses nothing, a power cut up to flushIntervalCommitLog.",
     "SYNC_FLUSH adds one disk sync to the latency of a send; many sends share each one."},
    {kStore, "flushIntervalCommitLog", &S::flush_interval_ms, "ms", "With ASYNC_FLUSH: how often the log is synced in the background.", "At most so much is lost when the power fails.", 10, 60000},
    {kStore, "mappedFileSizeCommitLog", &S::segment_bytes, "bytes", "Size of a log segment, the unit of deletion. Rounded up to 4096. The first segments of a new store are smaller.", "One segment is kept ready ahead: so much disk is in use besides the messages.", kMiB, 16384 * kMiB},
    {kStore, "tailBufferBytes", &S::tail_buffer_bytes, "bytes", "The end of the log that is kept in memory, from which consumers that keep up are served. A power of two.", "So much memory, resident as it fills.", kMiB, 65536 * kMiB},
    {kStore, "fileReservedTime", &S::file_reserved_hours, "h", "How long messages are kept. What a delay, a transaction or a retry still points at is carried forward and kept longer.", "", 1, 24 * 3650},
    {kStore, "retentionBytes", &S::retention_bytes, "bytes", "Above this size of the log the oldest segments go even before fileReservedTime. 0: no limit by size.", "Messages nobody has consumed yet go as well.", 0},
    {kStore, "diskMaxUsedSpaceRatio", &S::disk_max_used_percent, "%", "Above this use of the disk the event `disk.filling` warns every ten minutes. See also diskSpaceEnoughBytes.", "", 10, 100},
    {kStore, "diskSpaceCleanForciblyRatio", &S::disk_tight_percent, "%", "From this use of the disk on new topics and delays of more than a day are refused (code 14), until it is 5 % less. 100: never.", "", 10, 100},
    {kStore, "cleanFileForciblyEnable", &S::delete_when_tight, "true|false", "From diskSpaceCleanForciblyRatio on also delete the oldest segments, although they are younger than fileReservedTime.", "Messages nobody has consumed yet go as well. RocketMQ's default is true, ours is not."},
    {kStore, "diskSpaceWarningLevelRatio", &S::disk_full_percent, "%", "From this use of the disk on messages are refused (code 14), until it is 5 % less. Verdicts, offsets, deletions and consumers go on. 100: only when the file system has no space left.", "", 10, 100},
    {kStore, "diskSpaceEnoughBytes", &S::disk_enough_bytes, "bytes", "With so much free none of the three levels counts, whatever the percentage: 90 % of a large disk leaves plenty. 0 does not refuse anything before the disk is full.", "", 0},
    {kStore, "snapshotIntervalSeconds", &S::snapshot_interval_s, "s", "Longest time between snapshots of the tables, if the log has grown by at least an eighth of the last one's size.", "Shorter: a quicker start after a crash, more writing.", 1, 86400},
    {kStore, "snapshotLogBytes", &S::snapshot_bytes, "bytes", "A snapshot is also written after so many bytes of log, or as many as were written for the last one, if that is more.", "What a start after a crash has to replay, about 2 s for each GiB.", kMiB, 65536 * kMiB},

    {kMessages, "autoCreateTopicEnable", &S::auto_create_topics, "true|false", "Sending to a topic that does not exist creates it.", "A typing error becomes a topic: turn it off in production."},
    {kMessages, "autoCreateSubscriptionGroup", &S::auto_create_groups, "true|false", "A consumer group that does not exist is created by its first heartbeat.", ""},
    {kMessages, "defaultTopicQueueNums", &S::default_queues, "queues", "Most queues of a topic created by sending (the client's wish, if smaller, wins).", "", 1, 1024},
    {kMessages, "maxMessageSize", &S::message_bytes_max, "bytes", "Largest body. A quarter of tailBufferBytes at most, less 64 KiB for names and properties.", "A frame is buffered whole before it is stored.", 1024, 16 * kMiB},
    {kMessages, "messageDelayLevel", &S::delay_levels, "1s 5m 2h 1d", "The delays of levels 1, 2, 3, ..., separated by blanks.", "A message delayed before a change keeps its time."},
    {kMessages, "timerMaxDelaySec", &S::delay_max_s, "s", "Longest delay of a message with its own delivery time.", "A delayed message stays in the log until it is delivered.", 1, kYear},
    {kMessages, "maxTopics", &S::topics_max, "topics", "More topics are refused.", "", 16, 1000000},
    {kMessages, "maxGroups", &S::groups_max, "groups", "More consumer groups are refused.", "", 16, 1000000},

    {kMessages, "maxQueues", &S::queues_max, "queues", "A topic with which all topics together would have more queues is refused.", "About 150 bytes each.", 1000, 100000000},
    {kMessages, "maxOffsets", &S::offsets_max, "offsets", "Offsets that are kept, one for each group and queue; more are not stored, and a commit that waits for its answer is refused.", "About 100 bytes each.", 1000, 1000000000},
    {kMessages, "maxBatchMessages", &S::batch_messages_max, "messages", "Messages in one batch.", "", 1, 1024},

    {kTransactions, "transactionCheckProfile", &S::transaction_profile, "rocketmq|aliyun-http", "Whose timings hold where the four keys below are not set themselves. rocketmq: asked after 6 s, then every 30 s, 15 times. aliyun-http: after 10 s or the 10 to 300 s that a message names, then every 10 s, until the half message is 24 h old.", ""},
    {kTransactions, "transactionTimeOut", &S::transaction_timeout_ms, "ms", "When a producer is first asked about a half message without a verdict. A topic's attribute transaction.check.immunity.time (in s) comes before it, a message's property CHECK_IMMUNITY_TIME_IN_SECONDS before both.", "", 100, 24 * 3600 * 1000},
    {kTransactions, "transactionCheckInterval", &S::transaction_interval_ms, "ms", "Time between two questions about the same half message.", "", 100, 24 * 3600 * 1000},
    {kTransactions, "transactionCheckMax", &S::transaction_check_max, "checks", "So many answers `unknown`, and the half message is put aside in TRANS_CHECK_MAX_TIME_TOPIC, from where an operator can resume it. A question nobody answered does not count. 0: no limit by number.", "", 0, 10000},
    {kTransactions, "transactionCheckMaxAgeSeconds", &S::transaction_check_max_age_s, "s", "A half message so old, counted from when it was stored or resumed, is put aside instead of being asked about again. 0: no limit by age.", "With no limit by number either, producers that never know are asked for ever.", 0, kYear},
    {kTransactions, "rejectTransactionMessage", &S::reject_transactions, "true|false", "Refuse half messages.", ""},

    {kLimits, "ioThreads", &S::io_threads, "threads", "Threads that serve connections. 0: half of the processors, at least one.", "More than processors makes it slower.", 0, 256},
    {kLimits, "maxConnections", &S::connections_max, "connections", "More are closed at once, with a warning. Lowered to what the limit of open files allows.", "About 1.5 KiB each when idle.", 16, 1000000},
    {kLimits, "maxConnectionsPerAddress", &S::connections_per_address_max, "connections", "The same for one remote address (loopback is exempt). 0: no limit.", "Clients behind one NAT share an address.", 0, 1000000},
    {kLimits, "serverChannelMaxIdleTimeSeconds", &S::idle_s, "s", "A connection that neither sends nor receives for so long is closed; clients send heartbeats every 30 s. 0: never.", "", 0, 86400},

    {kLimits, "maxFrameBytes", &S::frame_bytes_max, "bytes", "Largest frame, its length word included. A connection that announces a larger one is closed.", "At least maxMessageSize and 64 KiB for the header.", 65536, 64 * kMiB},
    {kLimits, "frameTimeoutSeconds", &S::frame_timeout_s, "s", "A frame that has begun must come within this time, and so much longer as it brings bytes at frameBytesPerSecond; else the connection is closed. A connection without a begun frame may wait as long as serverChannelMaxIdleTimeSeconds.", "", 1, 3600},
    {kLimits, "frameBytesPerSecond", &S::frame_bytes_per_s, "bytes/s", "See frameTimeoutSeconds. 0: frames may come as slowly as they like.", "", 0, 1000000000},
    {kLimits, "maxConnectionBytes", &S::connection_bytes_max, "bytes", "Memory for frames that have not arrived whole and answers that have not left, of all connections together. Above it connections that hold such bytes are read in turn, a begun frame must come within 5 s, and pulls that would bring messages are answered with SYSTEM_BUSY.", "", 16 * kMiB, 1LL << 40},
    {kLimits, "answerPauseBytes", &S::answer_pause_bytes, "bytes", "Answers that one client has not read: above it nothing more is read from that connection, until half of them are gone.", "", 65536, 1LL << 32},
    {kLimits, "maxAnswerBytes", &S::answer_bytes_max, "bytes", "Answers that one client has not read: above it the connection is closed.", "", 65536, 1LL << 34},
    {kLimits, "maxLongPolls", &S::parked_pulls_max, "pulls", "Pulls that wait for a message. More are answered at once, as if their time were over.", "About 500 bytes each.", 0, 100000000},
    {kLimits, "maxGroupMembers", &S::members_max, "members", "Connections as members of producer and consumer groups; one in two groups counts twice. A heartbeat that would add more is refused.", "About 400 bytes each.", 16, 100000000},
    {kLimits, "maxGroupsPerConnection", &S::groups_per_connection_max, "groups", "The same for one connection.", "", 1, 1000000},
    {kLimits, "maxSubscriptionsPerGroup", &S::subscriptions_max, "topics", "Topics that one consumer group subscribes to. A heartbeat with more is refused.", "", 1, 100000},
    {kLimits, "maxSubscriptionBytes", &S::subscription_bytes_max, "bytes", "What the subscriptions of all groups together may hold. A heartbeat that would add more is refused.", "", kMiB, 1LL << 34},

    {kLogs, "logFormat", &S::log_format, "text|json", "One event a line on standard error: `key=value` text, or a JSON object.", ""},
    {kLogs, "logLevel", &S::log_level, "debug|info|warn|error", "The least level that is written.", "debug writes a line for each connection."},
};

const RefusedKey kRefused[] = {
    {"brokerRole", "ASYNC_MASTER|SYNC_MASTER", "this release does not replicate: a SLAVE would serve nothing. Run it as a master of its own, or leave the key out"},
    {"brokerId", "0", "ids above 0 are slaves, and this release does not replicate; give each broker its own brokerName and leave brokerId at 0"},
    {"enableControllerMode", "false", "there is no controller: this release does not replicate. Take the key out to run a single broker"},
    {"enableDLegerCommitLog", "false", "DLedger's log format and protocol are not supported, and this release does not replicate. Take the key out to run a single broker"},
    {"enableSlaveActingMaster", "false", "there are no slaves in this release; take the key out"},
    {"duplicationEnable", "false", "two processes on one log would destroy it; take the key out"},
    {"aclEnable", "false", "access control is not there yet, and starting without it would open what you meant to protect. Protect the ports by a firewall and take the key out"},
    {"authenticationEnabled", "false", "authentication is not there yet, and starting without it would open what you meant to protect. Protect the ports by a firewall and take the key out"},
    {"authorizationEnabled", "false", "authorization is not there yet, and starting without it would open what you meant to protect. Protect the ports by a firewall and take the key out"},
    {"tlsServerMode", "disabled|permissive", "the ports speak plain remoting only in this release; put a TLS proxy in front of them, or take the key out"},
    {"enableMultiDispatch", "false", "light message queues (LMQ) are not supported; take the key out"},
    {"enableLmq", "false", "light message queues (LMQ) are not supported; take the key out"},
    {"storeType", "default", "there is one store, the log of docs/formats/log.md; take the key out"},
};

}  // namespace

std::span<const KnownKey> known_keys() { return kKeys; }
std::span<const RefusedKey> refused_keys() { return kRefused; }

const KnownKey* find_known_key(std::string_view name) {
  const auto* it = std::find_if(std::begin(kKeys), std::end(kKeys), [&](const KnownKey& k) { return k.name == name; });
  return it == std::end(kKeys) ? nullptr : it;
}

const RefusedKey* find_refused_key(std::string_view name) {
  const auto* it = std::find_if(std::begin(kRefused), std::end(kRefused), [&](const RefusedKey& k) { return k.name == name; });
  return it == std::end(kRefused) ? nullptr : it;
}

std::string default_text(const KnownKey& key) {
  static const Settings defaults;
  if (const auto* text = std::get_if<std::string Settings::*>(&key.member)) return defaults.*(*text);
  if (const auto* yes = std::get_if<bool Settings::*>(&key.member)) return defaults.*(*yes) ? "true" : "false";
  return std::to_string(defaults.*std::get<std::int64_t Settings::*>(key.member));
}

std::string range_text(const KnownKey& key) {
  if (!std::holds_alternative<std::int64_t Settings::*>(key.member)) return "";
  const bool open = key.most == std::numeric_limits<std::int64_t>::max();
  return std::to_string(key.least) + (open ? " or more" : " to " + std::to_string(key.most));
}

bool is_one_of(std::string_view words, std::string_view value) {
  for (;;) {
    const std::size_t bar = words.find('|');
    if (words.substr(0, bar) == value) return true;
    if (bar == std::string_view::npos) return false;
    words.remove_prefix(bar + 1);
  }
}

}  // namespace halfmoon::server
