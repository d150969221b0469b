// SPDX-License-Identifier: Apache-2.0

// Package program is how each of the examples begins: its options, and what it does when it cannot go on.
package program

import (
	"flag"
	"fmt"
	"os"
	"time"
)

// Options that all of them have.
type Options struct {
	NameServer, Topic, Group, Database string
	Pause                              time.Duration
}

// Parse reads the command line. `group` and `database` are what is taken where it says nothing; `groupIs` and `pauseIs` explain two of the options.
func Parse(group, groupIs, database, pauseIs string) *Options {
	o := &Options{}
	flag.StringVar(&o.NameServer, "ns", "127.0.0.1:9876", "name server")
	flag.StringVar(&o.Topic, "topic", "orders", "topic")
	flag.StringVar(&o.Group, "group", group, groupIs)
	flag.StringVar(&o.Database, "db", database, "SQLite file")
	flag.DurationVar(&o.Pause, "pause", 0, pauseIs+", so that there is time to kill this program")
	flag.Parse()
	return o
}

// Check ends the program if there is an error.
func Check(err error) {
	if err != nil {
		fmt.Println("ERROR", err)
		os.Exit(1)
	}
}
