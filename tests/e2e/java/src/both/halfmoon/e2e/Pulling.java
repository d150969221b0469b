// SPDX-License-Identifier: Apache-2.0
package halfmoon.e2e;

import static halfmoon.e2e.Case.check;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** The lite pull consumer, with a subscription and with queues of its own choice. */
final class Pulling {
    private Pulling() {}

    static void cases(Map<String, Case.Body> all) {
        all.put("lite-pull", Pulling::subscribed);
        all.put("lite-pull-assign", Pulling::assigned);
    }

    private static DefaultLitePullConsumer consumer(Case c, String group) {
        DefaultLitePullConsumer k = new DefaultLitePullConsumer(group);
        k.setNamesrvAddr(c.ns);
        k.setInstanceName(c.unique("i"));
        k.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        return k;
    }

    private static String subscribed(Case c) throws Exception {
        String topic = c.topic(4), group = c.unique("G");
        Seen first = new Seen(), second = new Seen();
        List<String> want = c.sendAll(c.producer(), topic, "pull", 40);
        DefaultLitePullConsumer k = consumer(c, group);
        k.subscribe(topic, "*");
        k.setPullBatchSize(5);
        k.setAutoCommit(false);
        k.start();
        Case.until("16 messages", () -> {
            k.poll(200).forEach(first::note);
            return first.sights().size() >= 16;
        });
        k.commitSync();
        k.shutdown(); // what it had fetched ahead was never given out, so never committed
        DefaultLitePullConsumer again = consumer(c, group);
        c.onClose(again::shutdown);
        again.subscribe(topic, "*");
        again.start();
        List<String> rest = new ArrayList<>(want);
        rest.removeAll(first.counts("").keySet());
        first.counts("").forEach((body, n) -> check(n == 1, "%s came %d times", body, n));
        Case.until("the rest", () -> {
            again.poll(200).forEach(second::note);
            return second.sights().size() >= rest.size();
        });
        again.poll(1000).forEach(second::note);
        second.exactly(rest);
        return first.sights().size() + " messages, then the other " + rest.size() + ", once each";
    }

    private static String assigned(Case c) throws Exception {
        String topic = c.topic(2);
        List<String> want = c.sendAll(c.producer(), topic, "own", 20);
        DefaultLitePullConsumer k = consumer(c, c.unique("G"));
        c.onClose(k::shutdown);
        k.start();
        Collection<MessageQueue> queues = k.fetchMessageQueues(topic);
        check(queues.size() == 2, "queues: %s", queues);
        k.assign(queues);
        for (MessageQueue q : queues) {
            k.seekToBegin(q);
        }
        Seen once = new Seen(), twice = new Seen();
        Case.until("20 messages", () -> {
            k.poll(200).forEach(once::note);
            return once.sights().size() >= 20;
        });
        once.exactly(want);
        MessageQueue queue = queues.iterator().next();
        k.seek(queue, 5);
        List<String> again = once.sights().stream().map(Seen.Sight::message)
            .filter(m -> m.getQueueId() == queue.getQueueId() && m.getQueueOffset() >= 5).map(m -> new String(m.getBody())).toList();
        Case.until("the messages after the seek", () -> {
            for (MessageExt m : k.poll(200)) {
                twice.note(m);
            }
            return twice.sights().size() >= again.size();
        });
        k.poll(1000).forEach(twice::note);
        twice.exactly(again);
        return "20 messages of two queues, then " + again.size() + " again from offset 5 of one";
    }
}
