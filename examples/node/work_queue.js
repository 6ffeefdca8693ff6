// A work queue with retries: a job that fails comes again at once, and is set aside after the third attempt. The queue
// counts; the worker acks or rejects.
const amqp = require('amqplib');

const JOBS = ['resize hare.png', 'flaky upload', 'impossible request', 'send a letter'];
const ATTEMPTS_MAX = 3;

// The work itself. One job succeeds at its second attempt, one never does.
function perform(job, attempt) {
  if (job === 'flaky upload' && attempt === 1) throw new Error('connection reset');
  if (job === 'impossible request') throw new Error('not in this universe');
}

async function main() {
  const connection = await amqp.connect(process.env.AMQP_URL || 'amqp://guest:guest@127.0.0.1:5672');
  const channel = await connection.createConfirmChannel();
  const jobs = `example-jobs-${process.pid}`;
  const failed = `example-failed-${process.pid}`;

  // Durable queues and persistent messages outlive the broker's restart.
  await channel.assertQueue(failed, { durable: true });
  await channel.assertQueue(jobs, {
    durable: true,
    arguments: {
      'x-queue-type': 'quorum', // it counts deliveries
      'x-delivery-limit': ATTEMPTS_MAX - 1, // redeliveries; then a job is a dead letter
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': failed,
    },
  });
  for (const job of JOBS) channel.sendToQueue(jobs, Buffer.from(job), { persistent: true, mandatory: true });
  await channel.waitForConfirms();

  // One job at a time, until each is either done or set aside.
  await channel.prefetch(1);
  let open = JOBS.length;
  await new Promise((done) => {
    channel.consume(jobs, take, { consumerTag: 'worker' });
    function take(message) {
      const job = message.content.toString();
      const attempt = (message.properties.headers['x-delivery-count'] || 0) + 1;
      try {
        perform(job, attempt);
        console.log(`attempt ${attempt}: ${job} - done`);
        channel.ack(message);
        open -= 1;
      } catch (error) {
        console.log(`attempt ${attempt}: ${job} - ${error.message}`);
        channel.reject(message, true);
        if (attempt === ATTEMPTS_MAX) open -= 1;
      }
      if (open === 0) done();
    }
  });
  await channel.cancel('worker');

  for (const queue of [jobs, failed]) {
    const { messageCount } = await channel.deleteQueue(queue);
    console.log(`${queue}: ${messageCount} left`);
  }
  await connection.close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
