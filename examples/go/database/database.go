// SPDX-License-Identifier: Apache-2.0

// Package database opens the SQLite files of the examples.
package database

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	sqlite "github.com/mattn/go-sqlite3"
)

// patience is how long one process waits for the others' locks.
const patience = 5 * time.Second

// Open opens or makes the file, which several processes may have open at once, and runs the schema, which must bear to be run again.
//
// Immediate transactions take SQLite's write lock when they begin, so that none of them can fail half way because somebody else wrote
// first; they wait up to five seconds for it. The switch of a new file to write-ahead logging is what SQLite's own waiting does not cover:
// of several processes that find the file new, one switches it and the others are told at once that it is locked, so they ask again here.
func Open(file, schema string) (*sql.DB, error) {
	db, err := sql.Open("sqlite3", fmt.Sprintf("file:%s?_journal_mode=WAL&_synchronous=FULL&_txlock=immediate&_busy_timeout=%d",
		file, patience.Milliseconds()))
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if _, err = db.Exec(schema); err == nil {
			return db, nil
		}
		if !busy(err) || time.Now().After(deadline) {
			db.Close()
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
}

func busy(err error) bool {
	var e sqlite.Error
	return errors.As(err, &e) && e.Code == sqlite.ErrBusy
}
