// SPDX-License-Identifier: Apache-2.0
package halfmoon.examples;

import java.sql.SQLException;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * A shop that stores orders and announces them, with transactional messages: an order is in the database if and only if its message is
 * delivered, wherever this program or the broker is killed. What makes it safe stands in {@link OrderDatabase}.
 *
 * <pre>java -Dtopic=orders -Ddb=./orders -cp ... halfmoon.examples.TransactionalProducer order-1="moon-cake 3" order-2="moon-cake 900"</pre>
 *
 * Without orders it stays and answers the broker's checks, as it also does when it has sent them all.
 */
public final class TransactionalProducer implements TransactionListener {
    private final OrderDatabase database;
    private final long pause = Long.getLong("pause", 0); // ms before and after the local transaction: time to kill this program

    private TransactionalProducer(OrderDatabase database) {
        this.database = database;
    }

    @Override public LocalTransactionState executeLocalTransaction(Message m, Object arg) {
        String body = new String(m.getBody());
        System.out.println("HALF " + m.getKeys());
        sleep(pause);
        try {
            database.place(m.getTransactionId(), m.getKeys(), body, connection -> {
                if (Integer.parseInt(body.split(" ")[1]) > 100) { // the shop's own rules, and its own work on the same connection
                    throw new OrderDatabase.RefusedException("nobody can deliver that many");
                }
            });
            System.out.println("PLACED " + m.getKeys());
            sleep(pause);
            return LocalTransactionState.COMMIT_MESSAGE;
        } catch (OrderDatabase.RefusedException | OrderDatabase.TombstoneException e) {
            System.out.println("REFUSED " + m.getKeys() + " " + e.getMessage());
            return LocalTransactionState.ROLLBACK_MESSAGE;
        } catch (SQLException e) { // the commit may have failed before or after it took effect: let the broker ask
            System.out.println("UNKNOWN " + m.getKeys() + " " + e.getMessage());
            return LocalTransactionState.UNKNOW;
        }
    }

    @Override public LocalTransactionState checkLocalTransaction(MessageExt m) {
        try {
            boolean committed = database.committed(m.getTransactionId());
            System.out.println("CHECK " + m.getKeys() + " " + committed);
            return committed ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.ROLLBACK_MESSAGE;
        } catch (SQLException e) {
            System.out.println("CHECK " + m.getKeys() + " " + e.getMessage());
            return LocalTransactionState.UNKNOW;
        }
    }

    public static void main(String[] orders) throws Exception {
        String topic = System.getProperty("topic", "orders");
        OrderDatabase database = new OrderDatabase(System.getProperty("db", "./orders"));
        TransactionMQProducer producer = new TransactionMQProducer(System.getProperty("group", "shop"));
        producer.setNamesrvAddr(System.getProperty("ns", "127.0.0.1:9876"));
        // The client must not send a half message again by itself: it would be a second one with the same transaction id.
        producer.setRetryTimesWhenSendFailed(0);
        producer.setTransactionListener(new TransactionalProducer(database));
        producer.start();
        for (String order : orders) {
            String[] parts = order.split("=", 2);
            // An exception says that no local transaction was begun. Sending again, as a new message, is safe: if the first one did
            // arrive, its check will find nothing, and roll it back.
            var result = producer.sendMessageInTransaction(new Message(topic, null, parts[0], parts[1].getBytes()), null);
            System.out.println("SENT " + parts[0] + " " + result.getLocalTransactionState());
        }
        if (orders.length == 0) {
            // This client registers with the brokers of the topics that it has sent to. To be asked, send something: a half message that
            // is rolled back at once.
            producer.sendMessageInTransaction(new Message(topic, null, "hello", "hello 101".getBytes()), null);
        }
        System.out.println("DONE");
    }

    private static void sleep(long ms) {
        try {
            Thread.sleep(ms);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
