"""OpenCV, imported when it is first needed. Any of its four wheels on PyPI will do."""


def cv2():
    """The cv2 module. Raises ImportError with the remedy when no OpenCV wheel is installed."""
    try:
        import cv2 as module
    except ImportError as error:
        raise ImportError(
            "OpenCV is missing: run `pip install opencv-python-headless` in the Python that runs ComfyUI"
        ) from error
    return module
