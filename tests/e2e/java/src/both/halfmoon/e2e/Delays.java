// SPDX-License-Identifier: Apache-2.0
package halfmoon.e2e;

import static halfmoon.e2e.Case.check;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;

/** Delayed messages: never early, hardly late. */
final class Delays {
    static final long[] LEVEL_MS = {0, 1_000, 5_000, 10_000};

    /** A message that was sent; it may come from notBeforeMs on and should come at dueMs. */
    record Sent(String body, long notBeforeMs, long dueMs) {}

    private Delays() {}

    static void cases(Map<String, Case.Body> all) {
        all.put("delay-levels", Delays::levels);
    }

    static Sent send(Case c, DefaultMQProducer p, Message m, long delayMs) throws Exception {
        long before = System.currentTimeMillis();
        c.send(p, m);
        return new Sent(new String(m.getBody()), before + delayMs, System.currentTimeMillis() + delayMs);
    }

    static Sent sendFor(Case c, DefaultMQProducer p, Message m, long dueMs) throws Exception {
        c.send(p, m);
        return new Sent(new String(m.getBody()), dueMs, dueMs);
    }

    /** Fails if one came early, or more than the half of them late: the machine may be busy, not the broker. */
    static String onTime(Case c, Seen seen, List<Sent> sent) {
        List<Long> late = new ArrayList<>();
        for (Sent s : sent) {
            List<Seen.Sight> sights = seen.of(s.body);
            check(sights.size() == 1, "%s seen %d times", s.body, sights.size());
            check(sights.get(0).atMs() >= s.notBeforeMs, "%s came %d ms too early", s.body, s.notBeforeMs - sights.get(0).atMs());
            late.add(sights.get(0).atMs() - s.dueMs);
        }
        late.sort(null);
        long median = late.get(late.size() / 2);
        check(median < c.lateMs, "%s and its like came %d ms late (median of %s)", sent.get(0).body, median, late);
        return "+" + median + "ms";
    }

    private static String levels(Case c) throws Exception {
        String topic = c.topic(4);
        Seen seen = new Seen();
        c.consumer(c.unique("G"), topic, seen, null);
        DefaultMQProducer p = c.producer();
        List<String> want = c.sendAll(p, topic, "at-once", 4);
        seen.until("the consumer to be at work", all -> all.size() == 4);
        List<List<Sent>> sent = List.of(new ArrayList<>(), new ArrayList<>(), new ArrayList<>(), new ArrayList<>());
        for (int i = 0; i < 5; i++) {
            for (int level = 1; level <= 3; level++) {
                Message m = c.message(topic, "level-" + level + "-" + i);
                m.setDelayTimeLevel(level);
                sent.get(level).add(send(c, p, m, LEVEL_MS[level]));
                want.add("level-" + level + "-" + i);
            }
            Thread.sleep(150); // spreads them over the broker's ticks
        }
        seen.exactly(want);
        return "1s " + onTime(c, seen, sent.get(1)) + ", 5s " + onTime(c, seen, sent.get(2)) + ", 10s " + onTime(c, seen, sent.get(3));
    }
}
