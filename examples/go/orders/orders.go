// SPDX-License-Identifier: Apache-2.0

// Package orders is a shop's database: a table of orders, and beside it what a transactional producer needs to give the broker the right
// verdict, whatever is killed when.
//
// The trap is a check that comes while the local transaction is still on its way. "I see no row, so it was rolled back" is wrong: the row
// may be committed a moment later, the broker has thrown the message away, and the order is never shipped. So a check that finds nothing
// does not answer at once. It first writes a tombstone, a row "rollback" under the same primary key that the local transaction must write
// as "commit". The database lets one of the two in. Whoever comes second sees who was first, and both answer alike.
package orders

import (
	"context"
	"database/sql"
	"errors"

	sqlite "github.com/mattn/go-sqlite3"

	"halfmoon/examples/database"
)

// ErrTombstone says that a check was faster: the transaction counts as rolled back, and its work must not be done.
var ErrTombstone = errors.New("a check has already declared this transaction rolled back")

const schema = `
CREATE TABLE IF NOT EXISTS verdicts (
  transaction_id TEXT PRIMARY KEY,
  verdict        TEXT NOT NULL CHECK (verdict IN ('commit', 'rollback'))
);
CREATE TABLE IF NOT EXISTS orders (
  id             TEXT PRIMARY KEY,
  transaction_id TEXT NOT NULL UNIQUE,
  payload        TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS outbox (
  number  INTEGER PRIMARY KEY AUTOINCREMENT,
  id      TEXT NOT NULL UNIQUE,
  payload TEXT NOT NULL
);`

// Database may be open in several processes at once. Every producer of a group must open the same one, because the broker may ask any of
// them about any transaction of the group.
type Database struct {
	*sql.DB
}

// Open opens or makes the file.
func Open(file string) (*Database, error) {
	db, err := database.Open(file, schema)
	if err != nil {
		return nil, err
	}
	return &Database{db}, nil
}

// Place stores an order in one local transaction: the verdict, the order, and whatever else the caller does in `more`, or nothing of it.
// ErrTombstone and errors of `more`: it is rolled back for good. Any other error: nobody knows, ask Verdict later.
func (d *Database) Place(transactionID, id, payload string, more func(*sql.Tx) error) error {
	return d.transaction(func(tx *sql.Tx) error {
		// The verdict comes first: from here on a check has to wait until this transaction has ended.
		if _, err := tx.Exec("INSERT INTO verdicts VALUES (?, 'commit')", transactionID); duplicate(err) {
			return ErrTombstone
		} else if err != nil {
			return err
		}
		if _, err := tx.Exec("INSERT INTO orders VALUES (?, ?, ?)", id, transactionID, payload); err != nil {
			return err
		}
		return more(tx)
	})
}

// Verdict tells for good whether a transaction was committed. If nothing is known of it, it is rolled back from now on. An error (the
// database is busy, or away) means unknown: the broker will ask again.
func (d *Database) Verdict(transactionID string) (committed bool, err error) {
	if _, err := d.Exec("INSERT INTO verdicts VALUES (?, 'rollback') ON CONFLICT DO NOTHING", transactionID); err != nil {
		return false, err
	}
	var verdict string
	err = d.QueryRow("SELECT verdict FROM verdicts WHERE transaction_id = ?", transactionID).Scan(&verdict)
	return verdict == "commit", err
}

// PlaceWithOutbox stores an order and, in the same local transaction, the message about it. A relay sends what the outbox holds.
func (d *Database) PlaceWithOutbox(id, payload string) error {
	return d.transaction(func(tx *sql.Tx) error {
		if _, err := tx.Exec("INSERT INTO orders VALUES (?, ?, ?)", id, id, payload); err != nil {
			return err
		}
		_, err := tx.Exec("INSERT INTO outbox (id, payload) VALUES (?, ?)", id, payload)
		return err
	})
}

func (d *Database) transaction(work func(*sql.Tx) error) error {
	tx, err := d.BeginTx(context.Background(), nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after a commit
	if err := work(tx); err != nil {
		return err
	}
	return tx.Commit()
}

func duplicate(err error) bool {
	var e sqlite.Error
	return errors.As(err, &e) && e.ExtendedCode == sqlite.ErrConstraintPrimaryKey
}
