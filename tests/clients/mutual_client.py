"""gRPC with a client certificate in place of a token.

Prints a line for each client: NAME.pem with NAME.key, and one without. tests/it/tls_programs.rs runs it against a real server.
"""

import argparse
import pathlib

import grpc
from sign_client import SERVICE, load_stubs, reason


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--proto", required=True)
    arguments.add_argument("--target", required=True)
    arguments.add_argument("--ca", required=True)
    arguments.add_argument("--secret", required=True)
    arguments.add_argument("names", nargs="*")
    arguments = arguments.parse_args()
    _folder, pb = load_stubs(arguments.proto)
    for name in [*arguments.names, None]:
        key, chain = [pathlib.Path(f"{name}.{end}").read_bytes() if name else None for end in ("key", "pem")]
        tls = grpc.ssl_channel_credentials(pathlib.Path(arguments.ca).read_bytes(), key, chain)
        with grpc.secure_channel(arguments.target, tls) as channel:
            verify = channel.unary_unary(
                SERVICE + "VerifyKey",
                request_serializer=pb.VerifyKeyRequest.SerializeToString,
                response_deserializer=pb.VerifyKeyResponse.FromString,
            )
            try:
                answer = verify(pb.VerifyKeyRequest(secret=arguments.secret), timeout=30)
                said = pb.Verdict.Name(answer.verdict)
            except grpc.RpcError as error:
                said = error.code().name
                if error.code() == grpc.StatusCode.UNAUTHENTICATED:
                    said += f" {reason(error)}"
        print(f"{name or 'nobody'}: {said}")


if __name__ == "__main__":
    main()
