// Failed jobs tried again: by arguments of the queue, and by the detours through TTL queues that people build without them.
'use strict';

const { Inbox, drain, equal, holds, name, soon } = require('./common');

const CLOCK_MS = 2; // the broker and this program round their milliseconds each by itself

// The entries of x-death, without the time.
const deaths = (message) => (message.properties.headers['x-death'] ?? []).map(({ time, ...death }) => death);

// The next delivery, and how long after `since` it came.
async function after(since, inbox) {
  const [message] = await inbox.take(1);
  return { message, waited: performance.now() - since };
}

// x-delayed-retry-* and a delivery limit: nack is all that a worker does.
async function exponentialRetries(connection) {
  const channel = await connection.createConfirmChannel();
  const [jobs, dead] = [name('retried'), name('retried-dead')];
  await channel.assertQueue(dead, { exclusive: true });
  await channel.assertQueue(jobs, {
    durable: true,
    deadLetterExchange: '',
    deadLetterRoutingKey: dead,
    arguments: {
      'x-queue-type': 'quorum',
      'x-delivery-limit': 3,
      'x-delayed-retry-type': 'all',
      'x-delayed-retry-min': 300,
      'x-delayed-retry-max': 60_000,
      'x-delayed-retry-backoff': 'exponential',
      'x-delayed-retry-multiplier': 3,
    },
  });
  await channel.prefetch(1);
  const inbox = await Inbox.on(channel, jobs);
  const graves = await Inbox.on(channel, dead, { noAck: true });
  channel.sendToQueue(jobs, Buffer.from('poison'), { persistent: true, headers: { job: 7 } });
  let [message] = await inbox.take(1);
  const waits = [];
  for (const least of [300, 900, 2700]) {
    const failed = performance.now();
    channel.nack(message, false, true);
    if (waits.length === 2) {
      channel.sendToQueue(jobs, Buffer.from('healthy'), { persistent: true });
      const [healthy] = await inbox.take(1);
      equal('a job that waits for its retry holds no other up', healthy.content.toString(), 'healthy');
      channel.ack(healthy);
    }
    let waited;
    ({ message, waited } = await after(failed, inbox));
    waits.push(waited);
    equal(`retry ${waits.length} is the same job, redelivered`,
      [message.content.toString(), message.fields.redelivered, message.properties.headers.job], ['poison', true, 7]);
    holds(`retry ${waits.length} comes after ${least} ms at least`, waited >= least - CLOCK_MS);
  }
  holds('each wait is longer than the one before', waits[0] < waits[1] && waits[1] < waits[2]);
  channel.nack(message, false, true);
  const [grave] = await graves.take(1);
  equal('a job that failed once more than the limit is dead, and says why', deaths(grave),
    [{ count: 1, reason: 'delivery_limit', queue: jobs, exchange: '', 'routing-keys': [jobs] }]);
  equal('it is the job as it was', [grave.content.toString(), grave.properties.headers.job], ['poison', 7]);
  equal('nothing is left', (await channel.deleteQueue(jobs)).messageCount, 0);
  await channel.close();
}

// Two queues that dead-letter into each other: a rejected job waits in the second. x-death counts its rounds.
async function retryLoop(connection) {
  const channel = await connection.createConfirmChannel();
  const [jobs, waiting] = [name('loop'), name('loop-waiting')];
  await channel.assertQueue(jobs, { exclusive: true, deadLetterExchange: '', deadLetterRoutingKey: waiting });
  await channel.assertQueue(waiting, { exclusive: true, messageTtl: 200, deadLetterExchange: '', deadLetterRoutingKey: jobs });
  const inbox = await Inbox.on(channel, jobs);
  channel.sendToQueue(jobs, Buffer.from('poison'));
  let [message] = await inbox.take(1);
  equal('a fresh job has died nowhere', deaths(message), []);
  for (const count of [1, 2, 3]) {
    const failed = performance.now();
    channel.nack(message, false, false);
    let waited;
    ({ message, waited } = await after(failed, inbox));
    holds(`round ${count} takes the time of the waiting queue`, waited >= 200 - CLOCK_MS);
    equal(`round ${count} is counted, the last death first`, deaths(message), [
      { count, reason: 'expired', queue: waiting, exchange: '', 'routing-keys': [waiting] },
      { count, reason: 'rejected', queue: jobs, exchange: '', 'routing-keys': [jobs] },
    ]);
  }
  equal('the headers name its first death', message.properties.headers['x-first-death-reason'], 'rejected');
  channel.ack(message);
  equal('nothing is left', [await drain(channel, jobs), await drain(channel, waiting)], [[], []]);
  await channel.close();
}

// A rung for each attempt: a worker puts a failed job on the next one, which dead-letters it back when its time is over.
async function retryLadder(connection) {
  const channel = await connection.createConfirmChannel();
  const exchange = name('ladder');
  const rungs = [200, 400, 800];
  const jobs = name('ladder-jobs');
  await channel.assertExchange(exchange, 'direct', { autoDelete: true });
  await channel.assertQueue(jobs, { exclusive: true });
  await channel.bindQueue(jobs, exchange, 'jobs');
  for (const ttl of rungs) {
    await channel.assertQueue(name(`rung-${ttl}`), {
      exclusive: true, messageTtl: ttl, deadLetterExchange: exchange, deadLetterRoutingKey: 'jobs',
    });
  }
  const inbox = await Inbox.on(channel, jobs);
  channel.publish(exchange, 'jobs', Buffer.from('poison'));
  let [message] = await inbox.take(1);
  for (const [attempt, ttl] of rungs.entries()) {
    const rung = name(`rung-${ttl}`);
    const failed = performance.now();
    channel.sendToQueue(rung, message.content, { headers: { attempt: attempt + 1 } });
    await soon('the rung to take the job', channel.waitForConfirms());
    channel.ack(message);
    let waited;
    ({ message, waited } = await after(failed, inbox));
    holds(`the rung of ${ttl} ms holds a job that long`, waited >= ttl - CLOCK_MS);
    equal(`and sends it back, attempt ${attempt + 1}`,
      [message.fields.exchange, message.fields.routingKey, message.properties.headers.attempt, deaths(message)],
      [exchange, 'jobs', attempt + 1, [{ count: 1, reason: 'expired', queue: rung, exchange: '', 'routing-keys': [rung] }]]);
  }
  channel.ack(message);
  await channel.close();
}

module.exports = { exponentialRetries, retryLadder, retryLoop };
