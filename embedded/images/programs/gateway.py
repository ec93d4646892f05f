"""Entry point of the image `gateway`: write nginx's configuration for this cluster and execute nginx."""

import os
from pathlib import Path

PORT = 8080
SCRATCH = Path("/tmp")  # noqa: S108  # the only writable folder of a read-only container
_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_ENDPOINT = rf"^/serving/(?<namespace>{_LABEL})/(?<endpoint>{_LABEL})"
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
    client_max_body_size 1;  # a byte: 0 would mean any size
    client_header_timeout 10s;
    client_body_timeout 30s;
    send_timeout 30s;
    keepalive_timeout 60s;
    resolver %(resolvers)s valid=5s ipv6=off;
    resolver_timeout 5s;

    # The allowlist of paths that clients of a model need. They are compared with the original request
    # line: a decoded path could contain a line break, and a normalized path could differ from the one
    # that was checked.
    map $request_uri $purpose {
        default "";
        "~%(endpoint)s(?<path>/v2/health/(?:live|ready))$" "read";
        "~%(endpoint)s(?<path>/v2/models/\\k<endpoint>(?:/ready)?)$" "read";
        "~%(endpoint)s(?<path>/v2/models/\\k<endpoint>/infer)$" "infer";
    }
    map $purpose $methods {
        read "GET, HEAD";
        infer "POST";
    }
    map "$purpose $request_method" $allowed {
        default "";
        "read GET" "yes";
        "read HEAD" "yes";
        "infer POST" "yes";
    }
    map $purpose $predictor {
        default "$endpoint-predictor.$namespace.svc.%(domain)s";
    }

    proxy_http_version 1.1;
    proxy_connect_timeout 3s;
    proxy_send_timeout 30s;
    proxy_read_timeout 60s;
    proxy_set_header Host $predictor;
    proxy_set_header Connection "";
    proxy_set_header X-Request-Id $request_id;
    proxy_set_header kubeflow-userid "";  # an identity that any client could claim

    server {
        listen %(port)d;
        error_page 404 @unknown;
        error_page 405 @method;
        error_page 413 @large;
        error_page 502 504 @unreachable;
        location = /healthz { return 200 '{"status":"ok"}'; }
        location = /serving { return 404; }  # otherwise nginx would redirect
        location /serving/ {
            if ($purpose = "") { return 404; }
            if ($allowed = "") { return 405; }
            proxy_pass http://$predictor$path;
        }
        # The only path that accepts a body.
        location ~ ^/serving/[^/]+/[^/]+/v2/models/[^/]+/infer$ {
            client_max_body_size 16m;
            if ($purpose = "") { return 404; }
            if ($allowed = "") { return 405; }
            proxy_pass http://$predictor$path;
        }
        location / { return 404; }
        location @unknown {
            return 404 '{"error":"no such path; endpoints are /serving/<namespace>/<name>/v2/health/live,\
 v2/health/ready, v2/models/<name>, v2/models/<name>/ready and v2/models/<name>/infer"}';
        }
        location @method {
            add_header Allow $methods always;
            return 405 '{"error":"this path does not take this method; see the header Allow"}';
        }
        location @large {
            return 413 '{"error":"the body is too large; 16 MiB for infer, none elsewhere"}';
        }
        location @unreachable {
            return 502 '{"error":"the endpoint does not respond; check that it exists and is ready"}';
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
        "endpoint": _ENDPOINT,
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
