// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// verdicts is a transaction listener that decides by the body's first word: its local state and its answer to a check.
type verdicts struct {
	mu      sync.Mutex
	checked map[string]int
	when    map[string]time.Time // of the last verdict that was given
	again   int                  // checks answered "unknown" before the answer
}

func newVerdicts() *verdicts {
	return &verdicts{checked: map[string]int{}, when: map[string]time.Time{}}
}

func (v *verdicts) ExecuteLocalTransaction(msg *primitive.Message) primitive.LocalTransactionState {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.when[string(msg.Body)] = time.Now()
	switch strings.SplitN(string(msg.Body), "-", 2)[0] {
	case "commit":
		return primitive.CommitMessageState
	case "rollback":
		return primitive.RollbackMessageState
	}
	return primitive.UnknowState
}

func (v *verdicts) CheckLocalTransaction(msg *primitive.MessageExt) primitive.LocalTransactionState {
	v.mu.Lock()
	defer v.mu.Unlock()
	body := string(msg.Body)
	v.checked[body]++
	v.when[body] = time.Now()
	switch {
	case v.checked[body] <= v.again:
		return primitive.UnknowState
	case strings.Contains(body, "then_commit"):
		return primitive.CommitMessageState
	case strings.Contains(body, "then_rollback"):
		return primitive.RollbackMessageState
	}
	return primitive.UnknowState
}

func (v *verdicts) checks(body string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.checked[body]
}

func (v *verdicts) last(body string) time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.when[body]
}

func (t *T) transactions(v primitive.TransactionListener, group string) rocketmq.TransactionProducer {
	p, err := rocketmq.NewTransactionProducer(v, producer.WithNameServer([]string{t.ns}), producer.WithGroupName(group),
		producer.WithInstanceName(t.unique("i")))
	t.must(err, "new transaction producer")
	t.must(p.Start(), "transaction producer start")
	t.onClose(func() { _ = p.Shutdown() })
	return p
}

func (t *T) half(p rocketmq.TransactionProducer, msg *primitive.Message) {
	res, err := p.SendMessageInTransaction(context.Background(), msg)
	t.must(err, "SendMessageInTransaction")
	if res.Status != primitive.SendOK {
		t.fail("half message: status %d", res.Status)
	}
}

func init() {
	cases["tx-commit-rollback"] = func(t *T) string {
		topic, rec, v := t.topic(4), t.recorder(), newVerdicts()
		t.consumer(t.unique("G"), topic, rec, nil)
		p := t.transactions(v, t.unique("P"))
		var want []string
		for i := 0; i < 10; i++ {
			body := fmt.Sprintf("commit-%d", i)
			t.half(p, primitive.NewMessage(topic, []byte(fmt.Sprintf("rollback-%d", i))))
			t.half(p, primitive.NewMessage(topic, []byte(body)).WithTag("TagT"))
			want = append(want, body)
		}
		rec.exactly(want)
		for _, d := range rec.seen() {
			if d.tags != "TagT" || d.topic != topic {
				t.fail("changed on its way: %+v", d)
			}
		}
		// A message that got its verdict is not asked about: wait for a check of a later one instead of for time to pass.
		t.half(p, primitive.NewMessage(topic, []byte("unknown-then_commit")))
		rec.exactly(append(want, "unknown-then_commit"))
		for i := 0; i < 10; i++ {
			if v.checks(fmt.Sprintf("commit-%d", i))+v.checks(fmt.Sprintf("rollback-%d", i)) != 0 {
				t.fail("a decided message was asked about")
			}
		}
		return "10 committed once each, 10 rolled back never seen, none asked about"
	}

	cases["tx-check-commit"] = func(t *T) string {
		topic, rec, v := t.topic(4), t.recorder(), newVerdicts()
		v.again = 1 // the first check is answered "unknown" too
		t.consumer(t.unique("G"), topic, rec, nil)
		p := t.transactions(v, t.unique("P"))
		var want []string
		for i := 0; i < 3; i++ {
			body := fmt.Sprintf("unknown-then_commit-%d", i)
			t.half(p, primitive.NewMessage(topic, []byte(body)))
			want = append(want, body)
		}
		rec.exactly(want)
		for _, body := range want {
			if v.checks(body) < 2 {
				t.fail("%s was seen after %d checks", body, v.checks(body))
			}
		}
		return "3 messages, asked about twice, once each"
	}

	cases["tx-check-rollback"] = func(t *T) string {
		topic, rec, v := t.topic(4), t.recorder(), newVerdicts()
		t.consumer(t.unique("G"), topic, rec, nil)
		p := t.transactions(v, t.unique("P"))
		t.half(p, primitive.NewMessage(topic, []byte("unknown-then_rollback")))
		t.until("the check", func() bool { return v.checks("unknown-then_rollback") > 0 })
		checks := v.checks("unknown-then_rollback")
		// Two later messages get their checks and come: the rolled-back one had every chance.
		v.again = 1
		t.half(p, primitive.NewMessage(topic, []byte("unknown-then_commit-1")))
		t.half(p, primitive.NewMessage(topic, []byte("unknown-then_commit-2")))
		rec.exactly([]string{"unknown-then_commit-1", "unknown-then_commit-2"})
		return fmt.Sprintf("asked %d times, rolled back, never seen", checks)
	}

	// The producer dies before its verdict; another of its group answers the check.
	cases["tx-producer-killed"] = func(t *T) string {
		topic, group, rec, v := t.topic(4), t.unique("P"), t.recorder(), newVerdicts()
		t.consumer(t.unique("G"), topic, rec, nil)
		bodies := []string{"orphan-then_commit", "orphan-then_rollback"}
		for _, body := range bodies {
			dying := t.process("half", "-ns", t.ns, "-group", group, "-topic", topic, "-body", body)
			t.until("the half message of the worker", func() bool { return len(dying.with("HALF")) == 1 })
			dying.kill()
		}
		// This client tells a broker about itself only once it has sent something to it.
		t.half(t.transactions(v, group), primitive.NewMessage(topic, []byte("commit-hello")))
		t.until("both checks", func() bool { return v.checks(bodies[0]) > 0 && v.checks(bodies[1]) > 0 })
		rec.exactly([]string{"commit-hello", "orphan-then_commit"})
		return "asked the new producer; one committed, one rolled back"
	}

	// Delayed after its commit, never before it.
	cases["tx-delay"] = func(t *T) string {
		topic, rec, v := t.topic(4), t.recorder(), newVerdicts()
		t.consumer(t.unique("G"), topic, rec, nil)
		p := t.transactions(v, t.unique("P"))
		started := time.Now()
		bodies := []string{"commit-delayed", "unknown-then_commit-delayed"}
		for _, body := range append(bodies, "rollback-delayed") {
			msg := primitive.NewMessage(topic, []byte(body))
			msg.WithDelayTimeLevel(2)
			t.half(p, msg)
		}
		rec.exactly(bodies)
		for _, body := range bodies {
			at := rec.of(body)[0].at
			if at.Sub(started) < levels[2] || at.Before(v.last(body)) {
				t.fail("%s came %v after it was sent, %v after its verdict", body, at.Sub(started), at.Sub(v.last(body)))
			}
			if late := at.Sub(v.last(body)) - levels[2]; late > t.late+500*time.Millisecond {
				t.fail("%s came %v late", body, late)
			}
		}
		if v.checks("unknown-then_commit-delayed") == 0 || v.checks("commit-delayed") != 0 {
			t.fail("checks: %v", v.checked)
		}
		return "2 committed: after commit and delay, once; 1 rolled back: never"
	}

	// Committed in the order of one queue, by the sharding key.
	cases["tx-ordered"] = func(t *T) string {
		topic, rec, v := t.topic(4), t.recorder(), newVerdicts()
		p, err := rocketmq.NewTransactionProducer(v, producer.WithNameServer([]string{t.ns}), producer.WithGroupName(t.unique("P")),
			producer.WithInstanceName(t.unique("i")), producer.WithQueueSelector(producer.NewHashQueueSelector()))
		t.must(err, "new transaction producer")
		t.must(p.Start(), "start")
		t.onClose(func() { _ = p.Shutdown() })
		t.consumer(t.unique("G"), topic, rec, nil)
		var want []string
		for i := 0; i < 10; i++ {
			body := fmt.Sprintf("commit-%02d", i)
			msg := primitive.NewMessage(topic, []byte(body))
			msg.WithShardingKey("same")
			t.half(p, msg)
			want = append(want, body)
		}
		rec.exactly(want)
		offsets := map[string]int64{}
		queues := map[int]bool{}
		for _, d := range rec.seen() {
			offsets[d.body] = d.offset
			queues[d.queue] = true
		}
		for i := 1; i < 10; i++ {
			if offsets[want[i]] <= offsets[want[i-1]] {
				t.fail("offsets out of order: %v", offsets)
			}
		}
		if len(queues) != 1 {
			t.fail("one key in queues %v", queues)
		}
		return "10 of one key in one queue, in the order of their commits"
	}
}
