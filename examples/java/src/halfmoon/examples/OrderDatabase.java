// SPDX-License-Identifier: Apache-2.0
package halfmoon.examples;

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;

/**
 * A shop's database: a table of orders, and beside it what a transactional producer needs to give the broker the right verdict, whatever is
 * killed when.
 *
 * <p>The trap is a check that comes while the local transaction is still on its way. "I see no row, so it was rolled back" is wrong: the row
 * may be committed a moment later, the broker has thrown the message away, and the order is never shipped. So a check that finds nothing
 * does not answer at once. It first writes a tombstone, a row "rollback" under the same primary key that the local transaction must write
 * as "commit". The database lets one of the two in. Whoever comes second sees who was first, and both answer alike.
 *
 * <p>H2's file can be open in one process only. Where a group's producers are many processes, they need one database server, because the
 * broker may ask any of them about any transaction of the group.
 */
public final class OrderDatabase {
    /** A check was faster: the transaction counts as rolled back, and its work must not be done. */
    public static final class TombstoneException extends Exception {
        TombstoneException() {
            super("a check has already declared this transaction rolled back");
        }
    }

    /** The shop does not want this order. */
    public static final class RefusedException extends Exception {
        public RefusedException(String why) {
            super(why);
        }
    }

    /** Work inside a local transaction. */
    public interface Work {
        void with(Connection c) throws SQLException, RefusedException;
    }

    /** A message that waits to be relayed. */
    public record OutboxRow(long number, String id, String payload) {}

    private static final String DUPLICATE_KEY = "23505";
    private final String url;

    /** Opens or makes the file. Without WRITE_DELAY=0, H2 tells of commits up to half a second before they are in the file. */
    public OrderDatabase(String file) throws SQLException {
        url = "jdbc:h2:file:" + java.nio.file.Path.of(file).toAbsolutePath() + ";WRITE_DELAY=0;DB_CLOSE_DELAY=-1;DB_CLOSE_ON_EXIT=FALSE";
        try (Connection c = open()) {
            c.createStatement().execute("""
                CREATE TABLE IF NOT EXISTS verdicts (transaction_id VARCHAR PRIMARY KEY, verdict VARCHAR NOT NULL);
                CREATE TABLE IF NOT EXISTS orders (id VARCHAR PRIMARY KEY, transaction_id VARCHAR NOT NULL UNIQUE, payload VARCHAR NOT NULL);
                CREATE TABLE IF NOT EXISTS outbox (number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id VARCHAR NOT NULL UNIQUE,
                                                   payload VARCHAR NOT NULL);
                """);
        }
    }

    /** A connection of its own for each piece of work; to an open H2 database that costs next to nothing. */
    public Connection open() throws SQLException {
        return DriverManager.getConnection(url);
    }

    /**
     * Stores an order in one local transaction: the verdict, the order, and whatever else the caller does in {@code more}, or nothing of it.
     *
     * @throws TombstoneException, RefusedException it is rolled back for good
     * @throws SQLException nobody knows; ask {@link #committed} later
     */
    public void place(String transactionId, String id, String payload, Work more) throws SQLException, TombstoneException, RefusedException {
        try (Connection c = open()) {
            c.setAutoCommit(false); // closing without a commit rolls back
            try {
                // The verdict comes first: from here on a check has to wait until this transaction has ended.
                insert(c, "INSERT INTO verdicts VALUES (?, 'commit')", transactionId);
            } catch (SQLException e) {
                if (DUPLICATE_KEY.equals(e.getSQLState())) {
                    throw new TombstoneException();
                }
                throw e;
            }
            insert(c, "INSERT INTO orders VALUES (?, ?, ?)", id, transactionId, payload);
            more.with(c);
            c.commit();
        }
    }

    /**
     * Tells for good whether a transaction was committed. If nothing is known of it, it is rolled back from now on.
     *
     * @throws SQLException unknown (the transaction holds its lock still, or the database is away): the broker will ask again
     */
    public boolean committed(String transactionId) throws SQLException {
        try (Connection c = open()) {
            try {
                insert(c, "INSERT INTO verdicts VALUES (?, 'rollback')", transactionId);
                return false;
            } catch (SQLException e) {
                if (!DUPLICATE_KEY.equals(e.getSQLState())) {
                    throw e;
                }
            }
            PreparedStatement s = c.prepareStatement("SELECT verdict FROM verdicts WHERE transaction_id = ?");
            s.setString(1, transactionId);
            ResultSet r = s.executeQuery();
            if (!r.next()) {
                throw new SQLException("the other transaction has just been rolled back");
            }
            return r.getString(1).equals("commit");
        }
    }

    /** Stores an order and, in the same local transaction, the message about it. A relay sends what the outbox holds. */
    public void placeWithOutbox(String id, String payload) throws SQLException {
        try (Connection c = open()) {
            c.setAutoCommit(false);
            insert(c, "INSERT INTO orders VALUES (?, ?, ?)", id, id, payload);
            insert(c, "INSERT INTO outbox (id, payload) VALUES (?, ?)", id, payload);
            c.commit();
        }
    }

    /** The next rows to send, in the order in which they were numbered. */
    public List<OutboxRow> outbox() throws SQLException {
        List<OutboxRow> rows = new ArrayList<>();
        try (Connection c = open()) {
            ResultSet r = c.createStatement().executeQuery("SELECT number, id, payload FROM outbox ORDER BY number LIMIT 100");
            while (r.next()) {
                rows.add(new OutboxRow(r.getLong(1), r.getString(2), r.getString(3)));
            }
        }
        return rows;
    }

    public void deleteFromOutbox(long number) throws SQLException {
        try (Connection c = open()) {
            c.createStatement().executeUpdate("DELETE FROM outbox WHERE number = " + number);
        }
    }

    private static void insert(Connection c, String sql, String... values) throws SQLException {
        try (PreparedStatement s = c.prepareStatement(sql)) {
            for (int i = 0; i < values.length; i++) {
                s.setString(i + 1, values[i]);
            }
            s.executeUpdate();
        }
    }
}
