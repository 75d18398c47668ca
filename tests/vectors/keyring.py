"""Makes keyring-v1.json from the written format alone (docs/KEYS.md), without limpid's code: a keyring
in its two forms, and what its secrets make at which record time. null: the record is withheld.
    pip install blake3 && python3 keyring.py > keyring-v1.json"""
import base64, datetime, json, struct
from blake3 import blake3

ONE, TWO, THREE = (blake3(f"vector {n}".encode()).digest() for n in (1, 2, 3))
KEYRING = f"""# the first form: one secret, for ever
"old": {{secret: "{ONE.hex()}", created: 2026-01-10}}
new:
  - {{secret: {base64.b64encode(TWO).decode()}, created: 2026-01-10}}
  - {{destroyed: 2026-11-24, from: 2026-03-01}}
  - {{secret: "{THREE.hex()}", created: 2026-05-20, from: "2026-06-01T00:30:00+02:00"}}
"""

def ms(text):
    return int(datetime.datetime.fromisoformat(text).timestamp() * 1000)

ROWS = {"old": [(None, ONE)],
        "new": [(None, TWO), (ms("2026-03-01T00:00:00+00:00"), None), (ms("2026-05-31T22:30:00+00:00"), THREE)]}

def pseudonym(name, tenant, length, at, text):
    secret = [secret for begin, secret in ROWS[name] if begin is None or begin <= at][-1]
    if secret is None: return None
    epoch = struct.pack("<Qq", length, at // length if length else 0)
    material = secret + struct.pack("<I", len(tenant)) + tenant.encode() + epoch
    key = blake3(material, derive_key_context="limpid pseudonym v1").digest()
    shown = blake3(text.encode(), key=key).digest()[:16]
    return base64.b32hexencode(shown).decode().lower().rstrip("=")

TIMES = [0, -1, ms("2026-02-28T23:59:59.999+00:00"), ms("2026-03-01T00:00:00+00:00"),
         ms("2026-05-31T22:29:59.999+00:00"), ms("2026-05-31T22:30:00+00:00"), ms("2030-01-01T00:00:00+00:00")]
vectors = [{"name": name, "tenant": "acme", "epoch_ms": length, "timestamp_ms": at, "text": "ada",
            "pseudonym": pseudonym(name, "acme", length, at, "ada")}
           for name in ROWS for length in (0, 30 * 86_400_000) for at in TIMES]
lines = ",\n".join(json.dumps(v) for v in vectors)
print('{"keyring": ' + json.dumps(KEYRING) + ', "vectors": [\n' + lines + "\n]}")
