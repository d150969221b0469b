// SPDX-License-Identifier: Apache-2.0
package halfmoon.e2e;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyContext;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** One case: it makes names, topics and clients, each client an instance of its own, and closes them at the end. */
final class Case {
    interface Body {
        /** Runs the case; returns what was proven, never empty; throws on failure. */
        String run(Case c) throws Exception;
    }

    /** Decides about one message: consumed, or not now. */
    interface Answer {
        ConsumeConcurrentlyStatus to(MessageExt m, ConsumeConcurrentlyContext context) throws Exception;
    }

    /** Last touches on a consumer before it starts. */
    interface Setup {
        void to(DefaultMQPushConsumer c) throws Exception;
    }

    final String name, ns, broker, id;
    final long lateMs;
    private final AtomicInteger serial = new AtomicInteger();
    private final Deque<Runnable> cleanups = new ArrayDeque<>();
    private static DefaultMQAdminExt sharedAdmin;

    Case(String name, String ns, String broker, String id, long lateMs) {
        this.name = name;
        this.ns = ns;
        this.broker = broker;
        this.id = id;
        this.lateMs = lateMs;
    }

    static AssertionError fail(String format, Object... args) {
        return new AssertionError(args.length == 0 ? format : String.format(format, args));
    }

    static void check(boolean good, String format, Object... args) {
        if (!good) {
            throw fail(format, args);
        }
    }

    static void until(String what, Callable<Boolean> condition) throws InterruptedException {
        until(what, Seen.PATIENCE_MS, condition);
    }

    static void until(String what, long patienceMs, Callable<Boolean> condition) throws InterruptedException {
        long deadline = System.currentTimeMillis() + patienceMs;
        Exception last = null;
        while (true) {
            try {
                if (condition.call()) {
                    return;
                }
                last = null;
            } catch (InterruptedException e) {
                throw e;
            } catch (Exception e) {
                last = e;
            }
            if (System.currentTimeMillis() > deadline) {
                throw fail("waited %d s in vain for: %s %s", patienceMs / 1000, what, last == null ? "" : last);
            }
            Thread.sleep(10);
        }
    }

    synchronized void onClose(Runnable r) {
        cleanups.push(r);
    }

    synchronized void close() {
        while (!cleanups.isEmpty()) {
            try {
                cleanups.pop().run();
            } catch (RuntimeException e) {
                // the process ends anyway
            }
        }
    }

    String unique(String kind) {
        return kind + "_" + name + "_" + id + "_" + serial.incrementAndGet();
    }

    DefaultMQAdminExt admin() throws Exception {
        synchronized (Case.class) {
            if (sharedAdmin == null) {
                DefaultMQAdminExt admin = new DefaultMQAdminExt(20_000);
                admin.setNamesrvAddr(ns);
                admin.setInstanceName("admin_" + id);
                admin.setAdminExtGroup("admin_" + id);
                admin.start();
                sharedAdmin = admin;
            }
            return sharedAdmin;
        }
    }

    /** Creates a topic and returns when the name server has its route. */
    String topic(int queues) throws Exception {
        String topic = unique("T");
        admin().createAndUpdateTopicConfig(broker, new TopicConfig(topic, queues, queues, 6));
        until("the route of " + topic, () -> {
            var datas = admin().examineTopicRouteInfo(topic).getQueueDatas();
            return datas.size() == 1 && datas.get(0).getWriteQueueNums() == queues;
        });
        return topic;
    }

    DefaultMQProducer producer() throws Exception {
        DefaultMQProducer p = new DefaultMQProducer(unique("P"));
        setUp(p);
        p.start();
        return p;
    }

    void setUp(DefaultMQProducer p) {
        p.setNamesrvAddr(ns);
        p.setInstanceName(unique("i"));
        p.setSendMsgTimeout(10_000);
        onClose(p::shutdown);
    }

    Message message(String topic, String body) {
        return new Message(topic, body.getBytes(StandardCharsets.UTF_8));
    }

    SendResult send(DefaultMQProducer p, Message m) throws Exception {
        SendResult r = p.send(m);
        check(r.getSendStatus() == SendStatus.SEND_OK, "send status %s", r.getSendStatus());
        return r;
    }

    List<String> sendAll(DefaultMQProducer p, String topic, String prefix, int n) throws Exception {
        List<String> bodies = new ArrayList<>();
        for (int i = 0; i < n; i++) {
            String body = prefix + "-" + i;
            send(p, message(topic, body));
            bodies.add(body);
        }
        return bodies;
    }

    DefaultMQPushConsumer consumer(String group, String topic, Seen seen, Answer answer) throws Exception {
        return consumer(group, topic, seen, answer, c -> c.subscribe(topic, "*"));
    }

    /** A concurrent consumer from the first offset; setup subscribes. */
    DefaultMQPushConsumer consumer(String group, String topic, Seen seen, Answer answer, Setup setup) throws Exception {
        DefaultMQPushConsumer c = plain(group);
        setup.to(c);
        c.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            ConsumeConcurrentlyStatus status = ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            for (MessageExt m : messages) {
                seen.note(m);
                if (answer != null) {
                    try {
                        status = answer.to(m, context);
                    } catch (Exception e) {
                        seen.note("listener: " + e);
                        status = ConsumeConcurrentlyStatus.RECONSUME_LATER;
                    }
                }
            }
            return status;
        });
        c.start();
        return c;
    }

    DefaultMQPushConsumer orderly(String group, String topic, Seen seen, Function<MessageExt, ConsumeOrderlyStatus> answer) throws Exception {
        DefaultMQPushConsumer c = plain(group);
        c.subscribe(topic, "*");
        c.setSuspendCurrentQueueTimeMillis(200);
        c.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            ConsumeOrderlyStatus status = ConsumeOrderlyStatus.SUCCESS;
            for (MessageExt m : messages) {
                seen.note(m);
                if (answer != null) {
                    status = answer.apply(m);
                }
            }
            return status;
        });
        c.start();
        return c;
    }

    DefaultMQPushConsumer plain(String group) {
        DefaultMQPushConsumer c = new DefaultMQPushConsumer(group);
        c.setNamesrvAddr(ns);
        c.setInstanceName(unique("i"));
        c.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        c.setConsumeThreadMin(4);
        c.setConsumeThreadMax(4);
        onClose(c::shutdown);
        return c;
    }

    /** A Worker in a process of its own, whose output lines are kept. */
    final class Child {
        private final Process process;
        private final List<String> lines = new ArrayList<>();

        Child(String... args) throws Exception {
            List<String> command = new ArrayList<>(List.of(ProcessHandle.current().info().command().orElseThrow(), "-Xmx128m",
                "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"));
            for (String property : List.of("user.home", "rocketmq.client.logUseSlf4j", "rocketmq.client.logRoot", "rocketmq.client.logLevel")) {
                if (System.getProperty(property) != null) {
                    command.add("-D" + property + "=" + System.getProperty(property));
                }
            }
            command.addAll(List.of("-cp", System.getProperty("java.class.path"), "halfmoon.e2e.Main", "worker"));
            command.addAll(Arrays.asList(args));
            process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start();
            onClose(process::destroyForcibly);
            Thread reader = new Thread(() -> {
                try (BufferedReader in = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
                    for (String line = in.readLine(); line != null; line = in.readLine()) {
                        synchronized (lines) {
                            lines.add(line);
                        }
                    }
                } catch (java.io.IOException e) {
                    // killed
                }
            });
            reader.setDaemon(true);
            reader.start();
        }

        List<String> with(String word) {
            synchronized (lines) {
                return lines.stream().filter(l -> l.startsWith(word + " ")).map(l -> l.substring(word.length() + 1)).toList();
            }
        }

        /** SIGKILL: no shutdown hook runs. */
        void kill() throws InterruptedException {
            process.destroyForcibly().waitFor();
        }
    }
}
