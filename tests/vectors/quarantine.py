"""Opens quarantine-v1.json from the written format alone (docs/QUARANTINE.md), without limpid's code.
    pip install blake3 cryptography && python3 quarantine.py quarantine-v1.json"""
import base64, hmac, json, struct, sys
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

def key_bytes(text, prefix):
    assert text.startswith(prefix)
    digits = text[len(prefix):].upper()
    raw = base64.b32hexdecode(digits + "=" * (-len(digits) % 8))
    assert blake3(prefix.encode() + raw[:32]).digest()[:4] == raw[32:], "checksum"
    return raw[:32]

# RFC 9180, base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305.
KEM, SUITE = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x03"
def hmac256(key, data): return hmac.new(key, data, "sha256").digest()
def extract(suite, salt, label, ikm): return hmac256(salt, b"HPKE-v1" + suite + label + ikm)
def expand(suite, prk, label, info):  # 32 bytes: one block of HKDF is enough
    return hmac256(prk, b"\x00\x20HPKE-v1" + suite + label + info + b"\x01")

def content_key(private, encapsulated, public):
    dh = private.exchange(X25519PublicKey.from_public_bytes(encapsulated))
    shared = expand(KEM, extract(KEM, b"", b"eae_prk", dh), b"shared_secret", encapsulated + public)
    context = b"\x00" + extract(SUITE, b"", b"psk_id_hash", b"")
    context += extract(SUITE, b"", b"info_hash", b"limpid quarantine v1")
    secret = extract(SUITE, shared, b"secret", b"")
    return expand(SUITE, expand(SUITE, secret, b"exp", context), b"sec", b"content")

def text(value): return b"\x00" if value is None else b"\x01" + struct.pack("<I", len(value)) + value

def take(plain, form):
    values = struct.unpack_from(form, plain)
    return values[0], plain[struct.calcsize(form):]
def take_bytes(plain):
    length, plain = take(plain, "<I")
    return plain[:length], plain[length:]
def take_optional(plain):
    present, plain = take(plain, "<B")
    return take_bytes(plain) if present else (None, plain)

vector = json.load(open(sys.argv[1]))
private = X25519PrivateKey.from_private_bytes(key_bytes(vector["private_key"], "limpid-prv1-"))
public = key_bytes(vector["public_key"], "limpid-pub1-")
assert private.public_key().public_bytes_raw() == public
payload, headers = base64.b64decode(vector["payload"]), vector["headers"]
prefix, sealed = payload[:49], payload[49:]
version, key_id, encapsulated, counter = prefix[0], prefix[1:9], prefix[9:41], prefix[41:49]
assert version == 1 and headers["limpid-seal"] == "v1:" + key_id.hex()
assert key_id == blake3(public, derive_key_context="limpid quarantine key id v1").digest()[:8]
names = ["reason", "route", "topic", "partition", "offset", "tenant"]
clear = [headers.get("limpid-" + name) for name in names]
associated = prefix + b"".join(text(value and value.encode()) for value in clear)
cipher = ChaCha20Poly1305(content_key(private, encapsulated, public))
plain = cipher.decrypt(b"\x00" * 4 + counter, sealed, associated)
timed, plain = take(plain, "<B")
at, plain = take(plain, "<q")
key, plain = take_optional(plain)
value, plain = take_optional(plain)
count, plain = take(plain, "<I")
pairs = []
for _ in range(count):
    name, plain = take_bytes(plain)
    header, plain = take_optional(plain)
    pairs.append({"name": name, "value": header})
assert plain == b""
coded = lambda raw: None if raw is None else base64.b64encode(raw).decode()
record = {"timestamp_ms": at if timed else None, "key": coded(key), "value": coded(value),
          "headers": [{name: coded(raw) for name, raw in pair.items()} for pair in pairs]}
assert record == vector["record"], record
print("opened:", value.decode())
