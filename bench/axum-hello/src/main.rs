//! The bare server that the benchmark compares with: axum with the same bodies as the guests in
//! `bench/guests`, and nothing else.

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{get, post};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What both guests answer, too.
const ANSWER: &str = r#"{"hello":"world"}"#;

async fn hello() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], ANSWER)
}

/// Reads the whole body, as a function does.
async fn take(_body: Bytes) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], ANSWER)
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("usage: axum-hello ADDRESS")?;
    let listener = tokio::net::TcpListener::bind(&address).await?;
    let router = Router::new().route("/hello", get(hello)).route("/take", post(take));
    axum::serve(listener, router).await?;
    Ok(())
}
