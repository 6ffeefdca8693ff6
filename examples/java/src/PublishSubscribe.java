import static java.nio.charset.StandardCharsets.UTF_8;

import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.GetResponse;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Publish and subscribe: an exchange of type fanout copies each message to every queue that is bound to it. */
public final class PublishSubscribe {
    public static void main(String[] args) throws Exception {
        String url = System.getenv().getOrDefault("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672");
        ConnectionFactory factory = new ConnectionFactory();
        factory.setUri(url);
        try (Connection connection = factory.newConnection(); Channel channel = connection.createChannel()) {
            // An exchange with auto-delete goes when the last queue bound to it has gone.
            String exchange = "example-news-" + ProcessHandle.current().pid();
            channel.exchangeDeclare(exchange, "fanout", false, true, null);

            // Each subscriber has a queue of its own; what was published before it was bound does not reach it.
            Map<String, String> queues = new LinkedHashMap<>();
            for (String name : List.of("archive", "screen")) {
                queues.put(name, channel.queueDeclare().getQueue());
                channel.queueBind(queues.get(name), exchange, "");
            }

            channel.confirmSelect();
            for (String news : List.of("the hare is awake", "the fox is not")) {
                channel.basicPublish(exchange, "", null, news.getBytes(UTF_8));
            }
            channel.waitForConfirmsOrDie(10_000);

            for (Map.Entry<String, String> queue : queues.entrySet()) {
                GetResponse message;
                while ((message = channel.basicGet(queue.getValue(), true)) != null) {
                    System.out.println(queue.getKey() + ": " + new String(message.getBody(), UTF_8));
                }
            }
        }
    }
}
