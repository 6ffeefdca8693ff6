// A broker with something of everything: load, backlogs, dead letters, consumers that are stuck, and names that are hard to show.

import amqplib from "amqplib";

const HOSTILE = `<b onclick="alert(1)">"quoted" & \u202eturned</b>`;
const LONG = "x".repeat(255);

export class Scene {
  static async begin(uri, base) {
    const scene = new Scene();
    scene.base = base;
    scene.connection = await amqplib.connect(uri, { clientProperties: { connection_name: "scene" } });
    scene.channel = await scene.connection.createConfirmChannel();
    await scene.#declare();
    await scene.#load();
    return scene;
  }

  async #declare() {
    const { channel } = this;
    await channel.assertQueue("orders", { durable: true, arguments: { "x-queue-type": "quorum", "x-dead-letter-exchange": "dead" } });
    for (const queue of ["orders.dead", "invoices", "stuck", "live", "mails", HOSTILE, LONG]) await channel.assertQueue(queue, { durable: true });
    await channel.assertExchange("dead", "fanout");
    await channel.assertExchange("events", "topic");
    await channel.assertExchange(HOSTILE, "headers");
    await channel.bindQueue("orders.dead", "dead", "");
    await channel.bindQueue("orders", "events", "order.#");
    await channel.bindQueue("mails", "events", "*.mail");
    await channel.bindQueue(HOSTILE, "events", HOSTILE);
    for (let at = 0; at < 60; at += 1) await channel.assertQueue(`tenant-${String(at).padStart(3, "0")}`, { durable: false, autoDelete: false });
  }

  // Messages that go through, that wait, that are held, and that are rejected.
  async #load() {
    const { channel } = this;
    this.consuming = await this.connection.createChannel();
    await this.consuming.prefetch(50);
    await this.consuming.consume("mails", (message) => this.consuming.ack(message));
    await this.consuming.consume("orders", (message) => this.consuming.nack(message, false, false));
    this.stuck = await this.connection.createChannel();
    await this.stuck.prefetch(3);
    await this.stuck.consume("stuck", () => {});
    const headers = { kind: "invoice", "<i>": HOSTILE };
    for (let at = 0; at < 40; at += 1) {
      channel.publish("events", "order.new", Buffer.from(JSON.stringify({ order: at, lines: [{ sku: "a", count: 2 }] })), { persistent: true, contentType: "application/json", headers });
      channel.sendToQueue("stuck", Buffer.from(`job ${at}`));
      channel.sendToQueue(HOSTILE, Buffer.from([0, 1, 2, 255, at]));
    }
    await channel.waitForConfirms();
    for (const [kind, name] of [["queues", HOSTILE], ["messages", "order-7"]]) {
      await this.api(`leveret/traces/%2F/${kind}/${encodeURIComponent(name)}`, { method: "PUT" });
    }
    channel.publish("events", "order.new", Buffer.from("{}"), { messageId: "order-7" });
    channel.sendToQueue(HOSTILE, Buffer.from("traced"), { messageId: HOSTILE });
    channel.sendToQueue("live", Buffer.from("later"), { headers: { "x-delay": 4000000 } });
    await channel.waitForConfirms();
    this.timer = setInterval(() => {
      for (let at = 0; at < 200; at += 1) channel.publish("events", "welcome.mail", Buffer.from("hello"));
      for (let at = 0; at < 20; at += 1) channel.sendToQueue("invoices", Buffer.from("invoice"));
    }, 100);
  }

  // Waits until the API has rates, and until it knows what needs attention.
  async moves() {
    for (;;) {
      const overview = await this.api("overview");
      const attention = await this.api("leveret/attention");
      if (overview.message_stats.publish_details?.rate > 0 && attention.total >= 3) return;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  async pages() {
    const [connection] = await this.api("connections");
    const [later] = (await this.api("leveret/delayed/%2F")).messages;
    const query = (values) => new URLSearchParams(values).toString();
    const queue = (name) => query({ vhost: "/", name });
    return [
      ["overview", "/"],
      ["queues", "/queues"],
      ["queues-page", "/queues?page=2&sort=messages&reverse=true"],
      ["queue", `/queue?${queue("invoices")}`],
      ["queue-dead", `/queue?${queue("orders.dead")}`],
      ["queue-stuck", `/queue?${queue("stuck")}`],
      ["queue-hostile", `/queue?${queue(HOSTILE)}`],
      ["queue-long", `/queue?${queue(LONG)}`],
      ["messages", `/queue/messages?${queue("orders.dead")}`],
      ["messages-held", `/queue/messages?${queue("stuck")}&state=unacked`],
      ["messages-hostile", `/queue/messages?${queue(HOSTILE)}`],
      ["move", `/queue/move?${queue("orders.dead")}`],
      ["purge", `/queue/purge?${queue("invoices")}`],
      ["delete", `/queue/delete?${queue("invoices")}`],
      ["publish", `/publish?${query({ vhost: "/", exchange: "events", key: "order.new" })}`],
      ["exchanges", "/exchanges"],
      ["exchange", `/exchange?${queue("events")}`],
      ["exchange-default", `/exchange?${queue("")}`],
      ["connections", "/connections"],
      ["connection", `/connection?${query({ name: connection.name })}`],
      ["connection-close", `/connection/close?${query({ name: connection.name })}`],
      ["channels", "/channels"],
      ["consumers", "/consumers"],
      ["redrives", "/redrives"],
      ["exchange-route", `/exchange/route?${query({ vhost: "/", name: "events", key: "order.new" })}`],
      ["delayed", "/delayed"],
      ["delayed-messages", `/delayed/messages?${query({ vhost: "/" })}`],
      ["delayed-reschedule", `/delayed/reschedule?${query({ vhost: "/", position: later.position })}`],
      ["drops", "/drops"],
      ["traces", "/traces"],
      ["tail", `/tail?${query({ vhost: "/", kind: "queues", name: "invoices" })}`],
      ["log", "/log"],
      ["audit", "/audit"],
      ["vhosts", "/vhosts"],
      ["vhost", `/vhost?${query({ name: "/" })}`],
      ["users", "/users"],
      ["user", `/user?${query({ name: "guest" })}`],
      ["permissions-try", `/permissions/try?${query({ user: "guest", vhost: "/", kind: "queue", name: "orders" })}`],
      ["policies", "/policies"],
      ["policy", "/policy"],
      ["definitions", "/definitions"],
      ["me", "/me"],
    ];
  }

  async publish(queue, count) {
    for (let at = 0; at < count; at += 1) this.channel.sendToQueue(queue, Buffer.from("x"));
    await this.channel.waitForConfirms();
  }

  // How many messages AMQP says that there are.
  async ready(queue) {
    return (await this.channel.checkQueue(queue)).messageCount;
  }

  async api(path, options = {}) {
    const headers = { authorization: `Basic ${Buffer.from("guest:guest").toString("base64")}` };
    const response = await fetch(`${this.base}/api/${path}`, { ...options, headers });
    if (!response.ok) return { status: response.status };
    const text = await response.text();
    return text ? JSON.parse(text) : {};
  }

  async end() {
    clearInterval(this.timer);
    await this.connection.close();
  }
}
