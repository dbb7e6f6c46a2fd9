"""The examples of README.md run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import stemwire

from .conftest import Serve

README = Path(__file__).parents[1] / "README.md"


def test_examples(serve: Serve) -> None:
    program = serve("synthetic")
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    examples = [block for block in blocks if "libertem" not in block and "stemwire.worker" not in block]
    assert len(examples) == 3
    with stemwire.connect(program.address) as server:
        names: dict[str, object] = {"server": server, "stemwire": stemwire}
        for example in examples:
            text = example.replace("tcp://127.0.0.1:7400", program.address).replace("256, 256", "32, 32")
            exec(compile(text.replace("progress=True", "progress=False"), README.name, "exec"), names)
            names["server"] = server
        assert isinstance(names["results"], stemwire.Results)
        assert names["results"].complete
