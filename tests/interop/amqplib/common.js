// What the programs of this folder share.
'use strict';

const assert = require('node:assert/strict');
const { randomBytes } = require('node:crypto');
const { readFileSync } = require('node:fs');
const amqp = require('amqplib');

const URL = process.env.AMQP_URL ?? 'amqp://guest:guest@127.0.0.1:5672';
const RUN = randomBytes(4).toString('hex');
const WAIT_MS = 10_000;
// With TLS: whom to trust, and what to show.
const TLS = Object.fromEntries(['ca', 'cert', 'key']
  .map((name) => [name, process.env[`AMQP_TLS_${name.toUpperCase()}`]])
  .filter(([, path]) => path)
  .map(([name, path]) => [name, readFileSync(path)]));

const name = (stem) => `interop-node-${stem}-${RUN}`;

// Counts a check, or throws with both values.
function equal(what, got, want) {
  assert.deepStrictEqual(got, want, `not so: ${what}: got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
  console.log('check', what);
}

const connect = (options = {}, url = URL) => amqp.connect(url, { ...TLS, ...options });
const holds = (what, condition) => equal(what, Boolean(condition), true);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// The promise's value, before the deadline.
function soon(what, promise) {
  const late = pause(WAIT_MS).then(() => Promise.reject(new Error(`waited ${WAIT_MS} ms in vain for ${what}`)));
  return Promise.race([promise, late]);
}

// A consumer whose deliveries wait here until they are taken.
class Inbox {
  waiting = [];
  #arrived = () => {};

  static async on(channel, queue, options) {
    const inbox = new Inbox();
    const put = (message) => {
      inbox.waiting.push(message);
      inbox.#arrived();
    };
    ({ consumerTag: inbox.tag } = await channel.consume(queue, put, options));
    return inbox;
  }

  async take(count) {
    while (this.waiting.length < count) {
      await soon(`${count} deliveries`, new Promise((resolve) => { this.#arrived = resolve; }));
    }
    return this.waiting.splice(0, count);
  }
}

// Everything that waits in a queue, taken with basic.get.
async function drain(channel, queue) {
  const bodies = [];
  for (;;) {
    const message = await channel.get(queue, { noAck: true });
    if (!message) return bodies;
    bodies.push(message.content.toString());
  }
}

module.exports = { Inbox, URL, connect, drain, equal, holds, name, pause, soon };
