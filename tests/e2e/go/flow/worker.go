// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// worker is a client in a process of its own; it prints one line per event, at once, and runs until it is done or killed:
//
//	half     sends one half message and never gives its verdict          HALF body
//	send     sends -count messages, each attempt a body of its own       ACK body | NAK body reason
//	consume  consumes for ever                                           GOT body
//	tx       sends -count half messages, each attempt a body of its own; HALF body | CHECK body | ACK body | NAK body reason
//	         every other commits at once, the rest when asked about
func worker(args []string) {
	kind := args[0]
	flags := flag.NewFlagSet(kind, flag.ExitOnError)
	ns := flags.String("ns", "", "name server")
	group := flags.String("group", "", "group")
	topic := flags.String("topic", "", "topic")
	body := flags.String("body", "m", "body or its prefix")
	count := flags.Int("count", 1, "how many messages")
	pause := flags.Duration("pause", 0, "after each message")
	level := flags.Int("level", 0, "send: delay level")
	_ = flags.Parse(args[1:])
	var mu, slow sync.Mutex
	say := func(format string, values ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(os.Stdout, format+"\n", values...)
	}
	fatal := func(err error) {
		if err != nil {
			say("ERROR %v", err)
			os.Exit(1)
		}
	}
	again := func(f func() error) { // the broker may be away just now
		for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
			err := f()
			if err == nil {
				return
			}
			if time.Now().After(deadline) {
				fatal(err)
			}
		}
	}
	instance := fmt.Sprint("w", os.Getpid())
	switch kind {
	case "half", "tx":
		listener := &workerListener{say: say, hang: kind == "half"}
		p, err := rocketmq.NewTransactionProducer(listener, producer.WithNameServer([]string{*ns}), producer.WithGroupName(*group),
			producer.WithInstanceName(instance), producer.WithRetry(0))
		fatal(err)
		fatal(p.Start())
		for i := 0; i < *count; i++ {
			attempt := 0
			again(func() error {
				attempt++
				text := *body
				if kind == "tx" {
					text = fmt.Sprintf("%s-%d.%d", *body, i, attempt)
				}
				if _, err := p.SendMessageInTransaction(context.Background(), primitive.NewMessage(*topic, []byte(text))); err != nil {
					say("NAK %s %v", text, err)
					return err
				}
				say("ACK %s", text)
				return nil
			})
			time.Sleep(*pause)
		}
		say("DONE %d", *count)
		select {}
	case "send":
		p, err := rocketmq.NewProducer(producer.WithNameServer([]string{*ns}), producer.WithGroupName(*group),
			producer.WithInstanceName(instance), producer.WithRetry(0))
		fatal(err)
		fatal(p.Start())
		for i := 0; i < *count; i++ {
			attempt := 0
			again(func() error {
				attempt++
				text := fmt.Sprintf("%s-%d.%d", *body, i, attempt)
				msg := primitive.NewMessage(*topic, []byte(text))
				if *level > 0 {
					msg.WithDelayTimeLevel(*level)
				}
				res, err := p.SendSync(context.Background(), msg)
				if err == nil && res.Status != primitive.SendOK {
					err = fmt.Errorf("status %d", res.Status)
				}
				if err != nil {
					say("NAK %s %v", text, err)
					return err
				}
				say("ACK %s", text)
				return nil
			})
			time.Sleep(*pause)
		}
		say("DONE %d", *count)
	case "consume":
		c, err := rocketmq.NewPushConsumer(consumer.WithNameServer([]string{*ns}), consumer.WithGroupName(*group),
			consumer.WithInstance(instance), consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))
		fatal(err)
		fatal(c.Subscribe(*topic, consumer.MessageSelector{}, func(_ context.Context, msgs ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			slow.Lock() // one after the other, however many routines the client has
			defer slow.Unlock()
			for _, msg := range msgs {
				say("GOT %s", msg.Body)
				time.Sleep(*pause)
			}
			return consumer.ConsumeSuccess, nil
		}))
		fatal(c.Start())
		// A line on stdin, or its end, asks for an orderly end.
		_, _ = os.Stdin.Read(make([]byte, 1))
		_ = c.Shutdown()
		say("CLOSED %s", *group)
	default:
		say("ERROR no worker %s", kind)
		os.Exit(2)
	}
}

type workerListener struct {
	say  func(string, ...any)
	hang bool
	n    int
}

func (l *workerListener) ExecuteLocalTransaction(msg *primitive.Message) primitive.LocalTransactionState {
	l.say("HALF %s", msg.Body)
	if l.hang {
		select {}
	}
	l.n++
	if l.n%2 == 1 {
		return primitive.CommitMessageState
	}
	return primitive.UnknowState
}

func (l *workerListener) CheckLocalTransaction(msg *primitive.MessageExt) primitive.LocalTransactionState {
	l.say("CHECK %s", msg.Body)
	return primitive.CommitMessageState
}
