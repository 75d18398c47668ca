//! The quarantine: withheld records, sealed to a public key.
//!
//! What could not be made clean still has to be looked at by someone who may. So the record goes
//! to the quarantine topic sealed: limpid itself, the brokers and their administrators cannot read
//! it, the holder of the private key can. Without a key the payload is left out; it is never sent
//! in the clear.
//!
//! Sealing every record to the public key by itself would cost a Diffie-Hellman exchange a record,
//! and a burst of malformed records is exactly when there is no time for it. Instead a [`Sealer`]
//! does one HPKE encapsulation (RFC 9180: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
//! ChaCha20-Poly1305), exports one content key from it, and seals up to 65,536 records under that
//! key with a counter as the nonce. docs/QUARANTINE.md gives the bytes.
//!
//! Invariant: no nonce is used twice under one content key. A content key comes from a fresh
//! ephemeral key of the operating system's randomness, so no two sealers, restarts or renewals
//! share one; it lives in one [`Sealer`], which is not `Clone` and seals through `&mut self`; its
//! counter only grows, is taken before each use whether or not sealing succeeds, and the content
//! key is thrown away long before the 64-bit counter could wrap.
//!
//! The clear headers (reason, route, tenant, source topic, partition, offset) are authenticated
//! with the payload: a message whose headers were exchanged or edited does not open.

mod layout;
mod open;
mod repaired;
mod replayed;
mod seal;

pub use crate::keys::{PrivateKey, PublicKey};
pub use layout::Clear;
pub use open::{NotOpened, Opened, Opener};
pub use repaired::{Repair, RepairFault, Repaired};
pub use replayed::Replayed;
pub use seal::{Sealed, Sealer};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Withheld;
    use crate::error::Reason;
    use crate::record::{Raw, Record};
    use data_encoding::BASE64;
    use proptest::prelude::*;

    type OwnedHeaders = Vec<(Vec<u8>, Option<Vec<u8>>)>;

    /// A message as it stands in the topic.
    #[derive(Clone)]
    struct Message {
        headers: OwnedHeaders,
        payload: Option<Vec<u8>>,
    }

    impl Message {
        fn of(sealed: &Sealed<'_>) -> Self {
            let headers = sealed.headers().iter();
            let headers = headers
                .map(|(name, value)| (name.as_bytes().to_vec(), Some(value.as_bytes().to_vec())));
            Self { headers: headers.collect(), payload: sealed.payload().map(<[u8]>::to_vec) }
        }

        fn open(&self, opener: &mut Opener) -> Result<Opened, NotOpened> {
            opener.open(&self.headers, self.payload.as_deref())
        }

        fn header(&mut self, name: &str) -> &mut Vec<u8> {
            let found = self.headers.iter_mut().find(|(this, _)| this == name.as_bytes());
            found.unwrap().1.as_mut().unwrap()
        }
    }

    fn key() -> PrivateKey {
        PrivateKey::generate().unwrap()
    }

    fn malformed() -> Withheld<'static> {
        Withheld { reason: Reason::Malformed, tenant: Some("acme") }
    }

    fn record<'a>(
        key: Option<&'a [u8]>,
        value: Option<&'a [u8]>,
        headers: &'a OwnedHeaders,
    ) -> Record<'a> {
        Record {
            topic: "raw.web",
            partition: 3,
            offset: 1_234,
            timestamp_ms: Some(-5),
            key: key.map(Raw::new),
            value: value.map(Raw::new),
            headers,
        }
    }

    fn canaries() -> OwnedHeaders {
        vec![(b"canary-name".to_vec(), Some(b"canary-header".to_vec())), (b"bare".to_vec(), None)]
    }

    /// One message with everything in it.
    fn message(sealer: &mut Sealer) -> Message {
        let headers = canaries();
        let record = record(Some(b"canary-key"), Some(b"canary-value"), &headers);
        Message::of(&sealer.seal("web", &record, &malformed()))
    }

    #[test]
    fn what_was_sealed_opens_whole() {
        let key = key();
        let sealed = message(&mut Sealer::new(Some(&key.public())));
        let opened = sealed.open(&mut Opener::new(&key)).unwrap();
        let clear = opened.clear();
        assert_eq!((clear.reason.as_str(), clear.route.as_str()), ("malformed", "web"));
        assert_eq!(clear.tenant.as_deref(), Some("acme"));
        assert_eq!((clear.topic.as_str(), clear.partition, clear.offset), ("raw.web", 3, 1_234));
        assert_eq!(opened.timestamp_ms(), Some(-5));
        assert_eq!(opened.key(), Some(&b"canary-key"[..]));
        assert_eq!(opened.value(), Some(&b"canary-value"[..]));
        let headers: Vec<_> = opened.headers().collect();
        assert_eq!(headers[0], (&b"canary-name"[..], Some(&b"canary-header"[..])));
        assert_eq!(headers[1], (&b"bare"[..], None));
        assert_eq!(format!("{opened:?}"), format!("Opened({} bytes)", opened.plain_len()));
    }

    #[test]
    fn nothing_of_the_record_stands_in_the_clear() {
        for key in [Some(key().public()), None] {
            let sealed = message(&mut Sealer::new(key.as_ref()));
            let mut all = sealed.payload.unwrap_or_default();
            for (name, value) in sealed.headers {
                all.extend(name.into_iter().chain(value.unwrap_or_default()));
            }
            assert!(memchr::memmem::find(&all, b"canary").is_none());
        }
    }

    #[test]
    fn without_a_key_the_payload_is_left_out() {
        let mut sealed = message(&mut Sealer::new(None));
        assert_eq!(sealed.payload, None);
        assert_eq!(sealed.header("limpid-seal"), b"none");
        let not = sealed.open(&mut Opener::new(&key())).unwrap_err();
        assert_eq!(not, NotOpened::NoPayload);
    }

    #[test]
    fn a_tenant_without_a_policy_is_not_named() {
        let mut sealer = Sealer::new(None);
        message(&mut sealer);
        let withheld = Withheld { reason: Reason::Tenant, tenant: None };
        let headers = OwnedHeaders::new();
        let sealed = sealer.seal("web", &record(None, None, &headers), &withheld);
        assert!(sealed.headers().iter().all(|(name, _)| *name != "limpid-tenant"));
        assert_eq!(sealed.headers().len(), 6);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let key = key();
        let sealed = message(&mut Sealer::new(Some(&key.public())));
        let mut opener = Opener::new(&key);
        for bit in 0..sealed.payload.as_ref().unwrap().len() * 8 {
            let mut flipped = sealed.clone();
            flipped.payload.as_mut().unwrap()[bit / 8] ^= 1 << (bit % 8);
            assert!(flipped.open(&mut opener).is_err(), "bit {bit}");
        }
        assert!(sealed.open(&mut opener).is_ok());
    }

    #[test]
    fn metadata_cannot_be_exchanged() {
        let key = key();
        let sealed = message(&mut Sealer::new(Some(&key.public())));
        let mut opener = Opener::new(&key);
        let names = ["reason", "route", "tenant", "topic", "partition", "offset"];
        for name in names.map(|name| format!("limpid-{name}")) {
            let mut edited = sealed.clone();
            *edited.header(&name) = b"7".to_vec();
            assert_eq!(edited.open(&mut opener).unwrap_err(), NotOpened::Broken, "{name}");
            let mut without = sealed.clone();
            without.headers.retain(|(this, _)| this != name.as_bytes());
            assert!(without.open(&mut opener).is_err(), "{name}");
            let mut twice = sealed.clone();
            twice.headers.push((name.clone().into_bytes(), Some(b"7".to_vec())));
            assert_eq!(twice.open(&mut opener).unwrap_err(), NotOpened::Foreign, "{name}");
        }
        let mut respelt = sealed.clone();
        *respelt.header("limpid-offset") = b"+1234".to_vec();
        assert_eq!(respelt.open(&mut opener).unwrap_err(), NotOpened::Broken);
    }

    #[test]
    fn payloads_of_two_records_cannot_be_exchanged() {
        let key = key();
        let mut sealer = Sealer::new(Some(&key.public()));
        let headers = OwnedHeaders::new();
        let mut first = record(None, Some(b"one"), &headers);
        let one = Message::of(&sealer.seal("web", &first, &malformed()));
        first.offset += 1;
        let two = Message::of(&sealer.seal("web", &first, &malformed()));
        let swapped = Message { headers: one.headers, payload: two.payload };
        assert_eq!(swapped.open(&mut Opener::new(&key)).unwrap_err(), NotOpened::Broken);
    }

    #[test]
    fn another_key_and_another_format_are_told_apart() {
        let (key, other) = (key(), key());
        let mut sealed = message(&mut Sealer::new(Some(&key.public())));
        let mut opener = Opener::new(&key);
        assert_eq!(sealed.open(&mut Opener::new(&other)).unwrap_err(), NotOpened::OtherKey);
        sealed.payload.as_mut().unwrap()[0] = 2;
        assert_eq!(sealed.open(&mut opener).unwrap_err(), NotOpened::UnknownFormat);
        sealed.payload.as_mut().unwrap().truncate(9);
        assert_eq!(sealed.open(&mut opener).unwrap_err(), NotOpened::UnknownFormat);
        sealed.headers.clear();
        assert_eq!(sealed.open(&mut opener).unwrap_err(), NotOpened::Foreign);
    }

    #[test]
    fn no_nonce_is_used_twice_under_a_key() {
        let key = key();
        let headers = OwnedHeaders::new();
        let record = record(None, None, &headers);
        let mut seen = std::collections::HashSet::new();
        // Two sealers (two lanes, or a restart), one of them past a renewal.
        for records in [70_000, 10] {
            let mut sealer = Sealer::new(Some(&key.public()));
            for _ in 0..records {
                let sealed = sealer.seal("web", &record, &malformed());
                // Encapsulated key and counter: content key and nonce follow from nothing else.
                let identity: [u8; 40] = sealed.payload().unwrap()[9..49].try_into().unwrap();
                assert!(seen.insert(identity));
            }
        }
        let keys: std::collections::HashSet<_> = seen.iter().map(|id| &id[..32]).collect();
        assert_eq!(keys.len(), 3);
    }

    #[test]
    fn sealing_keeps_its_buffers() {
        let key = key();
        let mut sealer = Sealer::new(Some(&key.public()));
        message(&mut sealer);
        let before = sealer.buffers();
        for _ in 0..100 {
            message(&mut sealer);
        }
        assert_eq!(sealer.buffers(), before);
    }

    /// A message sealed when the format was made. It must open for ever.
    #[test]
    fn the_first_message_still_opens() {
        let text = include_str!("../../tests/vectors/quarantine-v1.json");
        let vector: serde_json::Value = serde_json::from_str(text).unwrap();
        let key = PrivateKey::from_text(vector["private_key"].as_str().unwrap()).unwrap();
        let bytes = |text: &serde_json::Value| BASE64.decode(text.as_str()?.as_bytes()).ok();
        let headers = vector["headers"].as_object().unwrap().iter();
        let headers = headers.map(|(name, value)| {
            (name.clone().into_bytes(), Some(value.as_str().unwrap().as_bytes().to_vec()))
        });
        let sealed = Message { headers: headers.collect(), payload: bytes(&vector["payload"]) };
        assert_eq!(key.public().to_string(), vector["public_key"].as_str().unwrap());

        let opened = sealed.open(&mut Opener::new(&key)).unwrap();
        let record = &vector["record"];
        assert_eq!(opened.timestamp_ms(), record["timestamp_ms"].as_i64());
        assert_eq!(opened.key(), bytes(&record["key"]).as_deref());
        assert_eq!(opened.value(), bytes(&record["value"]).as_deref());
        let headers = record["headers"].as_array().unwrap();
        assert_eq!(opened.headers().count(), headers.len());
        for ((name, value), expected) in opened.headers().zip(headers) {
            assert_eq!(Some(name), bytes(&expected["name"]).as_deref());
            assert_eq!(value, bytes(&expected["value"]).as_deref());
        }
    }

    fn optional_bytes() -> impl Strategy<Value = Option<Vec<u8>>> {
        proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_record_comes_back(
            key_bytes in optional_bytes(),
            value in optional_bytes(),
            headers in proptest::collection::vec(
                (proptest::collection::vec(any::<u8>(), 0..20), optional_bytes()), 0..4),
            timestamp_ms in any::<Option<i64>>(),
            (partition, offset) in any::<(i32, i64)>(),
            (topic, route) in ("\\PC{0,20}", "\\PC{0,20}"),
            tenant in proptest::option::of("\\PC{0,20}"),
            reason in proptest::sample::select(&Reason::ALL[..]),
        ) {
            let key = key();
            let record = Record {
                partition, offset, timestamp_ms, topic: &topic,
                ..record(key_bytes.as_deref(), value.as_deref(), &headers)
            };
            let withheld = Withheld { reason, tenant: tenant.as_deref() };
            let mut sealer = Sealer::new(Some(&key.public()));
            let sealed = Message::of(&sealer.seal(&route, &record, &withheld));
            let opened = sealed.open(&mut Opener::new(&key)).unwrap();
            prop_assert_eq!(opened.key(), key_bytes.as_deref());
            prop_assert_eq!(opened.value(), value.as_deref());
            prop_assert_eq!(opened.timestamp_ms(), timestamp_ms);
            let back: OwnedHeaders =
                opened.headers().map(|(n, v)| (n.to_vec(), v.map(<[u8]>::to_vec))).collect();
            prop_assert_eq!(back, headers);
            let clear = opened.clear();
            prop_assert_eq!(&clear.reason, reason.name());
            prop_assert_eq!(&clear.tenant, &tenant);
            prop_assert_eq!((&clear.topic, &clear.route), (&topic, &route));
            prop_assert_eq!((clear.partition, clear.offset), (partition, offset));
        }
    }

    /// Makes the vector. Kept so that a version 2 can make its own; version 1's is never remade.
    #[test]
    fn a_vector_made_now_has_the_shape_of_the_first() {
        let vector = make_vector();
        let first: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/vectors/quarantine-v1.json")).unwrap();
        let length = |vector: &serde_json::Value| vector["payload"].as_str().map(str::len);
        assert_eq!(length(&vector), length(&first));
        assert_eq!(vector["record"], first["record"]);
    }

    fn make_vector() -> serde_json::Value {
        let key = key();
        let headers = vec![
            (b"trace".to_vec(), Some(b"00-4bf92f3577b34da6".to_vec())),
            (b"trace".to_vec(), None),
            (vec![0xff], Some(Vec::new())),
        ];
        let record = record(Some(b"user-42"), Some(b"{\"email\": \"ada@example.org\""), &headers);
        let record = Record { timestamp_ms: Some(1_795_478_400_123), ..record };
        let mut sealer = Sealer::new(Some(&key.public()));
        let sealed = sealer.seal("web", &record, &malformed());
        let named =
            |(name, value): &(&'static str, String)| (name.to_string(), value.clone().into());
        let text = |bytes: Option<&[u8]>| bytes.map(|bytes| BASE64.encode(bytes));
        let headers = headers.iter().map(|(name, value)| {
            serde_json::json!({"name": text(Some(name)), "value": text(value.as_deref())})
        });
        serde_json::json!({
            "private_key": *key.written(),
            "public_key": key.public().to_string(),
            "headers": serde_json::Map::from_iter(sealed.headers().iter().map(named)),
            "payload": text(sealed.payload()),
            "record": {
                "timestamp_ms": record.timestamp_ms,
                "key": text(record.key.map(Raw::expose)),
                "value": text(record.value.map(Raw::expose)),
                "headers": headers.collect::<Vec<_>>(),
            },
        })
    }
}
