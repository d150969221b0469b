// SPDX-License-Identifier: Apache-2.0
package halfmoon.e2e;

import static halfmoon.e2e.Case.check;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.client.producer.RequestCallback;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.common.message.Message;

/** Sending in all its ways, and what a subscription lets through. */
final class Sending {
    private Sending() {}

    static void cases(Map<String, Case.Body> all) {
        all.put("sync", Sending::sync);
        all.put("async", Sending::async);
        all.put("oneway", Sending::oneway);
        all.put("batch", Sending::batch);
        all.put("auto-created-topic", Sending::autoCreated);
        all.put("body-sizes", Sending::sizes);
        all.put("tags", Sending::tags);
        all.put("sql92-refused", Sending::sql92);
        all.put("request-reply", Sending::requestReply);
    }

    private static String sync(Case c) throws Exception {
        String topic = c.topic(4);
        Seen seen = new Seen();
        c.consumer(c.unique("G"), topic, seen, null);
        DefaultMQProducer p = c.producer();
        List<String> want = new ArrayList<>();
        Set<String> ids = new HashSet<>();
        for (int i = 0; i < 40; i++) {
            Message m = c.message(topic, "sync-" + i);
            m.setTags("TagX");
            m.setKeys(List.of("k1", "k2"));
            m.putUserProperty("colour", "blue");
            ids.add(c.send(p, m).getMsgId());
            want.add("sync-" + i);
        }
        seen.exactly(want);
        for (Seen.Sight s : seen.sights()) {
            check("TagX".equals(s.message().getTags()) && "k1 k2".equals(s.message().getKeys())
                && "blue".equals(s.message().getUserProperty("colour")) && topic.equals(s.message().getTopic())
                && ids.remove(s.message().getMsgId()), "a message came changed: %s", s.message());
        }
        return "40 messages once each, unchanged, with the ids that their producer was told";
    }

    private static String async(Case c) throws Exception {
        String topic = c.topic(4);
        Seen seen = new Seen();
        c.consumer(c.unique("G"), topic, seen, null);
        DefaultMQProducer p = c.producer();
        CountDownLatch left = new CountDownLatch(200);
        AtomicReference<Throwable> problem = new AtomicReference<>();
        List<String> want = new ArrayList<>();
        for (int i = 0; i < 200; i++) {
            want.add("async-" + i);
            p.send(c.message(topic, "async-" + i), new SendCallback() {
                @Override public void onSuccess(SendResult r) {
                    if (r.getSendStatus() != SendStatus.SEND_OK) {
                        problem.set(new IllegalStateException(r.toString()));
                    }
                    left.countDown();
                }

                @Override public void onException(Throwable e) {
                    problem.set(e);
                    left.countDown();
                }
            });
        }
        check(left.await(60, TimeUnit.SECONDS), "%d callbacks missing", left.getCount());
        check(problem.get() == null, "callback: %s", problem.get());
        seen.exactly(want);
        return "200 callbacks, 200 messages once each";
    }

    private static String oneway(Case c) throws Exception {
        String topic = c.topic(4);
        Seen seen = new Seen();
        c.consumer(c.unique("G"), topic, seen, null);
        DefaultMQProducer p = c.producer();
        List<String> want = new ArrayList<>();
        for (int i = 0; i < 100; i++) {
            p.sendOneway(c.message(topic, "oneway-" + i));
            want.add("oneway-" + i);
        }
        seen.exactly(want);
        return "100 messages once each";
    }

    private static String batch(Case c) throws Exception {
        String topic = c.topic(4);
        Seen seen = new Seen();
        c.consumer(c.unique("G"), topic, seen, null);
        DefaultMQProducer p = c.producer();
        List<String> want = new ArrayList<>();
        for (int b = 0; b < 3; b++) {
            List<Message> batch = new ArrayList<>();
            for (int i = 0; i < 20; i++) {
                Message m = c.message(topic, "batch-" + b + "-" + i);
                m.setTags("B");
                batch.add(m);
                want.add("batch-" + b + "-" + i);
            }
            SendResult r = p.send(batch);
            check(r.getSendStatus() == SendStatus.SEND_OK, "batch: %s", r);
            check(r.getMsgId().split(",").length == 20, "ids of a batch: %s", r.getMsgId());
        }
        seen.exactly(want);
        for (Seen.Sight s : seen.sights()) {
            check("B".equals(s.message().getTags()), "tag %s", s.message().getTags());
        }
        return "3 batches of 20, each message once, with its tag";
    }

    private static String autoCreated(Case c) throws Exception {
        String topic = c.unique("T");
        Seen seen = new Seen();
        DefaultMQProducer p = c.producer();
        List<String> want = c.sendAll(p, topic, "auto", 12);
        c.consumer(c.unique("G"), topic, seen, null);
        want.addAll(c.sendAll(p, topic, "later", 12));
        seen.exactly(want);
        check(p.fetchPublishMessageQueues(topic).size() == 4, "an automatic topic of this client has four queues");
        return "24 messages once each";
    }

    private static String sizes(Case c) throws Exception {
        String topic = c.topic(2);
        Seen seen = new Seen();
        c.consumer(c.unique("G"), topic, seen, null);
        DefaultMQProducer p = c.producer();
        List<String> want = new ArrayList<>();
        for (int size : new int[] {1, 1000, 5000, 70_000, 1_000_000, 3_900_000}) {
            String body = ("moon" + size + " ").repeat(size / 5 + 1).substring(0, size);
            c.send(p, c.message(topic, body));
            want.add(body);
        }
        seen.exactly(want);
        return "1 B to 3.9 MB, each once, byte for byte";
    }

    private static String tags(Case c) throws Exception {
        String topic = c.topic(4);
        Seen both = new Seen(), one = new Seen(), everything = new Seen();
        c.consumer(c.unique("G"), topic, both, null, k -> k.subscribe(topic, "TagA || TagB"));
        c.consumer(c.unique("G"), topic, one, null, k -> k.subscribe(topic, "TagC"));
        c.consumer(c.unique("G"), topic, everything, null);
        DefaultMQProducer p = c.producer();
        List<String> wantBoth = new ArrayList<>(), wantOne = new ArrayList<>(), wantAll = new ArrayList<>();
        String[] tags = {"TagA", "TagB", "TagC", ""};
        for (int i = 0; i < 40; i++) {
            String tag = tags[i % 4], body = tag + "-" + i;
            Message m = c.message(topic, body);
            if (!tag.isEmpty()) {
                m.setTags(tag);
            }
            c.send(p, m);
            wantAll.add(body);
            if (i % 4 < 2) {
                wantBoth.add(body);
            } else if (i % 4 == 2) {
                wantOne.add(body);
            }
        }
        everything.exactly(wantAll);
        both.exactly(wantBoth);
        one.exactly(wantOne);
        return "TagA || TagB 20, TagC 10, * 40";
    }

    private static String sql92(Case c) throws Exception {
        String topic = c.topic(1);
        try {
            c.consumer(c.unique("G"), topic, new Seen(), null, k -> k.subscribe(topic, MessageSelector.bySql("colour = 'blue'")));
        } catch (MQClientException e) {
            String text = e + " " + e.getCause();
            check(text.contains("SQL92"), "the refusal does not name SQL92: %s", text);
            return "refused: " + (e.getErrorMessage() == null ? e.getMessage().split("\n")[0] : e.getErrorMessage());
        }
        throw Case.fail("a consumer with an SQL92 selector started");
    }

    private static String requestReply(Case c) throws Exception {
        String topic = c.topic(2);
        Seen seen = new Seen();
        DefaultMQProducer replier = c.producer();
        c.consumer(c.unique("G"), topic, seen, (m, context) -> {
            replier.send(MessageUtil.createReplyMessage(m, ("reply to " + new String(m.getBody())).getBytes()), 10_000);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        DefaultMQProducer p = c.producer();
        List<String> want = new ArrayList<>();
        for (int i = 0; i < 5; i++) {
            String body = "ask-" + i;
            want.add(body);
            CountDownLatch done = new CountDownLatch(1);
            AtomicReference<Object> outcome = new AtomicReference<>();
            p.request(c.message(topic, body), (queues, m, arg) -> queues.get((Integer) arg % queues.size()), i, new RequestCallback() {
                @Override public void onSuccess(Message m) {
                    outcome.set(new String(m.getBody()));
                    done.countDown();
                }

                @Override public void onException(Throwable e) {
                    outcome.set(e);
                    done.countDown();
                }
            }, 20_000);
            check(done.await(40, TimeUnit.SECONDS), "no callback for %s", body);
            check(("reply to " + body).equals(outcome.get()), "%s was answered: %s", body, outcome.get());
        }
        seen.exactly(want);
        return "5 requests, 5 replies";
    }
}
