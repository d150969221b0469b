// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

const (
	patience = 90 * time.Second        // for anything that must happen
	settle   = 1200 * time.Millisecond // how long nothing more may come once everything is there
)

// T is one case: it makes names, topics and clients, and closes the clients when the case is over.
type T struct {
	ns, broker, id, name string
	late                 time.Duration
	serial               atomic.Int64
	mu                   sync.Mutex
	cleanups             []func()
}

func (t *T) fail(format string, args ...any) { panic(failure{fmt.Sprintf(format, args...)}) }

func (t *T) must(err error, what string) {
	if err != nil {
		t.fail("%s: %v", what, err)
	}
}

func (t *T) onClose(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cleanups = append(t.cleanups, f)
}

func (t *T) close() {
	t.mu.Lock()
	todo := t.cleanups
	t.cleanups = nil
	t.mu.Unlock()
	done := make(chan struct{})
	go func() {
		for i := len(todo) - 1; i >= 0; i-- {
			todo[i]()
		}
		close(done)
	}()
	select { // a client that cannot close must not hold the case
	case <-done:
	case <-time.After(5 * time.Second):
	}
}

// unique gives a topic, group or instance name that no other case and no other client version uses.
func (t *T) unique(kind string) string {
	return fmt.Sprintf("%s_%s_%s_%d", kind, t.name, t.id, t.serial.Add(1))
}

// topic creates a topic and returns when the name server knows it.
func (t *T) topic(queues int) string {
	name := t.unique("T")
	if admin := os.Getenv("E2E_ADMIN"); admin != "" {
		out, err := exec.Command(admin, "-ns", t.ns, "-broker", t.broker, "create-topic", name, fmt.Sprint(queues)).CombinedOutput()
		if err != nil {
			t.fail("creating topic %s: %v %s", name, err, out)
		}
	} else {
		t.must(createTopic(t.ns, t.broker, name, queues), "creating topic "+name)
	}
	return name
}

func (t *T) producer(opts ...producer.Option) rocketmq.Producer {
	all := append([]producer.Option{
		producer.WithNameServer([]string{t.ns}), producer.WithGroupName(t.unique("P")), producer.WithInstanceName(t.unique("i")),
		producer.WithRetry(2),
	}, opts...)
	p, err := rocketmq.NewProducer(all...)
	t.must(err, "new producer")
	t.must(p.Start(), "producer start")
	t.onClose(func() { _ = p.Shutdown() })
	return p
}

func (t *T) send(p rocketmq.Producer, msg *primitive.Message) *primitive.SendResult {
	res, err := p.SendSync(context.Background(), msg)
	t.must(err, "send")
	if res.Status != primitive.SendOK {
		t.fail("send status %d", res.Status)
	}
	return res
}

// sendAll sends prefix-0 .. prefix-(n-1) and returns the bodies.
func (t *T) sendAll(p rocketmq.Producer, topic, prefix string, n int) []string {
	var bodies []string
	for i := 0; i < n; i++ {
		body := fmt.Sprintf("%s-%d", prefix, i)
		t.send(p, primitive.NewMessage(topic, []byte(body)))
		bodies = append(bodies, body)
	}
	return bodies
}

// answer decides what a consumer says about a message; nil means: consumed.
type answer func(context.Context, *primitive.MessageExt) consumer.ConsumeResult

// consumer starts a push consumer that notes every message in rec before it answers. One message at a time is given to it.
func (t *T) consumer(group, topic string, rec *recorder, how answer, opts ...consumer.Option) rocketmq.PushConsumer {
	return t.consumerFor(group, topic, consumer.MessageSelector{}, rec, how, opts...)
}

func (t *T) consumerFor(group, topic string, selector consumer.MessageSelector, rec *recorder, how answer, opts ...consumer.Option) rocketmq.PushConsumer {
	all := append([]consumer.Option{
		consumer.WithNameServer([]string{t.ns}), consumer.WithGroupName(group), consumer.WithInstance(t.unique("i")),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
	}, opts...)
	c, err := rocketmq.NewPushConsumer(all...)
	t.must(err, "new consumer")
	t.must(c.Subscribe(topic, selector, func(ctx context.Context, msgs ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		result := consumer.ConsumeSuccess
		for _, msg := range msgs {
			rec.note(msg)
			if how != nil {
				if r := how(ctx, msg); r != consumer.ConsumeSuccess {
					result = r
				}
			}
		}
		return result, nil
	}), "subscribe")
	t.must(c.Start(), "consumer start")
	t.onClose(func() { _ = c.Shutdown() })
	return c
}

// delivery is one sight of a message by a consumer.
type delivery struct {
	body, topic, tags, keys string
	queue                   int
	offset                  int64
	reconsumed              int32
	at                      time.Time
	props                   map[string]string
}

// recorder collects what consumers see, in the order in which they see it.
type recorder struct {
	t   *T
	mu  sync.Mutex
	all []delivery
}

func (t *T) recorder() *recorder { return &recorder{t: t} }

func (r *recorder) note(msg *primitive.MessageExt) {
	d := delivery{
		body: string(msg.Body), topic: msg.Topic, tags: msg.GetTags(), keys: msg.GetKeys(), offset: msg.QueueOffset,
		reconsumed: msg.ReconsumeTimes, at: time.Now(), props: map[string]string{},
	}
	if msg.Queue != nil {
		d.queue = msg.Queue.QueueId
	}
	for k, v := range msg.GetProperties() {
		d.props[k] = v
	}
	r.mu.Lock()
	r.all = append(r.all, d)
	r.mu.Unlock()
}

func (r *recorder) seen() []delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]delivery(nil), r.all...)
}

func (r *recorder) of(body string) []delivery {
	var out []delivery
	for _, d := range r.seen() {
		if d.body == body {
			out = append(out, d)
		}
	}
	return out
}

func (r *recorder) counts(prefix string) map[string]int {
	out := map[string]int{}
	for _, d := range r.seen() {
		if strings.HasPrefix(d.body, prefix) {
			out[d.body]++
		}
	}
	return out
}

// until waits for a condition on what was seen.
func (r *recorder) until(what string, cond func([]delivery) bool) {
	r.t.until(what, func() bool { return cond(r.seen()) })
}

func (t *T) until(what string, cond func() bool) {
	deadline := time.Now().Add(patience)
	for !cond() {
		if time.Now().After(deadline) {
			t.fail("waited %v in vain for: %s", patience, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// exactly waits until every one of the bodies was seen as often as it stands in want, then for quiet, and fails at any difference.
func (r *recorder) exactly(want []string) { r.exactlyOf("", want) }

// exactlyOf is exactly for the bodies that begin with prefix; others are not looked at.
func (r *recorder) exactlyOf(prefix string, want []string) {
	wanted := map[string]int{}
	for _, body := range want {
		wanted[body]++
	}
	if len(wanted) == 0 {
		r.t.fail("nothing expected: no evidence")
	}
	deadline := time.Now().Add(patience)
	for {
		counts := r.counts(prefix)
		complete := true
		for body, n := range wanted {
			complete = complete && counts[body] >= n
		}
		if complete || time.Now().After(deadline) {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	r.quiet()
	if difference := diff(wanted, r.counts(prefix)); difference != "" {
		r.t.fail("seen otherwise than promised: %s", difference)
	}
}

// quiet returns when nothing came for a while.
func (r *recorder) quiet() {
	last, since := len(r.seen()), time.Now()
	for time.Since(since) < settle {
		time.Sleep(10 * time.Millisecond)
		if n := len(r.seen()); n != last {
			last, since = n, time.Now()
		}
	}
}

func diff(want, got map[string]int) string {
	var out []string
	for body, n := range want {
		if got[body] != n {
			out = append(out, fmt.Sprintf("%q %d times instead of %d", short(body), got[body], n))
		}
	}
	for body, n := range got {
		if want[body] == 0 {
			out = append(out, fmt.Sprintf("%q %d times, unexpected", short(body), n))
		}
	}
	sort.Strings(out)
	if len(out) > 8 {
		out = append(out[:8], fmt.Sprintf("and %d more", len(out)-8))
	}
	return strings.Join(out, "; ")
}

func short(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}

// process is a "flow worker" child whose output lines are kept.
type process struct {
	t     *T
	cmd   *exec.Cmd
	mu    sync.Mutex
	lines []string
}

func (t *T) process(args ...string) *process {
	self, err := os.Executable()
	t.must(err, "own path")
	p := &process{t: t, cmd: exec.Command(self, append([]string{"worker"}, args...)...)}
	out, err := p.cmd.StdoutPipe()
	t.must(err, "pipe")
	p.cmd.Stderr = p.cmd.Stdout
	_, err = p.cmd.StdinPipe() // open as long as the worker runs
	t.must(err, "pipe")
	t.must(p.cmd.Start(), "worker start")
	t.onClose(func() { _ = p.cmd.Process.Kill() })
	go func() {
		scan := bufio.NewScanner(out)
		for scan.Scan() {
			p.mu.Lock()
			p.lines = append(p.lines, scan.Text())
			p.mu.Unlock()
		}
	}()
	return p
}

// with gives what follows the word in the lines that start with it.
func (p *process) with(word string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, line := range p.lines {
		if strings.HasPrefix(line, word+" ") {
			out = append(out, strings.TrimPrefix(line, word+" "))
		}
	}
	return out
}

// kill ends the worker as a crash does: SIGKILL.
func (p *process) kill() {
	p.t.must(p.cmd.Process.Kill(), "kill")
	_ = p.cmd.Wait()
}
