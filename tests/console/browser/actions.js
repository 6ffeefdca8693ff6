// Everything that can be done on the pages, as people do it, each with its effect as AMQP or the API shows it.

import assert from "node:assert/strict";
import { once } from "node:events";

import amqplib from "amqplib";

let runs = 0;

export async function actions(page, base, scene) {
  const name = `made-${(runs += 1)}`;
  const queue = `${base}/queue?${new URLSearchParams({ vhost: "/", name })}`;
  const press = (button) => page.getByRole("button", { name: button, exact: true }).click();
  const told = (words) => page.getByText(words).first().waitFor();
  let done = 0;
  const step = async (what, act) => {
    await act();
    done += 1;
    console.log(`  ok ${what}`);
  };

  await step("declare a queue", async () => {
    await page.goto(`${base}/queues`);
    await page.getByText("Declare a queue").click();
    await page.getByLabel("Name", { exact: true }).fill(name);
    await press("Declare");
    await told("The queue is there.");
    assert.equal(await scene.ready(name), 0);
  });
  await step("publish to it", async () => {
    await page.getByRole("link", { name: "Publish" }).click();
    await page.getByLabel("Body", { exact: true }).fill('{"a": 1}');
    await press("Publish");
    await told("at least one queue has it");
    assert.equal(await scene.ready(name), 1);
  });
  await step("look at the message", async () => {
    await page.getByRole("link", { name: "Look at messages" }).click();
    await page.locator("details.message summary").click();
    await page.getByText('"a": 1').last().waitFor();
    assert.equal(await scene.ready(name), 1);
  });
  await step("keep the history of what comes to it, and forget it", async () => {
    await page.goto(`${base}/traces`);
    await page.getByText("Keep a history").click();
    await page.getByRole("combobox", { name: "Of", exact: true }).selectOption("queues");
    await page.getByLabel("Name", { exact: true }).fill(name);
    await press("Begin");
    await told("The history is kept from now on.");
    await scene.publish(name, 1);
    await page.goto(`${base}/traces?${new URLSearchParams({ vhost: "/", queue: name })}`);
    await page.locator("#events").getByText("enqueued").first().waitFor();
    await page.getByRole("button", { name: `End the history of queue ${name}` }).click();
    await told("The history is kept no more");
    await press("Forget what has happened");
    await told("What has happened is forgotten.");
  });
  await step("move dead letters to it", async () => {
    const dead = await scene.ready("orders.dead");
    await page.goto(`${base}/queue/move?${new URLSearchParams({ vhost: "/", name: "orders.dead" })}`);
    await page.getByLabel("to a queue").check();
    await page.getByLabel("Queue", { exact: true }).fill(name);
    await page.getByLabel("At most", { exact: true }).fill("5");
    await press("Count what is meant");
    await told("Nothing was moved yet.");
    assert.equal(await scene.ready("orders.dead"), dead);
    await press("Move them");
    await told("has begun");
    while ((await scene.ready(name)) < 7) await new Promise((resolve) => setTimeout(resolve, 50));
  });
  await step("purge it", async () => {
    await page.goto(queue);
    await page.getByRole("link", { name: "Purge" }).click();
    await press("Purge");
    await told("The ready messages are gone.");
    assert.equal(await scene.ready(name), 0);
  });
  await step("declare an exchange and bind the queue to it", async () => {
    await page.goto(`${base}/exchanges`);
    await page.getByText("Declare an exchange").click();
    await page.getByLabel("Name", { exact: true }).fill(name);
    await page.getByRole("combobox", { name: "Type", exact: true }).selectOption("fanout");
    await press("Declare");
    await told("The exchange is there.");
    await page.getByText("Bind a queue or an exchange to it").click();
    await page.getByLabel("Name", { exact: true }).fill(name);
    await press("Bind");
    await told("The binding is there.");
    scene.channel.publish(name, "", Buffer.from("by the binding"));
    await scene.channel.waitForConfirms();
    assert.equal(await scene.ready(name), 1);
  });
  await step("unbind it and delete the exchange", async () => {
    await page.getByRole("button", { name: `Unbind ${name} from ${name}` }).click();
    await told("The binding is gone.");
    await page.getByRole("link", { name: "Delete" }).click();
    await press("Delete");
    await told("The exchange is gone.");
    assert.equal((await scene.api(`exchanges/%2F/${name}`)).status, 404);
  });
  await step("close a connection with a reason", async () => {
    const victim = await amqplib.connect(process.env.AMQP_URL, { clientProperties: { connection_name: name } });
    const closed = once(victim, "close");
    while (!(await scene.api("connections")).some((one) => one.user_provided_name === name)) await new Promise((resolve) => setTimeout(resolve, 50));
    await page.goto(`${base}/connections`);
    await page.getByRole("row").filter({ hasText: name }).getByRole("link").first().click();
    await page.getByRole("link", { name: "Close" }).click();
    await page.getByLabel("Reason").fill("for the test");
    await press("Close the connection");
    await told("The connection is closed.");
    assert.match(String((await closed)[0]), /CONNECTION_FORCED - for the test/);
  });
  await step("delete the queue", async () => {
    await page.goto(queue);
    await page.getByRole("link", { name: "Delete" }).click();
    await page.getByLabel("only if it is empty").uncheck();
    await press("Delete");
    await told("The queue is gone.");
    assert.equal((await scene.api(`queues/%2F/${name}`)).status, 404);
  });
  await step("choose columns", async () => {
    await page.goto(`${base}/queues`);
    await page.locator("details.columns summary").click();
    await page.getByLabel("In memory").check();
    await press("Show these");
    await page.getByRole("columnheader", { name: "In memory" }).waitFor();
  });
  await step("find one's login in the audit", async () => {
    await page.goto(`${base}/audit`);
    await page.getByPlaceholder("A user, an address, an event").fill("console-login");
    await press("Find");
    await page.locator("#lines").getByText("session of the console opened").first().waitFor();
    assert.equal(await page.locator("#lines").getByText("connection opened").count(), 0);
  });
  await step("log out", async () => {
    await press("Log out");
    await page.waitForURL(`${base}/login`);
    await page.goto(queue);
    assert.match(page.url(), /\/login\?next=/);
  });
  return done;
}
