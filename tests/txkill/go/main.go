// SPDX-License-Identifier: Apache-2.0

// A transactional producer that is made to be killed: the orders database of the examples (examples/go/orders), under load, with a seeded
// plan for each transaction. ../run.py starts and kills it; ../README.md tells what for.
//
// It prints one line per event, at once: HALF id transaction plan | PLACED id | REFUSED id | UNKNOWN id | CHECK id answer | NAK id | READY
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"

	"halfmoon/examples/orders"
)

var errPlan = errors.New("planned")

// plans by weight, in ten thousand.
var plans = []struct {
	name   string
	weight int
}{
	{"commit", 5664},
	{"commit-unknown", 1500}, // committed, and the verdict left to the check
	{"refuse", 1500},         // rolled back by the local transaction
	{"nothing-unknown", 800}, // no local transaction at all: a check must settle that
	{"late", 500},            // the local transaction begins after the first check: the tombstone's case
	{"slow", 30},             // the check comes while the local transaction holds its lock
	{"die-before", 2},
	{"die-inside", 2},
	{"die-after", 2},
}

// listener keeps its own dice behind a lock, because the client calls it from several routines.
type listener struct {
	db        *orders.Database
	mu        sync.Mutex
	dice      *rand.Rand
	tombstone bool
	draining  bool
}

func (l *listener) roll(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dice.Intn(n)
}

func (l *listener) plan() string {
	roll := l.roll(10000)
	for _, p := range plans {
		if roll -= p.weight; roll < 0 {
			return p.name
		}
	}
	panic("the weights do not add up to 10000")
}

func (l *listener) ExecuteLocalTransaction(msg *primitive.Message) primitive.LocalTransactionState {
	id, plan := msg.GetKeys(), strings.Fields(string(msg.Body))[2]
	say("HALF", id, msg.TransactionId, plan)
	switch plan {
	case "die-before":
		die()
	case "nothing-unknown":
		return primitive.UnknowState
	case "late":
		time.Sleep(time.Duration(200+l.roll(800)) * time.Millisecond)
	}
	err := l.db.Place(msg.TransactionId, id, string(msg.Body), func(*sql.Tx) error {
		switch plan {
		case "refuse":
			return errPlan
		case "slow":
			time.Sleep(time.Duration(200+l.roll(400)) * time.Millisecond)
		case "die-inside":
			die()
		}
		return nil
	})
	switch {
	case errors.Is(err, errPlan), errors.Is(err, orders.ErrTombstone):
		say("REFUSED", id)
		return primitive.RollbackMessageState
	case err != nil:
		say("UNKNOWN", id, err)
		return primitive.UnknowState
	}
	say("PLACED", id)
	if plan == "die-after" {
		die()
	}
	if plan == "commit-unknown" {
		return primitive.UnknowState
	}
	return primitive.CommitMessageState
}

func (l *listener) CheckLocalTransaction(msg *primitive.MessageExt) primitive.LocalTransactionState {
	if !l.draining && l.roll(5) == 0 {
		say("CHECK", msg.GetKeys(), "unknown")
		return primitive.UnknowState
	}
	committed, err := l.verdict(msg.TransactionId)
	switch {
	case err != nil:
		say("CHECK", msg.GetKeys(), "unknown", err)
		return primitive.UnknowState
	case committed:
		say("CHECK", msg.GetKeys(), "commit")
		return primitive.CommitMessageState
	}
	say("CHECK", msg.GetKeys(), "rollback")
	return primitive.RollbackMessageState
}

// verdict without the tombstone is the mistake that the campaign must find.
func (l *listener) verdict(transaction string) (bool, error) {
	if l.tombstone {
		return l.db.Verdict(transaction)
	}
	var n int
	err := l.db.QueryRow("SELECT count(*) FROM orders WHERE transaction_id = ?", transaction).Scan(&n)
	return n > 0, err
}

func main() {
	ns := flag.String("ns", "", "name server")
	topic := flag.String("topic", "", "topic")
	group := flag.String("group", "", "producer group")
	file := flag.String("db", "", "SQLite file")
	life := flag.String("life", "", "begins the ids")
	seed := flag.Int64("seed", 0, "of the plans")
	threads := flag.Int("threads", 6, "transactions at once; 0: one is sent, then only checks are answered")
	tombstone := flag.Bool("tombstone", true, "false: answer checks unsafely")
	flag.Parse()

	db, err := orders.Open(*file)
	check(err)
	l := &listener{db: db, dice: rand.New(rand.NewSource(*seed)), tombstone: *tombstone, draining: *threads == 0}
	p, err := rocketmq.NewTransactionProducer(l, producer.WithNameServer([]string{*ns}), producer.WithGroupName(*group), producer.WithRetry(0))
	check(err)
	check(p.Start())
	say("READY")

	send := func(id, plan string) bool {
		filler := strings.Repeat("x", l.roll(2000))
		msg := primitive.NewMessage(*topic, []byte("moon-cake 1 "+plan+" "+filler)).WithKeys([]string{id})
		_, err := p.SendMessageInTransaction(context.Background(), msg)
		if err != nil {
			say("NAK", id, strings.ReplaceAll(err.Error(), "\n", " "))
			time.Sleep(20 * time.Millisecond)
		}
		return err == nil
	}
	if l.draining {
		for n := 0; !send(fmt.Sprintf("%s-last-%d", *life, n), "commit-unknown"); n++ {
		}
	}
	for t := 0; t < *threads; t++ {
		go func(t int) {
			for n := 0; ; n++ {
				send(fmt.Sprintf("%s-%d-%d", *life, t, n), l.plan())
				time.Sleep(time.Duration(l.roll(10)) * time.Millisecond)
			}
		}(t)
	}
	select {}
}

var printing sync.Mutex

func say(words ...any) {
	printing.Lock()
	defer printing.Unlock()
	fmt.Println(words...)
}

func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

func check(err error) {
	if err != nil {
		fmt.Println("ERROR", err)
		os.Exit(1)
	}
}
