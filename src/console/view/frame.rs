//! What a page knows of the one who looks at it.

/// Who looks, what that one may see, and where.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools, reason = "they are rights")]
pub struct Frame {
    /// Its name.
    pub user: String,
    /// Its tags, as they were set.
    pub tags: Vec<String>,
    /// It may do everything.
    pub is_administrator: bool,
    /// It sees what belongs to others, and the node.
    pub is_monitor: bool,
    /// It may set policies where it has permissions.
    pub is_policymaker: bool,
    /// It has logged in by the form, and can log out.
    pub has_session: bool,
    /// What each form that changes something carries.
    pub csrf: String,
    /// The address of this page: path and query.
    pub here: String,
    /// What was done by the request before, to be told once.
    pub told: Option<String>,
}
