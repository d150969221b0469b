// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// inOrder fails unless the bodies KEY/00, KEY/01 ... of every key were seen in this order, each key in one queue.
func inOrder(t *T, seen []delivery, keys, each int) {
	next, queue := map[string]int{}, map[string]int{}
	for _, d := range seen {
		key, _, ok := strings.Cut(d.body, "/")
		if !ok {
			continue
		}
		if want := fmt.Sprintf("%s/%02d", key, next[key]); d.body != want {
			t.fail("%s came where %s was due", d.body, want)
		}
		if q, known := queue[key]; known && q != d.queue {
			t.fail("key %s is in two queues", key)
		}
		queue[key] = d.queue
		next[key]++
	}
	if len(next) != keys {
		t.fail("%d keys seen instead of %d", len(next), keys)
	}
	for key, n := range next {
		if n != each {
			t.fail("%d messages of key %s instead of %d", n, key, each)
		}
	}
}

func sendByKey(t *T, topic string, keys, each int) (want []string) {
	p := t.producer(producer.WithQueueSelector(producer.NewHashQueueSelector()))
	for i := 0; i < each; i++ {
		for k := 0; k < keys; k++ {
			key := fmt.Sprintf("key%d", k)
			body := fmt.Sprintf("%s/%02d", key, i)
			msg := primitive.NewMessage(topic, []byte(body))
			msg.WithShardingKey(key)
			t.send(p, msg)
			want = append(want, body)
		}
	}
	return want
}

func init() {
	cases["ordered-by-key"] = func(t *T) string {
		topic, rec := t.topic(4), t.recorder()
		var busy [4]atomic.Int32
		t.consumer(t.unique("G"), topic, rec, func(_ context.Context, msg *primitive.MessageExt) consumer.ConsumeResult {
			if n := busy[msg.Queue.QueueId].Add(1); n != 1 {
				rec.note(&primitive.MessageExt{Message: primitive.Message{Body: []byte("two of one queue at once")}})
			}
			time.Sleep(2 * time.Millisecond)
			busy[msg.Queue.QueueId].Add(-1)
			return consumer.ConsumeSuccess
		}, consumer.WithConsumerOrder(true))
		want := sendByKey(t, topic, 6, 20)
		rec.exactly(want)
		inOrder(t, rec.seen(), 6, 20)
		return "6 keys, 20 messages each, in order, once"
	}

	cases["ordered-global"] = func(t *T) string {
		topic, rec := t.topic(1), t.recorder()
		t.consumer(t.unique("G"), topic, rec, nil, consumer.WithConsumerOrder(true))
		p := t.producer()
		var want []string
		for i := 0; i < 60; i++ {
			body := fmt.Sprintf("all/%02d", i)
			t.send(p, primitive.NewMessage(topic, []byte(body)))
			want = append(want, body)
		}
		rec.exactly(want)
		inOrder(t, rec.seen(), 1, 60)
		return "60 messages in order, once"
	}

	// A message that is put off holds back those behind it, and only it is seen again.
	cases["ordered-suspend"] = func(t *T) string {
		topic, rec := t.topic(1), t.recorder()
		var once sync.Once
		t.consumer(t.unique("G"), topic, rec, func(ctx context.Context, msg *primitive.MessageExt) consumer.ConsumeResult {
			result := consumer.ConsumeSuccess
			if string(msg.Body) == "s-3" {
				once.Do(func() {
					result = consumer.SuspendCurrentQueueAMoment
				})
			}
			return result
		}, consumer.WithConsumerOrder(true), consumer.WithSuspendCurrentQueueTimeMillis(200*time.Millisecond))
		want := t.sendAll(t.producer(), topic, "s", 8)
		rec.exactly(append(want, "s-3"))
		var order []string
		for _, d := range rec.seen() {
			order = append(order, d.body)
		}
		if got := strings.Join(order, " "); got != "s-0 s-1 s-2 s-3 s-3 s-4 s-5 s-6 s-7" {
			t.fail("seen: %s", got)
		}
		return "s-3 twice, all others once, in order"
	}

	// Two orderly consumers of a group: the broker's locks give each queue to one of them.
	cases["ordered-two-consumers"] = func(t *T) string {
		topic, group, rec := t.topic(4), t.unique("G"), t.recorder()
		first, second := t.recorder(), t.recorder()
		both := func(own *recorder) answer {
			return func(_ context.Context, msg *primitive.MessageExt) consumer.ConsumeResult {
				own.note(msg)
				return consumer.ConsumeSuccess
			}
		}
		quickLocks := []consumer.Option{consumer.WithConsumerOrder(true), consumer.WithRebalanceLockInterval(time.Second)}
		t.consumer(group, topic, rec, both(first), quickLocks...)
		t.consumer(group, topic, rec, both(second), quickLocks...)
		shared(t, topic, 4, first, second)
		want := sendByKey(t, topic, 8, 15)
		rec.exactlyOf("key", want)
		var keyed []delivery
		for _, d := range rec.seen() {
			if strings.HasPrefix(d.body, "key") {
				keyed = append(keyed, d)
			}
		}
		inOrder(t, keyed, 8, 15)
		return "8 keys, 15 messages each, in order, once"
	}
}
