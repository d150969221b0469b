// Article 003, the delayed transaction. Its primitive.Prepared exists in no version of the client: UnknowState is meant.
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

type DelayedTxListener struct{}

func (d DelayedTxListener) ExecuteLocalTransaction(msg *primitive.Message) primitive.LocalTransactionState {
	// 假设这里将消息标识为待处理,并记录相关信息到数据库
	fmt.Println("Preparing transaction, storing message meta...")
	return primitive.UnknowState
}

func (d DelayedTxListener) CheckLocalTransaction(msgExt *primitive.MessageExt) primitive.LocalTransactionState {
	// 在这里检查消息是否准备好执行延迟操作
	// 实际操作可能包括从数据库查询该消息的状态
	// 假设我们已经确定需要进行延迟操作,这里直接模拟提交
	return primitive.CommitMessageState
}

func main() {
	mqAddr := placeholder.Of("ENDPOINT", "127.0.0.1:9876")
	p, err := rocketmq.NewTransactionProducer(
		DelayedTxListener{},
		producer.WithNameServer([]string{mqAddr}),
	)
	if err != nil {
		panic(err)
	}
	err = p.Start()
	if err != nil {
		panic(err)
	}
	msg := &primitive.Message{
		Topic: placeholder.Of("TOPIC", "DelayedTransactionTopic"),
		Body:  []byte("消息内容,可以包含延迟处理的详细信息"),
	}
	res, err := p.SendMessageInTransaction(context.Background(), msg)
	if err != nil {
		panic(err)
	}
	fmt.Printf("发送事务消息状态: %v\n", res.Status)
	time.Sleep(time.Second * 3600)
	err = p.Shutdown()
	if err != nil {
		panic(err)
	}
}
