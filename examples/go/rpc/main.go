// Calls and answers (RPC). The caller needs no queue: it consumes the pseudo-queue amq.rabbitmq.reply-to, and the broker
// takes answers straight to it. The correlation id says which call an answer is for.
package main

import (
	"fmt"
	"log"
	"os"
	"strconv"

	amqp "github.com/rabbitmq/amqp091-go"
)

const replyTo = "amq.rabbitmq.reply-to"

func main() {
	url := os.Getenv("AMQP_URL")
	if url == "" {
		url = "amqp://guest:guest@127.0.0.1:5672"
	}
	queue := fmt.Sprintf("example-squares-%d", os.Getpid())
	server, caller := must(amqp.Dial(url)), must(amqp.Dial(url))
	defer server.Close()
	defer caller.Close()
	channel := must(server.Channel())
	must(channel.QueueDeclare(queue, false, true, false, false, nil))
	go serve(channel, queue)
	call(must(caller.Channel()), queue, []int{3, 4, 5})
}

// serve answers calls. In life this is another program, on another machine.
func serve(channel *amqp.Channel, queue string) {
	check(channel.Qos(1, 0, false))
	for request := range must(channel.Consume(queue, "", false, false, false, false, nil)) {
		number := must(strconv.Atoi(string(request.Body)))
		answer := amqp.Publishing{CorrelationId: request.CorrelationId, Body: []byte(strconv.Itoa(number * number))}
		check(channel.Publish("", request.ReplyTo, false, false, answer))
		check(request.Ack(false))
	}
}

// call calls several times at once, and takes the answers as they come.
func call(channel *amqp.Channel, queue string, numbers []int) {
	// Consume first, then publish, on the same channel.
	deliveries := must(channel.Consume(replyTo, "", true, false, false, false, nil))
	for _, number := range numbers {
		check(channel.Publish("", queue, true, false, amqp.Publishing{
			ReplyTo: replyTo, CorrelationId: strconv.Itoa(number), Body: []byte(strconv.Itoa(number)),
		}))
	}
	answers := map[string]string{}
	for len(answers) < len(numbers) {
		answer := <-deliveries
		answers[answer.CorrelationId] = string(answer.Body)
	}
	for _, number := range numbers {
		fmt.Printf("call %d: %s\n", number, answers[strconv.Itoa(number)])
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
