import static java.nio.charset.StandardCharsets.UTF_8;

import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** One message there and back: declare a queue, publish to it, consume from it. */
public final class Hello {
    public static void main(String[] args) throws Exception {
        String url = System.getenv().getOrDefault("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672");
        ConnectionFactory factory = new ConnectionFactory();
        factory.setUri(url);
        try (Connection connection = factory.newConnection(); Channel channel = connection.createChannel()) {
            // Without a name the broker invents one; an exclusive queue ends with its connection.
            String queue = channel.queueDeclare().getQueue();
            System.out.println("queue " + queue);

            // The default exchange, "", delivers to the queue that the routing key names.
            channel.confirmSelect();
            channel.basicPublish("", queue, true, null, "Hello, hare!".getBytes(UTF_8));
            System.out.println("published, acked by the broker: " + channel.waitForConfirms(10_000));

            CompletableFuture<String> received = new CompletableFuture<>();
            channel.basicConsume(queue, false, (tag, delivery) -> {
                channel.basicAck(delivery.getEnvelope().getDeliveryTag(), false);
                received.complete(new String(delivery.getBody(), UTF_8));
            }, tag -> { });
            System.out.println("received: " + received.get(10, TimeUnit.SECONDS));
        }
    }
}
