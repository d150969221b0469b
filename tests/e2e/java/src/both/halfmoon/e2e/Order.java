// SPDX-License-Identifier: Apache-2.0
package halfmoon.e2e;

import static halfmoon.e2e.Case.check;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;

/** Order by key and over all, and the broker's queue locks behind it. */
final class Order {
    private Order() {}

    static void cases(Map<String, Case.Body> all) {
        all.put("ordered-by-key", Order::byKey);
        all.put("ordered-global", Order::global);
        all.put("ordered-suspend", Order::suspend);
        all.put("ordered-two-consumers", Order::twoConsumers);
    }

    static List<String> sendByKey(Case c, String topic, int keys, int each) throws Exception {
        DefaultMQProducer p = c.producer();
        List<String> want = new ArrayList<>();
        for (int i = 0; i < each; i++) {
            for (int k = 0; k < keys; k++) {
                String body = String.format("key%d/%02d", k, i);
                SendResult r = p.send(c.message(topic, body), (queues, m, arg) -> queues.get(Math.floorMod(arg.hashCode(), queues.size())), "key" + k);
                check(r.getQueueOffset() >= 0, "offset %d", r.getQueueOffset());
                want.add(body);
            }
        }
        return want;
    }

    static void inOrder(List<Seen.Sight> sights, int keys, int each) {
        Map<String, Integer> next = new HashMap<>(), queue = new HashMap<>();
        for (Seen.Sight s : sights) {
            String key = s.body().substring(0, s.body().indexOf('/'));
            int n = next.merge(key, 1, Integer::sum) - 1;
            check(s.body().equals(String.format("%s/%02d", key, n)), "%s came where %s/%02d was due", s.body(), key, n);
            Integer before = queue.put(key, s.message().getQueueId());
            check(before == null || before == s.message().getQueueId(), "%s is in two queues", key);
        }
        check(next.size() == keys && next.values().stream().allMatch(n -> n == each), "counts: %s", next);
    }

    private static String byKey(Case c) throws Exception {
        String topic = c.topic(4);
        Seen seen = new Seen();
        Map<Integer, AtomicInteger> busy = new ConcurrentHashMap<>();
        c.orderly(c.unique("G"), topic, seen, m -> {
            AtomicInteger n = busy.computeIfAbsent(m.getQueueId(), q -> new AtomicInteger());
            if (n.incrementAndGet() != 1) {
                seen.note("two of one queue at once");
            }
            Thread.yield();
            n.decrementAndGet();
            return ConsumeOrderlyStatus.SUCCESS;
        });
        seen.exactly(sendByKey(c, topic, 6, 20));
        inOrder(seen.sights(), 6, 20);
        return "6 keys, 20 messages each, in order, once";
    }

    private static String global(Case c) throws Exception {
        String topic = c.topic(1);
        Seen seen = new Seen();
        c.orderly(c.unique("G"), topic, seen, null);
        DefaultMQProducer p = c.producer();
        List<String> want = new ArrayList<>();
        for (int i = 0; i < 60; i++) {
            want.add(String.format("all/%02d", i));
            c.send(p, c.message(topic, want.get(i)));
        }
        seen.exactly(want);
        inOrder(seen.sights(), 1, 60);
        return "60 messages in order, once";
    }

    /** A message that is put off holds back those behind it, and only it is seen again. */
    private static String suspend(Case c) throws Exception {
        String topic = c.topic(1);
        Seen seen = new Seen();
        AtomicBoolean once = new AtomicBoolean();
        c.orderly(c.unique("G"), topic, seen, m -> new String(m.getBody()).equals("s-3") && !once.getAndSet(true)
            ? ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT : ConsumeOrderlyStatus.SUCCESS);
        List<String> want = c.sendAll(c.producer(), topic, "s", 8);
        want.add("s-3");
        seen.exactly(want);
        String order = String.join(" ", seen.sights().stream().map(Seen.Sight::body).toList());
        check(order.equals("s-0 s-1 s-2 s-3 s-3 s-4 s-5 s-6 s-7"), "seen: %s", order);
        return "s-3 twice, all others once, in order";
    }

    private static String twoConsumers(Case c) throws Exception {
        String topic = c.topic(4), group = c.unique("G");
        Seen all = new Seen(), first = new Seen(), second = new Seen();
        for (Seen own : List.of(first, second)) {
            c.orderly(group, topic, all, m -> {
                own.note(m);
                return ConsumeOrderlyStatus.SUCCESS;
            });
        }
        Groups.shared(c, topic, 4, first, second);
        List<String> want = sendByKey(c, topic, 8, 15);
        all.exactly("key", want);
        inOrder(all.startingWith("key"), 8, 15);
        check(!first.startingWith("key").isEmpty() && !second.startingWith("key").isEmpty(), "one of the two got nothing");
        return "8 keys, 15 messages each, in order, once, over two consumers";
    }
}
