import static java.nio.charset.StandardCharsets.UTF_8;

import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.Delivery;
import com.rabbitmq.client.MessageProperties;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * A work queue with retries: a job that fails comes again at once, and is set aside after the third attempt. The queue
 * counts; the worker acks or rejects.
 */
public final class WorkQueue {
    private static final List<String> JOBS =
        List.of("resize hare.png", "flaky upload", "impossible request", "send a letter");
    private static final int ATTEMPTS_MAX = 3;

    public static void main(String[] args) throws Exception {
        String url = System.getenv().getOrDefault("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672");
        ConnectionFactory factory = new ConnectionFactory();
        factory.setUri(url);
        try (Connection connection = factory.newConnection(); Channel channel = connection.createChannel()) {
            long run = ProcessHandle.current().pid();
            String jobs = "example-jobs-" + run;
            String failed = "example-failed-" + run;
            declare(channel, jobs, failed);

            channel.confirmSelect();
            for (String job : JOBS) {
                channel.basicPublish("", jobs, true, MessageProperties.PERSISTENT_BASIC, job.getBytes(UTF_8));
            }
            channel.waitForConfirmsOrDie(10_000);

            // One job at a time, until each is either done or set aside.
            channel.basicQos(1);
            CountDownLatch open = new CountDownLatch(JOBS.size());
            String worker = channel.basicConsume(jobs, false, (tag, delivery) -> work(channel, delivery, open), tag -> { });
            if (!open.await(10, TimeUnit.SECONDS)) {
                throw new IllegalStateException("nothing came");
            }
            channel.basicCancel(worker);
            for (String queue : List.of(jobs, failed)) {
                System.out.println(queue + ": " + channel.queueDelete(queue).getMessageCount() + " left");
            }
        }
    }

    /** Durable queues and persistent messages outlive the broker's restart. */
    private static void declare(Channel channel, String jobs, String failed) throws Exception {
        channel.queueDeclare(failed, true, false, false, null);
        channel.queueDeclare(jobs, true, false, false, Map.of(
            "x-queue-type", "quorum", // it counts deliveries
            "x-delivery-limit", ATTEMPTS_MAX - 1, // redeliveries; then a job is a dead letter
            "x-dead-letter-exchange", "",
            "x-dead-letter-routing-key", failed));
    }

    private static void work(Channel channel, Delivery delivery, CountDownLatch open) throws java.io.IOException {
        String job = new String(delivery.getBody(), UTF_8);
        long tag = delivery.getEnvelope().getDeliveryTag();
        // Nothing says how often a job was delivered before when it was not.
        Map<String, Object> headers = delivery.getProperties().getHeaders();
        Object before = headers == null ? null : headers.get("x-delivery-count");
        long attempt = 1 + (before == null ? 0 : ((Number) before).longValue());
        String trouble = perform(job, attempt);
        System.out.println("attempt " + attempt + ": " + job + " - " + (trouble == null ? "done" : trouble));
        if (trouble == null) {
            channel.basicAck(tag, false);
        } else {
            channel.basicReject(tag, true);
        }
        if (trouble == null || attempt == ATTEMPTS_MAX) {
            open.countDown();
        }
    }

    /** The work itself. One job succeeds at its second attempt, one never does. */
    private static String perform(String job, long attempt) {
        if (job.equals("flaky upload") && attempt == 1) {
            return "connection reset";
        }
        return job.equals("impossible request") ? "not in this universe" : null;
    }
}
