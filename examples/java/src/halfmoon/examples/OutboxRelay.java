// SPDX-License-Identifier: Apache-2.0
package halfmoon.examples;

import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.remoting.exception.RemotingException;

/**
 * The outbox pattern: the same promise without transactional messages. The order and the message about it are rows of one database
 * transaction, and a relay sends what the outbox holds and then deletes it. If the relay is killed between the two, it sends the message
 * again: the consumer must be idempotent, by the order's id.
 *
 * <pre>java -Dtopic=orders -Ddb=./orders -cp ... halfmoon.examples.OutboxRelay order-1="moon-cake 3"</pre>
 *
 * stores the orders, then relays until it is killed. Beside transactional messages: nothing needs to answer checks, and the broker may be
 * away when an order is placed. In exchange there is a table to poll, one relay at a time (two would send everything twice and out of
 * order), and each message is written to the database too.
 */
public final class OutboxRelay {
    private OutboxRelay() {}

    public static void main(String[] orders) throws Exception {
        OrderDatabase database = new OrderDatabase(System.getProperty("db", "./orders"));
        String topic = System.getProperty("topic", "orders");
        long pause = Long.getLong("pause", 0); // ms between sending and deleting: time to kill this program
        for (String order : orders) {
            String[] parts = order.split("=", 2);
            database.placeWithOutbox(parts[0], parts[1]);
            System.out.println("PLACED " + parts[0]);
        }
        DefaultMQProducer producer = new DefaultMQProducer(System.getProperty("group", "relay"));
        producer.setNamesrvAddr(System.getProperty("ns", "127.0.0.1:9876"));
        producer.start();
        while (true) {
            for (OrderDatabase.OutboxRow row : database.outbox()) {
                if (!sent(producer, new Message(topic, null, row.id(), row.payload().getBytes()))) {
                    break; // not the next one before this one
                }
                System.out.println("SENT " + row.id());
                Thread.sleep(pause);
                database.deleteFromOutbox(row.number());
            }
            Thread.sleep(100);
        }
    }

    private static boolean sent(DefaultMQProducer producer, Message m) throws InterruptedException {
        try {
            return producer.send(m).getSendStatus() == SendStatus.SEND_OK;
        } catch (MQClientException | RemotingException | MQBrokerException e) {
            System.out.println("LATER " + m.getKeys() + " " + e.getMessage());
            return false;
        }
    }
}
