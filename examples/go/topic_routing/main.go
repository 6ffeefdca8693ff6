// Topic routing: each queue names the messages it wants by a pattern over the words of their keys. * is one word, # is
// any number of them.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	amqp "github.com/rabbitmq/amqp091-go"
)

var (
	patterns = []string{"field.*.seen", "#.fox", "field.#"}
	keys     = []string{"field.hare.seen", "field.hare", "forest.deep.fox", "forest.hare.seen"}
)

func main() {
	url := os.Getenv("AMQP_URL")
	if url == "" {
		url = "amqp://guest:guest@127.0.0.1:5672"
	}
	connection := must(amqp.Dial(url))
	defer connection.Close()
	channel := must(connection.Channel())
	exchange := fmt.Sprintf("example-sightings-%d", os.Getpid())
	check(channel.ExchangeDeclare(exchange, "topic", false, true, false, false, nil))
	queues := map[string]string{}
	for _, pattern := range patterns {
		queues[pattern] = must(channel.QueueDeclare("", false, false, true, false, nil)).Name
		check(channel.QueueBind(queues[pattern], pattern, exchange, false, nil))
	}

	// A confirmed message stands in every queue it was routed to.
	check(channel.Confirm(false))
	for _, key := range keys {
		message := amqp.Publishing{Body: []byte(key)}
		confirm := must(channel.PublishWithDeferredConfirm(exchange, key, false, false, message))
		must(confirm.WaitContext(context.Background()))
	}

	for _, pattern := range patterns {
		fmt.Println(pattern)
		for {
			message, ok, err := channel.Get(queues[pattern], true)
			check(err)
			if !ok {
				break
			}
			fmt.Println(" ", message.RoutingKey)
		}
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
