"""Makes tokens-v1.json from the written formats alone (docs/KEYS.md), without limpid's code.
    pip install blake3 cryptography && python3 tokens.py > tokens-v1.json"""
import base64, json, struct
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

def ff1(key, tweak, digits):
    n, u, a, b = len(digits), len(digits) // 2, digits[: len(digits) // 2], digits[len(digits) // 2 :]
    size = ((10 ** (n - u) - 1).bit_length() + 7) // 8
    p = bytes([1, 2, 1, 0, 0, 10, 10, u]) + struct.pack(">II", n, len(tweak))
    for i in range(10):
        q = tweak + bytes((-len(tweak) - size - 1) % 16) + bytes([i]) + int(b).to_bytes(size, "big")
        r = Cipher(algorithms.AES(key), modes.CBC(bytes(16))).encryptor().update(p + q)[-16:]
        y, m = int.from_bytes(r[: 4 * ((size + 3) // 4) + 4], "big"), u if i % 2 == 0 else n - u
        a, b = b, str((int(a) + y) % 10**m).zfill(m)
    return a + b

def vector(secret, tenant, length, at, kind, text):
    name, number = tenant.encode(), at // length if length else 0
    material = secret + struct.pack("<I", len(name)) + name + struct.pack("<Qq", length, number)
    key = blake3(material, derive_key_context="limpid tokenize v1").digest(length=64)
    head = blake3(secret, derive_key_context="limpid secret id v1").digest()[:4]
    head += length.to_bytes(6, "big") + struct.pack(">q", number)
    sealed = AESSIV(key).encrypt(kind[0].encode() + text.encode(), [b"limpid token v1", name, head])
    token = "tok1_" + base64.urlsafe_b64encode(head + sealed).decode().rstrip("=")
    made = {"secret": secret.hex(), "tenant": tenant, "epoch_ms": length, "timestamp_ms": at,
            "kind": "text" if kind == "s" else "number", "value": text, "token": token}
    if kind == "s" and text.isdigit():
        key = blake3(material, derive_key_context="limpid encrypt_digits v1").digest()
        made |= {"digits": ff1(key, b"", text), "digits_behind_4": text[:4] + ff1(key, text[:4].encode(), text[4:])}
    return made

DAY, A, B = 86_400_000, bytes(range(32)), bytes(range(32, 64))
sources = [(A, "acme", 30 * DAY, 1_795_478_400_123), (A, "globex", 0, 5), (B, "bücher", DAY, -1)]
values = [("s", "4111111111111111"), ("s", "0123456789"), ("s", "012345678901234567890123456789012345"),
          ("s", ""), ("s", "Zoë \U0001f600"), ("n", "42"), ("n", "-1.50e400"), ("s", "a" * 1024)]
print("[\n" + ",\n".join(json.dumps(vector(*s, *v)) for s in sources for v in values) + "\n]")
