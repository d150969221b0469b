// SPDX-License-Identifier: Apache-2.0
package halfmoon.e2e;

import static halfmoon.e2e.Case.check;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageExt;

/** Transactions, with the verdict at once, after a check, from another producer, and with a delay. */
final class Transactions {
    private Transactions() {}

    static void cases(Map<String, Case.Body> all) {
        all.put("tx-commit-rollback", Transactions::commitRollback);
        all.put("tx-check-commit", Transactions::checkCommit);
        all.put("tx-check-rollback", Transactions::checkRollback);
        all.put("tx-producer-killed", Transactions::producerKilled);
        all.put("tx-delay", Transactions::delayed);
    }

    /** Decides by the body: commit-*, rollback-*, anything else unknown; *then_commit* and *then_rollback* when asked. */
    static final class Verdicts implements TransactionListener {
        final Map<String, Integer> checks = new ConcurrentHashMap<>();
        final Map<String, Long> last = new ConcurrentHashMap<>();
        volatile int again; // checks that are answered "unknown" first

        @Override public LocalTransactionState executeLocalTransaction(Message m, Object arg) {
            String body = new String(m.getBody());
            last.put(body, System.currentTimeMillis());
            return body.startsWith("commit-") ? LocalTransactionState.COMMIT_MESSAGE
                : body.startsWith("rollback-") ? LocalTransactionState.ROLLBACK_MESSAGE : LocalTransactionState.UNKNOW;
        }

        @Override public LocalTransactionState checkLocalTransaction(MessageExt m) {
            String body = new String(m.getBody());
            last.put(body, System.currentTimeMillis());
            if (checks.merge(body, 1, Integer::sum) <= again) {
                return LocalTransactionState.UNKNOW;
            }
            return body.contains("then_commit") ? LocalTransactionState.COMMIT_MESSAGE
                : body.contains("then_rollback") ? LocalTransactionState.ROLLBACK_MESSAGE : LocalTransactionState.UNKNOW;
        }

        int checks(String body) {
            return checks.getOrDefault(body, 0);
        }
    }

    private static TransactionMQProducer producer(Case c, String group, Verdicts v) throws Exception {
        TransactionMQProducer p = new TransactionMQProducer(group);
        c.setUp(p);
        p.setTransactionListener(v);
        p.start();
        return p;
    }

    private static void half(TransactionMQProducer p, Message m) throws Exception {
        var r = p.sendMessageInTransaction(m, null);
        check(r.getSendStatus() == SendStatus.SEND_OK, "half message: %s", r);
    }

    private static String commitRollback(Case c) throws Exception {
        String topic = c.topic(4);
        Seen seen = new Seen();
        Verdicts v = new Verdicts();
        c.consumer(c.unique("G"), topic, seen, null);
        TransactionMQProducer p = producer(c, c.unique("P"), v);
        List<String> want = new ArrayList<>();
        for (int i = 0; i < 10; i++) {
            half(p, c.message(topic, "rollback-" + i));
            Message m = c.message(topic, "commit-" + i);
            m.setTags("TagT");
            half(p, m);
            want.add("commit-" + i);
        }
        seen.exactly(want);
        for (Seen.Sight s : seen.sights()) {
            check("TagT".equals(s.message().getTags()) && topic.equals(s.message().getTopic()), "changed on its way: %s", s.message());
        }
        half(p, c.message(topic, "unknown-then_commit"));
        want.add("unknown-then_commit");
        seen.exactly(want);
        v.checks.remove("unknown-then_commit");
        check(v.checks.isEmpty(), "decided messages were asked about: %s", v.checks);
        return "10 committed once each, 10 rolled back never seen, none asked about";
    }

    private static String checkCommit(Case c) throws Exception {
        String topic = c.topic(4);
        Seen seen = new Seen();
        Verdicts v = new Verdicts();
        v.again = 1;
        c.consumer(c.unique("G"), topic, seen, null);
        TransactionMQProducer p = producer(c, c.unique("P"), v);
        List<String> want = List.of("unknown-then_commit-0", "unknown-then_commit-1", "unknown-then_commit-2");
        for (String body : want) {
            half(p, c.message(topic, body));
        }
        seen.exactly(want);
        for (String body : want) {
            check(v.checks(body) >= 2, "%s was seen after %d checks", body, v.checks(body));
        }
        return "3 messages, asked about twice, once each";
    }

    private static String checkRollback(Case c) throws Exception {
        String topic = c.topic(4);
        Seen seen = new Seen();
        Verdicts v = new Verdicts();
        c.consumer(c.unique("G"), topic, seen, null);
        TransactionMQProducer p = producer(c, c.unique("P"), v);
        half(p, c.message(topic, "unknown-then_rollback"));
        Case.until("the check", () -> v.checks("unknown-then_rollback") > 0);
        v.again = 1; // later messages get two checks and come: the rolled-back one had every chance
        half(p, c.message(topic, "unknown-then_commit-1"));
        half(p, c.message(topic, "unknown-then_commit-2"));
        seen.exactly(List.of("unknown-then_commit-1", "unknown-then_commit-2"));
        return "asked " + v.checks("unknown-then_rollback") + " times, rolled back, never seen";
    }

    private static String producerKilled(Case c) throws Exception {
        String topic = c.topic(4), group = c.unique("P");
        Seen seen = new Seen();
        Verdicts v = new Verdicts();
        c.consumer(c.unique("G"), topic, seen, null);
        for (String body : List.of("orphan-then_commit", "orphan-then_rollback")) {
            Case.Child dying = c.new Child("half", c.ns, group, topic, body);
            Case.until("the half message of the worker", () -> dying.with("HALF").size() == 1);
            dying.kill();
        }
        // This client tells a broker about itself only once it has sent something to it.
        half(producer(c, group, v), c.message(topic, "commit-hello"));
        Case.until("both checks", () -> v.checks("orphan-then_commit") > 0 && v.checks("orphan-then_rollback") > 0);
        seen.exactly(List.of("commit-hello", "orphan-then_commit"));
        return "asked the new producer; one committed, one rolled back";
    }

    /** Delayed after its commit, never before it. */
    private static String delayed(Case c) throws Exception {
        String topic = c.topic(4);
        Seen seen = new Seen();
        Verdicts v = new Verdicts();
        c.consumer(c.unique("G"), topic, seen, null);
        TransactionMQProducer p = producer(c, c.unique("P"), v);
        long started = System.currentTimeMillis();
        for (String body : List.of("commit-delayed", "unknown-then_commit-delayed", "rollback-delayed")) {
            Message m = c.message(topic, body);
            // The Java client takes a delay level off a transactional message without a word; a timer property stays.
            MessageAccessor.putProperty(m, "TIMER_DELAY_MS", String.valueOf(Delays.LEVEL_MS[2]));
            half(p, m);
        }
        List<String> want = List.of("commit-delayed", "unknown-then_commit-delayed");
        seen.exactly(want);
        for (String body : want) {
            long at = seen.of(body).get(0).atMs(), verdict = v.last.get(body);
            check(at - started >= Delays.LEVEL_MS[2] && at >= verdict, "%s came %d ms after it was sent, %d ms after its verdict", body,
                at - started, at - verdict);
            check(at - verdict - Delays.LEVEL_MS[2] < c.lateMs + 500, "%s came %d ms after its verdict", body, at - verdict);
        }
        check(v.checks("unknown-then_commit-delayed") > 0 && v.checks("commit-delayed") == 0, "checks: %s", v.checks);
        return "2 committed: after commit and delay, once; 1 rolled back: never";
    }
}
