// SPDX-License-Identifier: Apache-2.0
//! A call of the protocol from the server's side, for those who answer it: the demo and the tests.

use std::pin::Pin;

use prost::Message;
use tonic::body::Body;
use tonic::server::{Grpc, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Serves one call of a method with `answer`.
pub async fn unary<Q, A, F>(
    request: http::Request<Body>,
    answer: impl FnOnce(Q) -> F + Send + Sync + 'static,
) -> http::Response<Body>
where
    Q: Message + Default + Send + Sync + 'static,
    A: Message + Default + Send + Sync + 'static,
    F: Future<Output = Result<A, Status>> + Send + 'static,
{
    struct Handler<H>(Option<H>);

    impl<Q, A, F, H> UnaryService<Q> for Handler<H>
    where
        F: Future<Output = Result<A, Status>> + Send + 'static,
        H: FnOnce(Q) -> F,
    {
        type Response = A;
        type Future = BoxFuture<Result<Response<A>, Status>>;

        fn call(&mut self, request: Request<Q>) -> Self::Future {
            let handler = self.0.take().expect("a unary method is called once");
            let answer = handler(request.into_inner());
            Box::pin(async move { answer.await.map(Response::new) })
        }
    }

    Grpc::new(ProstCodec::<A, Q>::default()).unary(Handler(Some(answer)), request).await
}
