//! A TLS peer on rustls for the interop tests; arguments as in go/main.go.

use rustls::pki_types::{pem::PemObject, CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

type Failure = Box<dyn std::error::Error>;

fn chain(file: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(file).unwrap().map(|one| one.unwrap()).collect()
}

fn roots(file: &str) -> Arc<RootCertStore> {
    let mut store = RootCertStore::empty();
    for one in chain(file) {
        store.add(one).unwrap();
    }
    Arc::new(store)
}

fn versions(name: &str) -> &'static [&'static rustls::SupportedProtocolVersion] {
    static OLD: [&rustls::SupportedProtocolVersion; 1] = [&rustls::version::TLS12];
    static NEW: [&rustls::SupportedProtocolVersion; 1] = [&rustls::version::TLS13];
    if name == "1.2" {
        &OLD
    } else {
        &NEW
    }
}

fn serve(a: &[String]) -> Result<(), Failure> {
    let builder = ServerConfig::builder_with_protocol_versions(versions(&a[1]));
    let builder = match a.get(4) {
        Some(ca) => builder.with_client_cert_verifier(
            rustls::server::WebPkiClientVerifier::builder(roots(ca)).build()?,
        ),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain(&a[2]), PrivateKeyDer::from_pem_file(&a[3])?)?;
    config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    let config = Arc::new(config);
    let listener = TcpListener::bind(format!("127.0.0.1:{}", a[0]))?;
    println!("ready");
    for stream in listener.incoming() {
        if let Err(error) = answer(config.clone(), stream?) {
            println!("error: {error}");
        }
    }
    Ok(())
}

fn answer(config: Arc<ServerConfig>, stream: TcpStream) -> Result<(), Failure> {
    let mut tls = StreamOwned::new(ServerConnection::new(config)?, stream);
    let mut buffer = [0; 4096];
    tls.read(&mut buffer)?;
    tls.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello from rustls\n")?;
    tls.conn.send_close_notify();
    tls.flush()?;
    Ok(())
}

fn dial(a: &[String]) -> Result<(), Failure> {
    let builder = ClientConfig::builder_with_protocol_versions(versions(&a[1])).with_root_certificates(roots(&a[2]));
    let config = match a.get(4) {
        Some(cert) => builder.with_client_auth_cert(chain(cert), PrivateKeyDer::from_pem_file(&a[5])?)?,
        None => builder.with_no_client_auth(),
    };
    let config = Arc::new(config);
    for _ in 0..a[3].parse()? {
        let connection = ClientConnection::new(config.clone(), ServerName::try_from("localhost")?)?;
        let mut tls = StreamOwned::new(connection, TcpStream::connect(format!("127.0.0.1:{}", a[0]))?);
        tls.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut received = String::new();
        tls.read_to_string(&mut received)?;
        println!("{received} {:?}", tls.conn.handshake_kind());
        tls.conn.send_close_notify();
        tls.flush()?;
    }
    Ok(())
}

fn main() {
    let a: Vec<String> = std::env::args().skip(1).collect();
    let result = if a[0] == "server" { serve(&a[1..]) } else { dial(&a[1..]) };
    if let Err(error) = result {
        println!("error: {error}");
        std::process::exit(1);
    }
}
