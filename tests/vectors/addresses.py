"""Makes addresses-v1.json from the written formats alone (docs/KEYS.md), without limpid's code.
    pip install blake3 cryptography && python3 addresses.py > addresses-v1.json"""
import ipaddress, json, struct
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

def aes(key, block): return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)
def xor(a, b): return bytes(x ^ y for x, y in zip(a, b))

def prefix(key, wide, bits):
    flips = 0
    for i in range(128 - bits, 128):
        padded = ((1 << i) | (wide >> (128 - i))).to_bytes(16, "big")
        flips = flips << 1 | (aes(key[:16], padded)[15] ^ aes(key[16:], padded)[15]) & 1
    return (wide ^ flips) % 2**bits

def cryptopan(key, ip, bits):
    flips, pad = 0, int.from_bytes(aes(key[:16], key[16:]), "big")
    for i in range(bits):
        rest = 128 - i
        block = (ip >> (bits - i) << rest | pad % (1 << rest)).to_bytes(16, "big")
        flips = flips << 1 | aes(key[:16], block)[0] >> 7
    return ip ^ flips

def vector(secret, tenant, length, at, place, text):
    name, number = tenant.encode(), at // length if length else 0
    material = secret + struct.pack("<I", len(name)) + name + struct.pack("<Qq", length, number)
    def key(purpose, size):
        return blake3(material, derive_key_context=f"limpid encrypt_ip {purpose} v1").digest(length=size)
    ip = ipaddress.ip_address(text)
    wide = int(ip) if ip.version == 6 else 0xFFFF << 32 | int(ip)
    block, (topic, partition, offset, drawn) = wide.to_bytes(16, "big"), place
    place = struct.pack("<I", len(topic)) + topic.encode() + struct.pack("<iqI", partition, offset, drawn)
    tweak = blake3(place, key=key("tweak", 32)).digest()[:16]
    first, second = key("ndx", 32)[:16], key("ndx", 32)[16:]
    mask = aes(second, tweak)
    return {"secret": secret.hex(), "tenant": tenant, "epoch_ms": length, "timestamp_ms": at,
            "topic": topic, "partition": partition, "offset": offset, "drawn": drawn, "ip": text,
            "deterministic": str(ipaddress.IPv6Address(aes(key("deterministic", 16), block))),
            "prefix": str(type(ip)(prefix(key("prefix", 32), wide, ip.max_prefixlen))),
            "cryptopan": str(type(ip)(cryptopan(key("cryptopan", 32), int(ip), ip.max_prefixlen))),
            "nd_tweak": tweak[:8].hex(), "ndx": (tweak + xor(aes(first, xor(block, mask)), mask)).hex()}

DAY, A, B = 86_400_000, bytes(range(32)), bytes(range(32, 64))
sources = [(A, "acme", 30 * DAY, 1_795_478_400_123, ("raw", 7, 42, 0)), (B, "bücher", DAY, -1, ("", 0, -1, 3))]
vectors = [vector(*s, ip) for s in sources for ip in ["203.0.113.77", "0.0.0.0", "2001:db8::1", "::"]]
print("[\n" + ",\n".join(map(json.dumps, vectors)) + "\n]")
