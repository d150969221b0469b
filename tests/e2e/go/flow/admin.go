//go:build !rc3

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/apache/rocketmq-client-go/v2/admin"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

func createTopic(ns, broker, topic string, queues int) error {
	a, err := admin.NewAdmin(admin.WithResolver(primitive.NewPassthroughResolver([]string{ns})))
	if err != nil {
		return err
	}
	defer a.Close()
	err = a.CreateTopic(context.Background(), admin.WithTopicCreate(topic), admin.WithBrokerAddrCreate(broker),
		admin.WithReadQueueNums(queues), admin.WithWriteQueueNums(queues))
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		mqs, err := a.FetchPublishMessageQueues(context.Background(), topic)
		if err == nil && len(mqs) == queues {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no route with %d queues: %d, %v", queues, len(mqs), err)
		}
	}
}

func topicQueues(ns, topic string) (int, error) {
	a, err := admin.NewAdmin(admin.WithResolver(primitive.NewPassthroughResolver([]string{ns})))
	if err != nil {
		return 0, err
	}
	defer a.Close()
	mqs, err := a.FetchPublishMessageQueues(context.Background(), topic)
	return len(mqs), err
}

func init() {
	// Creates a topic of three queues, uses all of them, deletes it.
	cases["admin-topic"] = func(t *T) string {
		topic := t.topic(3)
		a, err := admin.NewAdmin(admin.WithResolver(primitive.NewPassthroughResolver([]string{t.ns})))
		t.must(err, "admin")
		defer a.Close()
		listed := func() bool {
			list, err := a.FetchAllTopicList(context.Background())
			t.must(err, "topic list")
			for _, name := range list.TopicList {
				if name == topic {
					return true
				}
			}
			return false
		}
		if !listed() {
			t.fail("%s is not in the topic list", topic)
		}
		p, rec := t.producer(), t.recorder()
		queues := map[int]bool{}
		var want []string
		for i := 0; i < 9; i++ {
			body := fmt.Sprintf("a-%d", i)
			queues[t.send(p, primitive.NewMessage(topic, []byte(body))).MessageQueue.QueueId] = true
			want = append(want, body)
		}
		if len(queues) != 3 {
			t.fail("sent to the queues %v, not to three", queues)
		}
		c := t.consumer(t.unique("G"), topic, rec, nil)
		rec.exactly(want)
		_ = c.Shutdown()
		_ = p.Shutdown()
		t.must(a.DeleteTopic(context.Background(), admin.WithTopicDelete(topic), admin.WithBrokerAddrDelete(t.broker)), "delete topic")
		t.until("the topic to be gone from the list", func() bool { return !listed() })
		return "3 queues, 9 messages, deleted"
	}
}
