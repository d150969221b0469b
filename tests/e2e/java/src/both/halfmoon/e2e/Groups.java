// SPDX-License-Identifier: Apache-2.0
package halfmoon.e2e;

import static halfmoon.e2e.Case.check;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Predicate;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;

/** Groups: sharing, leaving, dying, coming back, beginning, and broadcasting. */
final class Groups {
    private Groups() {}

    static void cases(Map<String, Case.Body> all) {
        all.put("broadcast", Groups::broadcast);
        all.put("share-and-leave", Groups::shareAndLeave);
        all.put("consumer-killed", Groups::killed);
        all.put("resume", Groups::resume);
        all.put("new-group-first-offset", c -> newGroup(c, ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET));
        all.put("new-group-last-offset", c -> newGroup(c, ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET));
    }

    /** Sends a round of one message per queue until done says that it was seen as wanted: by each Seen, in which queues. */
    static void probe(Case c, String topic, int queues, String what, List<Seen> seens, Predicate<List<Set<Integer>>> done) throws Exception {
        DefaultMQProducer p = c.producer();
        long deadline = System.currentTimeMillis() + Seen.PATIENCE_MS;
        List<Set<Integer>> got = List.of();
        for (int round = 0; System.currentTimeMillis() < deadline; round++) {
            String prefix = "probe:" + what + ":" + round + ":";
            for (int q = 0; q < queues; q++) {
                p.send(c.message(topic, prefix + q), (all, m, arg) -> all.get((Integer) arg), q);
            }
            for (long end = System.currentTimeMillis() + 1000; System.currentTimeMillis() < end; Thread.sleep(10)) {
                got = new ArrayList<>();
                for (Seen s : seens) {
                    Set<Integer> in = new HashSet<>();
                    s.startingWith(prefix).forEach(x -> in.add(x.message().getQueueId()));
                    got.add(in);
                }
                if (done.test(got)) {
                    return;
                }
            }
        }
        throw Case.fail("%s: not reached; the last round was seen in the queues %s", what, got);
    }

    /** Waits until both see messages and no queue is seen by both. */
    static void shared(Case c, String topic, int queues, Seen a, Seen b) throws Exception {
        probe(c, topic, queues, "shared", List.of(a, b), got -> got.get(0).stream().noneMatch(got.get(1)::contains)
            && got.get(0).size() == queues / 2 && got.get(1).size() == queues - queues / 2);
    }

    private static String broadcast(Case c) throws Exception {
        String topic = c.topic(4), group = c.unique("G");
        Seen a = new Seen(), b = new Seen();
        for (Seen s : List.of(a, b)) {
            c.consumer(group, topic, s, null, k -> {
                Version.broadcasting(k);
                k.subscribe(topic, "*");
            });
        }
        probe(c, topic, 4, "broadcast", List.of(a, b), got -> got.get(0).size() == 4 && got.get(1).size() == 4);
        List<String> want = c.sendAll(c.producer(), topic, "cast", 40);
        a.exactly("cast", want);
        b.exactly("cast", want);
        return "40 messages once at each of two consumers";
    }

    private static String shareAndLeave(Case c) throws Exception {
        String topic = c.topic(4), group = c.unique("G");
        Seen a = new Seen(), b = new Seen();
        DefaultMQPushConsumer first = c.consumer(group, topic, a, null);
        c.consumer(group, topic, b, null);
        shared(c, topic, 4, a, b);
        List<String> want = new ArrayList<>();
        DefaultMQProducer p = c.producer();
        for (int i = 0; i < 60; i++) {
            want.add("both-" + i);
            p.send(c.message(topic, "both-" + i), (queues, m, arg) -> queues.get((Integer) arg % queues.size()), i);
        }
        Case.until("60 messages", () -> a.startingWith("both").size() + b.startingWith("both").size() >= 60);
        a.quiet();
        b.quiet();
        Map<String, Integer> total = new TreeMap<>(a.counts("both")), wanted = new HashMap<>();
        b.counts("both").forEach((body, n) -> total.merge(body, n, Integer::sum));
        want.forEach(body -> wanted.put(body, 1));
        String difference = Seen.difference(wanted, total);
        check(difference.isEmpty(), "%s", difference);
        check(a.counts("both").size() == 30, "shared %d : %d", a.counts("both").size(), b.counts("both").size());
        first.shutdown();
        probe(c, topic, 4, "owned", List.of(b), got -> got.get(0).size() == 4);
        b.exactly("rest", c.sendAll(p, topic, "rest", 40));
        check(a.startingWith("rest").isEmpty(), "messages at the one that left");
        return "60 messages shared 30:30, 40 more at the one that stayed, once each";
    }

    private static String killed(Case c) throws Exception {
        String topic = c.topic(4), group = c.unique("G");
        List<String> want = c.sendAll(c.producer(), topic, "k", 200);
        Case.Child dying = c.new Child("consume", c.ns, group, topic, "30");
        Case.until("30 messages at the worker", () -> dying.with("GOT").size() >= 30);
        dying.kill();
        Seen seen = new Seen();
        c.consumer(group, topic, seen, null);
        Case.until("all 200 at one or the other", () -> {
            Set<String> all = new HashSet<>(dying.with("GOT"));
            all.addAll(seen.counts("").keySet());
            return all.equals(new HashSet<>(want));
        });
        seen.quiet();
        seen.counts("").forEach((body, n) -> check(n == 1, "%s came %d times to the second consumer", body, n));
        int before = dying.with("GOT").size();
        check(before < 200, "the worker was not killed in the middle");
        return before + " seen by the killed one, " + seen.counts("").size() + " by the other, none lost of 200";
    }

    private static String resume(Case c) throws Exception {
        String topic = c.topic(4), group = c.unique("G");
        Seen before = new Seen(), after = new Seen();
        DefaultMQProducer p = c.producer();
        DefaultMQPushConsumer k = c.consumer(group, topic, before, null);
        before.exactly(c.sendAll(p, topic, "before", 20));
        k.shutdown();
        List<String> want = c.sendAll(p, topic, "meanwhile", 20);
        c.consumer(group, topic, after, null);
        after.exactly(want);
        return "20 before, 20 after, none again";
    }

    /** From the first offset everything; from the last offset, everything too as long as the topic is young. */
    private static String newGroup(Case c, ConsumeFromWhere where) throws Exception {
        String topic = c.topic(4);
        DefaultMQProducer p = c.producer();
        List<String> want = c.sendAll(p, topic, "old", 20);
        Seen seen = new Seen();
        c.consumer(c.unique("G"), topic, seen, null, k -> {
            k.setConsumeFromWhere(where);
            k.subscribe(topic, "*");
        });
        want.addAll(c.sendAll(p, topic, "new", 20));
        seen.exactly(want);
        return "40 messages once";
    }
}
