"""Certificates for one stack: a certificate authority and one certificate for all servers, created by openssl."""

import shutil
import subprocess

from launcher.problem import Problem

DAYS = "30"
KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
EXTENSIONS = """\
basicConstraints=CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth,clientAuth
subjectAltName=DNS:localhost,IP:127.0.0.1,IP:127.0.0.2,IP:127.0.0.3
"""


def create(dir):
    """Writes ca.pem for clients and server.pem (key, certificate, authority) for the servers into `dir`."""
    if not shutil.which("openssl"):
        raise Problem("--tls requires openssl, which is not installed; install it (on Debian: apt-get install openssl)")
    shutil.rmtree(dir, ignore_errors=True)
    dir.mkdir(mode=0o700, parents=True)
    openssl(dir, "req", "-x509", *KEY, "-days", DAYS, "-subj", "/CN=bookend-stack",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
            "-keyout", "ca.key", "-out", "ca.pem")
    openssl(dir, "req", "-new", *KEY, "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr")
    (dir / "server.ext").write_text(EXTENSIONS)
    openssl(dir, "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", DAYS, "-extfile", "server.ext", "-out", "server.crt")
    parts = "".join((dir / name).read_text() for name in ("server.key", "server.crt", "ca.pem"))
    (dir / "server.pem").touch(mode=0o600)
    (dir / "server.pem").write_text(parts)


def openssl(dir, *words):
    """Runs openssl."""
    result = subprocess.run(["openssl", *words], cwd=dir, capture_output=True, text=True, check=False)
    if result.returncode:
        raise Problem(f"openssl {words[0]} failed:\n{result.stderr}")
