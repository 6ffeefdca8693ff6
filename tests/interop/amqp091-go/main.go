// amqp091-go: the common checks, NotifyCancel, transactions and tables of every Go type.
package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	wait    = 10 * time.Second
	quiet   = 200 * time.Millisecond // how long to watch for a delivery that must not come
	program = 90 * time.Second
)

var (
	run = newRun()
	ten = []string{"job 0", "job 1", "job 2", "job 3", "job 4", "job 5", "job 6", "job 7", "job 8", "job 9"}
)

func main() {
	time.AfterFunc(program, func() { fail("not done after %v", program) })
	fmt.Println("client amqp091-go", clientVersion())
	workQueue()
	conn := connect()
	topicRouting(conn)
	headersRouting(conn)
	confirmsAndReturns(conn)
	directReplyTo(conn)
	channelErrors(conn)
	notifyCancel(conn)
	transactions(conn)
	tables(conn)
	must(conn.Close())
	closing()
}

// closing: the client hangs up, not the broker; otherwise Close waits for ever for a channel that nobody reads yet.
func closing() {
	for i := 0; i < 50; i++ {
		conn := connect()
		channel(conn).NotifyClose(make(chan *amqp.Error))
		conn.NotifyClose(make(chan *amqp.Error))
		closed := make(chan error, 1)
		go func() { closed <- conn.Close() }()
		select {
		case err := <-closed:
			must(err)
		case <-time.After(wait):
			fail("Close did not return")
		}
	}
	check("a connection can be closed before anybody reads its NotifyClose")
}

// workQueue: manual acks, a prefetch window, and redelivery after a nack and after a lost connection.
func workQueue() {
	queue := name("work")
	first := connect()
	ch := channel(first)
	must(ch.Confirm(false))
	must1(ch.QueueDeclare(queue, true, false, false, false, nil))
	for _, job := range ten {
		publish(ch, "", queue, amqp.Publishing{Body: []byte(job), DeliveryMode: amqp.Persistent})
	}
	must(ch.Qos(4, 0, false))
	deliveries := must1(ch.Consume(queue, "", false, false, false, false, nil))
	taken := take(deliveries, 4)
	equal("the first four jobs come in order, none redelivered", seen(taken), jobs(ten[:4], false))
	select {
	case d := <-deliveries:
		fail("a full prefetch window let %s through", d.Body)
	case <-time.After(quiet):
		check("a full prefetch window holds the fifth back")
	}
	must(taken[0].Ack(false))
	equal("an ack reopens the window", seen(take(deliveries, 1)), jobs(ten[4:5], false))
	must(taken[1].Nack(false, true))
	again := take(deliveries, 1)
	equal("a nacked job comes back first, redelivered", seen(again), jobs(ten[1:2], true))
	must(again[0].Ack(false))
	equal("then the queue goes on", seen(take(deliveries, 1)), jobs(ten[5:6], false))
	must(first.Close())

	second := connect()
	ch = channel(second)
	taken = take(must1(ch.Consume(queue, "", false, false, false, false, nil)), 8)
	equal("unacked jobs of a closed connection come back in order, redelivered, before the rest",
		seen(taken), append(jobs(ten[2:6], true), jobs(ten[6:], false)...))
	must(taken[7].Ack(true))
	equal("nothing is left", must1(ch.QueueDeclarePassive(queue, true, false, false, false, nil)).Messages, 0)
	must1(ch.QueueDelete(queue, false, false, false))
	must(second.Close())
}

// topicRouting: * is one word, # is any number of them.
func topicRouting(conn *amqp.Connection) {
	ch := channel(conn)
	must(ch.Confirm(false))
	exchange := name("topic")
	must(ch.ExchangeDeclare(exchange, "topic", false, false, false, false, nil))
	patterns := []string{"*.orange.*", "*.*.rabbit", "lazy.#", "#", "#.b.#", "*.#.*"}
	expected := map[string][]string{
		"*.orange.*": {"quick.orange.rabbit", "lazy.orange.elephant"},
		"*.*.rabbit": {"quick.orange.rabbit"},
		"lazy.#":     {"lazy.orange.elephant", "lazy", "lazy.orange.new.rabbit"},
		"#":          {"quick.orange.rabbit", "lazy.orange.elephant", "lazy", "lazy.orange.new.rabbit", "a.b.c", "b"},
		"#.b.#":      {"a.b.c", "b"},
		"*.#.*":      {"quick.orange.rabbit", "lazy.orange.elephant", "lazy.orange.new.rabbit", "a.b.c"},
	}
	for _, pattern := range patterns {
		must1(ch.QueueDeclare(name(pattern), false, false, true, false, nil))
		must(ch.QueueBind(name(pattern), pattern, exchange, false, nil))
	}
	for _, key := range expected["#"] {
		publish(ch, exchange, key, amqp.Publishing{Body: []byte(key)})
	}
	for _, pattern := range patterns {
		equal("topic "+pattern, drain(ch, name(pattern)), expected[pattern])
	}
	must(ch.ExchangeDelete(exchange, false, false))
	must(ch.Close())
}

// headersRouting: x-match all and any.
func headersRouting(conn *amqp.Connection) {
	ch := channel(conn)
	must(ch.Confirm(false))
	exchange := name("headers")
	must(ch.ExchangeDeclare(exchange, "headers", false, false, false, false, nil))
	for _, match := range []string{"all", "any"} {
		must1(ch.QueueDeclare(name(match), false, false, true, false, nil))
		arguments := amqp.Table{"x-match": match, "format": "pdf", "pages": int32(3)}
		must(ch.QueueBind(name(match), "", exchange, false, arguments))
	}
	for _, c := range []struct {
		body    string
		headers amqp.Table
	}{
		{"both", amqp.Table{"format": "pdf", "pages": int32(3)}},
		{"more", amqp.Table{"format": "pdf", "pages": int32(3), "colour": true}},
		{"one", amqp.Table{"format": "pdf", "pages": int32(4)}},
		{"other", amqp.Table{"format": "zip"}},
		{"none", nil},
	} {
		publish(ch, exchange, "", amqp.Publishing{Body: []byte(c.body), Headers: c.headers})
	}
	equal("headers x-match all", drain(ch, name("all")), []string{"both", "more"})
	equal("headers x-match any", drain(ch, name("any")), []string{"both", "more", "one"})
	must(ch.ExchangeDelete(exchange, false, false))
	must(ch.Close())
}

// confirmsAndReturns: a mandatory message without a route is returned before it is confirmed.
func confirmsAndReturns(conn *amqp.Connection) {
	ch := channel(conn)
	must(ch.Confirm(false))
	returns := ch.NotifyReturn(make(chan amqp.Return)) // unbuffered: the client cannot reach the ack before
	confirms := ch.NotifyPublish(make(chan amqp.Confirmation))
	must(ch.Publish("", name("nowhere"), true, false, amqp.Publishing{Body: []byte("lost")}))
	select {
	case r := <-returns:
		equal("the return precedes the ack: 312 NO_ROUTE",
			[]any{r.ReplyCode, r.ReplyText, r.RoutingKey, string(r.Body)}, []any{uint16(312), "NO_ROUTE", name("nowhere"), "lost"})
	case c := <-confirms:
		fail("confirm %d came before the return", c.DeliveryTag)
	case <-time.After(wait):
		fail("neither return nor confirm came")
	}
	equal("then the ack comes", receive("a confirm", confirms), amqp.Confirmation{DeliveryTag: 1, Ack: true})
	must(ch.Close())

	ch = channel(conn)
	must(ch.Confirm(false))
	queue := must1(ch.QueueDeclare("", false, false, true, false, nil)).Name
	var pending []*amqp.DeferredConfirmation
	for i := 0; i < 500; i++ {
		body := amqp.Publishing{Body: []byte(strconv.Itoa(i))}
		pending = append(pending, must1(ch.PublishWithDeferredConfirm("", queue, true, false, body)))
	}
	acked := 0
	for _, confirmation := range pending {
		if waitFor(confirmation) {
			acked++
		}
	}
	equal("five hundred publishes in flight are confirmed", acked, 500)
	equal("and stand in the queue", must1(ch.QueuePurge(queue, false)), 500)
	must(ch.Close())
}

// directReplyTo: five requests at once; the server answers the last first.
func directReplyTo(conn *amqp.Connection) {
	server, requester := channel(conn), channel(conn)
	queue := must1(server.QueueDeclare("", false, false, true, false, nil)).Name
	requests := must1(server.Consume(queue, "", false, false, false, false, nil))
	answers := must1(requester.Consume("amq.rabbitmq.reply-to", "", true, false, false, false, nil))
	for i := 0; i < 5; i++ {
		must(requester.Publish("", queue, false, false, amqp.Publishing{
			ReplyTo: "amq.rabbitmq.reply-to", CorrelationId: fmt.Sprint("call-", i), Body: []byte(strconv.Itoa(i)),
		}))
	}
	taken := take(requests, 5)
	for i := 4; i >= 0; i-- {
		request := taken[i]
		equal(request.CorrelationId+" came with a reply address",
			strings.HasPrefix(request.ReplyTo, "amq.rabbitmq.reply-to."), true)
		n := must1(strconv.Atoi(string(request.Body)))
		must(server.Publish("", request.ReplyTo, false, false, amqp.Publishing{
			CorrelationId: request.CorrelationId, Body: []byte(strconv.Itoa(n * n)),
		}))
		must(request.Ack(false))
	}
	var got []string
	for _, answer := range take(answers, 5) {
		got = append(got, answer.CorrelationId+"="+string(answer.Body))
	}
	equal("each answer finds its request", got, []string{"call-4=16", "call-3=9", "call-2=4", "call-1=1", "call-0=0"})
	must(server.Close())
	must(requester.Close())
}

// channelErrors: what costs a channel, and with which code.
func channelErrors(conn *amqp.Connection) {
	queue, exclusive := name("errors"), name("exclusive")
	ch := channel(conn)
	must1(ch.QueueDeclare(queue, false, false, false, false, nil))
	must1(ch.QueueDeclare(exclusive, false, false, true, false, nil))
	refused(conn, "passive declare of a missing queue: 404", 404, func(c *amqp.Channel) error {
		_, err := c.QueueDeclarePassive(name("missing"), false, false, false, false, nil)
		return err
	})
	refused(conn, "redeclare with other arguments: 406", 406, func(c *amqp.Channel) error {
		_, err := c.QueueDeclare(queue, true, false, false, false, nil)
		return err
	})
	refused(conn, "publish to an unknown exchange: 404", 404, func(c *amqp.Channel) error {
		return c.Publish(name("missing"), "", false, false, amqp.Publishing{})
	})
	refused(conn, "delete of a queue that is not empty, if-empty: 406", 406, func(c *amqp.Channel) error {
		must(c.Publish("", queue, false, false, amqp.Publishing{}))
		_, err := c.QueueDelete(queue, false, true, false)
		return err
	})
	other := connect()
	refused(other, "another connection's exclusive queue: 405", 405, func(c *amqp.Channel) error {
		_, err := c.Consume(exclusive, "", false, false, false, false, nil)
		return err
	})
	must(other.Close())
	equal("a channel beside the refused ones lives on, and deletes",
		must1(ch.QueueDelete(queue, false, false, false)), 1)
	must(ch.Close())
}

// notifyCancel: a consumer is told that its queue is gone, and its deliveries end.
func notifyCancel(conn *amqp.Connection) {
	ch := channel(conn)
	queue := must1(ch.QueueDeclare("", false, false, true, false, nil)).Name
	cancels := ch.NotifyCancel(make(chan string, 1))
	deliveries := must1(ch.Consume(queue, "doomed", false, false, false, false, nil))
	must1(ch.QueueDelete(queue, false, false, false))
	equal("deleting a queue cancels its consumer", receive("a cancel", cancels), "doomed")
	select {
	case _, open := <-deliveries:
		equal("and ends its deliveries", open, false)
	case <-time.After(wait):
		fail("the deliveries of a cancelled consumer do not end")
	}
	equal("the channel stays open", ch.IsClosed(), false)
	must(ch.Close())
}

// transactions: publishes and acks of a transaction take effect with its commit.
func transactions(conn *amqp.Connection) {
	ch, watcher := channel(conn), channel(conn)
	queue := must1(ch.QueueDeclare("", false, false, true, false, nil)).Name
	count := func() int {
		return must1(watcher.QueueDeclarePassive(queue, false, false, true, false, nil)).Messages
	}
	must(ch.Tx())
	must(ch.Publish("", queue, false, false, amqp.Publishing{Body: []byte("gone")}))
	must(ch.TxRollback())
	must(ch.Publish("", queue, false, false, amqp.Publishing{Body: []byte("kept")}))
	equal("a publish waits for its commit", count(), 0)
	must(ch.TxCommit())
	equal("and is there after it", count(), 1)
	message, ok, err := ch.Get(queue, false)
	must(err)
	equal("the rolled back one never came", []any{ok, string(message.Body)}, []any{true, "kept"})
	must(message.Ack(false))
	must(ch.TxRollback())
	must(message.Ack(false))
	must(ch.TxCommit())
	equal("an ack is undone by a rollback and done by a commit", count(), 0)
	must(ch.Close())
	must(watcher.Close())
}

// tables: headers of every Go type come back with their types.
func tables(conn *amqp.Connection) {
	ch := channel(conn)
	must(ch.Confirm(false))
	queue := must1(ch.QueueDeclare("", false, false, true, false, nil)).Name
	headers := amqp.Table{
		"bool": true, "byte": byte(255), "int8": int8(-128), "int16": int16(-32768), "int32": int32(-7),
		"int64": int64(-1 << 40), "float32": float32(0.5), "float64": 2.5, "string": "Häsin 野兎", "nil": nil,
		"decimal": amqp.Decimal{Scale: 2, Value: 314}, "time": time.Unix(1709209859, 0), "bytes": []byte{0, 255},
		"table": amqp.Table{"deep": amqp.Table{"er": int32(1)}}, "array": []any{"a", int32(1), true, []any{nil}},
	}
	publish(ch, "", queue, amqp.Publishing{Headers: headers, Type: "t", Priority: 7, Expiration: "60000"})
	message, ok, err := ch.Get(queue, true)
	must(err)
	equal("a get finds it", ok, true)
	for key, value := range headers {
		equal("header of type "+key, message.Headers[key], value)
	}
	equal("no header more or less", len(message.Headers), len(headers))
	equal("properties too", []any{message.Type, message.Priority, message.Expiration}, []any{"t", uint8(7), "60000"})
	must(ch.Close())
}

// refused does what costs its channel, with this reply code; the connection lives on.
func refused(conn *amqp.Connection, what string, code int, action func(*amqp.Channel) error) {
	ch := channel(conn)
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	if err := action(ch); err != nil {
		var refusal *amqp.Error
		if !errors.As(err, &refusal) {
			fail("%s: %v", what, err)
		}
	}
	equal(what, receive(what, closed).Code, code)
}

func connect() *amqp.Connection {
	url := os.Getenv("AMQP_URL")
	if url == "" {
		url = "amqp://guest:guest@127.0.0.1:5672"
	}
	config := amqp.Config{Dial: amqp.DefaultDial(wait), Heartbeat: wait, TLSClientConfig: tlsConfig()}
	return must1(amqp.DialConfig(url, config))
}

// tlsConfig: whom to trust, and what to show.
func tlsConfig() *tls.Config {
	ca := os.Getenv("AMQP_TLS_CA")
	if ca == "" {
		return nil
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	if !config.RootCAs.AppendCertsFromPEM(must1(os.ReadFile(ca))) {
		fail("no certificate in %s", ca)
	}
	if cert := os.Getenv("AMQP_TLS_CERT"); cert != "" {
		config.Certificates = []tls.Certificate{must1(tls.LoadX509KeyPair(cert, os.Getenv("AMQP_TLS_KEY")))}
	}
	return config
}

func channel(conn *amqp.Connection) *amqp.Channel { return must1(conn.Channel()) }

// publish on a channel in confirm mode, and wait for the confirm.
func publish(ch *amqp.Channel, exchange, key string, message amqp.Publishing) {
	if !waitFor(must1(ch.PublishWithDeferredConfirm(exchange, key, false, false, message))) {
		fail("a message to %q %q was nacked", exchange, key)
	}
}

func waitFor(confirmation *amqp.DeferredConfirmation) bool {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	return must1(confirmation.WaitContext(ctx))
}

func take(deliveries <-chan amqp.Delivery, count int) (taken []amqp.Delivery) {
	for len(taken) < count {
		taken = append(taken, receive(fmt.Sprint(count, " deliveries"), deliveries))
	}
	return taken
}

func receive[T any](what string, from <-chan T) T {
	select {
	case value, open := <-from:
		if !open {
			fail("the channel closed before %s", what)
		}
		return value
	case <-time.After(wait):
		fail("waited %v in vain for %s", wait, what)
	}
	panic("unreachable")
}

// drain takes everything that waits in a queue with basic.get.
func drain(ch *amqp.Channel, queue string) (bodies []string) {
	for {
		message, ok, err := ch.Get(queue, true)
		must(err)
		if !ok {
			return bodies
		}
		bodies = append(bodies, string(message.Body))
	}
}

func seen(deliveries []amqp.Delivery) (all []string) {
	for _, d := range deliveries {
		all = append(all, fmt.Sprint(string(d.Body), " ", d.Redelivered))
	}
	return all
}

func jobs(names []string, redelivered bool) (all []string) {
	for _, job := range names {
		all = append(all, fmt.Sprint(job, " ", redelivered))
	}
	return all
}

func name(stem string) string { return "interop-go-" + stem + "-" + run }

func check(what string) { fmt.Println("check", what) }

func equal(what string, got, want any) {
	if !reflect.DeepEqual(got, want) {
		fail("not so: %s\n  got  %#v\n  want %#v", what, got, want)
	}
	check(what)
}

func must(err error) {
	if err != nil {
		fail("%v\n%s", err, debug.Stack())
	}
}

func must1[T any](value T, err error) T {
	must(err)
	return value
}

func fail(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", arguments...)
	os.Exit(1)
}

func newRun() string {
	random := make([]byte, 4)
	must1(rand.Read(random))
	return hex.EncodeToString(random)
}

// clientVersion is the version of the module that go.mod pins.
func clientVersion() string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "github.com/rabbitmq/amqp091-go" {
			return strings.TrimPrefix(module.Version, "v")
		}
	}
	return "unknown"
}
