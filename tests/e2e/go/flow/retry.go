// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

func init() {
	// Refused once: comes again after the delay of level 3, counted, and under its own topic.
	cases["retry"] = func(t *T) string {
		topic, rec := t.topic(4), t.recorder()
		t.consumer(t.unique("G"), topic, rec, func(_ context.Context, msg *primitive.MessageExt) consumer.ConsumeResult {
			if string(msg.Body) == "r-1" && msg.ReconsumeTimes == 0 {
				return consumer.ConsumeRetryLater
			}
			return consumer.ConsumeSuccess
		})
		want := t.sendAll(t.producer(), topic, "r", 4)
		rec.exactly(append(want, "r-1"))
		d := rec.of("r-1")
		if d[0].reconsumed != 0 || d[1].reconsumed != 1 {
			t.fail("reconsume times %d, %d", d[0].reconsumed, d[1].reconsumed)
		}
		if d[1].topic != topic && d[1].props["RETRY_TOPIC"] != topic {
			t.fail("came again as topic %q, RETRY_TOPIC %q", d[1].topic, d[1].props["RETRY_TOPIC"])
		}
		gap := d[1].at.Sub(d[0].at)
		if gap < levels[3] {
			t.fail("came again after %v, before the delay of level 3", gap)
		}
		return fmt.Sprintf("again after %.1fs with reconsume times 1, the others once", gap.Seconds())
	}

	// Refused for good: the first time and two retries, then the dead-letter queue, once.
	cases["dead-letter"] = func(t *T) string {
		topic, group, rec := t.topic(4), t.unique("G"), t.recorder()
		t.consumer(group, topic, rec, func(ctx context.Context, msg *primitive.MessageExt) consumer.ConsumeResult {
			if string(msg.Body) == "d-1" {
				if c, ok := primitive.GetConcurrentlyCtx(ctx); ok {
					c.DelayLevelWhenNextConsume = 1
				}
				return consumer.ConsumeRetryLater
			}
			return consumer.ConsumeSuccess
		}, consumer.WithMaxReconsumeTimes(2))
		want := t.sendAll(t.producer(), topic, "d", 4)
		rec.exactly(append(want, "d-1", "d-1"))
		for i, d := range rec.of("d-1") {
			if d.reconsumed != int32(i) {
				t.fail("sight %d has reconsume times %d", i, d.reconsumed)
			}
		}
		dead := t.recorder()
		reader := t.unique("G")
		deadline := time.Now().Add(patience)
		for { // the topic comes into being with its first message
			c, err := newPlainConsumer(t, reader, "%DLQ%"+group, dead)
			if err == nil {
				t.onClose(func() { _ = c.Shutdown() })
				break
			}
			if time.Now().After(deadline) {
				t.fail("no dead-letter topic: %v", err)
			}
			time.Sleep(200 * time.Millisecond)
		}
		dead.exactly([]string{"d-1"})
		rec.exactly(append(want, "d-1", "d-1"))
		return "d-1 three times, then in the dead-letter queue once; the others once"
	}
}
