// SPDX-License-Identifier: Apache-2.0
package halfmoon.examples;

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * A warehouse that takes what was ordered from its stock, once for each order, however often the message comes.
 *
 * <p>Every message can come again: when this program is killed before the client has told the broker how far it is, when the group's queues
 * are given out anew, when a sender sent twice. So the order's id goes into a table of processed ids in the same database transaction that
 * changes the stock. Both are there or neither is; a second delivery finds the id and changes nothing. Only then the message is
 * acknowledged.
 */
public final class IdempotentConsumer {
    private static final String DUPLICATE_KEY = "23505";
    private final String url;

    private IdempotentConsumer(String file) throws SQLException {
        // Without WRITE_DELAY=0, H2 tells of commits up to half a second before they are in the file.
        url = "jdbc:h2:file:" + java.nio.file.Path.of(file).toAbsolutePath() + ";WRITE_DELAY=0;DB_CLOSE_DELAY=-1;DB_CLOSE_ON_EXIT=FALSE";
        try (Connection c = DriverManager.getConnection(url)) {
            c.createStatement().execute("""
                CREATE TABLE IF NOT EXISTS processed (id VARCHAR PRIMARY KEY);
                CREATE TABLE IF NOT EXISTS stock (item VARCHAR PRIMARY KEY, quantity BIGINT NOT NULL);
                INSERT INTO stock SELECT 'moon-cake', 1000000 WHERE NOT EXISTS (SELECT * FROM stock);
                """);
        }
    }

    /**
     * Ships an order, unless that was done before; says whether it was done now. One at a time: killed while several transactions commit at once, H2 2.3 has
     * half of one afterwards, the id without the stock or the stock without the id (in 3 kills of 90; in none where each commits alone).
     */
    private synchronized boolean apply(String id, String item, int quantity) throws SQLException {
        try (Connection c = DriverManager.getConnection(url)) {
            c.setAutoCommit(false); // closing without a commit rolls back
            PreparedStatement processed = c.prepareStatement("INSERT INTO processed VALUES (?)");
            processed.setString(1, id);
            try {
                processed.executeUpdate();
            } catch (SQLException e) {
                if (DUPLICATE_KEY.equals(e.getSQLState())) {
                    return false;
                }
                throw e;
            }
            PreparedStatement take = c.prepareStatement("UPDATE stock SET quantity = quantity - ? WHERE item = ?");
            take.setInt(1, quantity);
            take.setString(2, item);
            take.executeUpdate();
            c.commit();
            return true;
        }
    }

    private ConsumeConcurrentlyStatus consume(MessageExt m) {
        // The key is what the sender chose to name the order. The client's message id would not do: an order that is sent twice has two.
        String id = m.getKeys();
        String[] words = new String(m.getBody()).split(" ");
        if (id == null || words.length < 2 || !words[1].matches("\\d{1,9}")) {
            System.out.println("NOT AN ORDER " + m.getMsgId()); // it would not get better by trying again
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        }
        try {
            System.out.println((apply(id, words[0], Integer.parseInt(words[1])) ? "SHIPPED " : "AGAIN ") + id);
            Thread.sleep(Long.getLong("pause", 0)); // between the effect and the acknowledgement: time to kill this program
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        } catch (SQLException | InterruptedException e) {
            System.out.println("LATER " + id + " " + e.getMessage());
            return ConsumeConcurrentlyStatus.RECONSUME_LATER;
        }
    }

    public static void main(String[] unused) throws Exception {
        IdempotentConsumer warehouse = new IdempotentConsumer(System.getProperty("db", "./warehouse"));
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(System.getProperty("group", "warehouse"));
        consumer.setNamesrvAddr(System.getProperty("ns", "127.0.0.1:9876"));
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(System.getProperty("topic", "orders"), "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> warehouse.consume(messages.get(0)));
        consumer.start();
        System.out.println("READY");
        Runtime.getRuntime().addShutdownHook(new Thread(consumer::shutdown)); // tells the broker how far it is
    }
}
