//! What handlers take, as the types of their arguments say it.

use axum::{Extension, body::Bytes, extract::State, http::HeaderMap};

use crate::management::{
    Api,
    extract::{Asked, Path, Query},
    visitor::Visitor,
};

/// What a handler takes beside the names in its address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    /// Parameters behind the question mark, each with its meaning.
    pub parameters: Vec<(&'static str, &'static str)>,
    /// A body.
    pub has_body: bool,
    /// A header that says why.
    pub has_reason: bool,
    /// Nobody has to log in.
    pub takes_anybody: bool,
}

/// Arguments of a handler.
pub trait Taken: 'static {
    /// What they say together.
    fn inputs() -> Inputs;
}

/// An argument of a handler.
trait Argument {
    fn note(inputs: &mut Inputs);
}

impl Argument for State<Api> {
    fn note(_: &mut Inputs) {}
}

impl Argument for Visitor {
    fn note(_: &mut Inputs) {}
}

impl Argument for Option<Visitor> {
    fn note(inputs: &mut Inputs) {
        inputs.takes_anybody = true;
    }
}

impl<T> Argument for Extension<T> {
    fn note(_: &mut Inputs) {}
}

impl<T> Argument for Path<T> {
    fn note(_: &mut Inputs) {}
}

impl<T: Asked> Argument for Query<T> {
    fn note(inputs: &mut Inputs) {
        inputs.parameters.extend(T::PARAMETERS);
    }
}

impl Argument for Bytes {
    fn note(inputs: &mut Inputs) {
        inputs.has_body = true;
    }
}

/// The only header that a handler looks at is RabbitMQ's `x-reason`.
impl Argument for HeaderMap {
    fn note(inputs: &mut Inputs) {
        inputs.has_reason = true;
    }
}

/// axum puts a mark of its own before the arguments.
macro_rules! taken {
    ($($argument:ident)*) => {
        impl<M: 'static, $($argument: Argument + 'static),*> Taken for (M, $($argument,)*) {
            fn inputs() -> Inputs {
                #[allow(unused_mut, reason = "a handler may take nothing")]
                let mut inputs = Inputs::default();
                $($argument::note(&mut inputs);)*
                inputs
            }
        }
    };
}

taken!(A);
taken!(A B);
taken!(A B C);
taken!(A B C D);
taken!(A B C D E);
