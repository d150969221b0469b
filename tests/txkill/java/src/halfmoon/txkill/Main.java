// SPDX-License-Identifier: Apache-2.0
package halfmoon.txkill;

import halfmoon.examples.OrderDatabase;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.Random;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * A transactional producer that is made to be killed: the orders database of the examples ({@link OrderDatabase}), under load, with a seeded
 * plan for each transaction. ../run.py starts and kills it; ../README.md tells what for. The Go program beside it does the same.
 *
 * <p>It prints one line per event, at once: HALF id transaction plan | PLACED id | REFUSED id | UNKNOWN id | CHECK id answer | NAK id | READY.
 * With arguments it prints the rows of these queries instead.
 */
public final class Main implements TransactionListener {
    /** By weight, in ten thousand; the Go program tells what each means. */
    private enum Plan {
        COMMIT(5664), COMMIT_UNKNOWN(1500), REFUSE(1500), NOTHING_UNKNOWN(800), LATE(500), SLOW(30), DIE_BEFORE(2), DIE_INSIDE(2), DIE_AFTER(2);

        final int weight;

        Plan(int weight) {
            this.weight = weight;
        }

        String word() {
            return name().toLowerCase().replace('_', '-');
        }

        static Plan of(int roll) {
            for (Plan p : values()) {
                roll -= p.weight;
                if (roll < 0) {
                    return p;
                }
            }
            throw new IllegalStateException("the weights do not add up to 10000");
        }
    }

    private static final String TOPIC = System.getProperty("topic"), LIFE = System.getProperty("life");
    private static final int THREADS = Integer.getInteger("threads", 6);
    private static final boolean TOMBSTONE = !"false".equals(System.getProperty("tombstone"));

    private final OrderDatabase database;
    private final Random dice = new Random(Long.getLong("seed", 0)); // is safe between threads
    private TransactionMQProducer producer;

    private Main(OrderDatabase database) {
        this.database = database;
    }

    @Override public LocalTransactionState executeLocalTransaction(Message m, Object arg) {
        String id = m.getKeys(), body = new String(m.getBody());
        Plan plan = Plan.valueOf(body.split(" ")[2].toUpperCase().replace('-', '_'));
        say("HALF " + id + " " + m.getTransactionId() + " " + plan.word());
        switch (plan) {
            case DIE_BEFORE -> die();
            case LATE -> sleep(200 + dice.nextInt(800));
            case NOTHING_UNKNOWN -> {
                return LocalTransactionState.UNKNOW;
            }
            default -> { }
        }
        try {
            database.place(m.getTransactionId(), id, body, connection -> {
                switch (plan) {
                    case REFUSE -> throw new OrderDatabase.RefusedException("planned");
                    case SLOW -> sleep(200 + dice.nextInt(400));
                    case DIE_INSIDE -> die();
                    default -> { }
                }
            });
        } catch (OrderDatabase.RefusedException | OrderDatabase.TombstoneException e) {
            say("REFUSED " + id);
            return LocalTransactionState.ROLLBACK_MESSAGE;
        } catch (SQLException e) {
            say("UNKNOWN " + id + " " + e.getMessage());
            return LocalTransactionState.UNKNOW;
        }
        say("PLACED " + id);
        if (plan == Plan.DIE_AFTER) {
            die();
        }
        return plan == Plan.COMMIT_UNKNOWN ? LocalTransactionState.UNKNOW : LocalTransactionState.COMMIT_MESSAGE;
    }

    @Override public LocalTransactionState checkLocalTransaction(MessageExt m) {
        if (THREADS > 0 && dice.nextInt(5) == 0) {
            say("CHECK " + m.getKeys() + " unknown");
            return LocalTransactionState.UNKNOW;
        }
        try {
            boolean committed = TOMBSTONE ? database.committed(m.getTransactionId()) : seen(m.getTransactionId());
            say("CHECK " + m.getKeys() + (committed ? " commit" : " rollback"));
            return committed ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.ROLLBACK_MESSAGE;
        } catch (SQLException e) {
            say("CHECK " + m.getKeys() + " unknown " + e.getMessage());
            return LocalTransactionState.UNKNOW;
        }
    }

    /** Without the tombstone: the mistake that the campaign must find. */
    private boolean seen(String transaction) throws SQLException {
        try (var c = database.open(); var s = c.prepareStatement("SELECT 1 FROM orders WHERE transaction_id = ?")) {
            s.setString(1, transaction);
            return s.executeQuery().next();
        }
    }

    private boolean send(String id, Plan plan) {
        String body = "moon-cake 1 " + plan.word() + " " + "x".repeat(dice.nextInt(2000));
        try {
            producer.sendMessageInTransaction(new Message(TOPIC, null, id, body.getBytes()), null);
            return true;
        } catch (MQClientException e) {
            say("NAK " + id + " " + e.getMessage());
            sleep(20);
            return false;
        }
    }

    private void work(int thread) {
        for (int n = 0; ; n++) {
            send(LIFE + "-" + thread + "-" + n, Plan.of(dice.nextInt(10000)));
            sleep(dice.nextInt(10));
        }
    }

    private void run() throws MQClientException {
        producer = new TransactionMQProducer(System.getProperty("group"));
        producer.setNamesrvAddr(System.getProperty("ns"));
        producer.setRetryTimesWhenSendFailed(0);
        producer.setTransactionListener(this);
        producer.start();
        say("READY");
        for (int n = 0; THREADS == 0 && !send(LIFE + "-last-" + n, Plan.COMMIT_UNKNOWN); n++) { }
        for (int t = 0; t < THREADS; t++) {
            int thread = t;
            new Thread(() -> work(thread)).start();
        }
    }

    /** The rows of each query, with its number before them. */
    private static void query(String file, String[] queries) throws SQLException {
        try (var c = DriverManager.getConnection("jdbc:h2:file:" + file + ";IFEXISTS=TRUE"); var s = c.createStatement()) {
            for (int n = 0; n < queries.length; n++) {
                ResultSet r = s.executeQuery(queries[n]);
                while (r.next()) {
                    StringBuilder line = new StringBuilder().append(n);
                    for (int column = 1; column <= r.getMetaData().getColumnCount(); column++) {
                        line.append('\t').append(r.getString(column));
                    }
                    System.out.println(line);
                }
            }
        }
        System.out.println("END");
    }

    public static void main(String[] queries) throws Exception {
        if (queries.length > 0) {
            query(System.getProperty("db"), queries);
        } else {
            new Main(new OrderDatabase(System.getProperty("db"))).run();
        }
    }

    private static synchronized void say(String line) {
        System.out.println(line.replace('\n', ' '));
    }

    /** As good as kill -9: no hook runs, nothing is flushed. */
    private static void die() {
        Runtime.getRuntime().halt(137);
    }

    private static void sleep(long ms) {
        try {
            Thread.sleep(ms);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
