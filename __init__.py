"""HDRWeave: alternating-exposure video to scene-linear HDR, as ComfyUI nodes and as a Python function."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """What ComfyUI calls to learn the nodes. Imports happen here, so that pytest and pip can import the package."""
    from .nodes.extension import HDRWeaveExtension

    return HDRWeaveExtension()


def reconstruct(frames, exposures=None, method="classical", response="gamma2.2", **options):
    """Scene-linear HDR video from alternating exposures, without ComfyUI. See `stages.reconstruct.reconstruct`."""
    from .stages.reconstruct import reconstruct as run

    return run(frames, exposures, method=method, response=response, **options)
