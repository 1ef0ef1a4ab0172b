//! The Rust reference implementation as one of two programs that do a scenario together (see ../SCENARIOS.md).

mod data;
mod link;
mod options;
mod publish;
mod subscribe;

use options::{Options, Result, current_stage, fail, report, unsupported};

/// The versions a scenario is for, and whether the transport has what it needs.
fn applies(options: &Options) -> Result<()> {
    let first = match options.scenario.as_str() {
        "range" | "priority-update" | "probe" => 3,
        "goaway" => 4,
        "fetch" | "track-info" | "datagrams" => 5,
        _ => 1,
    };
    if options.version < first {
        return unsupported(format!("moq-lite-{:02} has no {}", options.version, options.scenario));
    }
    let stream = options
        .dial
        .as_ref()
        .is_some_and(|url| matches!(url.scheme(), "ws" | "wss" | "tcp"));
    if options.scenario == "datagrams" && stream {
        return unsupported("datagrams are for QUIC and WebTransport");
    }
    Ok(())
}

async fn run(options: &Options) -> Result<()> {
    applies(options)?;
    match options.scenario.as_str() {
        "reverse" => subscribe::reverse(options).await,
        _ if options.publisher => publish::publish(options).await,
        _ => subscribe::subscribe(options).await,
    }
}

fn main() {
    let options = match Options::parse() {
        Ok(options) => options,
        Err(stop) => report(Err(stop)),
    };
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let result = runtime.block_on(async {
        match tokio::time::timeout(options.timeout, run(&options)).await {
            Ok(result) => result,
            Err(_) => fail(format!("timed out while {}", current_stage())),
        }
    });
    report(result)
}
