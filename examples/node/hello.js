// One message there and back: declare a queue, publish to it, consume from it.
const amqp = require('amqplib');

async function main() {
  const connection = await amqp.connect(process.env.AMQP_URL || 'amqp://guest:guest@127.0.0.1:5672');
  const channel = await connection.createConfirmChannel();

  // Without a name the broker invents one; an exclusive queue ends with its connection.
  const { queue } = await channel.assertQueue('', { exclusive: true });
  console.log('queue', queue);

  // The default exchange delivers to the queue that the routing key names.
  channel.sendToQueue(queue, Buffer.from('Hello, hare!'), { mandatory: true });
  await channel.waitForConfirms();
  console.log('published, acked by the broker');

  await new Promise((done) => {
    channel.consume(queue, (message) => {
      console.log('received:', message.content.toString());
      channel.ack(message);
      done();
    });
  });
  await channel.close();
  await connection.close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
