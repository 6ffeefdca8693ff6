// Opens every page, looks at it as people and axe-core do, and does everything that can be done.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { chromium } from "playwright-core";

import { actions } from "./actions.js";
import { Scene } from "./scene.js";

const base = process.env.CONSOLE_URL;
const pictures = process.env.PICTURES;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SIZES = { desk: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } };

const findings = [];
const found = (words) => findings.push(words) && console.log(`  FOUND ${words}`);

// A page whose every request stays here, and which says nothing of errors.
async function watched(context, path) {
  const page = await context.newPage();
  page.on("request", (request) => new URL(request.url()).origin === base || request.url().startsWith("data:") || found(`${path} asks ${request.url()}`));
  page.on("console", (message) => message.type() === "error" && found(`${path} says ${message.text()}`));
  page.on("pageerror", (error) => found(`${path} fails: ${error}`));
  return page;
}

async function logIn(context) {
  const page = await watched(context, "/login");
  await page.goto(`${base}/`);
  await page.getByLabel("User").fill("guest");
  await page.getByLabel("Password").fill("guest");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.waitForURL(`${base}/`);
  await page.close();
}

async function look(context, name, path, kind) {
  const page = await watched(context, path);
  const answer = await page.goto(base + path);
  if (answer.status() !== 200) found(`${path}: ${answer.status()}`);
  await page.screenshot({ path: `${pictures}/${name}-${kind}.png`, fullPage: true });
  const [inner, wide] = await page.evaluate(() => [window.innerWidth, document.documentElement.scrollWidth]);
  if (wide > inner) found(`${path} is ${wide} wide in ${inner} (${kind})`);
  // Evaluated from outside, so that the page's own policy stays as it is.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  for (const violation of violations.filter(({ impact }) => impact === "serious" || impact === "critical")) {
    found(`${path} (${kind}): axe ${violation.id}: ${violation.nodes.map((node) => `${node.target} ${node.failureSummary}`).slice(0, 3).join("; ")}`);
  }
  await page.close();
}

// The module takes over what is new and leaves what somebody does.
async function liveness(context, scene) {
  const page = await watched(context, "/queues live");
  await page.goto(`${base}/queues?name=live`);
  const refreshed = () => page.waitForResponse((response) => response.url().startsWith(`${base}/queues`) && response.ok());
  await page.getByLabel("Find queues by name").fill("typed and not sent");
  await page.locator("details.columns summary").click();
  await page.getByLabel("Find queues by name").focus();
  await page.evaluate(() => {
    window.shifted = 0;
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => (window.shifted += entry.value))).observe({ type: "layout-shift" });
    window.stays = document.querySelector("tbody tr");
  });
  await scene.publish("live", 41);
  await page.waitForFunction(() => document.querySelector("tbody tr td.number")?.textContent === "41", undefined, { timeout: 20000 });
  await refreshed();
  const state = await page.evaluate(() => ({
    typed: document.getElementById("search").value,
    focused: document.activeElement.id,
    open: document.querySelector("details.columns").open,
    kept: window.stays.isConnected,
    shifted: window.shifted,
  }));
  assert.deepEqual({ ...state, shifted: 0 }, { typed: "typed and not sent", focused: "search", open: true, kept: true, shifted: 0 });
  if (state.shifted > 0.01) found(`the list moves at a refresh: ${state.shifted}`);
  await page.close();
}

// What comes to a queue is shown when it comes, as text, and not while somebody has stopped it.
async function live(context, scene) {
  const page = await watched(context, "/tail");
  await page.goto(`${base}/queue?vhost=%2F&name=live`);
  await page.getByRole("link", { name: "Watch live" }).click();
  await page.getByText("Waiting for messages.").waitFor();
  const body = "<b>bold</b> \u202eturned\n";
  scene.channel.sendToQueue("live", Buffer.from(body));
  await page.locator("#tail").getByText("<b>bold</b> \\u{202e}turned\\n").waitFor();
  assert.equal(await page.locator("#tail b").count(), 0);
  await page.keyboard.press("p");
  await scene.publish("live", 1);
  await page.getByText("2 came").waitFor();
  assert.equal(await page.locator("#tail tr").count(), 1);
  await page.close();
}

async function keys(context) {
  const page = await watched(context, "keys");
  await page.goto(`${base}/queues`);
  await page.keyboard.press("/");
  assert.equal(await page.evaluate(() => document.activeElement.id), "search");
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keys" }).waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("g");
  await page.keyboard.press("e");
  await page.waitForURL(`${base}/exchanges`);
  const time = page.locator("time").first();
  await page.goto(`${base}/connections`);
  assert.match(await time.getAttribute("title"), /UTC$/);
  await page.close();
}

async function main() {
  const scene = await Scene.begin(process.env.AMQP_URL, base);
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox", "--disable-gpu"] });
  let opened = 0;
  try {
    await scene.moves();
    for (const colorScheme of ["light", "dark"]) {
      for (const [size, viewport] of Object.entries(SIZES)) {
        const context = await browser.newContext({ colorScheme, viewport, timezoneId: "Asia/Tokyo", reducedMotion: "reduce" });
        await logIn(context);
        for (const [name, path] of await scene.pages()) {
          await look(context, name, path, `${colorScheme}-${size}`);
          opened += 1;
        }
        await context.close();
        const stranger = await browser.newContext({ colorScheme, viewport });
        await look(stranger, "login", "/login", `${colorScheme}-${size}`);
        await stranger.close();
      }
    }
    const context = await browser.newContext({ viewport: SIZES.desk });
    await logIn(context);
    await liveness(context, scene);
    await live(context, scene);
    await keys(context);
    const done = await actions(await watched(context, "actions"), base, scene);
    await context.close();
    const plain = await browser.newContext({ javaScriptEnabled: false, viewport: SIZES.desk });
    await logIn(plain);
    const without = await actions(await watched(plain, "actions without scripts"), base, scene);
    await plain.close();
    console.log(`${opened} pages opened, ${done} actions with and ${without} without scripts, ${findings.length} findings`);
  } finally {
    await browser.close();
    await scene.end();
  }
  process.exitCode = findings.length === 0 ? 0 : 1;
}

await main();
