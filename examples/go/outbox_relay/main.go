// SPDX-License-Identifier: Apache-2.0

// The outbox pattern: the same promise without transactional messages. The order and the message about it are rows of one database
// transaction, and a relay sends what the outbox holds and then deletes it. If the relay is killed between the two, it sends the message
// again: the consumer must be idempotent, by the order's id.
//
//	outbox_relay -topic orders -db orders.db order-1="moon-cake 3"     stores the orders, then relays until it is killed
//
// Beside transactional messages: nothing needs to answer checks, and the broker may be away when an order is placed. In exchange there is a
// table to poll, one relay at a time (two would send everything twice and out of order), and each message is written to the database too.
package main

import (
	"context"
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

type row struct {
	number      int64
	id, payload string
}

// oldest reads the next rows to send, in the order in which they were committed.
func oldest(db *orders.Database) (found []row, err error) {
	rows, err := db.Query("SELECT number, id, payload FROM outbox ORDER BY number LIMIT 100")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.number, &r.id, &r.payload); err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	return found, rows.Err()
}

func main() {
	o := program.Parse("relay", "producer group", "orders.db", "between sending and deleting")

	db, err := orders.Open(o.Database)
	program.Check(err)
	for _, order := range flag.Args() {
		id, what, _ := strings.Cut(order, "=")
		program.Check(db.PlaceWithOutbox(id, what))
		fmt.Println("PLACED", id)
	}

	p, err := rocketmq.NewProducer(producer.WithNameServer([]string{o.NameServer}), producer.WithGroupName(o.Group))
	program.Check(err)
	program.Check(p.Start())
	for {
		rows, err := oldest(db)
		program.Check(err)
		for _, r := range rows {
			res, err := p.SendSync(context.Background(), primitive.NewMessage(o.Topic, []byte(r.payload)).WithKeys([]string{r.id}))
			if err != nil || res.Status != primitive.SendOK {
				fmt.Println("LATER", r.id, err)
				break // not the next one before this one
			}
			fmt.Println("SENT", r.id)
			time.Sleep(o.Pause)
			_, err = db.Exec("DELETE FROM outbox WHERE number = ?", r.number)
			program.Check(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
