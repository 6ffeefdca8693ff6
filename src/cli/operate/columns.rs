//! What each list can show: rabbitmqctl's name of a column, and where its value stands in the API's answer.

/// A list.
pub struct List {
    /// The command that shows it.
    pub command: &'static str,
    /// Name and path of each column that there is.
    pub columns: &'static [(&'static str, &'static str)],
    /// Those that are shown if nothing is said: rabbitmqctl's.
    pub default: &'static [&'static str],
}

/// Columns whose names are the API's own, and after the semicolon those of another name.
macro_rules! columns {
    ($($name:literal)* ; $($other:literal => $path:literal)*) => { &[$(($name, $name),)* $(($other, $path),)*] };
}

/// `leveret list-queues`.
pub const QUEUES: List = List {
    command: "list-queues",
    columns: columns!(
        "name" "vhost" "type" "durable" "auto_delete" "exclusive" "arguments" "state" "policy" "operator_policy"
        "effective_policy_definition" "messages" "messages_ready" "messages_unacknowledged" "messages_delayed"
        "messages_ram" "messages_ready_ram" "messages_unacknowledged_ram" "messages_persistent"
        "messages_paged_out" "message_bytes" "message_bytes_ready" "message_bytes_unacknowledged"
        "message_bytes_ram" "message_bytes_persistent" "message_bytes_paged_out" "consumers"
        "consumer_utilisation" "consumer_capacity" "exclusive_consumer_tag" "single_active_consumer_tag"
        "head_message_timestamp" "memory" "idle_since" "node" "leader" "members" "online" "message_stats";
        "publish_rate" => "message_stats.publish_details.rate"
        "deliver_rate" => "message_stats.deliver_get_details.rate"
        "ack_rate" => "message_stats.ack_details.rate"
    ),
    default: &["name", "messages"],
};

/// `leveret list-exchanges`.
pub const EXCHANGES: List = List {
    command: "list-exchanges",
    columns: columns!(
        "name" "vhost" "type" "durable" "auto_delete" "internal" "arguments" "policy" "operator_policy"
        "message_stats";
        "publish_in_rate" => "message_stats.publish_in_details.rate"
        "publish_out_rate" => "message_stats.publish_out_details.rate"
    ),
    default: &["name", "type"],
};

/// `leveret list-bindings`.
pub const BINDINGS: List = List {
    command: "list-bindings",
    columns: columns!(
        "source_kind" "routing_key" "arguments" "vhost" "properties_key";
        "source_name" => "source"
        "destination_name" => "destination"
        "destination_kind" => "destination_type"
    ),
    default: &[
        "source_name",
        "source_kind",
        "destination_name",
        "destination_kind",
        "routing_key",
        "arguments",
    ],
};

/// `leveret list-consumers`.
pub const CONSUMERS: List = List {
    command: "list-consumers",
    columns: columns!(
        "consumer_tag" "ack_required" "prefetch_count" "active" "activity_status" "arguments" "exclusive"
        "priority" "messages_unacknowledged";
        "queue_name" => "queue.name"
        "vhost" => "queue.vhost"
        "channel_pid" => "channel_details.name"
        "connection" => "channel_details.connection_name"
        "user" => "channel_details.user"
    ),
    default: &[
        "queue_name",
        "channel_pid",
        "consumer_tag",
        "ack_required",
        "prefetch_count",
        "active",
        "arguments",
    ],
};

/// `leveret list-connections`.
pub const CONNECTIONS: List = List {
    command: "list-connections",
    columns: columns!(
        "name" "user" "vhost" "peer_host" "peer_port" "host" "port" "state" "channels" "protocol" "ssl"
        "auth_mechanism" "timeout" "frame_max" "channel_max" "client_properties" "user_provided_name"
        "connected_at" "recv_oct" "recv_cnt" "send_oct" "send_cnt" "send_pend" "slowed_ms" "node";
        "pid" => "name"
        "recv_rate" => "recv_oct_details.rate"
        "send_rate" => "send_oct_details.rate"
    ),
    default: &["user", "peer_host", "peer_port", "state"],
};

/// `leveret list-channels`.
pub const CHANNELS: List = List {
    command: "list-channels",
    columns: columns!(
        "name" "number" "user" "vhost" "consumer_count" "messages_unacknowledged" "messages_uncommitted"
        "messages_unconfirmed" "acks_uncommitted" "prefetch_count" "global_prefetch_count" "transactional"
        "confirm" "state" "node" "message_stats";
        "pid" => "name"
        "connection" => "connection_details.name"
        "publish_rate" => "message_stats.publish_details.rate"
        "deliver_rate" => "message_stats.deliver_get_details.rate"
        "ack_rate" => "message_stats.ack_details.rate"
    ),
    default: &["pid", "user", "consumer_count", "messages_unacknowledged"],
};

/// `leveret list-users`.
pub const USERS: List = List {
    command: "list-users",
    columns: columns!("tags" "limits" "hashing_algorithm"; "user" => "name"),
    default: &["user", "tags"],
};

/// `leveret list-vhosts`.
pub const VHOSTS: List = List {
    command: "list-vhosts",
    columns: columns!(
        "name" "description" "tags" "default_queue_type" "tracing" "protected_from_deletion" "messages"
        "messages_ready" "messages_unacknowledged" "recv_oct" "send_oct" "cluster_state" "metadata"
        "message_stats";
    ),
    default: &["name"],
};

/// `leveret list-permissions`.
pub const PERMISSIONS: List = List {
    command: "list-permissions",
    columns: columns!("user" "configure" "write" "read" "vhost";),
    default: &["user", "configure", "write", "read"],
};

/// `leveret list-user-permissions`.
pub const USER_PERMISSIONS: List = List {
    command: "list-user-permissions",
    columns: columns!("vhost" "configure" "write" "read" "user";),
    default: &["vhost", "configure", "write", "read"],
};

/// `leveret list-topic-permissions`.
pub const TOPIC_PERMISSIONS: List = List {
    command: "list-topic-permissions",
    columns: columns!("user" "exchange" "write" "read" "vhost";),
    default: &["user", "exchange", "write", "read"],
};

/// `leveret list-user-topic-permissions`.
pub const USER_TOPIC_PERMISSIONS: List = List {
    command: "list-user-topic-permissions",
    columns: columns!("vhost" "exchange" "write" "read" "user";),
    default: &["vhost", "exchange", "write", "read"],
};

/// `leveret list-policies`.
pub const POLICIES: List = List {
    command: "list-policies",
    columns: columns!("vhost" "name" "pattern" "apply-to" "definition" "priority";),
    default: &["vhost", "name", "pattern", "apply-to", "definition", "priority"],
};

/// `leveret list-operator-policies`.
pub const OPERATOR_POLICIES: List =
    List { command: "list-operator-policies", columns: POLICIES.columns, default: POLICIES.default };

/// `leveret list-parameters`.
pub const PARAMETERS: List = List {
    command: "list-parameters",
    columns: columns!("component" "name" "value" "vhost";),
    default: &["component", "name", "value"],
};

/// `leveret list-vhost-limits`.
pub const VHOST_LIMITS: List = List {
    command: "list-vhost-limits",
    columns: columns!("vhost"; "limits" => "value"),
    default: &["vhost", "limits"],
};

/// `leveret list-user-limits`.
pub const USER_LIMITS: List = List {
    command: "list-user-limits",
    columns: columns!("user"; "limits" => "value"),
    default: &["user", "limits"],
};

/// `leveret list-drops`.
pub const DROPS: List = List {
    command: "list-drops",
    columns: columns!("vhost" "queue" "reason" "count";),
    default: &["vhost", "queue", "reason", "count"],
};

/// All of them.
pub const ALL: [&List; 18] = [
    &QUEUES,
    &EXCHANGES,
    &BINDINGS,
    &CONSUMERS,
    &CONNECTIONS,
    &CHANNELS,
    &USERS,
    &VHOSTS,
    &PERMISSIONS,
    &USER_PERMISSIONS,
    &TOPIC_PERMISSIONS,
    &USER_TOPIC_PERMISSIONS,
    &POLICIES,
    &OPERATOR_POLICIES,
    &PARAMETERS,
    &VHOST_LIMITS,
    &USER_LIMITS,
    &DROPS,
];

impl List {
    /// Its columns, for help and documents.
    pub fn told(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|(name, _)| *name).collect();
        format!("Columns: {}\nWithout any: {}", names.join(", "), self.default.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_that_is_shown_without_asking_exists_and_no_name_is_there_twice() {
        for list in ALL {
            for column in list.default {
                let is_known = list.columns.iter().any(|(name, _)| name == column);
                assert!(is_known, "{}: {column}", list.command);
            }
            for (at, (name, _)) in list.columns.iter().enumerate() {
                let again = list.columns[at + 1..].iter().any(|(other, _)| other == name);
                assert!(!again && !name.contains(['.', ',']), "{}: {name}", list.command);
            }
        }
    }
}
