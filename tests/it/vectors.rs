//! The contracts that another language can check: pseudonyms made by tests/vectors/pseudonym.py.

use data_encoding::HEXLOWER;
use limpid::format::{Out, Scalar};
use limpid::keys::{Epoch, Pseudonyms, Secret, Secrets};
use limpid::transform::{Arg, Context, Outcome, named};
use serde_json::Value;

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
    let source = Pseudonyms::new(secret, text(vector, "tenant"), epoch);
    let keys = source.keys(source.period(vector["timestamp_ms"].as_i64()).unwrap());

    let arguments = [Arg::Text(text(vector, "prefix").to_owned())];
    let transform = (named("pseudonymize").unwrap().build)(&arguments).unwrap();
    let value = match vector.get("number") {
        Some(_) => Scalar::Number(text(vector, "number")),
        None => Scalar::Text(text(vector, "text")),
    };
    let mut bytes = Vec::new();
    let mut context = Context { keys: Some(&keys), ..Context::default() };
    let outcome = transform.apply(value, &mut context, &mut Out::plain(&mut bytes));
    assert_eq!(outcome, Outcome::Replaced);
    String::from_utf8(bytes).unwrap()
}

fn text<'a>(vector: &'a Value, member: &str) -> &'a str {
    vector[member].as_str().unwrap()
}
