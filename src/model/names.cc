// SPDX-License-Identifier: Apache-2.0
#include "model/names.h"

#include <algorithm>
#include <array>

namespace halfmoon::model {
namespace {

constexpr std::size_t kTopicMax = 127;
constexpr std::size_t kGroupMax = 120;
constexpr std::string_view kAllowed = "^[%|a-zA-Z0-9_-]+$";

bool allowed(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '%' || c == '|' || c == '_' || c == '-';
  });
}

Status validate(std::string_view kind, std::string_view name, std::size_t length_max) {
  const std::string subject = "The specified " + std::string(kind);
  const auto refuse = [&](const std::string& why) { return Error{ErrorCode::InvalidArgument, why}; };
  if (name.find_first_not_of(" \t\r\n") == std::string_view::npos) return refuse(subject + " is blank.");
  if (!allowed(name)) {
    std::string shown(name.substr(0, 255));
    std::replace_if(shown.begin(), shown.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7F; }, '?');
    return refuse(subject + ": " + shown + ", contains illegal characters, allowing only " + std::string(kAllowed));
  }
  if (name.size() > length_max)
    return refuse(subject + ": " + std::string(name.substr(0, 255)) + ", is longer than " + std::string(kind) + " max length: " +
                  std::to_string(length_max));
  return Done{};
}

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

std::string retry_topic_of(std::string_view group) { return std::string(kRetryPrefix) + std::string(group); }
std::string dead_letter_topic_of(std::string_view group) { return std::string(kDeadLetterPrefix) + std::string(group); }

Status validate_topic(std::string_view topic) { return validate("topic", topic, kTopicMax); }
Status validate_group(std::string_view group) { return validate("group", group, kGroupMax); }

bool is_system_topic(std::string_view topic, std::string_view cluster) {
  static constexpr std::array<std::string_view, 11> kSystem = {
      "SELF_TEST_TOPIC", "TBW102", "BenchmarkTest", "OFFSET_MOVED_EVENT", "SCHEDULE_TOPIC_XXXX", "RMQ_SYS_TRACE_TOPIC",
      "RMQ_SYS_TRANS_HALF_TOPIC", "RMQ_SYS_TRANS_OP_HALF_TOPIC", "TRANS_CHECK_MAX_TIME_TOPIC", "CHECKPOINT_TOPIC",
      "TRANS_CHECK_MAXTIME_TOPIC"};
  const bool replies = topic.starts_with(cluster) && topic.substr(cluster.size()) == "_REPLY_TOPIC";
  return contains(kSystem, topic) || replies || topic.starts_with("rmq_sys_");
}

bool is_forbidden_to_send(std::string_view topic) {
  static constexpr std::array<std::string_view, 6> kForbidden = {"SCHEDULE_TOPIC_XXXX",         "RMQ_SYS_TRANS_HALF_TOPIC",
                                                                 "RMQ_SYS_TRANS_OP_HALF_TOPIC", "TRANS_CHECK_MAX_TIME_TOPIC",
                                                                 "SELF_TEST_TOPIC",             "OFFSET_MOVED_EVENT"};
  return contains(kForbidden, topic);
}

bool is_system_group(std::string_view group) {
  static constexpr std::array<std::string_view, 7> kSystem = {"TOOLS_CONSUMER",      "FILTERSRV_CONSUMER",      "SELF_TEST_C_GROUP", "CID_ONS-HTTP-PROXY",
                                                              "CID_ONSAPI_PULL",     "CID_ONSAPI_PERMISSION",   "CID_ONSAPI_OWNER"};
  return contains(kSystem, group) || group.starts_with("CID_RMQ_SYS_");
}

}  // namespace halfmoon::model
