//! may_minihttp: PORT WORKERS.
use may_minihttp::{HttpServer, HttpService, Request, Response};
use std::io::{self, BufRead, Read};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Clone)]
struct Predict;

impl HttpService for Predict {
    fn call(&mut self, req: Request, rsp: &mut Response) -> io::Result<()> {
        if req.path() != "/predict" {
            rsp.status_code(404, "Not Found");
            return Ok(());
        }
        let mut body = req.body();
        // Usually the body is whole in the buffer; else read the rest and parse again.
        let first = body.fill_buf()?;
        let (n, mut reply) = (first.len(), bench_peers::answer(first));
        if reply.is_some() {
            body.consume(n);
        } else {
            let mut all = Vec::new();
            body.read_to_end(&mut all)?;
            reply = bench_peers::answer(&all);
        }
        match reply {
            Some(v) => {
                rsp.header("Content-Type: application/json");
                rsp.body_vec(v);
            }
            None => {
                rsp.status_code(400, "Bad Request");
            }
        }
        Ok(())
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    may::config()
        .set_workers(args[2].parse().expect("workers"))
        .set_stack_size(0x2000);
    HttpServer(Predict)
        .start(format!("127.0.0.1:{}", args[1]))
        .expect("start")
        .join()
        .expect("join");
}
