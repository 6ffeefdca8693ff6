import static java.nio.charset.StandardCharsets.UTF_8;

import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.GetResponse;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Routing: an exchange of type direct gives a message to the queues that are bound with exactly its routing key. */
public final class Routing {
    public static void main(String[] args) throws Exception {
        String url = System.getenv().getOrDefault("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672");
        ConnectionFactory factory = new ConnectionFactory();
        factory.setUri(url);
        try (Connection connection = factory.newConnection(); Channel channel = connection.createChannel()) {
            String exchange = "example-log-" + ProcessHandle.current().pid();
            channel.exchangeDeclare(exchange, "direct", false, true, null);
            Map<String, String> queues = new LinkedHashMap<>();
            queues.put("on disk", bound(channel, exchange, List.of("error")));
            queues.put("on screen", bound(channel, exchange, List.of("info", "warning", "error")));

            // A confirmed message stands in every queue it was routed to: none, for the last line.
            channel.confirmSelect();
            publish(channel, exchange, "info", "listening");
            publish(channel, exchange, "warning", "the disk fills");
            publish(channel, exchange, "error", "the disk is full");
            publish(channel, exchange, "debug", "nobody wants this");
            channel.waitForConfirmsOrDie(10_000);

            for (Map.Entry<String, String> queue : queues.entrySet()) {
                System.out.println(queue.getKey());
                GetResponse message;
                while ((message = channel.basicGet(queue.getValue(), true)) != null) {
                    String line = new String(message.getBody(), UTF_8);
                    System.out.println("  " + message.getEnvelope().getRoutingKey() + ": " + line);
                }
            }
        }
    }

    /** A queue of this connection, bound with these keys. */
    private static String bound(Channel channel, String exchange, List<String> keys) throws Exception {
        String queue = channel.queueDeclare().getQueue();
        for (String key : keys) {
            channel.queueBind(queue, exchange, key);
        }
        return queue;
    }

    private static void publish(Channel channel, String exchange, String key, String line) throws Exception {
        channel.basicPublish(exchange, key, null, line.getBytes(UTF_8));
    }
}
