// SPDX-License-Identifier: Apache-2.0

// Command flow runs one case against a live broker: flow -ns HOST:PORT -broker HOST:PORT -id UNIQUE CASE.
// It ends with the line "PASS CASE evidence" and exit code 0, or with "FAIL CASE reason" and exit code 1.
// "flow worker KIND ..." is a client of its own process, for the cases that kill one.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"sort"
	"time"
)

// cases is filled by the files of this package; which ones exist depends on the client's version.
var cases = map[string]func(*T) string{}

type failure struct{ text string }

func main() {
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		worker(os.Args[2:])
		return
	}
	t := &T{}
	flag.StringVar(&t.ns, "ns", "127.0.0.1:9876", "name server")
	flag.StringVar(&t.broker, "broker", "127.0.0.1:10911", "broker, for the admin client")
	flag.StringVar(&t.id, "id", fmt.Sprint(time.Now().UnixMilli()), "what makes topics and groups unique")
	flag.DurationVar(&t.late, "late", time.Second, "how late a delayed message may come")
	limit := flag.Duration("limit", 240*time.Second, "the case fails after this time")
	list := flag.Bool("list", false, "print the cases")
	flag.Parse()
	if *list {
		names := make([]string, 0, len(cases))
		for name := range cases {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			fmt.Println(name)
		}
		return
	}
	if flag.Arg(0) == "create-topic" { // for the client that has no admin interface
		var queues int
		fmt.Sscan(flag.Arg(2), &queues)
		if err := createTopic(t.ns, t.broker, flag.Arg(1), queues); err != nil {
			fmt.Println("create-topic:", err)
			os.Exit(1)
		}
		return
	}
	if flag.Arg(0) == "queues" { // how many queues the name server has for a topic
		n, err := topicQueues(t.ns, flag.Arg(1))
		if err != nil {
			fmt.Println("queues:", err)
			os.Exit(1)
		}
		fmt.Println(n)
		return
	}
	name := flag.Arg(0)
	run, ok := cases[name]
	if !ok {
		fmt.Println("FAIL", name, "no such case")
		os.Exit(2)
	}
	t.name = name
	time.AfterFunc(*limit, func() {
		fmt.Println("FAIL", name, "not finished after", *limit)
		t.close()
		os.Exit(1)
	})
	defer t.close()
	defer func() {
		if problem := recover(); problem != nil {
			if f, ok := problem.(failure); ok {
				fmt.Println("FAIL", name, f.text)
			} else {
				fmt.Println("FAIL", name, "panic:", problem)
				debug.PrintStack()
			}
			t.close()
			os.Exit(1)
		}
	}()
	evidence := run(t)
	if evidence == "" {
		t.fail("the case gave no evidence")
	}
	fmt.Println("PASS", name, evidence)
}
