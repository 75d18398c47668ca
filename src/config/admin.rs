//! Where the admin server listens, and who may ask it.
//!
//! Whoever reaches it learns topics, tenants and numbers, and can have policies loaded again. This
//! machine may, others need the token: an address that they can reach is refused without one.

use super::Secrets;
use super::secret::read_source;
use crate::document::{Field, Reader};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// Where the admin server listens, and the token that it asks for.
#[derive(Debug, Clone)]
pub struct AdminConfig {
    /// The address.
    pub listen: SocketAddr,
    /// Without one, only this machine can reach it.
    pub token: Option<Token>,
}

impl AdminConfig {
    /// Can other machines reach it, and need not know anything?
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.token.is_none() && !is_loopback(self.listen.ip())
    }
}

/// A bearer token (RFC 6750), as its hash: it is compared in constant time, and not kept.
#[derive(Clone)]
pub struct Token(blake3::Hash);

/// Shorter ones can be guessed.
const TOKEN_BYTES_MIN: usize = 16;

impl Token {
    /// The token of this text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(blake3::hash(text.as_bytes()))
    }

    /// Is it this one? Takes the same time whether or not.
    #[must_use]
    pub fn is(&self, given: &[u8]) -> bool {
        self.0 == blake3::hash(given)
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

pub(super) fn read_admin(
    field: &Field<'_>,
    base: &Path,
    secrets: Secrets,
    reader: &mut Reader<'_>,
) -> Option<AdminConfig> {
    let mut table = field.table(reader)?;
    let (listen, token) = (table.need("listen", reader), table.take("token"));
    table.finish(reader);
    let listen = listen?;
    let Ok(address) = listen.text(reader)?.parse::<SocketAddr>() else {
        reader
            .fault("C015", listen.span(), "`listen` must be an IP address and a port")
            .hint("`127.0.0.1:9464`, or `\"[::1]:9464\"`");
        return None;
    };
    if token.is_none() && !is_loopback(address.ip()) {
        reader
            .fault("C016", listen.span(), "other machines could reach the admin server")
            .hint("add a token that they must know: `token: {file: PATH}`, or listen on 127.0.0.1");
    }
    let token = token.and_then(|field| read_token(&field, base, secrets, reader));
    Some(AdminConfig { listen: address, token })
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn read_token(
    field: &Field<'_>,
    base: &Path,
    secrets: Secrets,
    reader: &mut Reader<'_>,
) -> Option<Token> {
    let source = read_source(field, base, reader)?;
    if secrets == Secrets::Leave {
        return None;
    }
    match source.read_line() {
        Ok(line) if line.len() < TOKEN_BYTES_MIN => {
            let message = format!("{source}: shorter than {TOKEN_BYTES_MIN} characters");
            reader
                .fault("C013", field.span(), message)
                .hint("a token that cannot be guessed: `openssl rand -hex 32`");
            None
        }
        Ok(line) => Some(Token::new(&line)),
        Err(error) => {
            reader.fault("C013", field.span(), error.to_string());
            None
        }
    }
}
