//! A service for Restate that does what the guest does, and a place to ask how many calls it has
//! answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use restate_sdk::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::{Error, order};

/// Handles orders.
struct Orders {
    handled: Arc<AtomicU64>,
}

#[service]
impl Orders {
    #[handler]
    async fn take(
        &self,
        _context: Context<'_>,
        data: Bytes,
    ) -> Result<Json<serde_json::Value>, HandlerError> {
        let answer = order::handle(&data).map_err(|error| TerminalError::new(error.to_string()))?;
        self.handled.fetch_add(1, Ordering::Relaxed);
        Ok(Json(answer))
    }
}

/// Serves until the process is ended.
pub async fn serve(address: SocketAddr, count: SocketAddr) -> Result<(), Error> {
    let handled = Arc::new(AtomicU64::new(0));
    let orders = Orders { handled: Arc::clone(&handled) };
    let listener = TcpListener::bind(count).await?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // What is asked for does not matter.
            if stream.read(&mut [0; 1024]).await.is_err() {
                continue;
            }
            let body = handled.load(Ordering::Relaxed).to_string();
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).await.ok();
        }
    });
    HttpServer::new(Endpoint::builder().bind(orders).build()).listen_and_serve(address).await;
    Ok(())
}
