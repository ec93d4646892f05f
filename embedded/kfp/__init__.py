"""A server of the Kubeflow Pipelines v2beta1 API for machines where the real backend can't be had.

It is the part of the API that the unmodified `kfp.Client` uses to upload, run and watch pipelines, on
sqlite and an S3 store, with a scheduler of its own over the compiled IR.

What it is not, said plainly:

- **No authentication.** Whoever reaches the port may run code with the store credentials of any namespace
  that the server's ServiceAccount may read. Keep it inside the cluster and behind a loopback forward.
- **Steps are processes of this pod.** The image named by a step is ignored: a step sees the Python and the
  packages of the server's image. Limits on CPU and memory are not enforced per step, and a step runs as the
  server's own user, so it can read what that user can read.
- Whatever would need a pod of its own (other programs than Python functions, volumes, Secrets in the
  environment, accelerators) is refused at upload, by name.

    api        routes and bodies              document, ir    what is accepted as a pipeline
    runs       life of a run                  condition       CEL subset, pure
    scheduler  the order of tasks             values          parameters and placeholders, pure
    launcher   one task: transfer, run        step            the process that a step runs in
    database   sqlite                         launcher_config, objects   the store
"""
