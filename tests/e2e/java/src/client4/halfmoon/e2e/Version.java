// SPDX-License-Identifier: Apache-2.0
package halfmoon.e2e;

import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.common.protocol.heartbeat.MessageModel;
import org.apache.rocketmq.common.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** What is spelled differently in the client's 4.x and 5.x, and what only one of them has. */
final class Version {
    private Version() {}

    static void broadcasting(DefaultMQPushConsumer consumer) {
        consumer.setMessageModel(MessageModel.BROADCASTING);
    }

    static void createGroup(DefaultMQAdminExt admin, String broker, String group) throws Exception {
        SubscriptionGroupConfig config = new SubscriptionGroupConfig();
        config.setGroupName(group);
        admin.createAndUpdateSubscriptionGroupConfig(broker, config);
    }

    static void deleteTopicAtNameServer(DefaultMQAdminExt admin, String ns, String topic) throws Exception {
        admin.deleteTopicInNameServer(java.util.Set.of(ns), topic, "DefaultCluster");
    }

    static void cases(java.util.Map<String, Case.Body> all) {}
}
