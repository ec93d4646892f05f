"""A server of the Kubeflow Pipelines v2beta1 API for machines that can't run the upstream backend.

It implements the part of the API that the unmodified `kfp.Client` uses to upload, run and watch pipelines,
on sqlite and an S3 store, with its own scheduler for the compiled IR.

Limitations:

- **No authentication.** Any client that reaches the port can run code with the store credentials of any
  namespace that the server's ServiceAccount can read. Expose it only inside the cluster and through a
  loopback port forward. Requests that a web page could have sent are refused.
- **Steps are processes in one container of this pod.** The image of a step is ignored: a step uses the
  Python and the packages of that container. CPU and memory limits are not enforced per step. Concurrent
  steps run as the same user; docs/pipelines-api.md lists what a step can access.
- Features that need a pod per step (programs other than Python functions, volumes, Secrets in the
  environment, accelerators) are refused at upload, with the feature's name.

    connections, guard     deadlines; cross-site      document, ir    the accepted pipelines
                           requests                   condition       CEL subset, pure
    api, operations,       routes, their checks,      values          parameters and placeholders, pure
    handlers               and what they do
    requests, filters,     validation of requests,    runs            life cycle of a run
    listing, openapi       pure                       scheduler       the order of tasks
    launcher, objects      one task; the store        processes       the server's side of a step
    tree                   the files of a step        steps, guardian, step, descendants
    database               sqlite                                     the container of steps
"""
