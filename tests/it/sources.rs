//! x
use crate::house::sshd::Sshd;
use feedgate::source::{SftpSource, Source};
use std::time::Duration;
#[tokio::test(flavor = "multi_thread")]
async fn smoke() {
    let sshd = Sshd::start();
    std::fs::write(sshd.root().join("a.zip"), vec![7u8; 3_000_000]).unwrap();
    let source = SftpSource::new("acme", &sshd.settings(), Duration::from_secs(10));
    println!("{:?}", source.list().await);
    println!("{:?}", source.stat("a.zip").await);
    println!("{:?}", source.read("a.zip", 2_999_990, 100).await);
    let (tx, mut rx) = tokio::sync::mpsc::channel::<Vec<u8>>(4);
    let count = tokio::spawn(async move {
        let mut n = 0;
        while let Some(b) = rx.recv().await {
            n += b.len();
        }
        n
    });
    println!("{:?}", source.fetch("a.zip", 3_000_000, tx).await);
    println!("{}", count.await.unwrap());
    println!("{:?}", source.make_dirs("p/2019/11").await);
    println!("{:?}", source.rename("a.zip", "p/2019/11/a.zip").await);
    println!("{:?}", source.write("r.json", b"hello").await);
    println!("{:?}", source.write("r.json", b"hello2").await);
    println!("{:?}", source.list().await);
    println!("{:?}", source.remove("r.json").await);
    println!("{:?}", source.remove("r.json").await);
    source.close().await;
}
