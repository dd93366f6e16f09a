"""A client that signs by hand, written from the rules in docs/signing.md and nothing else.

Prints a line for each thing that it did. tests/it/clients.rs runs it against a real server.
"""

import argparse
import base64
import hashlib
import json
import os
import pathlib
import secrets
import sys
import tempfile
import time

import grpc
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from google.protobuf import any_pb2
from grpc_tools import protoc

SERVICE = "/portcullis.v1.KeyService/"


def load_stubs(proto):
    """Makes Python's message classes from the protos, in a folder of their own."""
    folder = tempfile.TemporaryDirectory()
    files = [str(path) for path in pathlib.Path(proto).glob("portcullis/v1/*.proto")]
    arguments = ["protoc", f"--proto_path={proto}", f"--python_out={folder.name}", *files]
    include = pathlib.Path(protoc.__file__).parent / "_proto"
    if protoc.main([*arguments, f"--proto_path={include}"]) != 0:
        sys.exit("the protos do not compile")
    sys.path.insert(0, folder.name)
    from portcullis.v1 import key_service_pb2

    return folder, key_service_pb2


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Signer:
    def __init__(self, path):
        self.file = json.loads(pathlib.Path(path).read_text())
        self.key = serialization.load_pem_private_key(self.file["private_key"].encode(), password=None)

    def sign(self, text):
        return self.key.sign(text, padding.PKCS1v15(), hashes.SHA256())

    def headers(self, path, message, timestamp=None):
        """The signed request: four headers over these bytes."""
        timestamp = str(timestamp or int(time.time()))
        nonce = secrets.token_urlsafe(18)
        kid = self.file["private_key_id"]
        lines = [
            "PORTCULLIS1-RSA-SHA256",
            self.file["audience"],
            "POST",
            path,
            timestamp,
            nonce,
            kid,
            hashlib.sha256(message).hexdigest(),
        ]
        text = "".join(line + "\n" for line in lines)
        return (
            ("x-portcullis-kid", kid),
            ("x-portcullis-timestamp", timestamp),
            ("x-portcullis-nonce", nonce),
            ("x-portcullis-signature", base64.b64encode(self.sign(text.encode())).decode()),
        )

    def token(self):
        """The signed token: a JWT of ten minutes."""
        now = int(time.time())
        email = self.file["client_email"]
        header = {"alg": "RS256", "typ": "JWT", "kid": self.file["private_key_id"]}
        claims = {"iss": email, "sub": email, "aud": self.file["audience"], "iat": now, "exp": now + 600}
        signed = ".".join(b64url(json.dumps(part).encode()) for part in (header, claims))
        return (("authorization", f"Bearer {signed}.{b64url(self.sign(signed.encode()))}"),)


def send(channel, method, message, metadata, answer):
    """Sends these very bytes: they are what was signed."""
    call = channel.unary_unary(SERVICE + method, request_serializer=None, response_deserializer=answer.FromString)
    return call(message, metadata=metadata, timeout=30)


def refused(what, call):
    """Prints the code and the ErrorInfo's reason that a call is refused with."""
    try:
        call()
    except grpc.RpcError as error:
        print(f"{what}: {error.code().name} {reason(error)}")
    else:
        sys.exit(f"{what}: was not refused")


def reason(error):
    details = dict(error.trailing_metadata())["grpc-status-details-bin"]
    # google.rpc.Status has its details in field 3; ErrorInfo has its reason in field 1.
    for any_bytes in fields(details, 3):
        packed = any_pb2.Any.FromString(any_bytes)
        if packed.type_url.endswith("/google.rpc.ErrorInfo"):
            return fields(packed.value, 1)[0].decode()
    sys.exit("an error without a reason")


def fields(message, wanted):
    """The length-delimited values of one field."""
    found, at = [], 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        tag = varint()
        value = varint()
        if tag & 7 == 2:
            if tag >> 3 == wanted:
                found.append(message[at : at + value])
            at += value
    return found


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--proto", required=True)
    arguments.add_argument("--application", required=True)
    arguments = arguments.parse_args()
    _folder, pb = load_stubs(arguments.proto)
    signer = Signer(os.environ["PORTCULLIS_CREDENTIALS"])
    channel = grpc.insecure_channel(os.environ["PORTCULLIS_ENDPOINT"].removeprefix("http://"))

    def signed(method, request, answer):
        message = request.SerializeToString()
        return send(channel, method, message, signer.headers(SERVICE + method, message), answer)

    def verify(proof):
        message = pb.VerifyKeyRequest(secret=made.secret, required_permissions=["tasks:read"]).SerializeToString()
        metadata = signer.token() if proof == "token" else signer.headers(SERVICE + "VerifyKey", message)
        answer = send(channel, "VerifyKey", message, metadata, pb.VerifyKeyResponse)
        print(f"verified by {proof}: {pb.Verdict.Name(answer.verdict)}")

    create = pb.CreateKeyRequest(application_id=arguments.application, name="py ✓", permissions=["tasks:read"])
    made = signed("CreateKey", create, pb.CreateKeyResponse)
    print("created")
    verify("token")
    verify("signature")

    watch = channel.unary_stream(
        SERVICE + "WatchRevocations",
        request_serializer=pb.WatchRevocationsRequest.SerializeToString,
        response_deserializer=pb.WatchRevocationsResponse.FromString,
    )
    stream = watch(pb.WatchRevocationsRequest(), metadata=signer.token(), timeout=30)
    assert next(stream).HasField("bookmark"), "the first item is a bookmark"

    revoke = pb.RevokeKeyRequest(application_id=arguments.application, key_id=made.key.key_id)
    signed("RevokeKey", revoke, pb.RevokeKeyResponse)
    print("revoked")
    verify("token")
    revocation = next(item.revocation for item in stream if item.HasField("revocation"))
    assert revocation.secret_sha256 == hashlib.sha256(made.secret.encode()).digest(), "of this key"
    causes = revocation.DESCRIPTOR.fields_by_name["cause"].enum_type.values_by_number
    print("watched:", causes[revocation.cause].name)
    stream.cancel()

    message = create.SerializeToString()
    headers = signer.headers(SERVICE + "CreateKey", message)
    send(channel, "CreateKey", message, headers, pb.CreateKeyResponse)
    refused("replay", lambda: send(channel, "CreateKey", message, headers, pb.CreateKeyResponse))
    headers = signer.headers(SERVICE + "CreateKey", message)
    other = message.replace(b"tasks:read", b"tasks:edit")
    refused("other bytes", lambda: send(channel, "CreateKey", other, headers, pb.CreateKeyResponse))
    headers = signer.headers(SERVICE + "CreateKey", message, timestamp=int(time.time() * 1000))
    refused("milliseconds", lambda: send(channel, "CreateKey", message, headers, pb.CreateKeyResponse))
    refused("mutation by token", lambda: send(channel, "CreateKey", message, signer.token(), pb.CreateKeyResponse))


if __name__ == "__main__":
    main()
