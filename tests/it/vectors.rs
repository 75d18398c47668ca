//! The contracts that another language can check: pseudonyms, encrypted addresses, tokens and digits,
//! made by the scripts in tests/vectors.

use data_encoding::HEXLOWER;
use limpid::document::{Faults, Source};
use limpid::format::{Out, Scalar};
use limpid::keys::{Epoch, EpochKeys, KeySource, Keyring, Purpose, Secret, Secrets, Token};
use limpid::transform::{Arg, Context, Outcome, Place, named};
use serde_json::Value;
use std::sync::Arc;

#[test]
fn pseudonyms_are_those_of_the_vectors() {
    let vectors: Vec<Value> =
        serde_json::from_str(include_str!("../vectors/pseudonym-v1.json")).unwrap();
    assert_eq!(vectors.len(), 100);
    for vector in &vectors {
        assert_eq!(pseudonym(vector), text(vector, "pseudonym"), "{vector}");
    }
}

fn pseudonym(vector: &Value) -> String {
    let secret = HEXLOWER.decode(text(vector, "secret").as_bytes()).unwrap();
    let secret = Secrets::from(Secret::new(secret.try_into().unwrap()));
    let epoch = Epoch::every_ms(vector["epoch_ms"].as_u64().unwrap());
    let source = KeySource::new(secret, text(vector, "tenant"), epoch);
    let keys = source.keys(source.period(vector["timestamp_ms"].as_i64()).unwrap());
    let value = match vector.get("number") {
        Some(_) => Scalar::Number(text(vector, "number")),
        None => Scalar::Text(text(vector, "text")),
    };
    made(&keys, text(vector, "prefix"), value)
}

/// The pseudonym of a value.
fn made(keys: &EpochKeys, prefix: &str, value: Scalar<'_>) -> String {
    let arguments = [Arg::Text(prefix.to_owned())];
    let transform = (named("pseudonymize").unwrap().build)(&arguments).unwrap();
    let mut bytes = Vec::new();
    let mut context = Context { keys: Some(keys), ..Context::default() };
    let outcome = transform.apply(value, &mut context, &mut Out::plain(&mut bytes));
    assert_eq!(outcome, Outcome::Replaced);
    String::from_utf8(bytes).unwrap()
}

/// The two forms of a keyring, which must stay readable for ever, and whose time a record is of.
#[test]
fn a_keyring_s_secrets_are_those_of_the_vectors() {
    let file: Value = serde_json::from_str(include_str!("../vectors/keyring-v1.json")).unwrap();
    let mut faults = Faults::default();
    let source = Source::new("keyring", file["keyring"].as_str().unwrap());
    let keyring = Keyring::read(&source, &mut faults).unwrap();
    assert!(faults.is_empty(), "{faults}");
    let vectors = file["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 28);
    for vector in vectors {
        let epoch = Epoch::every_ms(vector["epoch_ms"].as_u64().unwrap());
        let secrets = keyring.get(text(vector, "name")).unwrap().clone();
        let source = KeySource::new(secrets, text(vector, "tenant"), epoch);
        let period = source.period(vector["timestamp_ms"].as_i64());
        let made = period.map(|period| made(&source.keys(period), "", Scalar::Text("ada")));
        assert_eq!(made.as_deref().ok(), vector["pseudonym"].as_str(), "{vector}");
    }
}

/// The chain of a log that is not of limpid's making, as docs/KEYS.md describes it.
#[test]
fn a_log_of_operations_is_followed_to_its_end() {
    let log = include_str!("../vectors/operations-v1.log");
    assert_eq!(limpid::operations::verify(log).unwrap().entries, 2);
    assert!(limpid::operations::verify(&log.replace("4711", "4712")).is_err());
}

fn text<'a>(vector: &'a Value, member: &str) -> &'a str {
    vector[member].as_str().unwrap()
}

/// The keys of a vector's secret, tenant and time.
fn epoch_keys(vector: &Value) -> EpochKeys {
    let secret = HEXLOWER.decode(text(vector, "secret").as_bytes()).unwrap();
    let secret = Secrets::from(Secret::new(secret.try_into().unwrap()));
    let epoch = Epoch::every_ms(vector["epoch_ms"].as_u64().unwrap());
    use Purpose::{Date, Digits, IpCryptoPan, IpDeterministic, IpNd, IpNdx, IpPrefix, Token};
    let purposes = [IpDeterministic, IpPrefix, IpCryptoPan, IpNd, IpNdx, Date, Digits, Token];
    let source =
        KeySource::new(secret, text(vector, "tenant"), epoch).with(purposes.into_iter().collect());
    source.keys(source.period(vector["timestamp_ms"].as_i64()).unwrap())
}

/// What a transform writes for a value in a place.
fn written(
    name: &str,
    arguments: &[Arg],
    value: Scalar<'_>,
    keys: &EpochKeys,
    (place, drawn): (Place<'_>, u32),
) -> String {
    let transform = (named(name).unwrap().build)(arguments).unwrap();
    let mut context = Context { keys: Some(keys), place, drawn, ..Context::default() };
    let mut bytes = Vec::new();
    let outcome = transform.apply(value, &mut context, &mut Out::plain(&mut bytes));
    assert_eq!(outcome, Outcome::Replaced);
    String::from_utf8(bytes).unwrap()
}

#[test]
fn addresses_are_those_of_the_vectors() {
    let vectors: Vec<Value> =
        serde_json::from_str(include_str!("../vectors/addresses-v1.json")).unwrap();
    assert_eq!(vectors.len(), 8);
    for vector in &vectors {
        let keys = epoch_keys(vector);
        let int = |member: &str| vector[member].as_i64().unwrap();
        let place = Place {
            topic: text(vector, "topic"),
            partition: int("partition").try_into().unwrap(),
            offset: int("offset"),
            key: None,
        };
        let place = (place, int("drawn").try_into().unwrap());
        let ip = Scalar::Text(text(vector, "ip"));
        let made = |mode| written("encrypt_ip", &[Arg::Word(mode)], ip, &keys, place);
        for mode in ["deterministic", "prefix", "cryptopan", "ndx"] {
            assert_eq!(made(mode), text(vector, mode), "{mode} {vector}");
        }
        assert_eq!(made("nd")[..16], *text(vector, "nd_tweak"), "{vector}");
    }
}

#[test]
fn tokens_are_those_of_the_vectors() {
    let vectors: Vec<Value> =
        serde_json::from_str(include_str!("../vectors/tokens-v1.json")).unwrap();
    assert_eq!(vectors.len(), 24);
    let nowhere = (Place::default(), 0);
    for vector in &vectors {
        let keys = epoch_keys(vector);
        let value = match text(vector, "kind") {
            "text" => Scalar::Text(text(vector, "value")),
            _ => Scalar::Number(text(vector, "value")),
        };
        let token = written("tokenize", &[], value, &keys, nowhere);
        assert_eq!(token, text(vector, "token"), "{vector}");
        let secret = HEXLOWER.decode(text(vector, "secret").as_bytes()).unwrap();
        let secret = Arc::new(Secret::new(secret.try_into().unwrap()));
        let revealed = Token::parse(&token).unwrap().open(&secret, text(vector, "tenant"));
        assert_eq!(revealed.unwrap().expose(), text(vector, "value"));
        for (member, kept) in [("digits", 0), ("digits_behind_4", 4)] {
            if let Some(digits) = vector.get(member) {
                let arguments = [Arg::Int(kept), Arg::Flag(false)];
                let made = written("encrypt_digits", &arguments, value, &keys, nowhere);
                assert_eq!(made, digits.as_str().unwrap(), "{vector}");
            }
        }
    }
}
