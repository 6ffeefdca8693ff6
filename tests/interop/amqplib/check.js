// amqplib: the common checks, exchanges bound to exchanges, headers of every type, the broker's cancel, retries.
'use strict';

const assert = require('node:assert/strict');
const { randomBytes } = require('node:crypto');
const { once } = require('node:events');
const { Inbox, URL, connect, drain, equal, holds, name, pause, soon } = require('./common');
const { version } = require('./node_modules/amqplib/package.json');
const { exponentialRetries, retryLadder, retryLoop } = require('./retries');

const QUIET_MS = 200; // how long to watch for a delivery that must not come
const PROGRAM_MS = 90_000;
const TEN = Array.from({ length: 10 }, (_, i) => `job ${i}`);

const seen = (messages) => messages.map((m) => [m.content.toString(), m.fields.redelivered]);

// Manual acks, a prefetch window, and redelivery after a nack and after a lost connection.
async function workQueue() {
  const queue = name('work');
  const first = await connect();
  const publisher = await first.createConfirmChannel();
  await publisher.assertQueue(queue, { durable: true });
  for (const job of TEN) publisher.sendToQueue(queue, Buffer.from(job), { persistent: true });
  await soon('ten confirms', publisher.waitForConfirms());
  const channel = await first.createChannel();
  await channel.prefetch(4);
  const inbox = await Inbox.on(channel, queue);
  const taken = await inbox.take(4);
  equal('the first four jobs come in order, none redelivered', seen(taken), TEN.slice(0, 4).map((job) => [job, false]));
  await pause(QUIET_MS);
  equal('a full prefetch window holds the fifth back', seen(inbox.waiting), []);
  channel.ack(taken[0]);
  equal('an ack reopens the window', seen(await inbox.take(1)), [[TEN[4], false]]);
  channel.nack(taken[1]);
  const again = await inbox.take(1);
  equal('a nacked job comes back first, redelivered', seen(again), [[TEN[1], true]]);
  channel.ack(again[0]);
  equal('then the queue goes on', seen(await inbox.take(1)), [[TEN[5], false]]);
  await first.close();

  const second = await connect();
  const rest = await second.createChannel();
  const left = await Inbox.on(rest, queue);
  const redelivered = await left.take(8);
  equal('unacked jobs of a closed connection come back in order, redelivered, before the rest', seen(redelivered),
    TEN.slice(2).map((job, i) => [job, i < 4]));
  rest.ackAll();
  equal('nothing is left', (await rest.checkQueue(queue)).messageCount, 0);
  await rest.deleteQueue(queue);
  await second.close();
}

// * is one word, # is any number of them.
async function topicRouting(connection) {
  const channel = await connection.createConfirmChannel();
  const exchange = name('topic');
  await channel.assertExchange(exchange, 'topic', { durable: false });
  const expected = {
    '*.orange.*': ['quick.orange.rabbit', 'lazy.orange.elephant'],
    '*.*.rabbit': ['quick.orange.rabbit'],
    'lazy.#': ['lazy.orange.elephant', 'lazy', 'lazy.a.b.c'],
    '#': ['quick.orange.rabbit', 'lazy.orange.elephant', 'lazy', 'lazy.a.b.c', 'quick.brown.fox', ''],
    '#.fox': ['quick.brown.fox'],
    '*': ['lazy'], // the empty key has no word at all
  };
  for (const pattern of Object.keys(expected)) {
    const queue = name(pattern);
    await channel.assertQueue(queue, { exclusive: true });
    await channel.bindQueue(queue, exchange, pattern);
  }
  for (const key of expected['#']) channel.publish(exchange, key, Buffer.from(key));
  await soon('confirms', channel.waitForConfirms());
  for (const [pattern, keys] of Object.entries(expected)) {
    equal(`topic ${pattern}`, await drain(channel, name(pattern)), keys);
  }
  await channel.deleteExchange(exchange);
  await channel.close();
}

// x-match all and any.
async function headersRouting(connection) {
  const channel = await connection.createConfirmChannel();
  const exchange = name('headers');
  await channel.assertExchange(exchange, 'headers', { durable: false });
  for (const match of ['all', 'any']) {
    await channel.assertQueue(name(match), { exclusive: true });
    await channel.bindQueue(name(match), exchange, '', { 'x-match': match, format: 'pdf', pages: 3 });
  }
  const cases = { both: { format: 'pdf', pages: 3 }, one: { format: 'pdf', pages: 4 }, other: { format: 'zip' }, none: {} };
  for (const [body, headers] of Object.entries(cases)) channel.publish(exchange, '', Buffer.from(body), { headers });
  await soon('confirms', channel.waitForConfirms());
  equal('headers x-match all', await drain(channel, name('all')), ['both']);
  equal('headers x-match any', await drain(channel, name('any')), ['both', 'one']);
  await channel.deleteExchange(exchange);
  await channel.close();
}

// A mandatory message without a route is returned before it is confirmed.
async function confirmsAndReturns(connection) {
  const channel = await connection.createConfirmChannel();
  const order = [];
  channel.on('return', (m) => order.push(['return', m.fields.replyCode, m.fields.replyText, m.content.toString()]));
  await soon('a confirm', new Promise((resolve, reject) => {
    channel.publish('', name('nowhere'), Buffer.from('lost'), { mandatory: true }, (error) => {
      order.push(['ack', error]);
      if (error) reject(error); else resolve();
    });
  }));
  equal('the return precedes the ack: 312 NO_ROUTE', order, [['return', 312, 'NO_ROUTE', 'lost'], ['ack', null]]);
  const { queue } = await channel.assertQueue('', { exclusive: true });
  let acks = 0;
  for (let i = 0; i < 200; i++) channel.sendToQueue(queue, Buffer.from(`${i}`), {}, (error) => { acks += error ? 0 : 1; });
  await soon('200 confirms', channel.waitForConfirms());
  equal('two hundred publishes in flight are confirmed', acks, 200);
  equal('and stand in the queue in order', await drain(channel, queue), Array.from({ length: 200 }, (_, i) => `${i}`));
  await channel.close();
}

// Five requests at once; the server answers the last first.
async function directReplyTo(connection) {
  const server = await connection.createChannel();
  const requester = await connection.createChannel();
  const { queue } = await server.assertQueue('', { exclusive: true });
  const requests = await Inbox.on(server, queue);
  const answers = await Inbox.on(requester, 'amq.rabbitmq.reply-to', { noAck: true });
  for (let i = 0; i < 5; i++) {
    requester.sendToQueue(queue, Buffer.from(`${i}`), { replyTo: 'amq.rabbitmq.reply-to', correlationId: `call-${i}` });
  }
  for (const request of (await requests.take(5)).reverse()) {
    const { replyTo, correlationId } = request.properties;
    holds(`${correlationId} came with a reply address`, replyTo.startsWith('amq.rabbitmq.reply-to.'));
    server.sendToQueue(replyTo, Buffer.from(`${Number(request.content) ** 2}`), { correlationId });
    server.ack(request);
  }
  equal('each answer finds its request',
    (await answers.take(5)).map((m) => [m.properties.correlationId, m.content.toString()]),
    [4, 3, 2, 1, 0].map((i) => [`call-${i}`, `${i * i}`]));
  await server.close();
  await requester.close();
}

// An action that costs its channel, with this reply code; the connection lives on.
async function refused(connection, what, code, action) {
  const channel = await connection.createChannel();
  const closed = once(channel, 'error').then(([error]) => error.code);
  action(channel).catch(() => {});
  equal(what, await soon(what, closed), code);
}

// Channel errors and their codes.
async function errors(connection) {
  const queue = name('errors');
  const exclusive = name('exclusive');
  const channel = await connection.createChannel();
  await channel.assertQueue(queue, { durable: false });
  await channel.assertQueue(exclusive, { exclusive: true });
  await refused(connection, 'passive declare of a missing queue: 404', 404, (c) => c.checkQueue(name('missing')));
  await refused(connection, 'redeclare with other arguments: 406', 406, (c) => c.assertQueue(queue, { durable: true }));
  await refused(connection, 'publish to an unknown exchange: 404', 404, async (c) => c.publish(name('missing'), '', Buffer.alloc(0)));
  await refused(connection, 'a get from a missing queue: 404', 404, (c) => c.get(name('missing')));
  const other = await connect();
  await refused(other, "another connection's exclusive queue: 405", 405, (c) => c.checkQueue(exclusive));
  await other.close();
  equal('a new channel works after the errors', (await (await connection.createChannel()).checkQueue(queue)).messageCount, 0);
  equal('deleting a missing queue is no error', (await channel.deleteQueue(name('missing'))).messageCount, 0);
  await channel.deleteQueue(queue);
  await channel.close();
  await assert.rejects(connect({}, URL.replace('://guest:guest@', '://guest:wrong@')), /403/);
  console.log('check a wrong password is refused: 403');
}

// A message goes from exchange to exchange, once to each queue, and no more when the binding is gone.
async function exchangeToExchange(connection) {
  const channel = await connection.createConfirmChannel();
  const [source, middle] = [name('source'), name('middle')];
  await channel.assertExchange(source, 'topic', { durable: false });
  await channel.assertExchange(middle, 'fanout', { durable: false });
  await channel.bindExchange(middle, source, 'news.#');
  await channel.bindExchange(middle, source, '#.hot');
  const { queue } = await channel.assertQueue('', { exclusive: true });
  await channel.bindQueue(queue, middle, '');
  await channel.bindQueue(queue, source, '#.hot');
  for (const key of ['news.de', 'news.hot', 'ads', 'ads.hot']) channel.publish(source, key, Buffer.from(key));
  await soon('confirms', channel.waitForConfirms());
  equal('by way of two exchanges, one copy of each', await drain(channel, queue), ['news.de', 'news.hot', 'ads.hot']);
  await channel.unbindExchange(middle, source, 'news.#');
  for (const key of ['news.de', 'news.hot']) channel.publish(source, key, Buffer.from(key));
  await soon('confirms', channel.waitForConfirms());
  equal('an unbound exchange gets nothing', await drain(channel, queue), ['news.hot']);
  await channel.deleteExchange(middle);
  await channel.deleteExchange(source);
  await channel.close();
}

// Headers of JavaScript's types, and a body of more than a frame.
async function properties(connection) {
  const channel = await connection.createConfirmChannel();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  const headers = {
    yes: true, no: false, int: 42, negative: -1, long: 2 ** 40, double: 0.5, text: 'Häsin 野兎', nothing: null,
    list: [1, 'two', [true]], nested: { deep: { er: 1.25 } }, bytes: Buffer.from([0, 255]),
    typed: { '!': 'timestamp', value: 1709209859 },
  };
  const body = randomBytes(300_000);
  channel.sendToQueue(queue, body, { headers, contentType: 'x/y', priority: 3, messageId: 'm', timestamp: 1709209859, type: 't' });
  await soon('a confirm', channel.waitForConfirms());
  const message = await channel.get(queue, { noAck: true });
  equal('headers come back as they went', message.properties.headers, headers);
  const { contentType, priority, messageId, timestamp, type } = message.properties;
  equal('properties too', [contentType, priority, messageId, timestamp, type], ['x/y', 3, 'm', 1709209859, 't']);
  holds('a body of three frames comes back whole', message.content.equals(body));
  await channel.close();
}

// Deleting a queue ends its consumer with null.
async function brokerCancel(connection) {
  const channel = await connection.createChannel();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  const inbox = await Inbox.on(channel, queue);
  await channel.deleteQueue(queue);
  equal('deleting a queue cancels its consumer', await inbox.take(1), [null]);
  await channel.close();
}

// What was published just before a close does not turn it into an error.
async function closing() {
  for (let round = 0; round < 20; round += 1) {
    const connection = await connect();
    connection.on('error', (error) => { throw error; });
    const channel = await connection.createChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    for (let n = 0; n < 200; n += 1) channel.sendToQueue(queue, Buffer.alloc(10_000));
    await soon('the close of a connection that has just published', connection.close());
  }
  holds('a connection that has just published can be closed', true);
}

async function main() {
  console.log('client amqplib', version);
  await workQueue();
  const connection = await connect({ clientProperties: { connection_name: 'interop' } });
  equal('the server names its product and capabilities',
    [typeof connection.connection.serverProperties.product, connection.connection.serverProperties.capabilities['basic.nack']],
    ['string', true]);
  await topicRouting(connection);
  await headersRouting(connection);
  await confirmsAndReturns(connection);
  await directReplyTo(connection);
  await errors(connection);
  await exchangeToExchange(connection);
  await properties(connection);
  await brokerCancel(connection);
  await retryLoop(connection);
  await retryLadder(connection);
  await exponentialRetries(connection);
  await connection.close();
  await closing();
}

setTimeout(() => { console.error(`not done after ${PROGRAM_MS} ms`); process.exit(1); }, PROGRAM_MS).unref();
main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
