"""google-auth with a credentials file of ours, as call credentials over TLS.

Prints a line for each call. tests/it/tls.rs runs it against a real server.
"""

import argparse
import json
import pathlib

import google.auth.jwt
import google.auth.transport.grpc
import grpc
from google.oauth2 import service_account
from sign_client import SERVICE, load_stubs


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--proto", required=True)
    arguments.add_argument("--credentials", required=True)
    arguments.add_argument("--target", required=True)
    arguments.add_argument("--ca", required=True)
    arguments = arguments.parse_args()
    _folder, pb = load_stubs(arguments.proto)
    path, target = arguments.credentials, arguments.target
    assert "endpoint" in json.loads(pathlib.Path(path).read_text()), "the file as bootstrap wrote it"

    # Three ways to the same self-signed JWT: one audience for all, one for each service, and
    # that of google.oauth2, which makes it from the host.
    jwt = google.auth.jwt
    kinds = {
        "jwt.Credentials": jwt.Credentials.from_service_account_file(path, audience=f"https://{target}/"),
        "jwt.OnDemandCredentials": jwt.OnDemandCredentials.from_service_account_file(path),
        "service_account.Credentials": service_account.Credentials.from_service_account_file(
            path, always_use_jwt_access=True
        ),
    }
    tls = grpc.ssl_channel_credentials(pathlib.Path(arguments.ca).read_bytes())
    for name, credentials in kinds.items():
        # No request object: nothing is fetched from anywhere.
        plugin = google.auth.transport.grpc.AuthMetadataPlugin(credentials, None, default_host=target)
        channel = grpc.secure_channel(
            target, grpc.composite_channel_credentials(tls, grpc.metadata_call_credentials(plugin))
        )
        verify = channel.unary_unary(
            SERVICE + "VerifyKey",
            request_serializer=pb.VerifyKeyRequest.SerializeToString,
            response_deserializer=pb.VerifyKeyResponse.FromString,
        )
        answer = verify(pb.VerifyKeyRequest(secret="not a key"), timeout=30)
        print(f"{name} verifies: {pb.Verdict.Name(answer.verdict)}")
        watch = channel.unary_stream(
            SERVICE + "WatchRevocations",
            request_serializer=pb.WatchRevocationsRequest.SerializeToString,
            response_deserializer=pb.WatchRevocationsResponse.FromString,
        )
        stream = watch(pb.WatchRevocationsRequest(), timeout=30)
        print(f"{name} watches: {next(stream).WhichOneof('item')}")
        stream.cancel()


if __name__ == "__main__":
    main()
