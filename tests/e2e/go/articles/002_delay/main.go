// Article 002, 3: a delayed message.
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
	p, err := rocketmq.NewProducer(producer.WithNameServer([]string{placeholder.Of("ENDPOINT", "39.103.59.35:9876")}))
	if err != nil {
		panic("生成producer失败")
	}
	if err = p.Start(); err != nil {
		panic("启动producer失败")
	}
	msg := primitive.NewMessage(placeholder.Of("TOPIC", "imooc1"), []byte("this is delay message"))
	msg.WithDelayTimeLevel(2)
	res, err := p.SendSync(context.Background(), msg)
	if err != nil {
		fmt.Printf("发送失败:%s\n", err)
	} else {
		fmt.Printf("发送成功:%s\n", res.String())
	}
	if err = p.Shutdown(); err != nil {
		fmt.Printf("关闭producer失败")
	}
}
