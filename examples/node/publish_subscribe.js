// Publish and subscribe: an exchange of type fanout copies each message to every queue that is bound to it.
const amqp = require('amqplib');

async function main() {
  const connection = await amqp.connect(process.env.AMQP_URL || 'amqp://guest:guest@127.0.0.1:5672');
  const channel = await connection.createConfirmChannel();

  // An exchange with auto-delete goes when the last queue bound to it has gone.
  const exchange = `example-news-${process.pid}`;
  await channel.assertExchange(exchange, 'fanout', { autoDelete: true });

  // Each subscriber has a queue of its own; what was published before it was bound does not reach it.
  const subscribers = [];
  for (const name of ['archive', 'screen']) {
    const { queue } = await channel.assertQueue('', { exclusive: true });
    await channel.bindQueue(queue, exchange, '');
    subscribers.push([name, queue]);
  }

  for (const news of ['the hare is awake', 'the fox is not']) channel.publish(exchange, '', Buffer.from(news));
  await channel.waitForConfirms();

  for (const [name, queue] of subscribers) {
    for (let message; (message = await channel.get(queue, { noAck: true })); ) {
      console.log(`${name}: ${message.content}`);
    }
  }
  await connection.close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
