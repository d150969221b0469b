// Article 002, 2.2, which only describes it: messages of one key go to one queue, by the hash of the key.
package main

import (
	"context"
	"fmt"

	"halfmoon/e2e/placeholder"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

func main() {
	p, err := rocketmq.NewProducer(
		producer.WithNameServer([]string{placeholder.Of("ENDPOINT", "39.103.59.35:9876")}),
		producer.WithQueueSelector(producer.NewHashQueueSelector()),
	)
	if err != nil {
		panic("生成producer失败")
	}
	if err = p.Start(); err != nil {
		panic("启动producer失败")
	}
	for i := 0; i < 30; i++ {
		key := fmt.Sprintf("order%d", i%3)
		msg := primitive.NewMessage(placeholder.Of("TOPIC", "imooc1"), []byte(fmt.Sprintf("%s step %02d", key, i/3)))
		msg.WithShardingKey(key)
		res, err := p.SendSync(context.Background(), msg)
		if err != nil {
			fmt.Printf("发送失败:%s\n", err)
		} else {
			fmt.Printf("发送成功:%s\n", res.String())
		}
	}
	if err = p.Shutdown(); err != nil {
		fmt.Printf("关闭producer失败")
	}
}
