"""Entry of the image `model-server`: MLServer on one folder of models, without its command line.

The command line loads clients of other servers, which serving never uses and which cost memory.
"""

import asyncio
import sys
import warnings


async def serve(folder: str) -> None:
    """Serve the models of `folder` until a signal comes."""
    from mlserver import MLServer, Settings  # noqa: PLC0415  # the image's package, not ours
    from mlserver.logging import configure_logger  # noqa: PLC0415
    from mlserver.repository.factory import ModelRepositoryFactory  # noqa: PLC0415

    settings = Settings(model_repository_root=folder)
    configure_logger(settings)
    models = await ModelRepositoryFactory.resolve_model_repository(settings).list()
    await MLServer(settings).start(models)


def main() -> None:
    """Serve `/mnt/models` or the folder that is the first argument."""
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    import uvloop  # type: ignore[import-not-found]  # noqa: PLC0415

    uvloop.install()
    asyncio.run(serve(sys.argv[1] if len(sys.argv) > 1 else "/mnt/models"))


if __name__ == "__main__":
    main()
