// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "adapter/remoting/channel.h"
#include "broker/api.h"
#include "model/group.h"
#include "model/topic.h"
#include "nameserver/api.h"
#include "wire/remoting/bodies.h"

/// The wire's words for the core's values, and back. No rule of the broker is in here.
namespace halfmoon::adapter {

wire::TopicConfig to_wire(const model::TopicConfig& topic);
wire::DataVersion to_wire(const model::DataVersion& version);
wire::SubscriptionGroupConfig to_wire(const model::GroupConfig& group);
wire::SubscriptionData to_wire(const model::Subscription& subscription);
wire::ConsumerConnection to_wire(const broker::ConsumerConnections& group);
std::vector<wire::Connection> to_wire(const std::vector<broker::ClientInfo>& clients);
/// The broker of this process gets the address that the asking client can reach.
wire::BrokerData to_wire(const nameserver::BrokerData& broker, const Channel& asking);
wire::TopicRouteData to_wire(const nameserver::Route& route, const Channel& asking);

model::TopicConfig to_model(const wire::TopicConfig& topic);
model::DataVersion to_model(const wire::DataVersion& version);
model::GroupConfig to_model(const wire::SubscriptionGroupConfig& group);
model::Subscription to_model(const wire::SubscriptionData& subscription);
broker::ConsumerData to_model(const wire::ConsumerData& consumer);

/// A subscription that travels in a pull's header: the tags are ours to split.
model::Subscription header_subscription(std::string_view topic, std::string_view expression, std::string_view type, std::int64_t version);

/// The wire's way to write a data version inside a header field.
std::string data_version_text(const model::DataVersion& version);

}  // namespace halfmoon::adapter
