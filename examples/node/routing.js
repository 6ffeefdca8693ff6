// Routing: an exchange of type direct gives a message to the queues that are bound with exactly its routing key.
const amqp = require('amqplib');

const BINDINGS = { 'on disk': ['error'], 'on screen': ['info', 'warning', 'error'] };
const LINES = { info: 'listening', warning: 'the disk fills', error: 'the disk is full', debug: 'nobody wants this' };

async function main() {
  const connection = await amqp.connect(process.env.AMQP_URL || 'amqp://guest:guest@127.0.0.1:5672');
  const channel = await connection.createConfirmChannel();
  const exchange = `example-log-${process.pid}`;
  await channel.assertExchange(exchange, 'direct', { autoDelete: true });
  const queues = {};
  for (const [place, keys] of Object.entries(BINDINGS)) {
    queues[place] = (await channel.assertQueue('', { exclusive: true })).queue;
    for (const key of keys) await channel.bindQueue(queues[place], exchange, key);
  }

  // A confirmed message stands in every queue it was routed to: none, for the last line.
  for (const [key, line] of Object.entries(LINES)) channel.publish(exchange, key, Buffer.from(line));
  await channel.waitForConfirms();

  for (const [place, queue] of Object.entries(queues)) {
    console.log(place);
    for (let message; (message = await channel.get(queue, { noAck: true })); ) {
      console.log(`  ${message.fields.routingKey}: ${message.content}`);
    }
  }
  await connection.close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
