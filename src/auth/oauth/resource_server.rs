//! What a server is told of the tokens that it takes.

/// Whose tokens are taken, and how they are read. RabbitMQ's settings in brackets.
#[derive(Debug, Clone)]
pub struct ResourceServer {
    /// What a token's audience must have (`resource_server_id`).
    pub id: String,
    /// Who must have issued it; anybody whose key is known, if nothing is said (`issuer`).
    pub issuer: Option<String>,
    /// What scopes for this server begin with (`scope_prefix`): `id.`, if nothing else is said.
    pub scope_prefix: String,
    /// Another claim that has scopes (`additional_scopes_key`).
    pub scope_key: Option<String>,
    /// Claims that may have the user's name, in order (`preferred_username_claims`).
    pub user_claims: Vec<String>,
}

impl ResourceServer {
    /// A server of this id, with RabbitMQ's defaults.
    pub fn new(id: &str) -> Self {
        Self {
            id: id.into(),
            issuer: None,
            scope_prefix: format!("{id}."),
            scope_key: None,
            user_claims: ["sub", "client_id"].map(String::from).into(),
        }
    }
}
