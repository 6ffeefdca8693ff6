// One message there and back: declare a queue, publish to it, consume from it.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	amqp "github.com/rabbitmq/amqp091-go"
)

func main() {
	url := os.Getenv("AMQP_URL")
	if url == "" {
		url = "amqp://guest:guest@127.0.0.1:5672"
	}
	connection := must(amqp.Dial(url))
	defer connection.Close()
	channel := must(connection.Channel())

	// Without a name the broker invents one; an exclusive queue ends with its connection.
	queue := must(channel.QueueDeclare("", false, false, true, false, nil))
	fmt.Println("queue", queue.Name)

	// The default exchange, "", delivers to the queue that the routing key names.
	check(channel.Confirm(false))
	message := amqp.Publishing{Body: []byte("Hello, hare!")}
	confirm := must(channel.PublishWithDeferredConfirm("", queue.Name, true, false, message))
	fmt.Println("published, acked by the broker:", must(confirm.WaitContext(context.Background())))

	deliveries := must(channel.Consume(queue.Name, "", false, false, false, false, nil))
	delivery := <-deliveries
	fmt.Println("received:", string(delivery.Body))
	check(delivery.Ack(false))
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
