// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace halfmoon::wire {

/// The largest body of a broker's registration, before and after inflating.
inline constexpr std::size_t kRegisterBodyBytesMax = 16u << 20;
inline constexpr std::size_t kRegisterTopicsMax = 1u << 18;

using TextMap = std::vector<std::pair<std::string, std::string>>;

struct DataVersion {
  std::int64_t state_version = 0;
  std::int64_t timestamp_ms = 0;
  std::int64_t counter = 0;

  friend bool operator==(const DataVersion&, const DataVersion&) = default;
};
/// The body of 322. An empty body is the version of nothing.
Result<DataVersion> parse_data_version(Bytes body);
void append_data_version(std::string& out, const DataVersion& version);

struct TopicConfig {
  std::string name{};
  std::int32_t read_queue_nums = 16;
  std::int32_t write_queue_nums = 16;
  std::int32_t perm = 6;  // 4 read, 2 write
  std::string topic_filter_type = "SINGLE_TAG";
  std::int32_t topic_sys_flag = 0;
  bool order = false;
  TextMap attributes{};
};
/// The answer to 351.
void append_topic_config(std::string& out, const TopicConfig& topic);

/// The answer to 21 (App. A.4).
void append_topic_configs(std::string& out, std::span<const TopicConfig> topics, const DataVersion& version);

/// The body of 103 (App. A.4, spec 3.5).
struct RegisterBrokerBody {
  DataVersion data_version{};
  std::vector<TopicConfig> topics{};
  std::vector<std::string> filter_servers{};
};
/// Reads JSON, JSON of senders before 3.0.11 (the topic table without a wrapper), and the compressed form, told apart by their first
/// byte because a known sender leaves the header's flag false. An empty body registers no topic. `body_crc32` is that of the
/// header, 0 = do not check. InvalidArgument: `crc32 not match`, not well-formed, or beyond the maxima.
Result<RegisterBrokerBody> parse_register_broker_body(Bytes body, std::int32_t body_crc32);

}  // namespace halfmoon::wire
