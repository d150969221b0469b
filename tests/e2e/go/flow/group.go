// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// newPlainConsumer starts a consumer from the first offset, or says why not (the topic may not exist yet).
func newPlainConsumer(t *T, group, topic string, rec *recorder) (rocketmq.PushConsumer, error) {
	c, err := rocketmq.NewPushConsumer(consumer.WithNameServer([]string{t.ns}), consumer.WithGroupName(group),
		consumer.WithInstance(t.unique("i")), consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))
	if err != nil {
		return nil, err
	}
	err = c.Subscribe(topic, consumer.MessageSelector{}, func(_ context.Context, msgs ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		for _, msg := range msgs {
			rec.note(msg)
		}
		return consumer.ConsumeSuccess, nil
	})
	if err == nil {
		err = c.Start()
	}
	return c, err
}

// probe sends one message to each queue in turn until done says that what came back is as wanted.
// got maps queue -> how many times this round's message was seen, by each recorder.
func probe(t *T, topic string, queues int, recs []*recorder, done func(got []map[int]int) bool, what string) {
	p := t.producer()
	deadline := time.Now().Add(2 * patience) // this client renews an order lock every 20 s, and a lost lock lives for 60 s
	for round := 0; ; round++ {
		prefix := fmt.Sprintf("probe:%s:%d:", what, round)
		for q := 0; q < queues; q++ { // the client's default selector goes round the queues
			t.send(p, primitive.NewMessage(topic, []byte(fmt.Sprintf("%s%d", prefix, q))))
		}
		var got []map[int]int
		look := func() bool {
			got = nil
			for _, r := range recs {
				m := map[int]int{}
				for _, d := range r.seen() {
					if strings.HasPrefix(d.body, prefix) {
						m[d.queue]++
					}
				}
				got = append(got, m)
			}
			return done(got)
		}
		for until := time.Now().Add(time.Second); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
			if look() {
				return
			}
		}
		if time.Now().After(deadline) {
			t.fail("%s: not reached, the last round was seen so: %v", what, got)
		}
	}
}

// shared waits until both see messages and no queue is seen by both.
func shared(t *T, topic string, queues int, a, b *recorder) {
	probe(t, topic, queues, []*recorder{a, b}, func(got []map[int]int) bool {
		for q := range got[0] {
			if got[1][q] > 0 {
				return false
			}
		}
		return len(got[0]) == queues/2 && len(got[1]) == queues-queues/2
	}, "shared")
}

func owned(t *T, topic string, queues int, r *recorder) {
	probe(t, topic, queues, []*recorder{r}, func(got []map[int]int) bool { return len(got[0]) == queues }, "owned")
}

func init() {
	cases["broadcast"] = func(t *T) string {
		topic, group := t.topic(4), t.unique("G")
		a, b := t.recorder(), t.recorder()
		t.consumer(group, topic, a, nil, consumer.WithConsumerModel(consumer.BroadCasting))
		t.consumer(group, topic, b, nil, consumer.WithConsumerModel(consumer.BroadCasting))
		// Such a consumer begins at the end of its queues: wait until both read all of them.
		probe(t, topic, 4, []*recorder{a, b}, func(got []map[int]int) bool { return len(got[0]) == 4 && len(got[1]) == 4 }, "broadcast")
		want := t.sendAll(t.producer(), topic, "cast", 40)
		a.exactlyOf("cast", want)
		b.exactlyOf("cast", want)
		return "40 messages once at each of two consumers"
	}

	// Two consumers share the queues; one leaves in order; the other takes over the rest. Nothing lost, nothing twice.
	cases["share-and-leave"] = func(t *T) string {
		topic, group := t.topic(4), t.unique("G")
		a, b := t.recorder(), t.recorder()
		first := t.consumer(group, topic, a, nil)
		t.consumer(group, topic, b, nil)
		shared(t, topic, 4, a, b)
		want := t.sendAll(t.producer(), topic, "both", 60)
		t.until("60 messages", func() bool { return len(a.counts("both"))+len(b.counts("both")) >= 60 })
		a.quiet()
		inA, inB := a.counts("both"), b.counts("both")
		total := map[string]int{}
		for _, m := range []map[string]int{inA, inB} {
			for body, n := range m {
				total[body] += n
			}
		}
		wanted := map[string]int{}
		for _, body := range want {
			wanted[body] = 1
		}
		if d := diff(wanted, total); d != "" {
			t.fail("shared: %s", d)
		}
		if len(inA) != 30 || len(inB) != 30 {
			t.fail("shared %d : %d", len(inA), len(inB))
		}
		t.must(first.Shutdown(), "shutdown of the first")
		owned(t, topic, 4, b)
		b.exactlyOf("rest", t.sendAll(t.producer(), topic, "rest", 40))
		if n := len(a.counts("rest")); n != 0 {
			t.fail("%d messages at the one that left", n)
		}
		return "60 messages shared 30:30, 40 more at the one that stayed, once each"
	}

	// A consumer is killed in the middle of its work: what it had not finished comes to the other.
	cases["consumer-killed"] = func(t *T) string {
		topic, group, rec := t.topic(4), t.unique("G"), t.recorder()
		want := t.sendAll(t.producer(), topic, "k", 200)
		dying := t.process("consume", "-ns", t.ns, "-group", group, "-topic", topic, "-pause", "30ms")
		t.until("30 messages at the worker", func() bool { return len(dying.with("GOT")) >= 30 })
		dying.kill()
		t.consumer(group, topic, rec, nil)
		seen := func() map[string]int {
			counts := rec.counts("k")
			for _, body := range dying.with("GOT") {
				counts[body]++
			}
			return counts
		}
		t.until("all 200 at one or the other", func() bool { return len(seen()) == len(want) })
		rec.quiet()
		killed := len(dying.with("GOT"))
		for body, n := range rec.counts("k") {
			if n != 1 {
				t.fail("%s came %d times to the second consumer", body, n)
			}
		}
		for body := range seen() {
			if !strings.HasPrefix(body, "k-") {
				t.fail("unknown message %q", body)
			}
		}
		if killed >= 200 {
			t.fail("the worker was not killed in the middle")
		}
		return fmt.Sprintf("%d seen by the killed one, %d by the other, none lost of 200", killed, len(rec.counts("k")))
	}

	// A group goes on where it was.
	cases["resume"] = func(t *T) string {
		topic, group := t.topic(4), t.unique("G")
		before, after := t.recorder(), t.recorder()
		p := t.producer()
		c := t.consumer(group, topic, before, nil)
		before.exactly(t.sendAll(p, topic, "before", 20))
		t.must(c.Shutdown(), "shutdown")
		want := t.sendAll(p, topic, "meanwhile", 20)
		t.consumer(group, topic, after, nil)
		after.exactly(want)
		return "20 before, 20 after, none again"
	}

	// What a new group starts with: from the first offset everything; from the last offset, everything too while the topic is young.
	cases["new-group"] = func(t *T) string {
		topic := t.topic(4)
		p := t.producer()
		want := t.sendAll(p, topic, "old", 20)
		first, last := t.recorder(), t.recorder()
		t.consumer(t.unique("G"), topic, first, nil)
		t.consumer(t.unique("G"), topic, last, nil, consumer.WithConsumeFromWhere(consumer.ConsumeFromLastOffset))
		want = append(want, t.sendAll(p, topic, "new", 20)...)
		first.exactly(want)
		last.exactly(want)
		return "40 messages once, from the first offset and on a young topic from the last"
	}
}
