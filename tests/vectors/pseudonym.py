"""Makes pseudonym-v1.json from the written format alone (docs/KEYS.md), without limpid's code.
    pip install blake3 && python3 pseudonym.py > pseudonym-v1.json"""
import base64, decimal, json, struct
from blake3 import blake3

def canonical(value):
    kind, spelling = value
    if kind == "text": return spelling.encode()
    if not set(spelling) & set(".eE"): return str(int(spelling)).encode()
    sign, digits, exponent = decimal.Decimal(spelling).as_tuple()
    digits = "".join(map(str, digits)).lstrip("0")
    shorter = digits.rstrip("0")
    exponent, digits = exponent + len(digits) - len(shorter), shorter
    if not digits: return b"0"
    minus, point = "-" * sign, len(digits) + exponent
    if abs(point) <= 40 and len(digits) - point <= 40:
        return (minus + format(decimal.Decimal(f"{digits}e{exponent}"), "f")).encode()
    return f"{minus}{digits[0]}{'.' * (len(digits) > 1)}{digits[1:]}e{point - 1}".encode()

def vector(secret, tenant, length, at, value, prefix):
    name = tenant.encode()
    epoch = struct.pack("<Qq", length, at // length if length else 0)
    material = secret + struct.pack("<I", len(name)) + name + epoch
    key = blake3(material, derive_key_context="limpid pseudonym v1").digest()
    shown = blake3(canonical(value), key=key).digest()[:16]
    text = base64.b32hexencode(shown).decode().lower().rstrip("=")
    return {"secret": secret.hex(), "tenant": tenant, "epoch_ms": length, "timestamp_ms": at,
            value[0]: value[1], "prefix": prefix, "pseudonym": prefix + text}

DAY, NOW, A, B = 86_400_000, 1_795_478_400_123, bytes(range(32)), bytes(range(32, 64))
texts = [("text", t) for t in ["42", "", "ada@example.org", "Zoë \U0001f600", "-0", "a" * 2000]]
numbers = [("number", n) for n in ["42", "42.0", "4.2e1", "-0", "-0.0", "-1.50", "15e-4", "1e39",
           "1e40", "1e400", "150e-302", "9" * 60, "12345678901234567890.125", "1E+3"]]
sources = [(A, "acme", 30 * DAY, NOW), (A, "acme", 30 * DAY, NOW + 30 * DAY), (A, "globex", 0, NOW),
           (B, "acme", DAY, -1), (B, "bücher", DAY, 0)]
vectors = [vector(*s, v, "u_" if i % 2 else "") for i, s in enumerate(sources) for v in texts + numbers]
print("[\n" + ",\n".join(json.dumps(v) for v in vectors) + "\n]")
