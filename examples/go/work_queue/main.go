// A work queue with retries: a job that fails comes again at once, and is set aside after the third attempt. The queue
// counts; the worker acks or rejects.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	amqp "github.com/rabbitmq/amqp091-go"
)

const attemptsMax = 3

func main() {
	url := os.Getenv("AMQP_URL")
	if url == "" {
		url = "amqp://guest:guest@127.0.0.1:5672"
	}
	connection := must(amqp.Dial(url))
	defer connection.Close()
	channel := must(connection.Channel())
	jobs, failed := fmt.Sprintf("example-jobs-%d", os.Getpid()), fmt.Sprintf("example-failed-%d", os.Getpid())

	// Durable queues and persistent messages outlive the broker's restart.
	must(channel.QueueDeclare(failed, true, false, false, false, nil))
	must(channel.QueueDeclare(jobs, true, false, false, false, amqp.Table{
		"x-queue-type":              "quorum",        // it counts deliveries
		"x-delivery-limit":          attemptsMax - 1, // redeliveries; then a job is a dead letter
		"x-dead-letter-exchange":    "",
		"x-dead-letter-routing-key": failed,
	}))

	check(channel.Confirm(false))
	todo := []string{"resize hare.png", "flaky upload", "impossible request", "send a letter"}
	for _, job := range todo {
		message := amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte(job)}
		confirm := must(channel.PublishWithDeferredConfirm("", jobs, true, false, message))
		if !must(confirm.WaitContext(context.Background())) {
			log.Fatalf("%s was not taken", job)
		}
	}

	work(channel, jobs, len(todo))

	for _, queue := range []string{jobs, failed} {
		fmt.Printf("%s: %d left\n", queue, must(channel.QueueDelete(queue, false, false, false)))
	}
}

// work takes one job at a time until each is either done or set aside.
func work(channel *amqp.Channel, jobs string, open int) {
	check(channel.Qos(1, 0, false))
	deliveries := must(channel.Consume(jobs, "worker", false, false, false, false, nil))
	for open > 0 {
		delivery := <-deliveries
		job, attempt := string(delivery.Body), int64(1)
		// Nothing says how often a job was delivered before when it was not.
		if before, ok := delivery.Headers["x-delivery-count"].(int64); ok {
			attempt += before
		}
		if err := perform(job, attempt); err != nil {
			fmt.Printf("attempt %d: %s - %v\n", attempt, job, err)
			check(delivery.Reject(true))
			if attempt == attemptsMax {
				open--
			}
			continue
		}
		fmt.Printf("attempt %d: %s - done\n", attempt, job)
		check(delivery.Ack(false))
		open--
	}
	check(channel.Cancel("worker", false))
}

// perform is the work itself. One job succeeds at its second attempt, one never does.
func perform(job string, attempt int64) error {
	if job == "flaky upload" && attempt == 1 {
		return errors.New("connection reset")
	}
	if job == "impossible request" {
		return errors.New("not in this universe")
	}
	return nil
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
