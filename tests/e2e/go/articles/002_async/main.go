// Article 002, 1.2, which only describes it: asynchronous sending; the producer is shut down after the callbacks.
package main

import (
	"context"
	"fmt"
	"sync"

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
	var wg sync.WaitGroup
	for i := 0; i < 10; i++ {
		wg.Add(1)
		err = p.SendAsync(context.Background(), func(ctx context.Context, res *primitive.SendResult, err error) {
			if err != nil {
				fmt.Printf("发送失败:%s\n", err)
			} else {
				fmt.Printf("发送成功:%s\n", res.String())
			}
			wg.Done()
		}, primitive.NewMessage(placeholder.Of("TOPIC", "imooc1"), []byte(fmt.Sprintf("this is async %d", i))))
		if err != nil {
			fmt.Printf("发送失败:%s\n", err)
			wg.Done()
		}
	}
	wg.Wait()
	if err = p.Shutdown(); err != nil {
		fmt.Printf("关闭producer失败")
	}
}
