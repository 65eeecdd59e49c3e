"""Certificates for tests, made by the openssl command."""

import subprocess
from pathlib import Path

__all__ = ["make_certificate"]


def make_certificate(folder: Path, names: str = "DNS:localhost,IP:127.0.0.1,IP:::1") -> tuple[Path, Path]:
    """Make a certificate for these names, signed by itself; return its file and its key's."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test"
    subprocess.run(
        [*command.split(), "-keyout", key, "-out", cert, "-addext", f"subjectAltName={names}"],
        check=True,
        capture_output=True,
    )
    return cert, key
