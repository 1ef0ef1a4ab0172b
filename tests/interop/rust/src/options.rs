//! The command line every driver has, and what a driver prints.

use std::sync::Mutex;
use std::time::Duration;

use url::Url;

/// Why a scenario did not pass.
pub enum Stop {
    Fail(String),
    Unsupported(String),
}

pub type Result<T> = std::result::Result<T, Stop>;

impl<E: std::error::Error> From<E> for Stop {
    fn from(error: E) -> Self {
        Stop::Fail(error.to_string())
    }
}

pub fn fail<T>(why: impl Into<String>) -> Result<T> {
    Err(Stop::Fail(why.into()))
}

pub fn unsupported<T>(why: impl Into<String>) -> Result<T> {
    Err(Stop::Unsupported(why.into()))
}

/// What the driver is waiting for, named when it times out.
static STAGE: Mutex<String> = Mutex::new(String::new());

pub fn stage(what: impl Into<String>) {
    *STAGE.lock().unwrap() = what.into();
}

pub fn current_stage() -> String {
    STAGE.lock().unwrap().clone()
}

fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Prints the last line and ends the process at once, so that nothing is closed on the way out.
pub fn report(result: Result<()>) -> ! {
    let (line, code) = match result {
        Ok(()) => (r#"{"result":"pass"}"#.to_string(), 0),
        Err(Stop::Fail(why)) => (format!(r#"{{"result":"fail","why":{}}}"#, quote(&why)), 1),
        Err(Stop::Unsupported(why)) => (format!(r#"{{"result":"unsupported","why":{}}}"#, quote(&why)), 3),
    };
    println!("{line}");
    std::process::exit(code)
}

pub struct Options {
    pub dial: Option<Url>,
    pub listen: u16,
    pub version: u8,
    pub publisher: bool,
    pub scenario: String,
    pub cert: Option<String>,
    pub key: Option<String>,
    pub hash: Option<String>,
    pub qmux: Option<qmux::Version>,
    pub streams: Option<u64>,
    pub timeout: Duration,
}

impl Options {
    pub fn parse() -> Result<Self> {
        let mut options = Options {
            dial: None,
            listen: 0,
            version: 0,
            publisher: false,
            scenario: String::new(),
            cert: None,
            key: None,
            hash: None,
            qmux: None,
            streams: None,
            timeout: Duration::from_secs(15),
        };
        let (mut listen, mut role) = (false, false);
        let mut args = std::env::args().skip(1);
        while let Some(name) = args.next() {
            let Some(value) = args.next() else {
                return fail(format!("{name} wants a value"));
            };
            match name.as_str() {
                "--dial" => options.dial = Some(value.parse()?),
                "--listen" => (options.listen, listen) = (value.parse()?, true),
                "--version" => options.version = value.parse()?,
                "--role" => (options.publisher, role) = (value == "publisher", true),
                "--scenario" => options.scenario = value,
                "--cert" => options.cert = Some(value),
                "--key" => options.key = Some(value),
                "--hash" => options.hash = Some(value),
                "--qmux" => {
                    options.qmux = Some(match value.as_str() {
                        "qmux-00" => qmux::Version::QMux00,
                        "qmux-01" => qmux::Version::QMux01,
                        "qmux-02" => qmux::Version::QMux02,
                        _ => return unsupported(format!("{value}: qmux-0.5.3 src/lib.rs:82 lists the revisions")),
                    })
                }
                "--streams" => options.streams = Some(value.parse()?),
                "--timeout" => options.timeout = Duration::from_secs_f64(value.parse()?),
                _ => return fail(format!("unknown option {name}")),
            }
        }
        if listen == options.dial.is_some() || !role || !(1..=6).contains(&options.version) {
            return fail("usage: rust-peer (--dial URL | --listen PORT) --version 01..06 --role ROLE --scenario NAME");
        }
        Ok(options)
    }

    /// Whether frames carry their publisher's timestamp.
    pub fn timed(&self) -> bool {
        self.version >= 5
    }

    pub fn moq_version(&self) -> moq_net::Version {
        format!("moq-lite-{:02}", self.version)
            .parse()
            .expect("a version of the reference")
    }
}
