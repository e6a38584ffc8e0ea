//! An echo server and its clients, on one loop's thread.
//!
//! `cargo run --features io --example io_echo`

#[cfg(unix)]
fn main() -> std::io::Result<()> {
    use futures::io::copy;
    use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
    use sideloop::io::{Async, connect};
    use sideloop::{TaskGroup, current, spawn_local};
    use std::net::TcpListener;

    sideloop::block_on(async {
        let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0))?;
        let port = listener.get_ref().local_addr()?.port();
        let server = spawn_local(async move {
            let connections = TaskGroup::new(&current()); // all end with the server
            while let Some(Ok(stream)) = listener.incoming().next().await {
                connections.spawn_local(async move { copy(&stream, &mut &stream).await });
            }
        });
        let clients = TaskGroup::new(&current());
        for n in 0..3 {
            clients.spawn_local(async move {
                let mut stream = connect(("localhost", port)).await?;
                stream.write_all(format!("hello from {n}").as_bytes()).await?;
                let mut line = [0; 12];
                stream.read_exact(&mut line).await?;
                println!("{}", String::from_utf8_lossy(&line));
                std::io::Result::Ok(())
            });
        }
        while let Some((_, ended)) = clients.next().await {
            ended.expect("no client panics")?;
        }
        server.abort();
        Ok(())
    })
}

#[cfg(not(unix))]
fn main() {}
