//! How these tests talk to a node.

use std::sync::Arc;

use crate::{
    broker::Broker,
    client::Ch,
    link::{Gone, Link},
    node::{Node, SEGMENT_FLAG, knows},
};

impl Node {
    pub fn link(&self) -> Link {
        Link::open(self.address(), 131_072).unwrap_or_else(|gone: Gone| panic!("{gone:?}: {}", self.stderr()))
    }

    /// A channel with publisher confirms.
    pub async fn channel(&self) -> Ch {
        self.plain_channel().await.confirm().await
    }

    pub async fn plain_channel(&self) -> Ch {
        Ch::open_to(Arc::new(Broker::external(self.address().to_owned()))).await
    }
}

#[test]
fn the_flags_that_these_tests_use_exist() {
    for flag in [SEGMENT_FLAG, "--disk-free-limit", "--memory-limit-bytes", "--data-dir"] {
        assert!(knows(flag), "{flag} is missing: without it these tests prove less");
    }
}
