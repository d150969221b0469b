// Article 002, 1.3, which only describes it: one-way sending.
package main

import (
	"context"
	"fmt"
	"time"

	"halfmoon/e2e/placeholder"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

func main() {
	p, err := rocketmq.NewProducer(producer.WithNameServer([]string{placeholder.Of("ENDPOINT", "39.103.59.35:9876")}))
	if err != nil {
		panic("生成producer失败")
	}
	if err = p.Start(); err != nil {
		panic("启动producer失败")
	}
	for i := 0; i < 10; i++ {
		err = p.SendOneWay(context.Background(), primitive.NewMessage(placeholder.Of("TOPIC", "imooc1"), []byte(fmt.Sprintf("this is oneway %d", i))))
		if err != nil {
			fmt.Printf("发送失败:%s\n", err)
		} else {
			fmt.Printf("已发送 %d\n", i)
		}
	}
	// This client does not mark its one-way requests as such, so the broker answers them. Closing a socket with unread answers in it
	// makes the client's own kernel throw away what it has not sent yet: the last messages of a program that ends at once.
	time.Sleep(500 * time.Millisecond)
	if err = p.Shutdown(); err != nil {
		fmt.Printf("关闭producer失败")
	}
}
