"""A server of the Kubeflow Pipelines v2beta1 API for machines where the real backend can't be had.

It is the part of the API that the unmodified `kfp.Client` uses to upload, run and watch pipelines, on
sqlite and an S3 store, with a scheduler of its own over the compiled IR.

What it is not, said plainly:

- **No authentication.** Whoever reaches the port may run code with the store credentials of any namespace
  that the server's ServiceAccount may read. Keep it inside the cluster and behind a loopback forward.
  Requests that a web page could have made are refused.
- **Steps are processes of one container of this pod.** The image named by a step is ignored: a step sees the
  Python and the packages of that container. Limits on CPU and memory are not enforced per step. Steps that
  run at the same time share a user; docs/pipelines-api.md says exactly what a step can reach.
- Whatever would need a pod of its own (other programs than Python functions, volumes, Secrets in the
  environment, accelerators) is refused at upload, by name.

    connections, guard     deadlines; what a page     document, ir    what is accepted as a pipeline
                           could have sent            condition       CEL subset, pure
    api, operations        routes and their checks    values          parameters and placeholders, pure
    requests, filters,     what may be asked, pure    runs            life of a run
    listing, openapi                                  scheduler       the order of tasks
    launcher, objects      one task; the store        processes       the server's side of a step
    tree                   what a step left           steps, guardian, step, descendants
    database               sqlite                                     the container of steps
"""
