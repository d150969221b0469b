// SPDX-License-Identifier: Apache-2.0
package halfmoon.e2e;

import static halfmoon.e2e.Case.check;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** What an administrator's tools do: DefaultMQAdminExt of rocketmq-tools. */
final class Admin {
    private Admin() {}

    static void cases(Map<String, Case.Body> all) {
        all.put("admin", Admin::lifeOfATopic);
        all.put("admin-reset-offset", Admin::resetOffset);
    }

    private static String lifeOfATopic(Case c) throws Exception {
        DefaultMQAdminExt admin = c.admin();
        String group = c.unique("G"), topic = c.topic(3);
        Version.createGroup(admin, c.broker, group);

        var empty = admin.examineTopicStats(topic).getOffsetTable();
        check(empty.size() == 3, "an empty topic shows %d queues of 3", empty.size());
        check(admin.fetchAllTopicList().getTopicList().contains(topic), "not in the topic list");
        var route = admin.examineTopicRouteInfo(topic);
        check(route.getBrokerDatas().size() == 1 && route.getBrokerDatas().get(0).getBrokerAddrs().get(0L).equals(c.broker), "route: %s", route);
        check(route.getQueueDatas().get(0).getReadQueueNums() == 3 && route.getQueueDatas().get(0).getPerm() == 6, "queues: %s", route.getQueueDatas());

        Seen seen = new Seen();
        c.consumer(group, topic, seen, null);
        DefaultMQProducer p = c.producer();
        List<String> want = new ArrayList<>();
        SendResult last = null;
        for (int i = 0; i < 30; i++) {
            last = p.send(c.message(topic, "a-" + i), (queues, m, arg) -> queues.get((Integer) arg % 3), i);
            want.add("a-" + i);
        }
        seen.exactly(want);
        long stored = 0;
        for (var e : admin.examineTopicStats(topic).getOffsetTable().values()) {
            check(e.getMinOffset() == 0 && e.getMaxOffset() == 10, "offsets %d..%d", e.getMinOffset(), e.getMaxOffset());
            stored += e.getMaxOffset();
        }
        Case.until("the group's offsets to be stored", () -> {
            long consumed = 0;
            for (var e : admin.examineConsumeStats(group, topic).getOffsetTable().entrySet()) {
                if (e.getKey().getTopic().equals(topic)) {
                    check(e.getValue().getBrokerOffset() == 10, "broker offset %d", e.getValue().getBrokerOffset());
                    consumed += e.getValue().getConsumerOffset();
                }
            }
            return consumed == 30;
        });
        MessageExt viewed = admin.viewMessage(topic, last.getOffsetMsgId());
        check(new String(viewed.getBody()).equals("a-29") && viewed.getTopic().equals(topic) && viewed.getQueueOffset() == 9
            && viewed.getQueueId() == 2, "viewed: %s", viewed);

        admin.deleteTopicInBroker(Set.of(c.broker), topic);
        Version.deleteTopicAtNameServer(admin, c.ns, topic);
        Case.until("the topic to be gone", () -> !admin.fetchAllTopicList().getTopicList().contains(topic));
        return "created, listed, routed, " + stored + " messages counted, stored offsets, viewed by id, deleted";
    }

    private static String resetOffset(Case c) throws Exception {
        DefaultMQAdminExt admin = c.admin();
        String group = c.unique("G"), topic = c.topic(2);
        Seen seen = new Seen();
        c.consumer(group, topic, seen, null);
        DefaultMQProducer p = c.producer();
        List<String> early = c.sendAll(p, topic, "early", 10);
        Thread.sleep(100); // so that there is a moment between them
        long between = System.currentTimeMillis();
        Thread.sleep(100);
        List<String> late = c.sendAll(p, topic, "late", 10);
        List<String> want = new ArrayList<>(early);
        want.addAll(late);
        seen.exactly(want);
        var offsets = admin.resetOffsetByTimestamp(topic, group, between, true);
        check(offsets.size() == 2, "the answer names %d queues of 2: %s", offsets.size(), offsets);
        for (var e : offsets.entrySet()) {
            check(e.getValue() == 5, "queue %d was set to %d", e.getKey().getQueueId(), e.getValue());
        }
        want.addAll(late);
        seen.exactly(want);
        return "10 messages from before the moment once, 10 from after it twice";
    }
}
