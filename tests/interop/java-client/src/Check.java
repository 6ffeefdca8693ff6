import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.Delivery;
import com.rabbitmq.client.GetResponse;
import com.rabbitmq.client.LongString;
import com.rabbitmq.client.MessageProperties;
import com.rabbitmq.client.ShutdownSignalException;
import com.rabbitmq.client.impl.AMQConnection;
import com.rabbitmq.client.impl.ClientVersion;
import java.io.IOException;
import java.io.InputStream;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collections;
import java.util.Date;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * The Java client: the common checks, basic.recover, basic.get, consumer priorities, single active
 * consumer, heartbeats and topology recovery.
 */
public final class Check {
  private static final String RUN = UUID.randomUUID().toString().substring(0, 8);
  private static final long WAIT_MS = 10_000;
  private static final long QUIET_MS = 200; // how long to watch for a delivery that must not come
  private static final long PROGRAM_MS = 90_000;
  private static final List<String> TEN =
      IntStream.range(0, 10).mapToObj(i -> "job " + i).collect(Collectors.toList());

  private interface Action {
    void on(Channel channel) throws Exception;
  }

  public static void main(String[] arguments) {
    startDeadline();
    System.out.println("client amqp-client " + ClientVersion.VERSION);
    try {
      workQueue();
      try (Connection connection = connect()) {
        topicRouting(connection);
        headersRouting(connection);
        confirmsAndReturns(connection);
        directReplyTo(connection);
        errors(connection);
        getAndRecover(connection);
        consumerPriority(connection);
        singleActiveConsumer(connection);
        fieldTables(connection);
      }
      heartbeats();
      topologyRecovery();
    } catch (Throwable error) {
      error.printStackTrace();
      System.exit(1);
    }
    System.exit(0);
  }

  /** Manual acks, a prefetch window, and redelivery after a nack and after a lost connection. */
  private static void workQueue() throws Exception {
    String queue = name("work");
    BlockingQueue<Delivery> inbox = new LinkedBlockingQueue<>();
    try (Connection first = connect()) {
      Channel channel = first.createChannel();
      channel.confirmSelect();
      channel.queueDeclare(queue, true, false, false, null);
      for (String job : TEN) {
        channel.basicPublish("", queue, MessageProperties.PERSISTENT_TEXT_PLAIN, bytes(job));
      }
      channel.waitForConfirmsOrDie(WAIT_MS);
      channel.basicQos(4);
      consume(channel, queue, false, inbox);
      List<Delivery> taken = take(inbox, 4);
      equal("the first four jobs come in order, none redelivered", seen(taken), jobs(0, 4, false));
      Thread.sleep(QUIET_MS);
      equal("a full prefetch window holds the fifth back", inbox.size(), 0);
      channel.basicAck(tag(taken.get(0)), false);
      equal("an ack reopens the window", seen(take(inbox, 1)), jobs(4, 5, false));
      channel.basicNack(tag(taken.get(1)), false, true);
      List<Delivery> again = take(inbox, 1);
      equal("a nacked job comes back first, redelivered", seen(again), jobs(1, 2, true));
      channel.basicAck(tag(again.get(0)), false);
      equal("then the queue goes on", seen(take(inbox, 1)), jobs(5, 6, false));
    }
    try (Connection second = connect()) {
      Channel channel = second.createChannel();
      inbox.clear();
      consume(channel, queue, false, inbox);
      List<Delivery> taken = take(inbox, 8);
      List<String> expected = new ArrayList<>(jobs(2, 6, true));
      expected.addAll(jobs(6, 10, false));
      equal("unacked jobs of a closed connection come back in order, redelivered, before the rest",
          seen(taken), expected);
      channel.basicAck(tag(taken.get(7)), true);
      equal("nothing is left", channel.messageCount(queue), 0L);
      equal("one consumer is", channel.consumerCount(queue), 1L);
      channel.queueDelete(queue);
    }
  }

  /** * is one word, # is any number of them. */
  private static void topicRouting(Connection connection) throws Exception {
    Channel channel = connection.createChannel();
    channel.confirmSelect();
    String exchange = name("topic");
    channel.exchangeDeclare(exchange, "topic");
    Map<String, List<String>> expected = new LinkedHashMap<>();
    expected.put("*.orange.*", List.of("quick.orange.rabbit", "lazy.orange.elephant"));
    expected.put("*.*.rabbit", List.of("quick.orange.rabbit"));
    expected.put("lazy.#", List.of("lazy.orange.elephant", "lazy", "lazy.orange.new.rabbit"));
    expected.put("#", List.of("quick.orange.rabbit", "lazy.orange.elephant", "lazy",
        "lazy.orange.new.rabbit", "quick.brown.fox"));
    expected.put("#.rabbit", List.of("quick.orange.rabbit", "lazy.orange.new.rabbit"));
    expected.put("quick.brown.fox", List.of("quick.brown.fox"));
    for (String pattern : expected.keySet()) {
      channel.queueDeclare(name(pattern), false, true, false, null);
      channel.queueBind(name(pattern), exchange, pattern);
    }
    for (String key : expected.get("#")) {
      channel.basicPublish(exchange, key, null, bytes(key));
    }
    channel.waitForConfirmsOrDie(WAIT_MS);
    for (Map.Entry<String, List<String>> entry : expected.entrySet()) {
      equal("topic " + entry.getKey(), drain(channel, name(entry.getKey())), entry.getValue());
    }
    channel.exchangeDelete(exchange);
    channel.close();
  }

  /** x-match all and any. */
  private static void headersRouting(Connection connection) throws Exception {
    Channel channel = connection.createChannel();
    channel.confirmSelect();
    String exchange = name("headers");
    channel.exchangeDeclare(exchange, "headers");
    for (String match : List.of("all", "any")) {
      channel.queueDeclare(name(match), false, true, false, null);
      channel.queueBind(name(match), exchange, "", Map.of("x-match", match, "format", "pdf", "pages", 3));
    }
    Map<String, Map<String, Object>> cases = new LinkedHashMap<>();
    cases.put("both", Map.of("format", "pdf", "pages", 3));
    cases.put("one", Map.of("format", "pdf", "pages", 4));
    cases.put("other", Map.of("format", "zip"));
    cases.put("none", Map.of());
    for (Map.Entry<String, Map<String, Object>> entry : cases.entrySet()) {
      AMQP.BasicProperties headers = new AMQP.BasicProperties.Builder().headers(entry.getValue()).build();
      channel.basicPublish(exchange, "", headers, bytes(entry.getKey()));
    }
    channel.waitForConfirmsOrDie(WAIT_MS);
    equal("headers x-match all", drain(channel, name("all")), List.of("both"));
    equal("headers x-match any", drain(channel, name("any")), List.of("both", "one"));
    channel.exchangeDelete(exchange);
    channel.close();
  }

  /** A mandatory message without a route is returned before it is confirmed. */
  private static void confirmsAndReturns(Connection connection) throws Exception {
    Channel channel = connection.createChannel();
    channel.confirmSelect();
    BlockingQueue<String> order = new LinkedBlockingQueue<>();
    channel.addReturnListener(r -> order.add(
        r.getReplyCode() + " " + r.getReplyText() + " " + r.getRoutingKey() + " " + text(r.getBody())));
    channel.addConfirmListener((tag, multiple) -> order.add("ack " + tag), (tag, multiple) -> order.add("nack " + tag));
    channel.basicPublish("", name("nowhere"), true, null, bytes("lost"));
    equal("the return precedes the ack: 312 NO_ROUTE", take(order, 2),
        List.of("312 NO_ROUTE " + name("nowhere") + " lost", "ack 1"));
    channel.close();

    Channel busy = connection.createChannel();
    busy.confirmSelect();
    String queue = busy.queueDeclare().getQueue();
    for (int i = 0; i < 500; i++) {
      busy.basicPublish("", queue, null, bytes("" + i));
    }
    equal("five hundred publishes in flight are confirmed", busy.waitForConfirms(WAIT_MS), true);
    equal("and stand in the queue", busy.queuePurge(queue).getMessageCount(), 500);
    busy.close();
  }

  /** Five requests at once; the server answers the last first. */
  private static void directReplyTo(Connection connection) throws Exception {
    Channel server = connection.createChannel();
    Channel requester = connection.createChannel();
    String queue = server.queueDeclare().getQueue();
    BlockingQueue<Delivery> requests = new LinkedBlockingQueue<>();
    BlockingQueue<Delivery> answers = new LinkedBlockingQueue<>();
    consume(server, queue, true, requests);
    consume(requester, "amq.rabbitmq.reply-to", true, answers);
    for (int i = 0; i < 5; i++) {
      AMQP.BasicProperties properties = new AMQP.BasicProperties.Builder()
          .replyTo("amq.rabbitmq.reply-to").correlationId("call-" + i).build();
      requester.basicPublish("", queue, properties, bytes("" + i));
    }
    List<Delivery> taken = take(requests, 5);
    Collections.reverse(taken);
    for (Delivery request : taken) {
      String id = request.getProperties().getCorrelationId();
      String replyTo = request.getProperties().getReplyTo();
      equal(id + " came with a reply address", replyTo.startsWith("amq.rabbitmq.reply-to."), true);
      int n = Integer.parseInt(text(request.getBody()));
      AMQP.BasicProperties properties = new AMQP.BasicProperties.Builder().correlationId(id).build();
      server.basicPublish("", replyTo, properties, bytes("" + n * n));
    }
    List<String> got = take(answers, 5).stream()
        .map(answer -> answer.getProperties().getCorrelationId() + "=" + text(answer.getBody()))
        .collect(Collectors.toList());
    equal("each answer finds its request", got,
        List.of("call-4=16", "call-3=9", "call-2=4", "call-1=1", "call-0=0"));
    server.close();
    requester.close();
  }

  /** What costs a channel or a connection, and with which code. */
  private static void errors(Connection connection) throws Exception {
    String queue = name("errors");
    String exclusive = name("exclusive");
    Channel channel = connection.createChannel();
    channel.queueDeclare(queue, false, false, false, null);
    channel.queueDeclare(exclusive, false, true, false, null);
    refused(connection, "passive declare of a missing queue: 404", 404, c -> c.queueDeclarePassive(name("missing")));
    refused(connection, "redeclare with other arguments: 406", 406, c -> c.queueDeclare(queue, true, false, false, null));
    refused(connection, "publish to an unknown exchange: 404", 404, c -> c.basicPublish(name("missing"), "", null, new byte[0]));
    refused(connection, "delete of the default exchange: 403", 403, c -> c.exchangeDelete(""));
    refused(connection, "a consumer beside an exclusive one: 403", 403, c -> {
      channel.basicConsume(queue, true, "alone", false, true, null, (t, d) -> { }, t -> { });
      c.basicConsume(queue, true, (t, d) -> { }, t -> { });
    });
    try (Connection other = connect()) {
      refused(other, "another connection's exclusive queue: 405", 405, c -> c.queueDeclarePassive(exclusive));
    }
    channel.queueDelete(queue);
    equal("a channel beside the refused ones lives on", channel.isOpen(), true);
    channel.close();
    Connection doomed = connect();
    BlockingQueue<ShutdownSignalException> ended = new LinkedBlockingQueue<>();
    doomed.addShutdownListener(ended::add);
    doomed.createChannel().basicPublish("", name("nowhere"), false, true, null, new byte[0]);
    AMQP.Connection.Close close = (AMQP.Connection.Close) take(ended, 1).get(0).getReason();
    equal("the immediate flag ends the connection: 540", close.getReplyCode(), 540);
  }

  /** basic.get counts what is left; basic.recover returns what is unacked. */
  private static void getAndRecover(Connection connection) throws Exception {
    Channel channel = connection.createChannel();
    String queue = channel.queueDeclare().getQueue();
    equal("a get from an empty queue finds nothing", channel.basicGet(queue, false), null);
    for (String job : TEN.subList(0, 3)) {
      channel.basicPublish("", queue, null, bytes(job));
    }
    for (int i = 0; i < 3; i++) {
      GetResponse got = channel.basicGet(queue, false);
      equal("get number " + i, List.of(text(got.getBody()), got.getMessageCount(), got.getEnvelope().isRedeliver(),
          got.getEnvelope().getRoutingKey()), List.of(TEN.get(i), 2 - i, false, queue));
    }
    channel.basicRecover(true);
    List<String> again = new ArrayList<>();
    for (GetResponse got = channel.basicGet(queue, true); got != null; got = channel.basicGet(queue, true)) {
      again.add(text(got.getBody()) + " " + got.getEnvelope().isRedeliver());
    }
    equal("recover returns what is unacked, in order", again, jobs(0, 3, true));
    channel.close();
  }

  /** A consumer of higher priority is served first while it has room. */
  private static void consumerPriority(Connection connection) throws Exception {
    Channel low = connection.createChannel();
    Channel high = connection.createChannel();
    String queue = low.queueDeclare().getQueue();
    BlockingQueue<Delivery> lowInbox = new LinkedBlockingQueue<>();
    BlockingQueue<Delivery> highInbox = new LinkedBlockingQueue<>();
    low.basicConsume(queue, false, Map.of("x-priority", 1), (t, d) -> lowInbox.add(d), t -> { });
    high.basicQos(3);
    high.basicConsume(queue, false, Map.of("x-priority", 10), (t, d) -> highInbox.add(d), t -> { });
    for (String job : TEN.subList(0, 5)) {
      low.basicPublish("", queue, null, bytes(job));
    }
    equal("the consumer of high priority is served while its window is open", seen(take(highInbox, 3)), jobs(0, 3, false));
    equal("then the other one", seen(take(lowInbox, 2)), jobs(3, 5, false));
    low.close();
    high.close();
  }

  /** One consumer is active; the next takes over when it leaves. */
  private static void singleActiveConsumer(Connection connection) throws Exception {
    Channel first = connection.createChannel();
    Channel second = connection.createChannel();
    String queue = name("single");
    first.queueDeclare(queue, false, true, false, Map.of("x-single-active-consumer", true));
    BlockingQueue<Delivery> firstInbox = new LinkedBlockingQueue<>();
    BlockingQueue<Delivery> secondInbox = new LinkedBlockingQueue<>();
    String tag = consume(first, queue, true, firstInbox);
    consume(second, queue, true, secondInbox);
    for (String job : TEN.subList(0, 4)) {
      first.basicPublish("", queue, null, bytes(job));
    }
    equal("the first consumer gets all", seen(take(firstInbox, 4)), jobs(0, 4, false));
    equal("the second gets nothing", secondInbox.size(), 0);
    first.basicCancel(tag);
    for (String job : TEN.subList(4, 6)) {
      first.basicPublish("", queue, null, bytes(job));
    }
    equal("until the first has left", seen(take(secondInbox, 2)), jobs(4, 6, false));
    first.close();
    second.close();
  }

  /** Headers of every Java type the client writes. */
  private static void fieldTables(Connection connection) throws Exception {
    Channel channel = connection.createChannel();
    channel.confirmSelect();
    String queue = channel.queueDeclare().getQueue();
    Map<String, Object> headers = new HashMap<>();
    headers.put("boolean", true);
    headers.put("byte", (byte) -128);
    headers.put("short", (short) -32768);
    headers.put("int", -7);
    headers.put("long", -(1L << 40));
    headers.put("float", 0.5f);
    headers.put("double", 2.5);
    headers.put("decimal", new BigDecimal("3.14"));
    headers.put("date", new Date(1_709_209_859_000L));
    headers.put("null", null);
    headers.put("list", Arrays.asList(1, true, null, List.of(2.5)));
    headers.put("map", Map.of("deep", Map.of("er", 1L)));
    AMQP.BasicProperties properties = new AMQP.BasicProperties.Builder()
        .headers(headers).priority(9).timestamp(new Date(1_709_209_859_000L)).userId("guest").build();
    channel.basicPublish("", queue, properties, new byte[0]);
    channel.waitForConfirmsOrDie(WAIT_MS);
    GetResponse got = channel.basicGet(queue, true);
    equal("headers come back as they went", got.getProps().getHeaders(), headers);
    equal("properties too", List.of(got.getProps().getPriority(), got.getProps().getTimestamp(), got.getProps().getUserId()),
        List.of(9, new Date(1_709_209_859_000L), "guest"));
    equal("an empty body", got.getBody().length, 0);
    LongString product = (LongString) connection.getServerProperties().get("product");
    equal("the server names its product", product.length() > 0, true);
    channel.close();
  }

  /** An idle connection with heartbeats of a second outlives the time in which it would be given up. */
  private static void heartbeats() throws Exception {
    ConnectionFactory factory = factory();
    factory.setRequestedHeartbeat(1);
    try (Connection connection = factory.newConnection()) {
      equal("a heartbeat of one second is negotiated", connection.getHeartbeat(), 1);
      Thread.sleep(3_500); // three missed heartbeats: either side would have closed by now
      equal("and keeps an idle connection open, both ways", connection.isOpen(), true);
      equal("which still works", connection.createChannel().queueDeclare().getMessageCount(), 0);
    }
  }

  /** Automatic recovery: the connection, an exclusive queue, its binding and its consumer come back. */
  private static void topologyRecovery() throws Exception {
    ConnectionFactory factory = factory();
    factory.setAutomaticRecoveryEnabled(true);
    factory.setNetworkRecoveryInterval(100);
    try (Connection connection = factory.newConnection("interop")) {
      BlockingQueue<Delivery> inbox = new LinkedBlockingQueue<>();
      BlockingQueue<String> recovered = new LinkedBlockingQueue<>();
      ((com.rabbitmq.client.Recoverable) connection).addRecoveryListener(new com.rabbitmq.client.RecoveryListener() {
        @Override
        public void handleRecovery(com.rabbitmq.client.Recoverable it) {
          recovered.add("recovered");
        }

        @Override
        public void handleRecoveryStarted(com.rabbitmq.client.Recoverable it) { }
      });
      Channel channel = connection.createChannel();
      String queue = channel.queueDeclare().getQueue();
      channel.queueBind(queue, "amq.topic", name("recovery"));
      consume(channel, queue, true, inbox);
      Object delegate = ((com.rabbitmq.client.impl.recovery.AutorecoveringConnection) connection).getDelegate();
      ((AMQConnection) delegate).getFrameHandler().close(); // the socket is gone, without a word
      equal("a lost connection recovers", take(recovered, 1), List.of("recovered"));
      channel.basicPublish("amq.topic", name("recovery"), null, bytes("after"));
      equal("with its queue, binding and consumer", seen(take(inbox, 1)), List.of("after false"));
    }
  }

  private static ConnectionFactory factory() throws Exception {
    String uri = System.getenv().getOrDefault("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672");
    ConnectionFactory factory = new ConnectionFactory();
    factory.setUri(uri);
    if (System.getenv("AMQP_TLS_CA") != null) {
      factory.useSslProtocol(tls());
      factory.enableHostnameVerification();
    }
    factory.setConnectionTimeout((int) WAIT_MS);
    factory.setChannelRpcTimeout((int) WAIT_MS);
    factory.setAutomaticRecoveryEnabled(false);
    return factory;
  }

  /** Whom to trust, and what to show. */
  private static SSLContext tls() throws Exception {
    KeyStore trusted = KeyStore.getInstance("PKCS12");
    trusted.load(null, null);
    trusted.setCertificateEntry("ca", certificate(System.getenv("AMQP_TLS_CA")));
    TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    trust.init(trusted);
    KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
    KeyStore own = KeyStore.getInstance("PKCS12");
    own.load(null, null);
    String cert = System.getenv("AMQP_TLS_CERT");
    if (cert != null) {
      String pem = Files.readString(Path.of(System.getenv("AMQP_TLS_KEY")));
      byte[] key = Base64.getMimeDecoder().decode(pem.replaceAll("-----[A-Z ]+-----", ""));
      own.setKeyEntry("own", KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(key)),
          new char[0], new Certificate[] {certificate(cert)});
    }
    keys.init(own, new char[0]);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
    return context;
  }

  private static Certificate certificate(String path) throws Exception {
    try (InputStream pem = Files.newInputStream(Path.of(path))) {
      return CertificateFactory.getInstance("X.509").generateCertificate(pem);
    }
  }

  private static Connection connect() throws Exception {
    return factory().newConnection();
  }

  private static String consume(Channel channel, String queue, boolean autoAck, BlockingQueue<Delivery> inbox)
      throws IOException {
    return channel.basicConsume(queue, autoAck, (tag, delivery) -> inbox.add(delivery), tag -> { });
  }

  private static <T> List<T> take(BlockingQueue<T> inbox, int count) throws InterruptedException {
    List<T> taken = new ArrayList<>();
    while (taken.size() < count) {
      T next = inbox.poll(WAIT_MS, TimeUnit.MILLISECONDS);
      if (next == null) {
        throw new AssertionError("waited " + WAIT_MS + " ms in vain: only " + taken + " of " + count + " came");
      }
      taken.add(next);
    }
    return taken;
  }

  private static List<String> drain(Channel channel, String queue) throws IOException {
    List<String> bodies = new ArrayList<>();
    for (GetResponse got = channel.basicGet(queue, true); got != null; got = channel.basicGet(queue, true)) {
      bodies.add(text(got.getBody()));
    }
    return bodies;
  }

  /** An action that costs its channel, with this reply code; the connection lives on. */
  private static void refused(Connection connection, String what, int code, Action action) throws Exception {
    Channel channel = connection.createChannel();
    BlockingQueue<ShutdownSignalException> ended = new LinkedBlockingQueue<>();
    channel.addShutdownListener(ended::add);
    try {
      action.on(channel);
    } catch (IOException expected) {
      // the listener tells why
    }
    AMQP.Channel.Close close = (AMQP.Channel.Close) take(ended, 1).get(0).getReason();
    equal(what, close.getReplyCode(), code);
  }

  private static List<String> seen(List<Delivery> deliveries) {
    return deliveries.stream()
        .map(delivery -> text(delivery.getBody()) + " " + delivery.getEnvelope().isRedeliver())
        .collect(Collectors.toList());
  }

  private static List<String> jobs(int from, int to, boolean redelivered) {
    return TEN.subList(from, to).stream().map(job -> job + " " + redelivered).collect(Collectors.toList());
  }

  private static long tag(Delivery delivery) {
    return delivery.getEnvelope().getDeliveryTag();
  }

  private static String name(String stem) {
    return "interop-java-" + stem + "-" + RUN;
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private static String text(byte[] bytes) {
    return new String(bytes, StandardCharsets.UTF_8);
  }

  /** Counts a check, or throws with both values. */
  private static void equal(String what, Object got, Object want) {
    if (!Objects.equals(got, want)) {
      throw new AssertionError("not so: " + what + "\n  got  " + got + "\n  want " + want);
    }
    System.out.println("check " + what);
  }

  private static void startDeadline() {
    Thread deadline = new Thread(() -> {
      try {
        Thread.sleep(PROGRAM_MS);
      } catch (InterruptedException stopped) {
        return;
      }
      System.err.println("not done after " + PROGRAM_MS + " ms");
      Runtime.getRuntime().halt(1);
    });
    deadline.setDaemon(true);
    deadline.start();
  }

  private Check() { }
}
