// Article 003, 1: the transactional producer.
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

// 自定义结构体,为了实现 NewTransactionProducer 第一个参数的接口
type MyListener struct{}

func (hl MyListener) ExecuteLocalTransaction(*primitive.Message) primitive.LocalTransactionState {
	return primitive.CommitMessageState
}

func (hl MyListener) CheckLocalTransaction(*primitive.MessageExt) primitive.LocalTransactionState {
	return primitive.CommitMessageState
}

func main() {
	// ------------ 1. 连接RocketMQ ------------------------
	mqAddr := placeholder.Of("ENDPOINT", "127.0.0.1:9876") // 模拟地址
	// NewTransactionProducer 这个方法第一个参数是一个 Listener
	// 是一个接口,需要一个接口体去实现它的方法
	p, err := rocketmq.NewTransactionProducer( // 开启事物消息生产者
		MyListener{},
		producer.WithNameServer([]string{mqAddr}),
	)
	if err != nil {
		panic(err) // 生产环境禁用panic
	}
	// ------------ 2. 启动RocketMQ ------------------------
	err = p.Start()
	if err != nil {
		panic(err)
	}
	// ------------ 3. 发送RocketMQ 消息 ------------------------
	res, err := p.SendMessageInTransaction(context.Background(),
		primitive.NewMessage(placeholder.Of("TOPIC", "MyTransactionTopic"), []byte("xxxxxxxxxxxyyyyyyyyyyyyyzzzzzzzzzzzz")),
	)
	fmt.Println(res.Status)
	if err != nil {
		panic(err)
	}
	fmt.Printf("发送成功")
	time.Sleep(time.Second * 3600)
	err = p.Shutdown()
	if err != nil {
		panic(err)
	}
}
