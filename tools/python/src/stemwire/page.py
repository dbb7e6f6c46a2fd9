"""The viewer's page in a notebook."""

from __future__ import annotations

import urllib.request
from typing import Any

from .errors import ServerUnreachable


def viewer_page(host: str, port: int, height: int, timeout: float) -> Any:
    from IPython.display import IFrame

    url = f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
    try:
        with urllib.request.urlopen(url, timeout=timeout):
            return IFrame(url, width="100%", height=height)  # type: ignore[no-untyped-call,unused-ignore]
    except OSError as error:
        raise ServerUnreachable(f"there is no viewer's page at {url}: {error}; see --http-port") from None
