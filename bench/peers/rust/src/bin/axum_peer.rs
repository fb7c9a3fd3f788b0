//! axum on tokio: PORT WORKERS.
use axum::{
    body::Bytes,
    http::{header, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
    serve::ListenerExt,
    Router,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

async fn predict(body: Bytes) -> Response {
    match bench_peers::answer(&body) {
        Some(v) => ([(header::CONTENT_TYPE, "application/json")], v).into_response(),
        None => StatusCode::BAD_REQUEST.into_response(),
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let address = format!("127.0.0.1:{}", args[1]);
    let workers: usize = args[2].parse().expect("workers");
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .expect("runtime")
        .block_on(async move {
            let listener = tokio::net::TcpListener::bind(address).await.expect("bind");
            let listener = listener.tap_io(|s| {
                let _ = s.set_nodelay(true);
            });
            axum::serve(listener, Router::new().route("/predict", post(predict)))
                .await
                .expect("serve");
        });
}
