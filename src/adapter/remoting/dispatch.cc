// SPDX-License-Identifier: Apache-2.0
#include "adapter/remoting/dispatch.h"

#include <algorithm>
#include <array>

namespace halfmoon::adapter {
namespace {

using wire::RequestCode;

constexpr auto kRoutes = std::to_array<Route>({
    {RequestCode::SendMessage, Port::Producing, send_message},
    {RequestCode::PullMessage, Port::Consuming, pull_message},
    {RequestCode::QueryMessage, Port::Readers, query_message},
    {RequestCode::QueryConsumerOffset, Port::Consuming, query_offset},
    {RequestCode::UpdateConsumerOffset, Port::Consuming, update_offset},
    {RequestCode::UpdateAndCreateTopic, Port::Admin, put_topic},
    {RequestCode::GetAllTopicConfig, Port::Admin, all_topics},
    {RequestCode::GetBrokerConfig, Port::Admin, broker_config},
    {RequestCode::GetBrokerRuntimeInfo, Port::Admin, runtime_info},
    {RequestCode::SearchOffsetByTimestamp, Port::Consuming, search_offset},
    {RequestCode::GetMaxOffset, Port::Consuming, max_offset},
    {RequestCode::GetMinOffset, Port::Consuming, min_offset},
    {RequestCode::GetEarliestMsgStoretime, Port::Consuming, earliest_store_time},
    {RequestCode::ViewMessageById, Port::Readers, view_message},
    {RequestCode::HeartBeat, Port::Clients, heartbeat},
    {RequestCode::UnregisterClient, Port::Clients, unregister_client},
    {RequestCode::ConsumerSendMsgBack, Port::Producing, send_back},
    {RequestCode::EndTransaction, Port::Transactions, end_transaction},
    {RequestCode::GetConsumerListByGroup, Port::Clients, consumer_list},
    {RequestCode::LockBatchMq, Port::Consuming, lock_queues},
    {RequestCode::UnlockBatchMq, Port::Consuming, unlock_queues},
    {RequestCode::CheckClientConfig, Port::Clients, check_client_config},
    {RequestCode::PutKvConfig, Port::NameServer, put_kv},
    {RequestCode::GetKvConfig, Port::NameServer, get_kv},
    {RequestCode::DeleteKvConfig, Port::NameServer, delete_kv},
    {RequestCode::RegisterBroker, Port::NameServer, register_broker},
    {RequestCode::UnregisterBroker, Port::NameServer, unregister_broker},
    {RequestCode::GetRouteinfoByTopic, Port::NameServer, route_of_topic},
    {RequestCode::GetBrokerClusterInfo, Port::NameServer, cluster_info},
    {RequestCode::UpdateAndCreateSubscriptiongroup, Port::Admin, put_group},
    {RequestCode::GetAllSubscriptiongroupConfig, Port::Admin, all_groups},
    {RequestCode::GetTopicStatsInfo, Port::Admin, topic_stats},
    {RequestCode::GetConsumerConnectionList, Port::Clients, consumer_connections},
    {RequestCode::GetProducerConnectionList, Port::Clients, producer_connections},
    {RequestCode::WipeWritePermOfBroker, Port::NameServer, wipe_write_permission},
    {RequestCode::GetAllTopicListFromNameserver, Port::NameServer, topic_names},
    {RequestCode::DeleteSubscriptiongroup, Port::Admin, delete_group},
    {RequestCode::GetConsumeStats, Port::Admin, consume_stats},
    {RequestCode::DeleteTopicInBroker, Port::Admin, delete_topic},
    {RequestCode::DeleteTopicInNamesrv, Port::NameServer, delete_topic_route},
    {RequestCode::GetKvlistByNamespace, Port::NameServer, list_kv},
    {RequestCode::InvokeBrokerToResetOffset, Port::Admin, reset_offset},
    {RequestCode::GetTopicsByCluster, Port::NameServer, topic_names_of_cluster},
    {RequestCode::QueryTopicConsumeByWho, Port::Admin, groups_of_topic},
    {RequestCode::GetSystemTopicListFromNs, Port::NameServer, cluster_and_broker_names},
    {RequestCode::GetSystemTopicListFromBroker, Port::Admin, system_topics},
    {RequestCode::SendMessageV2, Port::Producing, send_message},
    {RequestCode::SendBatchMessage, Port::Producing, send_batch_message},
    {RequestCode::QueryDataVersion, Port::NameServer, query_data_version},
    {RequestCode::ResumeCheckHalfMessage, Port::Operations, resume_check},
    {RequestCode::SendReplyMessage, Port::Producing, send_reply_message},
    {RequestCode::SendReplyMessageV2, Port::Producing, send_reply_message},
    {RequestCode::AddWritePermOfBroker, Port::NameServer, add_write_permission},
    {RequestCode::GetTopicConfig, Port::Admin, topic_config},
    {RequestCode::GetSubscriptiongroupConfig, Port::Admin, group_config},
    {RequestCode::LitePullMessage, Port::Consuming, pull_message},
    {RequestCode::GetBrokerMemberGroup, Port::NameServer, broker_members},
    {RequestCode::BrokerHeartbeat, Port::NameServer, broker_heartbeat},
    {RequestCode::ListTransactions, Port::Operations, list_transactions},
    {RequestCode::ViewTransaction, Port::Operations, view_transaction},
    {RequestCode::DecideTransaction, Port::Operations, decide_transaction},
    {RequestCode::ResumeTransaction, Port::Operations, resume_transaction},
});
static_assert(std::is_sorted(kRoutes.begin(), kRoutes.end(), [](const Route& a, const Route& b) { return a.code < b.code; }));

}  // namespace

std::span<const Route> routes() { return kRoutes; }

const Route* find_route(std::int32_t code) {
  const auto found =
      std::lower_bound(kRoutes.begin(), kRoutes.end(), code, [](const Route& route, std::int32_t wanted) { return static_cast<std::int32_t>(route.code) < wanted; });
  if (found == kRoutes.end() || static_cast<std::int32_t>(found->code) != code) return nullptr;
  return &*found;
}

std::string unsupported_text(std::int32_t code) {
  std::string text = " request type " + std::to_string(code);
  if (const auto name = wire::request_code_name(code)) text.append(" (").append(*name).append(")");
  return text + " not supported";
}

}  // namespace halfmoon::adapter
