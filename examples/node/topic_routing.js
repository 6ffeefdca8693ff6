// Topic routing: each queue names the messages it wants by a pattern over the words of their keys. * is one word, # is
// any number of them.
const amqp = require('amqplib');

const PATTERNS = ['field.*.seen', '#.fox', 'field.#'];
const KEYS = ['field.hare.seen', 'field.hare', 'forest.deep.fox', 'forest.hare.seen'];

async function main() {
  const connection = await amqp.connect(process.env.AMQP_URL || 'amqp://guest:guest@127.0.0.1:5672');
  const channel = await connection.createConfirmChannel();
  const exchange = `example-sightings-${process.pid}`;
  await channel.assertExchange(exchange, 'topic', { autoDelete: true });
  const queues = {};
  for (const pattern of PATTERNS) {
    queues[pattern] = (await channel.assertQueue('', { exclusive: true })).queue;
    await channel.bindQueue(queues[pattern], exchange, pattern);
  }

  // A confirmed message stands in every queue it was routed to.
  for (const key of KEYS) channel.publish(exchange, key, Buffer.from(key));
  await channel.waitForConfirms();

  for (const [pattern, queue] of Object.entries(queues)) {
    console.log(pattern);
    for (let message; (message = await channel.get(queue, { noAck: true })); ) {
      console.log(`  ${message.fields.routingKey}`);
    }
  }
  await connection.close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
