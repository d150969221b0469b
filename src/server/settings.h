// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "server/properties_file.h"

namespace halfmoon::server {

/// Everything that can be configured, with its default. Named as RocketMQ's keys where the meaning is the same; known_keys.cc says unit,
/// range, help and cost of each and which member it sets.
struct Settings {
  // ---- who we are, where we listen
  std::string broker_name = "broker-a";
  std::string cluster = "DefaultCluster";
  std::string broker_ip1 = "auto";
  std::string bind_address = "0.0.0.0";
  std::int64_t listen_port = 10911;
  std::int64_t namesrv_listen_port = 9876;
  bool vip_port = true;
  std::string namesrv_addr;
  std::string region = "DefaultRegion";
  bool trace_on = true;
  // ---- store
  std::string store_path;   // empty: $HOME/halfmoon-data
  std::string flush_disk_type = "SYNC_FLUSH";
  std::int64_t flush_interval_ms = 500;
  std::int64_t segment_bytes = 256 << 20;
  std::int64_t tail_buffer_bytes = 64 << 20;
  std::int64_t file_reserved_hours = 72;
  std::int64_t retention_bytes = 0;
  std::int64_t disk_max_used_percent = 75;
  std::int64_t disk_tight_percent = 85;
  std::int64_t disk_full_percent = 90;
  std::int64_t disk_enough_bytes = 10LL << 30;
  bool delete_when_tight = false;
  std::int64_t snapshot_interval_s = 60;
  std::int64_t snapshot_bytes = 128 << 20;
  // ---- messages, topics, groups
  bool auto_create_topics = true;
  bool auto_create_groups = true;
  std::int64_t default_queues = 8;
  std::int64_t message_bytes_max = 4 << 20;
  std::string delay_levels = "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h";
  std::int64_t delay_max_s = 3 * 24 * 3600;
  // ---- transactions
  std::string transaction_profile = "rocketmq";   // gives the four below where they are not set themselves
  std::int64_t transaction_timeout_ms = 6000;
  std::int64_t transaction_interval_ms = 30000;
  std::int64_t transaction_check_max = 15;         // 0: no limit by number
  std::int64_t transaction_check_max_age_s = 0;    // 0: no limit by age
  bool reject_transactions = false;
  // ---- limits and threads
  std::int64_t io_threads = 0;   // 0: half of the processors, at least one
  std::int64_t connections_max = 10000;
  std::int64_t connections_per_address_max = 1024;
  std::int64_t idle_s = 120;
  std::int64_t topics_max = 100000;
  std::int64_t groups_max = 100000;
  std::int64_t queues_max = 1000000;
  std::int64_t offsets_max = 2000000;
  std::int64_t batch_messages_max = 1024;
  std::int64_t parked_pulls_max = 100000;
  std::int64_t members_max = 200000;
  std::int64_t groups_per_connection_max = 1024;
  std::int64_t subscriptions_max = 1024;
  std::int64_t subscription_bytes_max = 64 << 20;
  std::int64_t frame_bytes_max = (16 << 20) + 4;
  std::int64_t frame_timeout_s = 30;
  std::int64_t frame_bytes_per_s = 1024;
  std::int64_t connection_bytes_max = 1 << 30;
  std::int64_t answer_pause_bytes = 8 << 20;
  std::int64_t answer_bytes_max = 64 << 20;
  // ---- logs
  std::string log_format = "text";
  std::string log_level = "info";

  bool http_transactions() const { return transaction_profile == "aliyun-http"; }
  bool durable() const { return flush_disk_type == "SYNC_FLUSH"; }
  std::string data_directory() const;
  std::vector<std::int64_t> delay_levels_ms() const;
};

/// What loading says of one key. Bad and Refused stop the start.
enum class Severity : std::uint8_t { Used, NoEffect, Warning, Refused, Bad };
std::string_view to_string(Severity severity);

struct Finding {
  Severity severity = Severity::Used;
  std::string where;   // "broker.conf:12", "HALFMOON_LISTEN_PORT", "command line"
  std::string key, value;
  std::string text;    // why, and the cure
};

struct LoadedSettings {
  Settings settings;
  std::vector<Finding> findings;   // in the order of the sources
  bool usable() const;
};

/// Where settings come from; a later source wins over an earlier one: file, environment, command line.
struct SettingSources {
  std::string file_name;                              // for the findings
  std::vector<Property> file;
  std::map<std::string, std::string> environment;     // all of it; only HALFMOON_... and NAMESRV_ADDR are looked at
  std::vector<Property> command_line;
};

LoadedSettings load_settings(const SettingSources& sources);

/// The environment variable that sets a key: "brokerIP1" -> "HALFMOON_BROKER_IP1".
std::string environment_name(std::string_view key);
/// The known key that is spelled most alike; empty if none is near.
std::string nearest_key(std::string_view unknown);

/// The values in use as `key -> text`, in the order of the documentation.
std::vector<std::pair<std::string, std::string>> effective_values(const Settings& settings);

}  // namespace halfmoon::server
