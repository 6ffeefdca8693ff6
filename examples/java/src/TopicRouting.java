import static java.nio.charset.StandardCharsets.UTF_8;

import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.GetResponse;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Topic routing: each queue names the messages it wants by a pattern over the words of their keys. * is one word, # is
 * any number of them.
 */
public final class TopicRouting {
    private static final List<String> PATTERNS = List.of("field.*.seen", "#.fox", "field.#");
    private static final List<String> KEYS =
        List.of("field.hare.seen", "field.hare", "forest.deep.fox", "forest.hare.seen");

    public static void main(String[] args) throws Exception {
        String url = System.getenv().getOrDefault("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672");
        ConnectionFactory factory = new ConnectionFactory();
        factory.setUri(url);
        try (Connection connection = factory.newConnection(); Channel channel = connection.createChannel()) {
            String exchange = "example-sightings-" + ProcessHandle.current().pid();
            channel.exchangeDeclare(exchange, "topic", false, true, null);
            Map<String, String> queues = new LinkedHashMap<>();
            for (String pattern : PATTERNS) {
                queues.put(pattern, channel.queueDeclare().getQueue());
                channel.queueBind(queues.get(pattern), exchange, pattern);
            }

            // A confirmed message stands in every queue it was routed to.
            channel.confirmSelect();
            for (String key : KEYS) {
                channel.basicPublish(exchange, key, null, key.getBytes(UTF_8));
            }
            channel.waitForConfirmsOrDie(10_000);

            for (Map.Entry<String, String> queue : queues.entrySet()) {
                System.out.println(queue.getKey());
                GetResponse message;
                while ((message = channel.basicGet(queue.getValue(), true)) != null) {
                    System.out.println("  " + message.getEnvelope().getRoutingKey());
                }
            }
        }
    }
}
