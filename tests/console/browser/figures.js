// What an open page costs, and how fast it is there, beside 10,000 queues, 2,000 connections and 100,000 messages a second.

import { spawn } from "node:child_process";
import { readFileSync, statSync } from "node:fs";

import amqplib from "amqplib";
import { chromium } from "playwright-core";

const base = process.env.CONSOLE_URL;
const pid = process.env.BROKER_PID;
const QUEUES = Number(process.env.QUEUES ?? 10_000);
const CONNECTIONS = Number(process.env.CONNECTIONS ?? 2_000);
const RATE = Number(process.env.RATE ?? 100_000);
const ALL = process.env.ONLY !== "traffic";
const SEEN = 50;
const PAGES = [["overview", "/"], ["queues", "/queues"], ["queues by rate", "/queues?sort=message_stats.publish_details.rate&reverse=true"]];
const authorization = `Basic ${Buffer.from("guest:guest").toString("base64")}`;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function api(path, options = {}) {
  const response = await fetch(`${base}/api/${path}`, { ...options, headers: { authorization, "content-type": "application/json" } });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return response.status === 200 ? response.json() : null;
}

const percentile = (values, part) => [...values].sort((one, other) => one - other)[Math.min(values.length - 1, Math.ceil(values.length * part) - 1)];
const median = (values) => percentile(values, 0.5);

// Seconds of processor time that the broker has had.
function processor() {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

// Traffic as far as it can go, or at a rate.
function traffic(rate) {
  const args = ["bench", "--uri", process.env.AMQP_URL, "-s", "16", "-a", "-z", "3600", "-u", "traffic", "-r", String(rate)];
  return spawn(process.env.LEVERET_BIN, args, { stdio: ["ignore", "ignore", "inherit"] });
}

async function ended(child) {
  if (child.exitCode !== null) throw new Error(`the traffic has ended by itself: ${child.exitCode}`);
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGINT");
  await gone;
}

const published = async () => (await api("queues/%2F/traffic")).message_stats?.publish ?? 0;

// Messages a second that come to the queue of the traffic.
async function speed(ms) {
  const [before, began] = [await published(), performance.now()];
  await pause(ms);
  const [after, ends] = [await published(), performance.now()];
  return ((after - before) * 1000) / (ends - began);
}

async function painted(browser) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const first = await context.newPage();
  await first.goto(base);
  await first.getByLabel("User").fill("guest");
  await first.getByLabel("Password").fill("guest");
  await first.getByRole("button", { name: "Log in" }).click();
  await first.waitForURL(`${base}/`);
  await first.close();
  for (const [name, path] of PAGES) {
    const [times, answers, bytes] = [[], [], []];
    for (let at = 0; at < SEEN; at += 1) {
      const page = await context.newPage();
      const response = await page.goto(base + path, { waitUntil: "load" });
      bytes.push((await response.body()).length);
      const told = await page.evaluate(async () => {
        const entry = () => performance.getEntriesByName("first-contentful-paint")[0];
        while (!entry()) await new Promise((resolve) => requestAnimationFrame(resolve));
        const { requestStart, responseEnd } = performance.getEntriesByType("navigation")[0];
        return { paint: entry().startTime, answer: responseEnd - requestStart };
      });
      times.push(told.paint);
      answers.push(told.answer);
      await page.close();
    }
    const ms = (values) => `p50 ${median(values).toFixed(0)} ms, p99 ${percentile(values, 0.99).toFixed(0)} ms`;
    console.log(`${name}: painted ${ms(times)}; answered ${ms(answers)}; ${median(bytes)} bytes`);
  }
  await context.close();
}

// What open pages ask for, without the browser, which would take the processor from what is measured.
function open(paths) {
  const ask = (path) => fetch(base + path, { headers: { authorization, accept: "text/html" } }).then((response) => response.text());
  const timers = paths.map((path, at) => setTimeout(() => {
    ask(path);
    timers[at] = setInterval(() => ask(path), 5000);
  }, at * 1000));
  return () => timers.forEach((timer) => clearInterval(timer));
}

// Processor time of the broker with pages open and without, in turns.
async function cost(name, paths, turns, ms) {
  const shares = { without: [], with: [] };
  for (let turn = 0; turn < turns; turn += 1) {
    for (const kind of turn % 2 ? ["with", "without"] : ["without", "with"]) {
      const close = kind === "with" ? open(paths) : () => {};
      const [before, began] = [processor(), performance.now()];
      await pause(ms);
      shares[kind].push(((processor() - before) * 1e5) / (performance.now() - began));
      close();
      await pause(1000);
    }
  }
  const [without, open_] = [median(shares.without), median(shares.with)];
  console.log(`${name}: ${without.toFixed(2)} % of a core without, ${open_.toFixed(2)} % with; ${(open_ - without).toFixed(2)} % more`);
}

// Traffic as fast as it goes, with pages open and without, in turns.
async function unhindered() {
  const load = traffic(0);
  await pause(6000);
  const speeds = { without: [], with: [] };
  for (let turn = 0; turn < Number(process.env.TURNS ?? 4) * 2; turn += 1) {
    for (const kind of turn % 2 ? ["with", "without"] : ["without", "with"]) {
      const close = kind === "with" ? open(["/", "/", "/queues", "/queues", "/queue?vhost=%2F&name=traffic"]) : () => {};
      await pause(1000);
      speeds[kind].push(await speed(10_000));
      close();
    }
  }
  await ended(load);
  const [without, open_] = [median(speeds.without), median(speeds.with)];
  console.log(`as fast as it goes: ${without.toFixed(0)} messages a second, with five pages open ${open_.toFixed(0)}: ${(open_ / without).toFixed(3)} of that`);
}

async function main() {
  const queues = Array.from({ length: QUEUES }, (_, at) => ({ name: `tenant-${at}`, vhost: "/", durable: false, auto_delete: false, arguments: {} }));
  await api("definitions", { method: "POST", body: JSON.stringify({ queues }) });
  const opened = [];
  for (let at = 0; at < CONNECTIONS; at += 1) {
    const connection = await amqplib.connect(process.env.AMQP_URL);
    const channel = await connection.createChannel();
    opened.push(connection);
    if (at % 2) await channel.consume(`tenant-${at % QUEUES}`, () => {}, { noAck: true });
  }
  const totals = (await api("overview")).object_totals;
  console.log(`${totals.queues} queues, ${totals.connections} connections, ${totals.consumers} consumers`);
  // Something in many queues, so that there is something to look through.
  const channel = await opened[0].createConfirmChannel();
  for (let at = 0; at < QUEUES; at += 2) channel.sendToQueue(`tenant-${at}`, Buffer.from("waits"));
  await channel.waitForConfirms();
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox", "--disable-gpu"] });
  try {
    if (ALL) {
      await pause(10_000);
      await cost("an open overview, no traffic", ["/"], Number(process.env.TURNS ?? 4), 20_000);
      await cost("an open queue list, no traffic", ["/queues"], Number(process.env.TURNS ?? 4), 20_000);
      const load = traffic(RATE);
      await pause(6000);
      console.log(`traffic at ${(await speed(5000)).toFixed(0)} messages a second`);
      await painted(browser);
      await ended(load);
    }
    await browser.close();
    await unhindered();
  } finally {
    await browser.close();
  }
  const assets = ["console.css", "console.js", "icon.svg"].map((name) => statSync(new URL(`../../../src/console/assets/${name}`, import.meta.url)).size);
  console.log(`assets ${assets.reduce((one, other) => one + other)} bytes; binary ${statSync(process.env.LEVERET_BIN).size} bytes`);
  process.exit(0);
}

await main();
