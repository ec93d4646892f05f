"""Entry of the image `gateway`: write nginx's configuration for this cluster and become nginx."""

import os
from pathlib import Path

PORT = 8080
SCRATCH = Path("/tmp")  # noqa: S108  # the only folder that a read-only container can write
_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_TEMPLATE = """\
daemon off;
worker_processes 1;
pid %(scratch)s/nginx.pid;
error_log stderr warn;
events { worker_connections 1024; }
http {
    access_log off;
    server_tokens off;
    default_type application/json;
    client_body_temp_path %(scratch)s/body;
    proxy_temp_path %(scratch)s/proxy;
    fastcgi_temp_path %(scratch)s/fastcgi;
    uwsgi_temp_path %(scratch)s/uwsgi;
    scgi_temp_path %(scratch)s/scgi;
    client_max_body_size 16m;
    client_header_timeout 10s;
    client_body_timeout 30s;
    send_timeout 30s;
    keepalive_timeout 60s;
    resolver %(resolvers)s valid=5s ipv6=off;
    resolver_timeout 5s;

    # All of it comes from the request line as it was sent: what nginx decodes could hold a line
    # break, and what it normalizes could name another endpoint than the one that was checked.
    map $request_uri $predictor {
        default "";
        "~^/serving/(?<namespace>%(label)s)/(?<endpoint>%(label)s)(?<rest>/[^\\s#]*)$"
            "$endpoint-predictor.$namespace.svc.%(domain)s";
    }

    server {
        listen %(port)d;
        error_page 404 @unknown;
        error_page 502 504 @unreachable;
        location = /healthz { return 200 '{"status":"ok"}'; }
        location /serving/ {
            if ($predictor = "") { return 404; }
            proxy_pass http://$predictor$rest;
            proxy_http_version 1.1;
            proxy_connect_timeout 3s;
            proxy_send_timeout 30s;
            proxy_read_timeout 60s;
            proxy_set_header Host $predictor;
            proxy_set_header Connection "";
            proxy_set_header X-Request-Id $request_id;
            proxy_set_header kubeflow-userid "";  # an identity that anybody could claim
        }
        location / { return 404; }
        location @unknown {
            return 404 '{"error":"no such path; endpoints are /serving/<namespace>/<name>/v2/..."}';
        }
        location @unreachable {
            return 502 '{"error":"the endpoint does not answer; does it exist and is it ready?"}';
        }
    }
}
"""


def configuration(resolv_conf: str, *, port: int = PORT, scratch: Path = SCRATCH) -> str:
    """Return nginx's configuration for a pod with this `/etc/resolv.conf`."""
    words = [line.split() for line in resolv_conf.splitlines()]
    servers = [each[1] for each in words if len(each) > 1 and each[0] == "nameserver"]
    searched = [name for each in words if each and each[0] == "search" for name in each[1:]]
    domain = next(
        (name.removeprefix("svc.") for name in searched if name.startswith("svc.")), "cluster.local"
    )
    resolvers = " ".join(f"[{server}]" if ":" in server else server for server in servers) or "127.0.0.1"
    return _TEMPLATE % {
        "resolvers": resolvers,
        "domain": domain,
        "label": _LABEL,
        "port": port,
        "scratch": scratch,
    }


def main() -> None:
    """Start nginx in the foreground, in this process."""
    path = SCRATCH / "nginx.conf"
    path.write_text(configuration(Path("/etc/resolv.conf").read_text(encoding="utf-8")))
    os.execv("/usr/sbin/nginx", ["nginx", "-e", "stderr", "-c", str(path)])  # noqa: S606


if __name__ == "__main__":
    main()
