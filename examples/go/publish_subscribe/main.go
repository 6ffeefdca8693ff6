// Publish and subscribe: an exchange of type fanout copies each message to every queue that is bound to it.
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

	// An exchange with auto-delete goes when the last queue bound to it has gone.
	exchange := fmt.Sprintf("example-news-%d", os.Getpid())
	check(channel.ExchangeDeclare(exchange, "fanout", false, true, false, false, nil))

	// Each subscriber has a queue of its own; what was published before it was bound does not reach it.
	subscribers := []string{"archive", "screen"}
	queues := map[string]string{}
	for _, name := range subscribers {
		queues[name] = must(channel.QueueDeclare("", false, false, true, false, nil)).Name
		check(channel.QueueBind(queues[name], "", exchange, false, nil))
	}

	check(channel.Confirm(false))
	for _, news := range []string{"the hare is awake", "the fox is not"} {
		message := amqp.Publishing{Body: []byte(news)}
		confirm := must(channel.PublishWithDeferredConfirm(exchange, "", true, false, message))
		must(confirm.WaitContext(context.Background()))
	}

	for _, name := range subscribers {
		for {
			message, ok, err := channel.Get(queues[name], true)
			check(err)
			if !ok {
				break
			}
			fmt.Printf("%s: %s\n", name, message.Body)
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
