import static java.nio.charset.StandardCharsets.UTF_8;

import com.rabbitmq.client.AMQP.BasicProperties;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;

/**
 * Calls and answers (RPC). The caller needs no queue: it consumes the pseudo-queue amq.rabbitmq.reply-to, and the broker
 * takes answers straight to it. The correlation id says which call an answer is for.
 */
public final class Rpc {
    private static final String REPLY_TO = "amq.rabbitmq.reply-to";
    private static final String QUEUE = "example-squares-" + ProcessHandle.current().pid();

    public static void main(String[] args) throws Exception {
        String url = System.getenv().getOrDefault("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672");
        ConnectionFactory factory = new ConnectionFactory();
        factory.setUri(url);
        try (Connection server = factory.newConnection(); Connection caller = factory.newConnection()) {
            serve(server.createChannel());
            call(caller.createChannel(), List.of(3, 4, 5));
        }
    }

    /** Answers calls. In life this is another program, on another machine. */
    private static void serve(Channel channel) throws Exception {
        channel.queueDeclare(QUEUE, false, false, true, null);
        channel.basicQos(1);
        channel.basicConsume(QUEUE, false, (tag, request) -> {
            int number = Integer.parseInt(new String(request.getBody(), UTF_8));
            BasicProperties asked = request.getProperties();
            BasicProperties properties = new BasicProperties.Builder().correlationId(asked.getCorrelationId()).build();
            channel.basicPublish("", asked.getReplyTo(), properties, String.valueOf(number * number).getBytes(UTF_8));
            channel.basicAck(request.getEnvelope().getDeliveryTag(), false);
        }, tag -> { });
    }

    /** Calls several times at once, and takes the answers as they come. */
    private static void call(Channel channel, List<Integer> numbers) throws Exception {
        Map<String, CompletableFuture<String>> answers = new ConcurrentHashMap<>();
        // Consume first, then publish, on the same channel.
        channel.basicConsume(REPLY_TO, true, (tag, answer) ->
            answers.get(answer.getProperties().getCorrelationId()).complete(new String(answer.getBody(), UTF_8)),
            tag -> { });
        for (int number : numbers) {
            String id = "call " + number;
            answers.put(id, new CompletableFuture<>());
            BasicProperties properties = new BasicProperties.Builder().replyTo(REPLY_TO).correlationId(id).build();
            channel.basicPublish("", QUEUE, true, properties, String.valueOf(number).getBytes(UTF_8));
        }
        for (int number : numbers) {
            System.out.println("call " + number + ": " + answers.get("call " + number).get(10, TimeUnit.SECONDS));
        }
    }
}
