// Whose test suites run here. Nothing imports them.
module leveret/tests/suites

go 1.21

require (
	github.com/michaelklishin/rabbit-hole/v3 v3.2.0
	github.com/rabbitmq/amqp091-go v1.16.0
)
