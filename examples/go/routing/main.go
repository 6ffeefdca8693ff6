// Routing: an exchange of type direct gives a message to the queues that are bound with exactly its routing key.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	amqp "github.com/rabbitmq/amqp091-go"
)

var bindings = []struct {
	place string
	keys  []string
}{
	{"on disk", []string{"error"}},
	{"on screen", []string{"info", "warning", "error"}},
}

var lines = [][2]string{
	{"info", "listening"}, {"warning", "the disk fills"}, {"error", "the disk is full"}, {"debug", "nobody wants this"},
}

func main() {
	url := os.Getenv("AMQP_URL")
	if url == "" {
		url = "amqp://guest:guest@127.0.0.1:5672"
	}
	connection := must(amqp.Dial(url))
	defer connection.Close()
	channel := must(connection.Channel())
	exchange := fmt.Sprintf("example-log-%d", os.Getpid())
	check(channel.ExchangeDeclare(exchange, "direct", false, true, false, false, nil))
	queues := map[string]string{}
	for _, binding := range bindings {
		queue := must(channel.QueueDeclare("", false, false, true, false, nil)).Name
		for _, key := range binding.keys {
			check(channel.QueueBind(queue, key, exchange, false, nil))
		}
		queues[binding.place] = queue
	}

	// A confirmed message stands in every queue it was routed to: none, for the last line.
	check(channel.Confirm(false))
	for _, line := range lines {
		message := amqp.Publishing{Body: []byte(line[1])}
		confirm := must(channel.PublishWithDeferredConfirm(exchange, line[0], false, false, message))
		must(confirm.WaitContext(context.Background()))
	}

	for _, binding := range bindings {
		fmt.Println(binding.place)
		for {
			message, ok, err := channel.Get(queues[binding.place], true)
			check(err)
			if !ok {
				break
			}
			fmt.Printf("  %s: %s\n", message.RoutingKey, message.Body)
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
