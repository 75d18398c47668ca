//! `limpid reveal`: tokens become values again, for who has the keyring, and never without a trace.
//!
//! Values go to standard output as JSON, one a line, and nowhere else.

use super::disclosure::{Authority, Disclosure, Shown, asked, quoted};
use crate::error::Result;
use crate::keys::{Keyring, Revealed, SecretSource, Token, TokenKind};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use std::process::ExitCode;
use zeroize::Zeroizing;

/// Arguments of `limpid reveal`.
#[derive(clap::Args)]
pub struct Args {
    /// The keyring that the tokens were made with: a file, `env:NAME` or `command:PROGRAM ARGUMENT…`
    #[arg(short, long, value_name = "SOURCE")]
    keys: SecretSource,
    /// The tenant whose tokens they are
    #[arg(short, long)]
    tenant: String,
    #[command(flatten)]
    authority: Authority,
    /// The tokens; none: from standard input, one a line
    #[arg(value_name = "TOKEN")]
    tokens: Vec<String>,
}

/// Runs it. Exit codes: 0 all are revealed, 1 some did not open, 2 usage, keyring or log.
pub fn main(args: &Args) -> Result<ExitCode> {
    crate::run::hush_panics();
    let keyring = Keyring::load(&args.keys)?;
    let mut disclosure = Disclosure::open(&args.authority)?;
    for text in asked(&args.tokens, "tokens")? {
        let token = Token::parse(text.trim());
        let revealed = token.as_ref().and_then(|token| open(token, &keyring, &args.tenant));
        let about = about(&args.tenant, text.trim(), token.as_ref());
        disclosure.tell("reveal", about, &revealed.as_ref().and_then(shown))?;
    }
    Ok(disclosure.end("no tokens of this tenant and keyring"))
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
fn about(tenant: &str, text: &str, token: Option<&Token>) -> Value {
    // Only of a token: what is none could be a value, and then its hash could be guessed.
    let hash = token.map(|_| blake3::derive_key("limpid operations token v1", text.as_bytes()));
    json!({
        "tenant": tenant,
        "token": hash.map(|hash| HEXLOWER.encode(&hash[..16])),
        "secret": token.map(|token| HEXLOWER.encode(&token.secret_id())),
        "epoch": token.map(Token::number),
    })
}

/// A JSON string or number.
fn shown(revealed: &Revealed) -> Shown {
    Some(match revealed.kind() {
        TokenKind::Number => Zeroizing::new(revealed.expose().to_owned()),
        TokenKind::Text => quoted(revealed.expose()),
    })
}
