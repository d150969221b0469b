// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

func init() {
	cases["sync"] = func(t *T) string {
		topic, rec := t.topic(4), t.recorder()
		t.consumer(t.unique("G"), topic, rec, nil)
		p := t.producer()
		ids := map[string]bool{}
		var want []string
		for i := 0; i < 40; i++ {
			body := fmt.Sprintf("sync-%d", i)
			msg := primitive.NewMessage(topic, []byte(body))
			msg.WithTag("TagX").WithKeys([]string{"k1", "k2"})
			msg.WithProperty("colour", "blue")
			ids[t.send(p, msg).MsgID] = true
			want = append(want, body)
		}
		if len(ids) != 40 {
			t.fail("%d different message ids", len(ids))
		}
		rec.exactly(want)
		for _, d := range rec.seen() {
			if d.tags != "TagX" || d.props["colour"] != "blue" || d.keys == "" || d.topic != topic {
				t.fail("a message came changed: %+v", d)
			}
		}
		return "40 messages once each, unchanged"
	}

	// A topic that nobody created, as in the articles.
	cases["auto-created-topic"] = func(t *T) string {
		topic, rec := t.unique("T"), t.recorder()
		p := t.producer()
		want := t.sendAll(p, topic, "auto", 12)
		t.consumer(t.unique("G"), topic, rec, nil)
		want = append(want, t.sendAll(p, topic, "later", 12)...)
		rec.exactly(want)
		queues := map[int]bool{}
		for _, d := range rec.seen() {
			queues[d.queue] = true
		}
		if len(queues) != 4 {
			t.fail("an automatic topic of this client has four queues, not %d", len(queues))
		}
		return "24 messages once each, over 4 queues"
	}

	cases["async"] = func(t *T) string {
		topic, rec := t.topic(4), t.recorder()
		t.consumer(t.unique("G"), topic, rec, nil)
		p := t.producer()
		var wg sync.WaitGroup
		var mu sync.Mutex
		var want, problems []string
		for i := 0; i < 200; i++ {
			body := fmt.Sprintf("async-%d", i)
			wg.Add(1)
			err := p.SendAsync(context.Background(), func(_ context.Context, res *primitive.SendResult, err error) {
				mu.Lock()
				if err != nil || res.Status != primitive.SendOK {
					problems = append(problems, fmt.Sprint(body, " ", err))
				}
				mu.Unlock()
				wg.Done()
			}, primitive.NewMessage(topic, []byte(body)))
			t.must(err, "SendAsync")
			want = append(want, body)
		}
		wg.Wait()
		if len(problems) > 0 {
			t.fail("%d callbacks with errors: %v", len(problems), problems[0])
		}
		rec.exactly(want)
		return "200 callbacks, 200 messages once each"
	}

	cases["oneway"] = func(t *T) string {
		topic, rec := t.topic(4), t.recorder()
		t.consumer(t.unique("G"), topic, rec, nil)
		p := t.producer()
		var want []string
		for i := 0; i < 100; i++ {
			body := fmt.Sprintf("oneway-%d", i)
			t.must(p.SendOneWay(context.Background(), primitive.NewMessage(topic, []byte(body))), "SendOneWay")
			want = append(want, body)
		}
		rec.exactly(want)
		return "100 messages once each"
	}

	cases["batch"] = func(t *T) string {
		topic, rec := t.topic(4), t.recorder()
		t.consumer(t.unique("G"), topic, rec, nil)
		p := t.producer()
		var want []string
		for b := 0; b < 3; b++ {
			var msgs []*primitive.Message
			for i := 0; i < 20; i++ {
				body := fmt.Sprintf("batch-%d-%d", b, i)
				msgs = append(msgs, primitive.NewMessage(topic, []byte(body)).WithTag("B"))
				want = append(want, body)
			}
			res, err := p.SendSync(context.Background(), msgs...)
			t.must(err, "batch send")
			if res.Status != primitive.SendOK {
				t.fail("batch status %d", res.Status)
			}
		}
		rec.exactly(want)
		for _, d := range rec.seen() {
			if d.tags != "B" {
				t.fail("tag %q in a batch", d.tags)
			}
		}
		return "3 batches of 20, each message once, with its tag"
	}

	// Bodies from nothing to almost the limit; the newer client compresses the large ones.
	cases["body-sizes"] = func(t *T) string {
		topic, rec := t.topic(2), t.recorder()
		t.consumer(t.unique("G"), topic, rec, nil)
		p := t.producer()
		var want []string
		for i, size := range []int{1, 1000, 5000, 70_000, 1_000_000, 3_900_000} {
			body := string(bytes.Repeat([]byte(fmt.Sprintf("%d moon.", i)), size/7+1)[:size])
			t.send(p, primitive.NewMessage(topic, []byte(body)))
			want = append(want, body)
		}
		rec.exactly(want)
		return "1 B to 3.9 MB, each once, byte for byte"
	}

	cases["tags"] = func(t *T) string {
		topic := t.topic(4)
		p := t.producer()
		both, one, all := t.recorder(), t.recorder(), t.recorder()
		start := func(rec *recorder, expression string) {
			t.consumerFor(t.unique("G"), topic, consumer.MessageSelector{Type: consumer.TAG, Expression: expression}, rec, nil)
		}
		start(both, "TagA || TagB")
		start(one, "TagC")
		start(all, "*")
		var wantBoth, wantOne, wantAll []string
		for i := 0; i < 40; i++ {
			tag := []string{"TagA", "TagB", "TagC", ""}[i%4]
			body := fmt.Sprintf("%s-%d", tag, i)
			msg := primitive.NewMessage(topic, []byte(body))
			if tag != "" {
				msg.WithTag(tag)
			}
			t.send(p, msg)
			wantAll = append(wantAll, body)
			switch tag {
			case "TagA", "TagB":
				wantBoth = append(wantBoth, body)
			case "TagC":
				wantOne = append(wantOne, body)
			}
		}
		all.exactly(wantAll)
		both.exactly(wantBoth)
		one.exactly(wantOne)
		return "TagA || TagB 20, TagC 10, * 40"
	}
}
