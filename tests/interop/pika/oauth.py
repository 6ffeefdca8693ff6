"""pika with OAuth 2.0 tokens that PyJWT makes, in the place of passwords. Starts a broker of its own (LEVERET_BIN), which trusts its keys."""

import json
import os
import re
import subprocess
import tempfile
import time

import jwt
import pika
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from pika.exceptions import AMQPConnectionError, ChannelClosedByBroker, ConnectionClosedByBroker

from harness import WAIT_SECONDS, client, equal, holds, name

QUEUE = name("oauth")
# The key's id, how it signs, the key, and how it is written down.
KEYS = [
    ("rsa", "RS256", rsa.generate_private_key(public_exponent=65537, key_size=2048), RSAAlgorithm),
    ("ec", "ES256", ec.generate_private_key(ec.SECP256R1()), ECAlgorithm),
    ("ed", "EdDSA", ed25519.Ed25519PrivateKey.generate(), OKPAlgorithm),
]


def jwks():
    """The public keys as RFC 7517 has them."""
    keys = [kind.to_jwk(key.public_key(), as_dict=True) | {"kid": kid, "alg": algorithm, "use": "sig"}
            for kid, algorithm, key, kind in KEYS]
    return json.dumps({"keys": keys})


def token(kid="rsa", key=None, algorithm=None, seconds=600, **claims):
    """A token of alice, who may do everything with this run's queue; claims that are None are left out."""
    _, its_algorithm, its_key, _ = next((known for known in KEYS if known[0] == kid), KEYS[0])
    own = {
        "sub": "alice", "aud": ["interop", "somebody else"], "iat": int(time.time()), "exp": int(time.time()) + seconds,
        "scope": f"openid interop.configure:%2F/{QUEUE} interop.write:%2F/{QUEUE} "
                 f"interop.write:%2F/amq.default interop.read:%2F/{QUEUE}",
    }
    own = {claim: value for claim, value in (own | claims).items() if value is not None}
    signing = None if algorithm == "none" else key or its_key
    return jwt.encode(own, signing, algorithm or its_algorithm, headers={"kid": kid})


def connect(address, secret):
    """A connection with a token for a password."""
    host, port = address.split(":")
    credentials = pika.PlainCredentials("whoever", secret)
    return pika.BlockingConnection(pika.ConnectionParameters(
        host, int(port), credentials=credentials, socket_timeout=WAIT_SECONDS, blocked_connection_timeout=WAIT_SECONDS,
    ))


def works(connection):
    """Whether a message goes through this run's queue and back."""
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare(QUEUE)
    channel.basic_publish("", QUEUE, b"m")
    method, _, body = channel.basic_get(QUEUE, auto_ack=True)
    channel.close()
    return method is not None and body == b"m"


def let_in(address):
    """Tokens that count, and what they permit."""
    for kid, algorithm, _, _ in KEYS:
        connection = connect(address, token(kid))
        holds(f"a token signed by {algorithm} lets in and permits what its scopes say", works(connection))
        connection.close()
    connection = connect(address, token(exp=None))
    holds("a token without exp never expires", works(connection))
    try:
        connection.channel().queue_declare(name("other"))
    except ChannelClosedByBroker as error:
        equal("what no scope permits is refused", (error.reply_code, "for user 'alice'" in error.reply_text), (403, True))
    else:
        raise SystemExit("no scope permits this queue, and it was declared")
    connection.close()


def shut_out(address):
    """Tokens that do not count."""
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    modulus = json.loads(jwks())["keys"][0]["n"]
    for what, secret in [
        ("an expired token", token(seconds=-60)),
        ("a token for another audience", token(aud="somebody else")),
        ("a token that does not count yet", token(nbf=int(time.time()) + 600)),
        ("a token without a user", token(sub=None)),
        ("a token that another key has signed", token(key=stranger)),
        ("a token of a key that nobody knows", token("unknown", key=stranger, algorithm="RS256")),
        ("a token that names another key's id", token("ec", key=KEYS[0][2], algorithm="RS256")),
        ("a token that nobody has signed", token(algorithm="none")),
        ("a token for which a public key was taken as a secret", token(key=modulus, algorithm="HS256")),
        ("a token that was changed", token()[:-8] + "AAAAAAAA"),
    ]:
        try:
            connect(address, secret)
        except AMQPConnectionError as error:
            holds(f"{what} lets nobody in", "ACCESS_REFUSED" in repr(error) and "403" in repr(error))
        else:
            raise SystemExit(f"{what} has let somebody in")


def renewed(address):
    """update-secret renews a token; without it the connection ends when the token expires."""
    short = [connect(address, token(seconds=4)) for _ in range(2)]
    kept, left = short
    kept.update_secret(token(), "it expires")
    try:
        while True:
            left.process_data_events(WAIT_SECONDS)
    except ConnectionClosedByBroker as error:
        equal("an expired token ends its connection", (error.reply_code, error.reply_text),
              (320, "CONNECTION_FORCED - credential expired"))
    holds("one that was renewed goes on", works(kept))
    try:
        kept.update_secret(token(sub="bob"), "somebody else's")
        kept.process_data_events(WAIT_SECONDS)
    except ConnectionClosedByBroker as error:
        equal("another user's token renews nothing", error.reply_code, 530)
    else:
        raise SystemExit("another user's token was taken")


def main():
    """Runs the checks on a broker of this program's own."""
    client("pika-oauth", f"{pika.__version__}, PyJWT {jwt.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        keys, log = os.path.join(folder, "jwks.json"), os.path.join(folder, "stderr")
        with open(keys, "w", encoding="utf-8") as file:
            file.write(jwks())
        command = [
            os.environ["LEVERET_BIN"], "serve", "--amqp-listen", "127.0.0.1:0", "--data-dir", os.path.join(folder, "data"),
            "--oauth-resource-server-id", "interop", "--oauth-jwks-file", keys,
        ]
        with open(log, "w", encoding="utf-8") as stderr, subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True,
        ) as broker:
            try:
                address = re.search(r"amqp://([0-9.:]+)", broker.stdout.readline()).group(1)
                let_in(address)
                shut_out(address)
                renewed(address)
            except BaseException:
                with open(log, encoding="utf-8") as said:
                    print("".join(said.readlines()[-20:]))
                raise
            finally:
                broker.terminate()
        equal("the broker ends in order", broker.returncode, 0)


if __name__ == "__main__":
    main()
