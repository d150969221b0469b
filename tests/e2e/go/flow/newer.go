//go:build !rc3

// SPDX-License-Identifier: Apache-2.0

// What only the newer client has.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

func init() {
	// Pulls in two sittings of one group; the second goes on where the first stored its offsets.
	cases["pull-consumer"] = func(t *T) string {
		topic, group := t.topic(4), t.unique("G")
		want := t.sendAll(t.producer(), topic, "pull", 40)
		seen, wanted := map[string]int{}, map[string]int{}
		for _, body := range want {
			wanted[body] = 1
		}
		sitting := func(enough func() bool) {
			c, err := rocketmq.NewPullConsumer(consumer.WithNameServer([]string{t.ns}), consumer.WithGroupName(group),
				consumer.WithInstance(t.unique("i")), consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
				consumer.WithPullBatchSize(4))
			t.must(err, "new pull consumer")
			t.must(c.Subscribe(topic, consumer.MessageSelector{}), "subscribe")
			t.must(c.Start(), "start")
			t.until("the messages of this sitting", func() bool {
				if request, err := c.Poll(context.Background(), time.Second); err == nil {
					for _, msg := range request.GetMsgList() {
						seen[string(msg.Body)]++
					}
					c.ACK(context.Background(), request, consumer.ConsumeSuccess)
				}
				return enough()
			})
			t.must(c.PersistOffset(context.Background(), topic), "persist offset")
			t.must(c.Shutdown(), "shutdown")
		}
		sitting(func() bool { return len(seen) >= 16 })
		first := len(seen)
		sitting(func() bool { return len(seen) == len(want) })
		if d := diff(wanted, seen); d != "" {
			t.fail("%s", d)
		}
		return fmt.Sprintf("%d messages, then the other %d, once each", first, len(want)-first)
	}

	// Reads one queue from chosen offsets, as often as one likes.
	cases["pull-from"] = func(t *T) string {
		topic := t.topic(1)
		t.sendAll(t.producer(), topic, "from", 10)
		c, err := rocketmq.NewPullConsumer(consumer.WithNameServer([]string{t.ns}), consumer.WithGroupName(t.unique("G")),
			consumer.WithInstance(t.unique("i")))
		t.must(err, "new pull consumer")
		t.must(c.Subscribe(topic, consumer.MessageSelector{}), "subscribe")
		t.must(c.Start(), "start")
		t.onClose(func() { _ = c.Shutdown() })
		queue := &primitive.MessageQueue{Topic: topic, BrokerName: "broker-a", QueueId: 0}
		for _, from := range []int64{0, 7, 0, 3} {
			next := from
			for next < 10 {
				res, err := c.PullFrom(context.Background(), queue, next, 32)
				t.must(err, "pull")
				if res.Status != primitive.PullFound || res.MinOffset != 0 || res.MaxOffset != 10 {
					t.fail("pull at %d: status %v, offsets %d..%d", next, res.Status, res.MinOffset, res.MaxOffset)
				}
				for _, msg := range res.GetMessageExts() {
					if want := fmt.Sprintf("from-%d", next); string(msg.Body) != want || msg.QueueOffset != next {
						t.fail("%q at offset %d instead of %q at %d", msg.Body, msg.QueueOffset, want, next)
					}
					next++
				}
			}
		}
		return "10 messages, from the offsets 0, 7, 0 and 3"
	}

	cases["request-reply"] = func(t *T) string {
		topic, rec := t.topic(2), t.recorder()
		replier := t.producer()
		t.consumer(t.unique("G"), topic, rec, func(_ context.Context, msg *primitive.MessageExt) consumer.ConsumeResult {
			if string(msg.Body) == "hello" {
				return consumer.ConsumeSuccess
			}
			reply, err := consumer.CreateReplyMessage(msg, []byte("reply to "+string(msg.Body)))
			if err == nil {
				reply.Body = []byte("reply to " + string(msg.Body)) // CreateReplyMessage leaves it out
				_, err = replier.SendSync(context.Background(), reply)
			}
			if err != nil {
				rec.note(&primitive.MessageExt{Message: primitive.Message{Body: []byte("no reply: " + err.Error())}})
			}
			return consumer.ConsumeSuccess
		})
		p := t.producer()
		t.send(p, primitive.NewMessage(topic, []byte("hello")))
		// A reply can reach the client only after its first heartbeat to the broker, a second after its start.
		t.until("a first reply", func() bool {
			answer, err := p.Request(context.Background(), 2*time.Second, primitive.NewMessage(topic, []byte("warm-up")))
			return err == nil && string(answer.Body) == "reply to warm-up"
		})
		var want []string
		for i := 0; i < 5; i++ {
			body := fmt.Sprintf("ask-%d", i)
			answer, err := p.Request(context.Background(), 20*time.Second, primitive.NewMessage(topic, []byte(body)))
			t.must(err, "request "+body)
			if string(answer.Body) != "reply to "+body {
				t.fail("%s was answered %q", body, answer.Body)
			}
			want = append(want, body)
		}
		rec.exactlyOf("ask", want)
		return "5 requests, 5 replies"
	}
}
