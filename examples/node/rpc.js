// Calls and answers (RPC). The caller needs no queue: it consumes the pseudo-queue amq.rabbitmq.reply-to, and the broker
// takes answers straight to it. The correlation id says which call an answer is for.
const amqp = require('amqplib');

const QUEUE = `example-squares-${process.pid}`;

// Answers calls. In life this is another program, on another machine.
async function serve(connection) {
  const channel = await connection.createChannel();
  await channel.assertQueue(QUEUE, { autoDelete: true });
  await channel.prefetch(1);
  await channel.consume(QUEUE, (message) => {
    const answer = String(Number(message.content) ** 2);
    const { replyTo, correlationId } = message.properties;
    channel.sendToQueue(replyTo, Buffer.from(answer), { correlationId });
    channel.ack(message);
  });
}

// Calls three times at once, and takes the answers as they come.
async function call(connection) {
  const channel = await connection.createChannel();
  const waiting = new Map();
  // Consume first, then publish, on the same channel.
  await channel.consume(
    'amq.rabbitmq.reply-to',
    (message) => waiting.get(message.properties.correlationId)(Number(message.content)),
    { noAck: true },
  );
  const ask = (number) =>
    new Promise((answered) => {
      const correlationId = `call ${number}`;
      waiting.set(correlationId, answered);
      channel.sendToQueue(QUEUE, Buffer.from(String(number)), { replyTo: 'amq.rabbitmq.reply-to', correlationId });
    });
  const numbers = [3, 4, 5];
  const answers = await Promise.all(numbers.map(ask));
  numbers.forEach((number, i) => console.log(`call ${number}: ${answers[i]}`));
}

async function main() {
  const url = process.env.AMQP_URL || 'amqp://guest:guest@127.0.0.1:5672';
  const [server, caller] = [await amqp.connect(url), await amqp.connect(url)];
  await serve(server);
  await call(caller);
  await caller.close();
  await server.close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
