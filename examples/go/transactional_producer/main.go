// SPDX-License-Identifier: Apache-2.0

// A shop that stores orders and announces them, with transactional messages: an order is in the database if and only if its message is
// delivered, wherever this program or the broker is killed. What makes it safe stands in ../orders.
//
//	transactional_producer -topic orders -db orders.db order-1="moon-cake 3" order-2="moon-cake 900"
//
// Without orders it stays and answers the broker's checks, as it also does when it has sent them all.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"

	"halfmoon/examples/orders"
	"halfmoon/examples/program"
)

var errTooMany = errors.New("nobody can deliver that many")

// shop is the transaction listener: the client calls it after the half message is stored, and the broker through the client when it does
// not know the verdict.
type shop struct {
	db    *orders.Database
	pause time.Duration
}

func (s *shop) ExecuteLocalTransaction(msg *primitive.Message) primitive.LocalTransactionState {
	fmt.Println("HALF", msg.GetKeys())
	time.Sleep(s.pause)
	err := s.db.Place(msg.TransactionId, msg.GetKeys(), string(msg.Body), func(*sql.Tx) error {
		var item string
		var quantity int
		if _, err := fmt.Sscan(string(msg.Body), &item, &quantity); err != nil {
			return err
		}
		if quantity > 100 { // the shop's own rules, and its own work in the same database transaction
			return errTooMany
		}
		return nil
	})
	switch {
	case err == nil:
		fmt.Println("PLACED", msg.GetKeys())
		time.Sleep(s.pause)
		return primitive.CommitMessageState
	case errors.Is(err, errTooMany), errors.Is(err, orders.ErrTombstone):
		fmt.Println("REFUSED", msg.GetKeys(), err)
		return primitive.RollbackMessageState
	default: // the commit may have failed before or after it took effect: let the broker ask
		fmt.Println("UNKNOWN", msg.GetKeys(), err)
		return primitive.UnknowState
	}
}

func (s *shop) CheckLocalTransaction(msg *primitive.MessageExt) primitive.LocalTransactionState {
	committed, err := s.db.Verdict(msg.TransactionId)
	fmt.Println("CHECK", msg.GetKeys(), committed, err)
	switch {
	case err != nil:
		return primitive.UnknowState
	case committed:
		return primitive.CommitMessageState
	default:
		return primitive.RollbackMessageState
	}
}

func main() {
	o := program.Parse("shop", "producer group: all that can answer for this database", "orders.db", "before and after the local transaction")

	db, err := orders.Open(o.Database)
	program.Check(err)
	p, err := rocketmq.NewTransactionProducer(&shop{db, o.Pause},
		producer.WithNameServer([]string{o.NameServer}), producer.WithGroupName(o.Group),
		// The client must not send a half message again by itself: it would be a second one with the same transaction id.
		producer.WithRetry(0))
	program.Check(err)
	program.Check(p.Start())

	for _, order := range flag.Args() {
		id, what, _ := strings.Cut(order, "=")
		msg := primitive.NewMessage(o.Topic, []byte(what)).WithKeys([]string{id})
		// An error says that no local transaction was begun. Sending again, as a new message, is safe: if the first one did arrive, its
		// check will find nothing, and roll it back.
		res, err := p.SendMessageInTransaction(context.Background(), msg)
		program.Check(err)
		fmt.Println("SENT", id, res.State)
	}
	if flag.NArg() == 0 {
		// This client registers with the brokers of the topics that it has sent to. To be asked, send something: a half message that is
		// rolled back at once.
		_, err := p.SendMessageInTransaction(context.Background(), primitive.NewMessage(o.Topic, []byte("hello 101")).WithKeys([]string{"hello"}))
		program.Check(err)
	}
	fmt.Println("DONE")
	select {}
}
