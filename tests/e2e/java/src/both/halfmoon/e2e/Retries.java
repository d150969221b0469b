// SPDX-License-Identifier: Apache-2.0
package halfmoon.e2e;

import static halfmoon.e2e.Case.check;

import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;

/** What a consumer refuses comes again, and in the end goes to the dead letters. */
final class Retries {
    private Retries() {}

    static void cases(Map<String, Case.Body> all) {
        all.put("retry", Retries::retry);
        all.put("dead-letter", Retries::deadLetter);
    }

    private static String retry(Case c) throws Exception {
        String topic = c.topic(4);
        Seen seen = new Seen();
        c.consumer(c.unique("G"), topic, seen, (m, context) -> new String(m.getBody()).equals("r-1") && m.getReconsumeTimes() == 0
            ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS);
        List<String> want = c.sendAll(c.producer(), topic, "r", 4);
        want.add("r-1");
        seen.exactly(want);
        List<Seen.Sight> sights = seen.of("r-1");
        check(sights.get(1).message().getReconsumeTimes() == 1, "reconsume times %d", sights.get(1).message().getReconsumeTimes());
        check(topic.equals(sights.get(1).message().getTopic()), "came again as topic %s", sights.get(1).message().getTopic());
        long gap = sights.get(1).atMs() - sights.get(0).atMs();
        check(gap >= Delays.LEVEL_MS[3], "came again after %d ms, before the delay of level 3", gap);
        return String.format("again after %.1f s with reconsume times 1, the others once", gap / 1e3);
    }

    private static String deadLetter(Case c) throws Exception {
        String topic = c.topic(4), group = c.unique("G");
        Seen seen = new Seen(), dead = new Seen();
        c.consumer(group, topic, seen, (m, context) -> {
            if (!new String(m.getBody()).equals("d-1")) {
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            }
            context.setDelayLevelWhenNextConsume(1);
            return ConsumeConcurrentlyStatus.RECONSUME_LATER;
        }, k -> {
            k.subscribe(topic, "*");
            k.setMaxReconsumeTimes(2);
        });
        List<String> want = c.sendAll(c.producer(), topic, "d", 4);
        want.addAll(List.of("d-1", "d-1"));
        seen.exactly(want);
        for (int i = 0; i < 3; i++) {
            int times = seen.of("d-1").get(i).message().getReconsumeTimes();
            check(times == i, "sight %d has reconsume times %d", i, times);
        }
        String deadTopic = "%DLQ%" + group;
        Case.until("the dead-letter topic", () -> !c.admin().examineTopicRouteInfo(deadTopic).getQueueDatas().isEmpty());
        c.consumer(c.unique("G"), deadTopic, dead, null);
        dead.exactly(List.of("d-1"));
        seen.exactly(want);
        return "d-1 three times, then in the dead-letter queue once; the others once";
    }
}
