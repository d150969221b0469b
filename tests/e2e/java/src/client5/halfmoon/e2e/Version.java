// SPDX-License-Identifier: Apache-2.0
package halfmoon.e2e;

import java.util.ArrayList;
import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.remoting.protocol.heartbeat.MessageModel;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
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
        admin.deleteTopicInNameServer(java.util.Set.of(ns), "DefaultCluster", topic);
    }

    static void cases(java.util.Map<String, Case.Body> all) {
        all.put("delay-arbitrary", Version::arbitraryDelay);
    }

    private static String arbitraryDelay(Case c) throws Exception {
        String topic = c.topic(4);
        Seen seen = new Seen();
        c.consumer(c.unique("G"), topic, seen, null);
        DefaultMQProducer producer = c.producer();
        List<Delays.Sent> byMs = new ArrayList<>(), bySec = new ArrayList<>(), at = new ArrayList<>();
        List<String> want = c.sendAll(producer, topic, "at-once", 4);
        seen.until("the consumer to be at work", all -> all.size() == 4);
        for (int i = 0; i < 5; i++) {
            Message ms = c.message(topic, "ms-" + i);
            ms.setDelayTimeMs(1700);
            byMs.add(Delays.send(c, producer, ms, 1700));
            Message sec = c.message(topic, "sec-" + i);
            sec.setDelayTimeSec(3);
            bySec.add(Delays.send(c, producer, sec, 3000));
            Message moment = c.message(topic, "at-" + i);
            long due = System.currentTimeMillis() + 4300;
            moment.setDeliverTimeMs(due);
            at.add(Delays.sendFor(c, producer, moment, due));
            want.addAll(List.of("ms-" + i, "sec-" + i, "at-" + i));
            Thread.sleep(130); // spreads them over the broker's ticks
        }
        seen.exactly(want);
        return "1.7s " + Delays.onTime(c, seen, byMs) + ", 3s " + Delays.onTime(c, seen, bySec) + ", moment "
            + Delays.onTime(c, seen, at);
    }
}
