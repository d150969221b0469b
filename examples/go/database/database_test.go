// SPDX-License-Identifier: Apache-2.0

package database

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
)

// Producers of one group start together on a file that is not there yet. Each has connections of its own, as processes have.
func TestManyOpenANewFileAtOnce(t *testing.T) {
	const rounds, openers = 100, 8
	for round := 0; round < rounds; round++ {
		file := filepath.Join(t.TempDir(), fmt.Sprintf("new-%d.db", round))
		errs := make([]error, openers)
		var all sync.WaitGroup
		for i := range errs {
			all.Add(1)
			go func(i int) {
				defer all.Done()
				db, err := Open(file, "CREATE TABLE IF NOT EXISTS things (id TEXT PRIMARY KEY)")
				if errs[i] = err; err == nil {
					_, errs[i] = db.Exec("INSERT INTO things VALUES (?)", i)
					db.Close()
				}
			}(i)
		}
		all.Wait()
		for i, err := range errs {
			if err != nil {
				t.Fatalf("round %d, opener %d: %v", round, i, err)
			}
		}
	}
}
