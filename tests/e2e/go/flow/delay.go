// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/apache/rocketmq-client-go/v2/primitive"
)

var levels = map[int]time.Duration{1: time.Second, 2: 5 * time.Second, 3: 10 * time.Second}

// onTime fails if any of the messages came early, or more than the half of them late: the machine may be busy, not the broker.
func onTime(t *T, rec *recorder, delay time.Duration, sent, acked map[string]time.Time) string {
	var late []time.Duration
	for body := range sent {
		d := rec.of(body)
		if len(d) != 1 {
			t.fail("%s seen %d times", body, len(d))
		}
		if early := delay - d[0].at.Sub(sent[body]); early > 0 {
			t.fail("%s came %v too early", body, early)
		}
		late = append(late, d[0].at.Sub(acked[body])-delay)
	}
	sort.Slice(late, func(i, j int) bool { return late[i] < late[j] })
	if median := late[len(late)/2]; median >= t.late {
		t.fail("delay %v: late by %v (median of %v)", delay, median, late)
	}
	return fmt.Sprintf("%v +%dms", delay, late[len(late)/2].Milliseconds())
}

func init() {
	cases["delay-levels"] = func(t *T) string {
		topic, rec := t.topic(4), t.recorder()
		t.consumer(t.unique("G"), topic, rec, nil)
		p := t.producer()
		t.sendAll(p, topic, "at-once", 4)
		rec.until("the consumer to be at work", func(all []delivery) bool { return len(all) == 4 })
		sent, acked := map[int]map[string]time.Time{}, map[int]map[string]time.Time{}
		want := []string{"at-once-0", "at-once-1", "at-once-2", "at-once-3"}
		for i := 0; i < 5; i++ {
			for level := 1; level <= 3; level++ {
				if i == 0 {
					sent[level], acked[level] = map[string]time.Time{}, map[string]time.Time{}
				}
				body := fmt.Sprintf("level-%d-%d", level, i)
				msg := primitive.NewMessage(topic, []byte(body))
				msg.WithDelayTimeLevel(level)
				sent[level][body] = time.Now()
				t.send(p, msg)
				acked[level][body] = time.Now()
				want = append(want, body)
			}
			time.Sleep(150 * time.Millisecond) // spreads them over the broker's ticks
		}
		rec.exactly(want)
		var evidence []string
		for level := 1; level <= 3; level++ {
			evidence = append(evidence, onTime(t, rec, levels[level], sent[level], acked[level]))
		}
		return strings.Join(evidence, ", ")
	}
}
