// Article 002, 2.1 and 3: the consumer (printed twice there, the same both times).
package main

import (
	"context"
	"fmt"
	"time"

	"halfmoon/e2e/placeholder"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

func main() {
	c, err := rocketmq.NewPushConsumer(
		consumer.WithNameServer([]string{placeholder.Of("ENDPOINT", "39.103.59.35:9876")}),
		consumer.WithGroupName(placeholder.Of("GROUP", "maxshop")),
	)
	if err != nil {
		panic("连接失败")
	}
	if err = c.Subscribe(placeholder.Of("TOPIC", "imooc1"), consumer.MessageSelector{}, func(ctx context.Context, msgs ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		for i := range msgs {
			fmt.Printf("获取到值:%v\n", msgs[i])
		}
		return consumer.ConsumeSuccess, nil
	}); err != nil {
		fmt.Println("读取消息失败")
	}
	_ = c.Start()
	//不能让主goroutine退出
	time.Sleep(time.Hour)
	_ = c.Shutdown()
}
