// Four tasks of somebody whose queues burn, done by script on the pages of two brokers that have the same to show: how many presses each takes,
// and how long, from the page on which one stands after the login.

import amqplib from "amqplib";
import { chromium } from "playwright-core";

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const ours = { name: "Leveret", url: process.env.CONSOLE_URL, amqp: process.env.AMQP_URL };
const peer = { name: "RabbitMQ", url: process.env.PEER_URL, amqp: process.env.PEER_AMQP };

async function connected(uri) {
  for (;;) {
    try {
      return await amqplib.connect(uri);
    } catch {
      await pause(500);
    }
  }
}

// 60 queues at rest, one that is fine, one that grows because its consumer acknowledges nothing, and one with dead letters.
async function burn(uri) {
  const connection = await connected(uri);
  const channel = await connection.createConfirmChannel();
  for (let at = 0; at < 60; at += 1) await channel.assertQueue(`tenant-${at}`);
  for (const queue of ["mails", "jobs", "orders.dead"]) await channel.assertQueue(queue);
  await channel.assertExchange("dead", "fanout");
  await channel.bindQueue("orders.dead", "dead", "");
  await channel.assertQueue("orders", { arguments: { "x-dead-letter-exchange": "dead" } });
  const [fine, full] = [await connection.createChannel(), await connection.createChannel()];
  await fine.consume("mails", (message) => fine.ack(message));
  await full.prefetch(10);
  await full.consume("jobs", () => {});
  await fine.consume("orders", (message) => fine.nack(message, false, false), { consumerTag: "rejects" });
  for (let at = 0; at < 40; at += 1) channel.sendToQueue("orders", Buffer.from(JSON.stringify({ order: at })), { persistent: true });
  await channel.waitForConfirms();
  await pause(1000);
  await fine.cancel("rejects");
  const timer = setInterval(() => {
    for (let at = 0; at < 10; at += 1) channel.sendToQueue("jobs", Buffer.from("job"));
    for (let at = 0; at < 50; at += 1) channel.sendToQueue("mails", Buffer.from("mail"));
  }, 200);
  return {
    ready: async (queue) => (await channel.checkQueue(queue)).messageCount,
    end: async () => {
      clearInterval(timer);
      await connection.close();
    },
  };
}

// They are not among the dead any more, and back where they were: AMQP says so.
async function moved(scene) {
  while ((await scene.ready("orders.dead")) > 0 || (await scene.ready("orders")) < 40) await pause(20);
}

// Counts presses, and what is typed.
function hand(page) {
  const did = { presses: 0, typed: 0 };
  return {
    did,
    press: async (locator) => {
      did.presses += 1;
      await locator.first().click();
    },
    type: async (locator, text) => {
      did.typed += 1;
      await locator.first().fill(text);
    },
    sees: (text) => page.getByText(text).first().waitFor(),
  };
}

const OURS = {
  home: (page) => page.goto(ours.url),
  login: async (page) => {
    await page.goto(ours.url);
    await page.getByLabel("User").fill("guest");
    await page.getByLabel("Password").fill("guest");
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByRole("heading", { name: "Overview" }).waitFor();
  },
  tasks: [
    async (page) => page.locator(".attention li", { hasText: "jobs" }).getByText("Grows by").waitFor(),
    async (page) => page.locator(".attention li", { hasText: "jobs" }).getByText("holds as much as its prefetch allows").waitFor(),
    async (page, { press, sees }) => {
      await press(page.locator(".attention a", { hasText: "orders.dead" }));
      await press(page.getByRole("link", { name: "Look at messages" }));
      await press(page.locator("details.message summary"));
      await sees("was rejected by its consumer");
      await sees('"order": 0');
    },
    async (page, { press }, scene) => {
      await press(page.locator(".attention a", { hasText: "orders.dead" }));
      await press(page.getByRole("link", { name: "Move or redrive" }));
      await press(page.getByRole("button", { name: "Count what is meant" }));
      await press(page.getByRole("button", { name: "Move them" }));
      await moved(scene);
    },
  ],
};

const section = (page, name) => page.locator("#main h2", { hasText: name });
const PEER = {
  home: async (page) => {
    await page.goto(`${peer.url}/#/`);
    await page.reload();
    await page.getByRole("heading", { name: "Overview" }).waitFor();
  },
  login: async (page) => {
    await page.goto(peer.url);
    await page.locator("input[name=username]").fill("guest");
    await page.locator("input[name=password]").fill("guest");
    await page.locator("input[type=submit]").click();
    await page.getByRole("heading", { name: "Overview" }).waitFor();
  },
  tasks: [
    async (page, { press }) => {
      await press(page.locator("#tabs a", { hasText: "Queues" }));
      const first = page.locator("table.list tbody tr").first();
      while (!(await first.innerText()).includes("jobs")) {
        await press(page.locator("table.list th a.sort", { hasText: "Ready" }));
        await page.waitForLoadState("networkidle");
        await pause(300);
      }
      // That it is deep is not that it grows: that is seen when it has grown.
      const ready = async () => Number((await first.locator("td").nth(4).innerText()).replaceAll(",", ""));
      const before = await ready();
      while ((await ready()) === before) await pause(50);
    },
    async (page, { press, sees }) => {
      await press(page.locator("#tabs a", { hasText: "Queues" }));
      await press(page.locator("table.list a", { hasText: /^jobs$/ }));
      await press(section(page, "Consumers"));
      await sees("Prefetch count");
    },
    async (page, { press, sees }) => {
      await press(page.locator("#tabs a", { hasText: "Queues" }));
      await press(page.locator("table.list a", { hasText: /^orders\.dead$/ }));
      await press(section(page, "Get messages"));
      await press(page.locator("input[value='Get Message(s)']"));
      await sees("x-death");
      await sees('{"order":0}');
    },
    async (page, { press, type }, scene) => {
      await press(page.locator("#tabs a", { hasText: "Queues" }));
      await press(page.locator("table.list a", { hasText: /^orders\.dead$/ }));
      await press(section(page, "Move messages"));
      await type(page.locator("input[name='dest-queue']"), "orders");
      await press(page.locator("input[value='Move messages']"));
      await moved(scene);
    },
  ],
};

const TASKS = ["which queue grows", "why its messages are not consumed", "what the dead letters are, and why they died", "have them back where they were"];

async function main() {
  ours.scene = await burn(ours.amqp);
  peer.scene = await burn(peer.amqp);
  // Both know rates by then, and the queue is deep.
  await pause(40_000);
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox", "--disable-gpu"] });
  try {
    for (const [broker, pages] of [[ours, OURS], [peer, PEER]]) {
      const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
      page.setDefaultTimeout(30_000);
      await pages.login(page);
      for (const [at, task] of pages.tasks.entries()) {
        await pages.home(page);
        const its = hand(page);
        const began = performance.now();
        try {
          await Promise.race([task(page, its, broker.scene), pause(30_000).then(() => Promise.reject(new Error(`${TASKS[at]}: not in 30 s`)))]);
        } catch (error) {
          await page.screenshot({ path: `${process.env.PICTURES ?? "."}/task-${broker.name}-${at}.png` });
          throw error;
        }
        console.log(`${broker.name}: ${TASKS[at]}: ${its.did.presses} presses, ${its.did.typed} fields, ${((performance.now() - began) / 1000).toFixed(1)} s`);
      }
      await page.close();
    }
  } finally {
    await browser.close();
    for (const { scene } of [ours, peer]) await scene.end();
  }
  process.exit(0);
}

await main();
