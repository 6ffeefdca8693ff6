//! Who does what is asked. Requests are taken, and signs of life and checks answered, on a thread that does nothing else; all other
//! requests are handled on the operators' thread, however long that takes: a probe does not wait for an export of definitions.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::runtime::Handle;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::{failure::Failure, routes::ALIVE};

/// Where requests are handled.
#[derive(Debug, Clone)]
pub struct Elsewhere {
    /// The operators' thread.
    pub operators: Handle,
    /// What is waited for when the broker stops.
    pub operations: TaskTracker,
}

/// Checks whose answers are at hand.
const CHECKS: &str = "/api/health/checks/";

/// Has a request handled where it belongs. One whose client goes away is given up there, too.
pub async fn elsewhere(State(at): State<Elsewhere>, request: Request, next: Next) -> Response {
    let path = request.uri().path().trim_end_matches('/');
    if path == ALIVE || path.starts_with(CHECKS) {
        return next.run(request).await;
    }
    let handling = at.operations.spawn_on(next.run(request), &at.operators);
    match AbortOnDropHandle::new(handling).await {
        Ok(response) => response,
        Err(error) => Failure::Internal(error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use axum::{Router, body::Body, middleware::from_fn_with_state, routing::get};
    use tokio::{
        runtime::{Builder, Runtime},
        sync::oneshot,
    };
    use tower::ServiceExt;

    use super::*;

    fn operators() -> Runtime {
        Builder::new_multi_thread().worker_threads(1).build().unwrap()
    }

    fn asking(path: &str) -> Request {
        Request::builder().uri(path).body(Body::empty()).unwrap()
    }

    /// A router whose `/api/long` says when it has begun, and blocks its thread until it is told to end.
    fn router(
        operators: &Runtime,
        begun: mpsc::Sender<std::thread::ThreadId>,
        end: mpsc::Receiver<()>,
    ) -> Router {
        let at = Elsewhere { operators: operators.handle().clone(), operations: TaskTracker::new() };
        let end = std::sync::Arc::new(parking_lot::Mutex::new(end));
        let long = async move || {
            begun.send(std::thread::current().id()).unwrap();
            end.lock().recv().unwrap();
            "done"
        };
        Router::new()
            .route("/api/long", get(long))
            .route(ALIVE, get(async || "alive"))
            .route("/api/health/checks/alarms", get(async || "ok"))
            .layer(from_fn_with_state(at, elsewhere))
    }

    #[tokio::test]
    async fn probes_are_answered_while_the_operators_thread_is_busy() {
        let operators = operators();
        let ((begun, has_begun), (end, ended)) = (mpsc::channel(), mpsc::channel());
        let router = router(&operators, begun, ended);
        let long = tokio::spawn(router.clone().oneshot(asking("/api/long")));
        let busy = tokio::task::spawn_blocking(move || has_begun.recv().unwrap()).await.unwrap();
        assert_ne!(busy, std::thread::current().id());
        for probe in ["/api/leveret/alive", "/api/health/checks/alarms"] {
            assert_eq!(router.clone().oneshot(asking(probe)).await.unwrap().status(), 200, "{probe}");
        }
        assert!(!long.is_finished());
        end.send(()).unwrap();
        assert_eq!(long.await.unwrap().unwrap().status(), 200);
        operators.shutdown_background();
    }

    #[tokio::test]
    async fn a_request_whose_client_goes_is_given_up_on_the_operators_thread() {
        let operators = operators();
        let (gone, has_gone) = oneshot::channel::<()>();
        let gone = std::sync::Arc::new(parking_lot::Mutex::new(Some(gone)));
        let (begun, mut has_begun) = tokio::sync::mpsc::unbounded_channel();
        let waits = async move || {
            let _until_dropped = gone.lock().take();
            begun.send(()).unwrap();
            std::future::pending::<()>().await;
        };
        let at = Elsewhere { operators: operators.handle().clone(), operations: TaskTracker::new() };
        let router = Router::new().route("/api/waits", get(waits)).layer(from_fn_with_state(at, elsewhere));
        let request = tokio::spawn(router.oneshot(asking("/api/waits")));
        has_begun.recv().await.unwrap();
        request.abort();
        assert!(has_gone.await.is_err(), "what the handler held is dropped");
        operators.shutdown_background();
    }
}
