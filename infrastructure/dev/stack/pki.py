"""The stack's own certificate authority and everything it signs.

Keys and certificates lie in ``settings.pki``: ``ca.crt``, ``ca.key``, and ``<name>.crt`` with
``<name>.key`` for each :class:`Certificate`. One is made again when its subject or its names
change, when it is about to expire, or when the authority itself is new.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from . import cache, shell
from .settings import BRIDGE_ADDRESS, CLUSTER_DOMAIN, CONTROL_NAMESPACE, SERVICE_CIDR, Settings

LIFETIME = 825  # days: the longest that common clients accept
RENEW_BEFORE = 30 * 24 * 3600  # seconds
NODE_NAME = "loomworks"
SERVICE_ACCOUNT = "service-account"


@dataclass(frozen=True)
class Certificate:
    """What to sign: ``names`` are DNS names and addresses; without any it is a client's only."""

    name: str
    common_name: str
    organization: str = ""
    names: tuple[str, ...] = ()

    def subject(self) -> str:
        """The subject in the form ``openssl req -subj`` reads."""
        organization = f"/O={self.organization}" if self.organization else ""
        return f"{organization}/CN={self.common_name}"

    def extensions(self) -> str:
        """The ``openssl x509 -extfile`` text."""
        usage = "clientAuth,serverAuth" if self.names else "clientAuth"
        lines = [
            "basicConstraints=critical,CA:FALSE",
            "keyUsage=critical,digitalSignature,keyEncipherment",
            f"extendedKeyUsage={usage}",
        ]
        if self.names:
            lines.append(f"subjectAltName={','.join(map(_alternative, self.names))}")
        return "\n".join(lines) + "\n"


def _alternative(name: str) -> str:
    return f"IP:{name}" if name.replace(".", "").isdigit() else f"DNS:{name}"


def service_names(service: str, namespace: str) -> tuple[str, ...]:
    """Every name under which a pod may call a Service."""
    return (
        service,
        f"{service}.{namespace}",
        f"{service}.{namespace}.svc",
        f"{service}.{namespace}.svc.{CLUSTER_DOMAIN}",
    )


def certificates() -> tuple[Certificate, ...]:
    """All that the stack needs signed."""
    first_service_address = SERVICE_CIDR.replace(".0.0/16", ".0.1")
    local = ("localhost", "127.0.0.1")
    return (
        Certificate(
            "kube-apiserver",
            "kube-apiserver",
            names=(*service_names("kubernetes", "default"), *local, BRIDGE_ADDRESS, first_service_address),
        ),
        Certificate("etcd", "etcd", names=local),
        Certificate("etcd-client", "kube-apiserver"),
        Certificate("kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
        Certificate("kubelet", f"system:node:{NODE_NAME}", "system:nodes", (NODE_NAME, BRIDGE_ADDRESS)),
        Certificate("kube-controller-manager", "system:kube-controller-manager"),
        Certificate("kube-scheduler", "system:kube-scheduler"),
        Certificate("kube-proxy", "system:kube-proxy"),
        Certificate("provisioner", "system:serviceaccount:kube-system:loomworks-provisioner"),
        Certificate("admin", "loomworks-admin", "system:masters"),
        Certificate("registry", "registry", names=(*local, BRIDGE_ADDRESS)),
        Certificate("registry-client", "registry-client"),
        Certificate("s3", "s3", names=(*service_names("s3", CONTROL_NAMESPACE), *local, BRIDGE_ADDRESS)),
        Certificate(
            "postgres",
            f"postgres.{CONTROL_NAMESPACE}.svc.{CLUSTER_DOMAIN}",
            names=(*service_names("postgres", CONTROL_NAMESPACE), *local),
        ),
    )


def ensure(settings: Settings) -> Path:
    """Make what is missing, changed or about to expire; return the folder."""
    folder = settings.pki
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    _ensure_authority(folder)
    _ensure_signing_key(folder / f"{SERVICE_ACCOUNT}.key", folder / f"{SERVICE_ACCOUNT}.pub")
    for certificate in certificates():
        if not _is_good(folder, certificate):
            _sign(folder, certificate)
    return folder


def _ensure_authority(folder: Path) -> None:
    if _lasts(folder / "ca.crt"):
        return
    _new_key(folder / "ca.key")
    _openssl(
        *("req", "-x509", "-new", "-key", folder / "ca.key", "-sha256", "-days", str(LIFETIME * 4)),
        *("-subj", "/CN=Loomworks development authority", "-out", folder / "ca.crt"),
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
    )


def _ensure_signing_key(key: Path, public: Path) -> None:
    if not public.exists():
        _new_key(key)
        _openssl("pkey", "-in", key, "-pubout", "-out", public)


def _is_good(folder: Path, certificate: Certificate) -> bool:
    mark = folder / f"{certificate.name}.made-from"
    made = mark.exists() and mark.read_text() == _made_from(folder, certificate)
    return made and _lasts(folder / f"{certificate.name}.crt")


def _made_from(folder: Path, certificate: Certificate) -> str:
    return cache.digest([folder / "ca.crt", repr(certificate)])


def _sign(folder: Path, certificate: Certificate) -> None:
    base = folder / certificate.name
    request, extensions = base.with_suffix(".csr"), base.with_suffix(".ext")
    _new_key(base.with_suffix(".key"))
    extensions.write_text(certificate.extensions())
    _openssl("req", "-new", "-key", f"{base}.key", "-subj", certificate.subject(), "-out", request)
    _openssl(
        *("x509", "-req", "-in", request, "-CA", folder / "ca.crt", "-CAkey", folder / "ca.key"),
        *("-CAcreateserial", "-days", str(LIFETIME), "-sha256", "-extfile", extensions),
        *("-out", f"{base}.crt"),
    )
    request.unlink()
    extensions.unlink()
    base.with_suffix(".made-from").write_text(_made_from(folder, certificate))


def _new_key(path: Path) -> None:
    _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)
    path.chmod(0o600)


def _lasts(path: Path) -> bool:
    command = ["openssl", "x509", "-in", path, "-noout", "-checkend", str(RENEW_BEFORE)]
    return path.exists() and "will not expire" in shell.run(command, check=False)


def _openssl(*arguments: str | Path) -> None:
    shell.run(["openssl", *arguments])
