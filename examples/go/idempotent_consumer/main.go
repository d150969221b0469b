// SPDX-License-Identifier: Apache-2.0

// A warehouse that takes what was ordered from its stock, once for each order, however often the message comes.
//
// Every message can come again: when this program is killed before the client has told the broker how far it is, when the groups' queues
// are given out anew, when a sender sent twice. So the order's id goes into a table of processed ids in the same database transaction that
// changes the stock. Both are there or neither is; a second delivery finds the id and changes nothing. Only then the message is acknowledged.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"

	"halfmoon/examples/database"
	"halfmoon/examples/program"
)

const schema = `
CREATE TABLE IF NOT EXISTS processed (id TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS stock (item TEXT PRIMARY KEY, quantity INTEGER NOT NULL);
INSERT INTO stock VALUES ('moon-cake', 1000000) ON CONFLICT DO NOTHING;`

// apply ships an order, unless that was done before; it says whether it was done now.
func apply(db *sql.DB, id, item string, quantity int) (bool, error) {
	tx, err := db.Begin()
	if err != nil {
		return false, err
	}
	defer tx.Rollback() // does nothing after a commit
	res, err := tx.Exec("INSERT INTO processed VALUES (?) ON CONFLICT DO NOTHING", id)
	if err != nil {
		return false, err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return false, err // no row: the id is there already
	}
	if _, err := tx.Exec("UPDATE stock SET quantity = quantity - ? WHERE item = ?", quantity, item); err != nil {
		return false, err
	}
	return true, tx.Commit()
}

func main() {
	o := program.Parse("warehouse", "consumer group", "warehouse.db", "between the effect and the acknowledgement")

	db, err := database.Open(o.Database, schema)
	program.Check(err)

	c, err := rocketmq.NewPushConsumer(consumer.WithNameServer([]string{o.NameServer}), consumer.WithGroupName(o.Group),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))
	program.Check(err)
	program.Check(c.Subscribe(o.Topic, consumer.MessageSelector{}, func(_ context.Context, msgs ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		for _, msg := range msgs {
			// The key is what the sender chose to name the order. The client's message id would not do: an order that is sent twice
			// has two of them.
			id := msg.GetKeys()
			var item string
			var quantity int
			if _, err := fmt.Sscan(string(msg.Body), &item, &quantity); err != nil || id == "" {
				fmt.Println("NOT AN ORDER", msg.MsgId) // it would not get better by trying again
				continue
			}
			now, err := apply(db, id, item, quantity)
			if err != nil {
				fmt.Println("LATER", id, err)
				return consumer.ConsumeRetryLater, nil
			}
			if now {
				fmt.Println("SHIPPED", id)
			} else {
				fmt.Println("AGAIN", id)
			}
			time.Sleep(o.Pause)
		}
		return consumer.ConsumeSuccess, nil
	}))
	program.Check(c.Start())
	fmt.Println("READY")

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	<-stop
	program.Check(c.Shutdown()) // tells the broker how far it is
}
