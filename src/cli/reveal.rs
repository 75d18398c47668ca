//! `limpid reveal`: tokens become values again, for who has the keyring, and never without a trace.
//!
//! Each token's entry is in the log of operations, on the disk, before its value is printed; without a
//! log nothing is revealed. Values go to standard output as JSON, one a line, and nowhere else.

use super::policy_file;
use crate::clock::now_ms;
use crate::error::{Error, Result};
use crate::keys::{Keyring, Revealed, Token, TokenKind};
use crate::operations::Operations;
use data_encoding::HEXLOWER;
use serde_json::{Map, Value, json};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use zeroize::Zeroizing;

/// Arguments of `limpid reveal`.
#[derive(clap::Args)]
pub struct Args {
    /// The keyring that the tokens were made with
    #[arg(short, long, value_name = "FILE")]
    keys: PathBuf,
    /// The tenant whose tokens they are
    #[arg(short, long)]
    tenant: String,
    /// The log of operations, to which each token's entry is appended; made if it is not there
    #[arg(long, value_name = "FILE")]
    log: PathBuf,
    /// Why, for the log: a case number, a request. No personal data
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The tokens; none: from standard input, one a line
    #[arg(value_name = "TOKEN")]
    tokens: Vec<String>,
}

/// Runs it. Exit codes: 0 all are revealed, 1 some did not open, 2 usage, keyring or log.
pub fn main(args: &Args) -> Result<ExitCode> {
    crate::run::hush_panics();
    let keyring = policy_file::keyring(Some(args.keys.clone()))?.unwrap_or_default();
    let mut log = Operations::open(&args.log)?;
    let mut closed = 0;
    for text in tokens(args)? {
        let token = Token::parse(text.trim());
        let revealed = token.as_ref().and_then(|token| open(token, &keyring, &args.tenant));
        log.append(&now(), about(args, text.trim(), token.as_ref(), revealed.is_some()))?;
        closed += usize::from(revealed.is_none());
        print(&revealed)?;
    }
    let (end, hash) = (log.end(), HEXLOWER.encode(&log.end().hash));
    anstream::eprintln!(
        "limpid: {} has {} entries; the last hash is {hash}",
        args.log.display(),
        end.entries
    );
    if closed > 0 {
        anstream::eprintln!("limpid: {closed} did not open: no tokens of this tenant and keyring");
    }
    Ok(ExitCode::from(u8::from(closed > 0)))
}

fn tokens(args: &Args) -> Result<Vec<String>> {
    if !args.tokens.is_empty() {
        return Ok(args.tokens.clone());
    }
    if io::stdin().is_terminal() {
        anstream::eprintln!("limpid: reading tokens from the terminal, one a line, up to Ctrl-D");
    }
    let text = io::read_to_string(io::stdin())
        .map_err(|error| Error::usage(format!("standard input: {error}")))?;
    Ok(text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect())
}

/// The secret that the token names, under whatever name it stands in the keyring, opens it.
fn open(token: &Token, keyring: &Keyring, tenant: &str) -> Option<Revealed> {
    let secrets = keyring.names().filter_map(|name| keyring.get(name));
    let mut fitting = secrets
        .flat_map(|secrets| secrets.spans().filter_map(|(index, ..)| secrets.get(index)))
        .filter(|secret| secret.id() == token.secret_id());
    fitting.find_map(|secret| token.open(secret, tenant))
}

/// What the log tells: which token by a hash of it, never what it stood for.
fn about(args: &Args, text: &str, token: Option<&Token>, opened: bool) -> Map<String, Value> {
    // Only of a token: what is none could be a value, and then its hash could be guessed.
    let hash = token.map(|_| blake3::derive_key("limpid operations token v1", text.as_bytes()));
    let about = json!({
        "operation": "reveal",
        "by": format!("uid {}", rustix::process::getuid().as_raw()),
        "reason": args.reason,
        "tenant": args.tenant,
        "token": hash.map(|hash| HEXLOWER.encode(&hash[..16])),
        "secret": token.map(|token| HEXLOWER.encode(&token.secret_id())),
        "epoch": token.map(Token::number),
        "outcome": if opened { "revealed" } else { "not opened" },
    });
    match about {
        Value::Object(about) => about,
        _ => Map::new(),
    }
}

/// A JSON string or number; `null` for what did not open.
fn print(revealed: &Option<Revealed>) -> Result<()> {
    let line = Zeroizing::new(match revealed {
        None => "null\n".to_owned(),
        Some(revealed) if revealed.kind() == TokenKind::Number => {
            format!("{}\n", revealed.expose())
        }
        Some(revealed) => format!("{}\n", Value::from(revealed.expose())),
    });
    let mut stdout = io::stdout().lock();
    let done = stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush());
    done.map_err(|error| Error::fatal(format!("standard output: {error}")))
}

fn now() -> String {
    jiff::Timestamp::from_millisecond(now_ms())
        .map_or_else(|_| String::new(), |now| now.to_string())
}
