// SPDX-License-Identifier: Apache-2.0
package halfmoon.e2e;

import java.nio.charset.StandardCharsets;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * A client that is going to be killed. worker half NS GROUP TOPIC BODY: prints "HALF body" in the local transaction and never ends it.
 * worker consume NS GROUP TOPIC PAUSE_MS: prints "GOT body", one message at a time.
 */
final class Worker {
    private Worker() {}

    static void main(String[] args) throws Exception {
        String kind = args[1], ns = args[2], group = args[3], topic = args[4], extra = args[5];
        if (kind.equals("half")) {
            TransactionMQProducer p = new TransactionMQProducer(group);
            p.setNamesrvAddr(ns);
            p.setTransactionListener(new TransactionListener() {
                @Override public LocalTransactionState executeLocalTransaction(Message m, Object arg) {
                    say("HALF " + new String(m.getBody(), StandardCharsets.UTF_8));
                    hang();
                    return LocalTransactionState.UNKNOW;
                }

                @Override public LocalTransactionState checkLocalTransaction(MessageExt m) {
                    hang();
                    return LocalTransactionState.UNKNOW;
                }
            });
            p.start();
            p.sendMessageInTransaction(new Message(topic, extra.getBytes(StandardCharsets.UTF_8)), null);
        } else {
            DefaultMQPushConsumer c = new DefaultMQPushConsumer(group);
            c.setNamesrvAddr(ns);
            c.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
            c.setConsumeThreadMin(1);
            c.setConsumeThreadMax(1);
            c.subscribe(topic, "*");
            c.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                for (MessageExt m : messages) {
                    say("GOT " + new String(m.getBody(), StandardCharsets.UTF_8));
                    try {
                        Thread.sleep(Long.parseLong(extra));
                    } catch (InterruptedException e) {
                        return ConsumeConcurrentlyStatus.RECONSUME_LATER;
                    }
                }
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
            c.start();
            hang();
        }
    }

    private static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    private static void hang() {
        while (true) {
            try {
                Thread.sleep(Long.MAX_VALUE);
            } catch (InterruptedException e) {
                // only SIGKILL ends it
            }
        }
    }
}
